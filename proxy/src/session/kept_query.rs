//! A Query that was rewritten and finds or inserts one row by its key, answered by a statement that is kept prepared: the server parses
//! and plans the long text once, not each time.
//!
//! ```text
//! 1st, 2nd  Query ‹id = 1›   →  Query ‹… id = 1›
//! 3rd       Query ‹id = 3›   →  Parse "cf_5e551010_1" ‹… id = $1›, Bind "3", Describe, Execute, Sync
//! 4th       Query ‹id = 4›   →  Bind "4", Describe, Execute, Sync
//!
//!           ParseComplete, BindComplete, NoData, CloseComplete     →  nothing
//!           RowDescription, DataRow                                →  as they come
//!           CommandComplete, ReadyForQuery                         →  both when the second has come
//! ```
//!
//! The client cannot tell:
//!
//! ```text
//! an end before a commit        a Query is told its end when it is committed, an Execute before: it is held back
//! what a write will return      a Query is told when it has run, a portal before: it is held back
//! an error that points          into the text with parameters: told as in the text with constants
//! an error before it runs       outside of a block nothing has happened: the Query is sent as it would have been
//! an unnamed statement, portal  a Query ends both: closed here where there may be some
//! others are outstanding        what the server skips after their error ends with our Sync: sent as a Query
//! ```

use rewrite_rules::{Preparable, Verdict};

use super::cache::{Asked, ParsePlan, ReplayState};
use super::expect::{Expect, KeptQuery, ReadAs, answer};
use super::judge::replacement;
use super::keep::with_field;
use super::lane::Act;
use super::path::known::Encoding;
use super::{Pin, Session, Violation};
use crate::wire::backend::{self, Fields};
use crate::wire::frame::write_frame;
use crate::wire::frontend::{self, DescribeTarget, Execute, Parse};

impl<P: Pin> Session<P> {
    /// Binds what is kept in place of a text, if it may be. `unnamed`: the server may have an unnamed statement.
    pub(super) fn send_kept(
        &mut self,
        read: &ReadAs,
        unnamed: bool,
        alone: bool,
        insert: &mut Vec<u8>,
    ) -> Option<Box<KeptQuery>> {
        let preparable = read.as_ref()?.preparable()?;
        if !alone || !self.cache.keeps_rewritten() || !self.may_keep(preparable) {
            return None;
        }
        let types = types_of(preparable);
        let at_rest = self.is_outside_block();
        let asked = Asked::of(preparable.sql.as_bytes(), &types);
        let asked = asked.by_key(read.as_ref().and_then(|reading| reading.by_key()));
        let (number, parsed) = match self.consult(asked, at_rest) {
            ParsePlan::AsItCame => return None,
            ParsePlan::Prepare(number) => (number, false),
            ParsePlan::Known(number) => (number, true),
        };
        self.write_closes(insert);
        if unnamed {
            frontend::write_close_statement(insert, b"");
            self.expects.push_back(Expect::RenewalClose);
        }
        let name = self.cache.name(number);
        let name = name.as_bytes();
        if !parsed {
            let parse = Parse {
                name,
                text: preparable.sql.as_bytes(),
                types: &types,
            };
            frontend::write_parse(insert, parse);
        }
        let values = preparable.parameters.iter();
        frontend::write_bind_values(insert, name, values.map(|value| value.value.as_bytes()));
        if !answer(read.as_ref(), 0).hide_rows {
            frontend::write_describe_portal(insert, b"");
        }
        let execute = Execute {
            portal: b"",
            rows_max: 0,
        };
        frontend::write_execute(insert, execute);
        if !at_rest {
            // Outside of a block it ends with the transaction. In one it would hold its tables, and be there to be run.
            frontend::write_close(insert, DescribeTarget::Portal(b""));
        }
        frontend::write_bare(insert, frontend::SYNC);
        Some(Box::new(KeptQuery {
            number,
            parsed,
            at_rest,
            bound: false,
            writes: answer(read.as_ref(), 0).tag.is_some(),
            description: Vec::new(),
            end: None,
        }))
    }

    /// Whether the server reads in it what is meant, and does not look at a failed transaction first.
    pub(super) fn may_keep(&self, preparable: &Preparable) -> bool {
        let values = || preparable.parameters.iter().map(|value| &value.value);
        // A character that its encoding lacks is an error of one value here, and there of the text.
        let is_ascii = || values().all(|value| value.is_ascii());
        self.status != b'E'
            && (self.keeps_bytes() || is_ascii())
            && self.keeps_text(&preparable.sql)
    }

    /// Whether the server reads in a text what is meant.
    pub(super) fn keeps_text(&self, sql: &str) -> bool {
        self.keeps_bytes() || sql.is_ascii()
    }

    fn keeps_bytes(&self) -> bool {
        self.encoding == Encoding::Bytes && self.server_keeps_bytes
    }

    fn kept_query(&mut self) -> Option<&mut KeptQuery> {
        match self.expects.front_mut() {
            Some(Expect::Query(run)) => run.kept.as_deref_mut(),
            Some(_) | None => None,
        }
    }

    /// An answer to what stands for a Query; those that are left to others are those that a Query has as well.
    pub(super) fn on_kept_query(
        &mut self,
        tag: u8,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<Option<Act>, Violation> {
        let Some(kept) = self.kept_query() else {
            return Ok(None);
        };
        match tag {
            backend::PARSE_COMPLETE => kept.parsed = true,
            backend::BIND_COMPLETE => kept.bound = true,
            backend::CLOSE_COMPLETE | backend::NO_DATA => {}
            backend::COMMAND_COMPLETE => kept.end = Some(body.into()),
            backend::ROW_DESCRIPTION if kept.writes && !body.is_empty() => {
                return self.hold_description(body).map(Some);
            }
            backend::DATA_ROW => {
                insert.append(&mut kept.description);
                return Ok(None);
            }
            backend::NOTICE_RESPONSE => {
                // What the server says at a Parse it is to say at the next one, too.
                if !kept.parsed {
                    let number = kept.number;
                    self.cache.forget(number);
                }
                return Ok(None);
            }
            backend::READY_FOR_QUERY => return self.on_kept_ready(insert),
            _ => return Ok(None),
        }
        Ok(Some(Act::Drop))
    }

    /// Whether a write is to be described that has not run.
    pub(super) fn holds_description(&self) -> bool {
        match self.expects.front() {
            Some(Expect::Query(run)) => run.kept.as_ref().is_some_and(|kept| kept.writes),
            Some(_) | None => false,
        }
    }

    fn hold_description(&mut self, body: &[u8]) -> Result<Act, Violation> {
        let mut told = Vec::new();
        if self.on_description(backend::ROW_DESCRIPTION, body, &mut told)? == Act::Forward {
            write_frame(&mut told, backend::ROW_DESCRIPTION, |out| {
                out.extend_from_slice(body);
            });
        }
        if let Some(kept) = self.kept_query() {
            kept.description = told;
        }
        Ok(Act::Drop)
    }

    /// All has been answered: the end is told, or the Query said again.
    fn on_kept_ready(&mut self, insert: &mut Vec<u8>) -> Result<Option<Act>, Violation> {
        let Some(Expect::Query(run)) = self.expects.front_mut() else {
            return Ok(None);
        };
        let kept = run.kept.take();
        let (description, end) =
            kept.map_or((Vec::new(), None), |kept| (kept.description, kept.end));
        if self.cache.replay.state == ReplayState::Refused {
            let read = run.read.clone();
            self.cache.replay.prepare(|out| {
                if let Some(sql) = replacement(&read) {
                    frontend::write_query(out, sql);
                }
            });
            return Ok(Some(Act::Drop));
        }
        if end.is_some() {
            insert.extend_from_slice(&description);
        }
        if let Some(end) = end
            && self.on_command_complete(&end, insert)? == Act::Forward
        {
            write_frame(insert, backend::COMMAND_COMPLETE, |out| {
                out.extend_from_slice(&end);
            });
        }
        Ok(None)
    }

    /// An error came of what stands for a Query. True when the client need not hear of it: nothing has happened, and the
    /// Query is sent as soon as the server is ready.
    pub(super) fn refuses_kept_query(&mut self, fields: Fields<'_>) -> bool {
        // What was sent behind it would be overtaken.
        let is_last = self.expects.len() == 1;
        let Some(kept) = self.kept_query() else {
            return false;
        };
        // It was not committed.
        kept.end = None;
        if kept.bound || fields.is_fatal() {
            return false;
        }
        let (number, parsed) = (kept.number, kept.parsed);
        let again = is_last && kept.at_rest && !is_interruption(fields);
        self.kept_never_ran((number, parsed), fields);
        if again {
            self.cache.replay.refuse();
        }
        again
    }

    /// The error's body as it would have been of the text with its constants; `None` where it is the same.
    pub(super) fn kept_query_fails(&self, fields: Fields<'_>) -> Option<Vec<u8>> {
        let Some(Expect::Query(run)) = self.expects.front() else {
            return None;
        };
        let kept = run.kept.as_deref()?;
        if let Some(told) = self.without_kept_name(kept.number, fields) {
            return Some(with_field(fields, b'M', &told));
        }
        let reading = run.read.as_ref()?;
        let Verdict::Rewritten(rewritten) = &reading.verdict else {
            return None;
        };
        let position = std::str::from_utf8(fields.value(b'P')?).ok()?.parse();
        let position = reading
            .preparable()?
            .sent_position(position.ok()?, &rewritten.sql)?;
        Some(with_field(fields, b'P', &position.to_string()))
    }
}

/// Somebody wants it ended, or would not have it wait for longer: it is not to begin anew.
fn is_interruption(fields: Fields<'_>) -> bool {
    let class = fields.sqlstate().get(..2);
    class == Some(b"57") || class == Some(b"55")
}

/// The count and the numbers of the types, as they stand on the wire.
pub(super) fn types_of(preparable: &Preparable) -> Vec<u8> {
    let parameters = &preparable.parameters;
    let mut types = (parameters.len() as u16).to_be_bytes().to_vec();
    for parameter in parameters {
        types.extend_from_slice(&parameter.type_oid.to_be_bytes());
    }
    types
}
