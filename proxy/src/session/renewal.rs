//! Statements that were prepared under other rules, prepared anew before their next use; and what
//! is sent where that is refused.
//!
//! ```text
//! Bind to "s", older generation   →  Close "s", Parse "s" <today's text>, Bind to "s"
//! Bind to "s", refused today      →  Parse "cf_refused" SELECT crossfade.refused   (fails with 42P01)
//! ```

use std::sync::Arc;

use rewrite_rules::{Reading, Refusal};

use super::expect::{Expect, ReadAs, Undo, is_refused};
use super::judge::{POISON, POISON_NAME, refused, replacement};
use super::{Pin, Session, SessionRules};
use crate::wire::frontend::{self, Parse};

impl<P: Pin> Session<P> {
    /// A prepared text that runs or makes prepared statements by their names.
    pub(super) fn completed_of(
        &mut self,
        name: &[u8],
        read: ReadAs,
        insert: &mut Vec<u8>,
    ) -> ReadAs {
        let body = self.statements.get(name).and_then(|s| s.body.clone());
        self.complete_bound(body.as_deref(), read, insert)
    }

    /// What a known statement's text is under the session's generation; prepares it anew on the
    /// server when that differs from what the server holds.
    pub(super) fn renewed(&mut self, name: &[u8], insert: &mut Vec<u8>) -> ReadAs {
        let current = self.generation.number();
        let statement = self.statements.get_mut(name)?;
        if statement.generation == current {
            return statement.read.clone();
        }
        let Some(body) = statement.body.take() else {
            return self.poison(refused(text_not_kept()), insert);
        };
        // The body was checked when it came; were it not whole, the server would say so.
        let Ok(parse) = Parse::read(&body) else {
            return None;
        };
        let statement = self.statements.get(name);
        let by_sql = statement.is_some_and(|s| s.by_sql);
        let strings = statement.map_or(self.strings, |s| s.strings);
        let read = self.judge_again(&parse, by_sql, strings);
        if is_refused(&read) {
            let refusal = read.clone();
            self.put_back(name, body);
            return refusal.and_then(|refusal| self.poison(refusal, insert));
        }
        let text = replacement(&read).unwrap_or(parse.text);
        let sent_before = match self.statements.get(name) {
            Some(s) if s.generation != 0 => replacement(&s.read).or(Some(parse.text)),
            Some(_) | None => None,
        };
        let sent_before_differs = sent_before != Some(text);
        if sent_before_differs {
            if !name.is_empty() {
                frontend::write_close_statement(insert, name);
                self.expects.push_back(Expect::RenewalClose);
            }
            if by_sql {
                self.write_own_prepare(name, text, &read, insert);
            } else {
                frontend::write_parse(insert, Parse { text, ..parse });
                self.expects.push_back(Expect::Renewal {
                    name: name.into(),
                    read: read.clone(),
                });
            }
        }
        if let Some(statement) = self.statements.get_mut(name) {
            statement.read.clone_from(&read);
            statement.generation = current;
            if sent_before_differs {
                statement.kept = None;
            }
        }
        self.put_back(name, body);
        read
    }

    fn put_back(&mut self, name: &[u8], body: Vec<u8>) {
        if let Some(statement) = self.statements.get_mut(name) {
            statement.body = Some(body);
        }
    }

    /// Makes the server fail where the client's message would have been answered. The statement
    /// keeps its older generation, so that it is judged again at its next use.
    pub(super) fn poison(&mut self, refusal: Arc<Reading>, insert: &mut Vec<u8>) -> ReadAs {
        self.report().refused += 1;
        let read = Some(refusal);
        let parse = Parse {
            name: POISON_NAME,
            text: POISON,
            types: &[0, 0],
        };
        frontend::write_parse(insert, parse);
        self.expects.push_back(Expect::Parse {
            undo: Undo::Nothing,
            read: read.clone(),
            kept: None,
        });
        read
    }
}

pub(super) fn too_many(what: &str, limit: usize) -> Refusal {
    Refusal {
        sqlstate: "53400",
        message: format!("this session already holds {limit} {what}"),
        hint: "Close some, or raise limits.prepared_statements_max of Crossfade.".to_owned(),
        position: None,
    }
}

/// The text would be read otherwise than when it was prepared.
pub(super) fn strings_changed() -> Refusal {
    Refusal {
        sqlstate: "26000",
        message:
            "standard_conforming_strings has changed, and the prepared statement would have to \
                  be read again"
                .to_owned(),
        hint: "Prepare the statement again.".to_owned(),
        position: None,
    }
}

/// Drivers know 26000 as "prepare it again", which is what has to be done.
pub(super) fn text_not_kept() -> Refusal {
    Refusal {
        sqlstate: "26000",
        message: "the rules have changed, and the prepared statement's text was too large to keep"
            .to_owned(),
        hint: "Prepare the statement again, or raise limits.prepared_bytes_max of Crossfade."
            .to_owned(),
        position: None,
    }
}
