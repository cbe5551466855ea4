//! The prepared statements and portals that the session knows on the server, with what it takes
//! to prepare a statement anew. Keeps the books; decides nothing.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use rewrite_rules::keeping::Effect;
use rewrite_rules::{Strings, Touch};

use super::cache::Number;
use super::expect::{ReadAs, Undo};
use super::report::ShadowCandidate;
use crate::wire::frontend::Parse;

/// An unnamed statement's text above this is not kept once its transaction is over: it is
/// nearly always used at once, and an idle session must stay small.
const UNNAMED_KEPT_BYTES: usize = 16 * 1024;

/// Looked up for every Bind, so the hash is a quick one. Whoever finds names that collide under
/// its random seed slows down one session: their own.
type ByName<T> = HashMap<Box<[u8]>, T, RandomState>;

#[derive(Debug)]
pub(super) struct Statement {
    /// The body of the client's Parse; `None` when it was too large to keep.
    pub body: Option<Vec<u8>>,
    pub read: ReadAs,
    /// Under which generation it was last read; 0 when the server may hold something else.
    pub generation: u64,
    /// The generation in which the text was found to spell nothing that has to be read; 0 for none.
    pub foreign_in: u64,
    /// Counts up with every Parse of the session.
    pub serial: u64,
    /// How strings were read when it was prepared; its text means something else under another setting.
    pub strings: Option<Strings>,
    /// What running it may do to how other texts are read.
    pub touch: Touch,
    /// The unnamed statement stands on the server under a name of the cache.
    pub kept: Option<Number>,
    /// What running it may do to the cache.
    pub effect: Option<Effect>,
    /// Made by SQL's PREPARE, which is what the body's text is.
    pub by_sql: bool,
}

/// A generation's number that none has: the statement stands as it was read, and is to be read
/// again at its next use.
const TO_BE_READ_AGAIN: u64 = u64::MAX;

impl Statement {
    /// Nothing is to be done about this statement in this generation: its messages go on as they
    /// come, and what it does is no concern of the session's.
    pub fn is_plain(&self, generation: u64) -> bool {
        self.generation == generation
            && self.read.is_none()
            && self.kept.is_none()
            && self.effect.is_none()
    }

    fn kept_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Vec::len)
    }
}

#[derive(Debug, Default)]
pub(super) struct Statements {
    unnamed: Option<Statement>,
    named: ByName<Statement>,
    /// The generation in which every one of them is foreign, if that is known; else 0.
    foreign_in: u64,
    /// Bytes of all bodies kept for named statements.
    kept_bytes: usize,
    /// A body's room, ready for the next unnamed Parse: two of them alternate, so that a client
    /// that only uses the unnamed statement causes no allocation.
    spare: Vec<u8>,
    serial: u64,
}

impl Statements {
    /// The next Parse's number; everything known so far has a smaller one.
    pub fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub fn named_count(&self) -> usize {
        self.named.len()
    }

    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Statement> {
        if name.is_empty() {
            self.unnamed.as_mut()
        } else {
            self.named.get_mut(name)
        }
    }

    pub fn get(&self, name: &[u8]) -> Option<&Statement> {
        if name.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.named.get(name)
        }
    }

    /// A copy of a Parse's body, if there is room for it.
    pub fn keep(&mut self, name: &[u8], body: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
        if name.is_empty() {
            let mut kept = std::mem::take(&mut self.spare);
            kept.clear();
            kept.extend_from_slice(body);
            return Some(kept);
        }
        (self.kept_bytes + body.len() <= bytes_max).then(|| body.to_vec())
    }

    /// Whether no text of theirs spells anything that has to be read.
    pub fn are_foreign(&self, generation: u64) -> bool {
        self.foreign_in == generation
    }

    pub fn insert(&mut self, name: &[u8], statement: Statement) -> Undo {
        let others = self.unnamed.is_some() || !self.named.is_empty();
        if !others {
            self.foreign_in = statement.foreign_in;
        } else if self.foreign_in != statement.foreign_in {
            self.foreign_in = 0;
        }
        if name.is_empty() {
            return Undo::Unnamed(self.unnamed.replace(statement));
        }
        self.kept_bytes += statement.kept_bytes();
        let name: Box<[u8]> = name.into();
        let previous = self.named.insert(name.clone(), statement);
        self.kept_bytes -= previous.as_ref().map_or(0, Statement::kept_bytes);
        Undo::Named(Box::new((name, previous)))
    }

    pub fn remove(&mut self, name: &[u8]) -> Option<Undo> {
        if name.is_empty() {
            return self.unnamed.take().map(|s| Undo::Unnamed(Some(s)));
        }
        let (name, statement) = self.named.remove_entry(name)?;
        self.kept_bytes -= statement.kept_bytes();
        Some(Undo::Named(Box::new((name, Some(statement)))))
    }

    /// A request had its effect: what it replaced is gone for good.
    pub fn settle(&mut self, undo: Undo) {
        match undo {
            Undo::Unnamed(Some(Statement {
                body: Some(body), ..
            })) if body.capacity() <= UNNAMED_KEPT_BYTES => self.spare = body,
            Undo::Unnamed(_) | Undo::Named(_) | Undo::Nothing => {}
        }
    }

    /// A request had no effect: the map stands as before it.
    pub fn revert(&mut self, undo: Undo) {
        match undo {
            Undo::Unnamed(previous) => self.unnamed = previous,
            Undo::Named(named) => {
                let (name, previous) = *named;
                let failed = match previous {
                    Some(statement) => {
                        self.kept_bytes += statement.kept_bytes();
                        self.named.insert(name, statement)
                    }
                    None => self.named.remove(&name),
                };
                self.kept_bytes -= failed.as_ref().map_or(0, Statement::kept_bytes);
            }
            Undo::Nothing => {}
        }
    }

    /// The unnamed statement is no longer to be looked for under a kept name; gives that name.
    pub fn unkeep(&mut self) -> Option<Number> {
        self.unnamed.as_mut()?.kept.take()
    }

    /// DEALLOCATE in SQL: only what was prepared before `serial` is meant.
    pub fn deallocate(&mut self, name: Option<&str>, serial: u64) {
        match name {
            Some(name) => {
                let older = |s: &Statement| s.serial <= serial;
                if self.named.get(name.as_bytes()).is_some_and(older) {
                    self.remove(name.as_bytes());
                }
            }
            None => {
                self.named.retain(|_, statement| statement.serial > serial);
                self.kept_bytes = self.named.values().map(Statement::kept_bytes).sum();
            }
        }
    }

    /// What names mean has changed: PostgreSQL analyses prepared statements anew, and so must we.
    pub fn read_all_again(&mut self) {
        let all = self.named.values_mut().chain(&mut self.unnamed);
        // 0 says more: the server may hold something else.
        for statement in all.filter(|statement| statement.generation != 0) {
            statement.generation = TO_BE_READ_AGAIN;
        }
    }

    /// From now on it counts what running one of them may do to the cache.
    pub fn find_effects(&mut self, effect: impl Fn(&[u8]) -> Option<Effect>) {
        for statement in self.named.values_mut().chain(&mut self.unnamed) {
            let parse = statement.body.as_deref().map(Parse::read);
            statement.effect = match parse {
                Some(Ok(parse)) => effect(parse.text),
                Some(Err(_)) | None => Some(Effect::Meaning),
            };
        }
    }

    /// The last serial given out.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Between transactions: gives back what an idle session has no use for.
    pub fn shrink(&mut self) {
        if let Some(statement) = &mut self.unnamed
            && statement.kept_bytes() > UNNAMED_KEPT_BYTES
        {
            statement.body = None;
        }
        if self.spare.capacity() > UNNAMED_KEPT_BYTES {
            self.spare = Vec::new();
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Portal {
    pub read: ReadAs,
    pub touch: Touch,
    /// Ready to be compared, once the portal has run.
    pub shadow: Option<Box<ShadowCandidate>>,
}

/// Only portals of texts that were read, or may change how others are, are kept; any other name means
/// nothing special.
#[derive(Debug, Default)]
pub(super) struct Portals {
    unnamed: Portal,
    named: ByName<Portal>,
}

impl Portals {
    pub fn bind(&mut self, name: &[u8], portal: Portal) {
        if name.is_empty() {
            self.unnamed = portal;
        } else if portal.read.is_some() || portal.touch != Touch::No {
            self.named.insert(name.into(), portal);
        } else if !self.named.is_empty() {
            self.named.remove(name);
        }
    }

    pub fn close(&mut self, name: &[u8]) {
        self.bind(name, Portal::default());
    }

    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Portal> {
        if name.is_empty() {
            Some(&mut self.unnamed)
        } else {
            self.named.get_mut(name)
        }
    }

    pub fn named_count(&self) -> usize {
        self.named.len()
    }

    /// The end of a transaction ends its portals.
    pub fn clear(&mut self) {
        self.unnamed = Portal::default();
        if !self.named.is_empty() {
            self.named = ByName::default();
        }
    }
}
