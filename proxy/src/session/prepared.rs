//! Prepared statements that come, run and go by SQL: PREPARE, EXECUTE and DEALLOCATE.
//!
//! They share their names with those of the protocol, and so the session's books. What an EXECUTE
//! is answered is what the statement behind it is answered. One that was prepared under an older
//! generation is prepared anew before it runs:
//!
//! ```text
//! Query EXECUTE s(1)               →  Close "s", Query PREPARE s AS ‹today's text›; EXECUTE s(1)
//! Bind to EXECUTE s(1), or to "s"  →  Close "s", Parse PREPARE s AS …, Bind, Execute, then as it came
//! ```
//!
//! Close says nothing where there is no such statement: after a failure it need not be known how
//! far the server came.

use std::collections::HashMap;
use std::sync::Arc;

use rewrite_rules::{
    Answer, Does, Executed, OnPrepared, Reading, Refusal, SessionEffects, Strings, Touch, Verdict,
    Within,
};

use super::expect::{Expect, ReadAs, RunningText, answer, is_refused};
use super::judge::{not_readable, refused, replacement};
use super::renewal::{strings_changed, text_not_kept, too_many};
use super::statements::Statement;
use super::{Pin, Session, SessionRules};
use crate::wire::frontend::{self, BindNames, DescribeTarget, Execute, Parse};

/// The statement and portal by which the session prepares one by SQL.
const OWN: &[u8] = b"cf_prepare";

/// SQL that has to prepare a statement anew, and its name.
type PreparedFirst = Option<(String, String)>;

/// What running a statement by its name comes to.
enum KnownName {
    /// Nothing is known of it: the server's to answer.
    Nothing,
    As(ReadAs),
}

impl<P: Pin> Session<P> {
    /// Completes the reading of a Query's text with what it prepares and executes. May write
    /// messages that are to go before it.
    pub(super) fn complete_query(
        &mut self,
        text: &[u8],
        read: ReadAs,
        insert: &mut Vec<u8>,
    ) -> ReadAs {
        let reading = read?;
        if reading.effects.prepared.is_empty() || is_refused(&Some(Arc::clone(&reading))) {
            return Some(reading);
        }
        match self.completed(text, &reading, insert) {
            Ok(completed) => completed.or(Some(reading)),
            Err(refusal) => Some(refusal),
        }
    }

    fn completed(
        &mut self,
        text: &[u8],
        reading: &Arc<Reading>,
        insert: &mut Vec<u8>,
    ) -> Result<ReadAs, Arc<Reading>> {
        let mut runs = Vec::new();
        // What the statements before leave of each name, where it differs from the books.
        let mut left: HashMap<&str, Option<ReadAs>> = HashMap::new();
        let mut all_gone = false;
        for (index, effect) in reading.effects.prepared.iter().enumerate() {
            match &effect.does {
                Does::Prepare { name, text, answer } => {
                    self.has_room_for(name)?;
                    // Nobody sends it again from here, and this text may prepare thousands.
                    let executed = executed(reading, *answer, String::new);
                    let executed = executed.filter(|_| text.is_some());
                    // Whether it succeeds decides what the next text means.
                    if executed.is_some() {
                        self.hold();
                    }
                    left.insert(name, Some(executed));
                }
                Does::Deallocate(Some(name)) => {
                    if !all_gone && !left.contains_key(name.as_str()) {
                        self.stand_in(name, insert);
                    }
                    left.insert(name, None);
                }
                Does::Deallocate(None) => {
                    left.clear();
                    all_gone = true;
                }
                Does::Renew(_) => {}
                Does::Execute { name, within } => {
                    let (known, before) = match left.get(name.as_str()) {
                        Some(Some(read)) => (KnownName::As(read.clone()), None),
                        Some(None) => (KnownName::Nothing, None),
                        None if all_gone => (KnownName::Nothing, None),
                        None => self.known_in_query(name, insert)?,
                    };
                    let KnownName::As(read) = known else { continue };
                    self.path_sees_run(&read);
                    if before.is_some() {
                        left.insert(name, Some(read.clone()));
                    }
                    runs.extend(run_of(index, *within, &read, before)?);
                }
            }
        }
        if runs.is_empty() {
            return Ok(None);
        }
        // Without the statements' places nothing can be told or inserted.
        let text = match std::str::from_utf8(text) {
            Ok(text) if !reading.effects.unparsed => text,
            Ok(_) | Err(_) => return Err(refused(not_readable())),
        };
        Ok(Some(Arc::new(reading.executing(text, runs))))
    }

    /// What a text may run by this name, with the SQL that has to prepare it anew.
    fn known_in_query(
        &mut self,
        name: &str,
        insert: &mut Vec<u8>,
    ) -> Result<(KnownName, PreparedFirst), Arc<Reading>> {
        let current = self.generation.number();
        let Some(statement) = self.statements.get(name.as_bytes()) else {
            return self.unknown(name).map(|known| (known, None));
        };
        if statement.generation == current {
            return Ok((KnownName::As(statement.read.clone()), None));
        }
        let Some(body) = statement.body.clone() else {
            return Err(refused(text_not_kept()));
        };
        let Ok(parse) = Parse::read(&body) else {
            return Err(refused(text_not_kept()));
        };
        let sent_before = match statement.generation {
            0 => None,
            _ => Some(replacement(&statement.read).unwrap_or(parse.text).to_vec()),
        };
        let (by_sql, strings) = (statement.by_sql, statement.strings);
        let read = self.judge_again(&parse, by_sql, strings);
        if is_refused(&read) {
            return Err(read.map_or_else(|| refused(text_not_kept()), without_position));
        }
        let text = replacement(&read).unwrap_or(parse.text);
        let holds_it = sent_before.as_deref() == Some(text);
        if !holds_it && !by_sql {
            return Err(refused(prepared_by_protocol(name)));
        }
        let sql = String::from_utf8_lossy(text).into_owned();
        if let Some(statement) = self.statements.get_mut(name.as_bytes()) {
            if holds_it {
                statement.read.clone_from(&read);
                statement.generation = current;
                return Ok((KnownName::As(read), None));
            }
            statement.generation = 0;
        }
        frontend::write_close(insert, DescribeTarget::Statement(name.as_bytes()));
        self.expects.push_back(Expect::RenewalClose);
        Ok((KnownName::As(read), Some((sql, name.to_owned()))))
    }

    /// Completes the reading of a prepared text that is about to be bound, described or run.
    pub(super) fn complete_bound(
        &mut self,
        body: Option<&[u8]>,
        read: ReadAs,
        insert: &mut Vec<u8>,
    ) -> ReadAs {
        let reading = read?;
        if reading.effects.prepared.is_empty() || is_refused(&Some(Arc::clone(&reading))) {
            return Some(reading);
        }
        let mut runs = Vec::new();
        for (index, effect) in reading.effects.prepared.iter().enumerate() {
            let checked = match &effect.does {
                Does::Prepare { name, .. } => self.has_room_for(name).map(|()| None),
                Does::Execute { name, within } => {
                    let known = if self.statements.get(name.as_bytes()).is_some() {
                        Ok(KnownName::As(self.renewed(name.as_bytes(), insert)))
                    } else {
                        self.unknown(name)
                    };
                    known.and_then(|known| match known {
                        KnownName::Nothing => Ok(None),
                        // It was sent already, and fails.
                        KnownName::As(read) if is_refused(&read) => Ok(read.map(Err)),
                        KnownName::As(read) => {
                            self.path_sees_run(&read);
                            Ok(run_of(index, *within, &read, None)?.map(Ok))
                        }
                    })
                }
                Does::Deallocate(Some(name)) => {
                    self.stand_in(name, insert);
                    Ok(None)
                }
                Does::Deallocate(None) | Does::Renew(_) => Ok(None),
            };
            match checked {
                Ok(None) => {}
                Ok(Some(Ok(run))) => runs.push(run),
                Ok(Some(Err(poisoned))) => return Some(poisoned),
                Err(refusal) => return self.poison(refusal, insert),
            }
        }
        if runs.is_empty() {
            return Some(reading);
        }
        let text = body
            .and_then(|body| Parse::read(body).ok())
            .map(|parse| parse.text);
        let Some(text) = text.and_then(|text| std::str::from_utf8(text).ok()) else {
            return self.poison(refused(not_readable()), insert);
        };
        Some(Arc::new(reading.executing(text, runs)))
    }

    /// A statement that could not be prepared anew is none on the server any more, and DEALLOCATE of
    /// what the client has prepared must succeed: an empty one takes its place.
    fn stand_in(&mut self, name: &str, insert: &mut Vec<u8>) {
        let lost = self.statements.get(name.as_bytes());
        if lost.is_none_or(|statement| statement.generation != 0) {
            return;
        }
        frontend::write_close(insert, DescribeTarget::Statement(name.as_bytes()));
        self.expects.push_back(Expect::RenewalClose);
        let parse = Parse {
            name: name.as_bytes(),
            text: b"",
            types: &[0, 0],
        };
        frontend::write_parse(insert, parse);
        self.expects.push_back(Expect::Renewal {
            name: name.as_bytes().into(),
            read: None,
        });
    }

    fn has_room_for(&self, name: &str) -> Result<(), Arc<Reading>> {
        let limit = self.settings.limits.prepared_statements_max;
        let known = self.statements.get(name.as_bytes()).is_some();
        if !known && self.statements.named_count() >= limit {
            return Err(refused(too_many("prepared statements", limit)));
        }
        Ok(())
    }

    /// A name that is not in the books: one that was prepared while nobody kept them could be
    /// anything.
    fn unknown(&self, name: &str) -> Result<KnownName, Arc<Reading>> {
        if self.born >= self.generation.watched_since() {
            return Ok(KnownName::Nothing);
        }
        Err(refused(Refusal {
            sqlstate: "0A000",
            message: format!(
                "EXECUTE of \"{name}\" is refused: it may have been prepared before there were any \
                 rules"
            ),
            hint: "Connect again, and prepare it again.".to_owned(),
            position: None,
        }))
    }

    /// A kept text under the session's generation.
    pub(super) fn judge_again(
        &mut self,
        parse: &Parse<'_>,
        by_sql: bool,
        strings: Option<Strings>,
    ) -> ReadAs {
        if strings != self.strings
            && parse.text.contains(&b'\\')
            && self.generation.may_name(parse.text)
        {
            return Some(refused(strings_changed()));
        }
        let read = self.judge_kept(parse.text);
        if !by_sql {
            return read;
        }
        read.and_then(|reading| of_prepare(&reading))
    }

    /// Messages that prepare a statement anew by SQL, all but the Close before them.
    pub(super) fn write_own_prepare(
        &mut self,
        name: &[u8],
        text: &[u8],
        read: &ReadAs,
        insert: &mut Vec<u8>,
    ) {
        // Left over, if it failed the last time.
        self.close_own(insert);
        let types = &[0, 0];
        frontend::write_parse(
            insert,
            Parse {
                name: OWN,
                text,
                types,
            },
        );
        self.expects.push_back(Expect::Renewal {
            name: name.into(),
            read: read.clone(),
        });
        frontend::write_bind(
            insert,
            BindNames {
                portal: OWN,
                statement: OWN,
            },
        );
        self.expects.push_back(Expect::RenewalBind);
        frontend::write_execute(
            insert,
            Execute {
                portal: OWN,
                rows_max: 0,
            },
        );
        self.expects.push_back(Expect::RenewalExecute {
            name: name.into(),
            read: read.clone(),
        });
        self.close_own(insert);
    }

    fn close_own(&mut self, insert: &mut Vec<u8>) {
        for target in [DescribeTarget::Portal(OWN), DescribeTarget::Statement(OWN)] {
            frontend::write_close(insert, target);
            self.expects.push_back(Expect::RenewalClose);
        }
    }

    /// A statement of a text has run to its end: what it did with prepared statements is done.
    pub(super) fn prepared_after(&mut self, run: &RunningText, statement: usize) {
        let Some(reading) = run.read.clone() else {
            return;
        };
        let effects = &reading.effects.prepared;
        let first = effects.partition_point(|effect| effect.statement < statement);
        let own = effects[first..].iter();
        for effect in own.take_while(|effect| effect.statement == statement) {
            self.had_effect(effect, run.serial);
        }
    }

    fn had_effect(&mut self, effect: &OnPrepared, serial: u64) {
        match &effect.does {
            Does::Prepare { name, text, .. } => self.keep_sql_prepared(name, text.as_deref()),
            Does::Deallocate(name) => self.statements.deallocate(name.as_deref(), serial),
            Does::Execute { .. } => {}
            Does::Renew(name) => {
                let Some(statement) = self.statements.get(name.as_bytes()) else {
                    return;
                };
                let strings = statement.strings;
                let body = statement.body.clone();
                let Some(Ok(parse)) = body.as_deref().map(Parse::read) else {
                    return;
                };
                let read = self.judge_again(&parse, true, strings);
                let current = self.generation.number();
                if let Some(statement) = self.statements.get_mut(name.as_bytes()) {
                    statement.read = read;
                    statement.generation = current;
                }
            }
        }
    }

    fn keep_sql_prepared(&mut self, name: &str, text: Option<&str>) {
        let parse = text.map(|text| Parse {
            name: name.as_bytes(),
            text: text.as_bytes(),
            types: &[0, 0],
        });
        let read = parse
            .as_ref()
            .and_then(|parse| self.judge_again(parse, true, self.strings));
        let bytes_max = self.settings.limits.prepared_bytes_max;
        let body = parse.and_then(|parse| {
            self.statements
                .keep(name.as_bytes(), &frontend::parse_body(parse), bytes_max)
        });
        let statement = Statement {
            body,
            read,
            generation: self.generation.number(),
            foreign_in: 0,
            strings: self.strings,
            touch: text.map_or(Touch::Changes, |text| {
                self.generation.touch(text.as_bytes())
            }),
            serial: self.statements.next_serial(),
            kept: None,
            effect: None,
            by_sql: true,
        };
        let undo = self.statements.insert(name.as_bytes(), statement);
        self.statements.settle(undo);
    }
}

/// How an execution of a prepared statement is answered; nothing where it is as PostgreSQL says.
fn run_of(
    effect: usize,
    within: Within,
    read: &ReadAs,
    before: PreparedFirst,
) -> Result<Option<Executed>, Arc<Reading>> {
    let (renames, context) = match read.as_ref().map(|reading| &reading.verdict) {
        Some(Verdict::Rewritten(rewritten)) => {
            (Arc::clone(&rewritten.renames), rewritten.context.clone())
        }
        Some(Verdict::PassThrough | Verdict::Refused(_)) | None => (Arc::default(), None),
    };
    let told = answer(read.as_ref(), 0);
    let answer = match within {
        Within::Nothing => told,
        Within::Explain => Answer::default(),
        Within::CreateTableAs if told.tag.is_some() => {
            // As the client wrote it, it is none.
            return Err(refused(Refusal {
                sqlstate: "42809",
                message: "prepared statement is not a SELECT".to_owned(),
                hint: String::new(),
                position: None,
            }));
        }
        Within::CreateTableAs => told,
    };
    let needed = before.is_some() || answer != Answer::default() || !renames.is_empty();
    Ok(needed.then_some(Executed {
        effect,
        before,
        answer,
        renames,
        context,
    }))
}

/// From the reading of a PREPARE to that of what it prepares.
fn of_prepare(reading: &Arc<Reading>) -> ReadAs {
    let answer = reading
        .effects
        .prepared
        .iter()
        .find_map(|effect| match &effect.does {
            Does::Prepare { answer, .. } => Some(*answer),
            Does::Execute { .. } | Does::Deallocate(_) | Does::Renew(_) => None,
        });
    let sql = || match &reading.verdict {
        Verdict::Rewritten(rewritten) => rewritten.sql.clone(),
        Verdict::PassThrough | Verdict::Refused(_) => String::new(),
    };
    executed(reading, answer.unwrap_or_default(), sql)
}

/// What an execution is of what a text prepares; `sql` is what prepares it.
fn executed(reading: &Arc<Reading>, answer: Answer, sql: impl FnOnce() -> String) -> ReadAs {
    let effects = SessionEffects {
        path: reading.effects.path,
        ..SessionEffects::default()
    };
    match &reading.verdict {
        Verdict::PassThrough if effects.is_empty() => None,
        Verdict::PassThrough => Some(Arc::new(Reading::new(Verdict::PassThrough, effects))),
        Verdict::Refused(_) => Some(Arc::clone(reading)),
        Verdict::Rewritten(rewritten) => {
            let rewritten = rewritten.executed(answer, sql());
            Some(Arc::new(Reading::new(
                Verdict::Rewritten(rewritten),
                effects,
            )))
        }
    }
}

/// The position in the statement's own text is none in the text that runs it.
fn without_position(reading: Arc<Reading>) -> Arc<Reading> {
    match &reading.verdict {
        Verdict::Refused(refusal) => refused(Refusal {
            position: None,
            ..refusal.clone()
        }),
        Verdict::PassThrough | Verdict::Rewritten(_) => reading,
    }
}

fn prepared_by_protocol(name: &str) -> Refusal {
    Refusal {
        sqlstate: "0A000",
        message: format!(
            "EXECUTE of \"{name}\" is refused: it was prepared by a protocol message, and would \
             have to be prepared anew for the phase that the migration is in now"
        ),
        hint: "Bind it once by the extended protocol, or DEALLOCATE and prepare it again."
            .to_owned(),
        position: None,
    }
}
