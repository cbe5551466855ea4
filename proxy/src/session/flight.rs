//! A statement by key that may be tried first: what costs the server less is sent in its place, and the client's own
//! messages are kept until it is known whether that did.
//!
//! ```text
//! dual_read    Bind, Execute, Sync ‹unified, and legacy where unified lacks the row›
//!                →  Bind, Execute, Sync ‹unified alone›
//!                   DataRow …                        →  as they come
//!                   CommandComplete without a row    →  nothing: the client's messages are read as they would have been
//!
//! dual_write   Query ‹UPDATE whose unified half has a savepoint of its own, to be recorded where it fails›
//!                →  Bind, Execute, Sync ‹both halves in one piece›
//!                   CommandComplete, ReadyForQuery   →  both when the second has come
//!                   ErrorResponse                    →  nothing has happened: the Query is read as it would have been
//! ```
//!
//! What is tried stays prepared on the server under a name of the cache's, as what is kept of Queries. Messages are held for it from
//! the first of a row that nothing is outstanding before, while they can be one execution and the Sync behind it; whatever
//! else comes, they are read as they came. The server would not have answered them before.

use rewrite_rules::{Try, Verdict};

use super::cache::{Asked, Number, ParsePlan};
use super::expect::{Expect, ReadAs, answer, is_refused};
use super::kept_query::types_of;
use super::lane::Act;
use super::statements::Statement;
use super::trial::{By, Held, Tried};
use super::{Pin, Session, SessionRules, Violation};
use crate::wire::frame::{HEADER_BYTES, Header, write_frame};
use crate::wire::frontend::{self, BindNames, DescribeTarget, Execute, Parse};

/// Longer messages are read as they come: what they bring costs more than what is saved.
const BYTES_MAX: usize = 16 * 1024;
/// What is tried in place of some messages.
struct Sent<'a> {
    tries: Try,
    /// The client's text.
    client: &'a str,
    /// How it is read where it is not tried.
    full: ReadAs,
    by: By,
}

/// The messages of a flight, each as a whole.
fn each(frames: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    let mut rest = frames;
    std::iter::from_fn(move || {
        let header = Header::read(rest)?;
        let (frame, behind) = rest.split_at_checked(header.frame_bytes())?;
        rest = behind;
        Some((header, &frame[HEADER_BYTES..]))
    })
}

impl<P: Pin> Session<P> {
    /// Whether a Bind is wanted whole.
    pub(super) fn may_try_bind(&self, header: Header) -> bool {
        self.cache.keeps_rewritten()
            && self.generation.tries()
            && self.flight.frames.len() + header.frame_bytes() <= BYTES_MAX
    }

    /// Reads what is held as it came, before a message that does not belong to it.
    #[inline]
    pub(super) fn ends_flight(&mut self, tag: u8, insert: &mut Vec<u8>) -> Result<(), Violation> {
        const OF_A_FLIGHT: [u8; 4] = [
            frontend::BIND,
            frontend::DESCRIBE,
            frontend::EXECUTE,
            frontend::SYNC,
        ];
        if self.flight.holds() && !OF_A_FLIGHT.contains(&tag) {
            self.release_flight(insert)?;
        }
        Ok(())
    }

    /// Holds a message, or sends in place of all that are held what is to be tried. `None`: it is read as it comes.
    pub(super) fn fly(
        &mut self,
        header: Header,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<Option<Act>, Violation> {
        let Some(held) = self.flight.holds else {
            return Ok(self.begins_flight(header, body).then_some(Act::Drop));
        };
        if header.tag == frontend::SYNC {
            let tried = held.executes && self.try_messages(held, insert);
            if tried {
                return Ok(Some(Act::Drop));
            }
            self.release_flight(insert)?;
            return Ok(None);
        }
        let is_whole = header.length as usize == body.len() + 4;
        let has_room = self.flight.frames.len() + header.frame_bytes() <= BYTES_MAX;
        let next = match header.tag {
            frontend::BIND if !held.binds => {
                let (names, _) = BindNames::read(body)?;
                let is_of_it = names.portal.is_empty() && names.statement.is_empty();
                is_of_it.then_some(Held {
                    binds: true,
                    ..held
                })
            }
            frontend::DESCRIBE if held.binds && !held.describes && !held.executes => {
                match DescribeTarget::read("Describe", body)? {
                    DescribeTarget::Portal(b"") => Some(Held {
                        describes: true,
                        ..held
                    }),
                    DescribeTarget::Portal(_) | DescribeTarget::Statement(_) => None,
                }
            }
            frontend::EXECUTE if held.binds && !held.executes => {
                let execute = Execute::read(body)?;
                let is_whole = execute.portal.is_empty() && execute.rows_max == 0;
                is_whole.then_some(Held {
                    executes: true,
                    ..held
                })
            }
            _ => None,
        };
        match next.filter(|_| is_whole && has_room) {
            Some(next) => {
                self.flight.keep(header, body);
                self.flight.holds = Some(next);
                Ok(Some(Act::Drop))
            }
            None => {
                self.release_flight(insert)?;
                Ok(None)
            }
        }
    }

    fn begins_flight(&mut self, header: Header, body: &[u8]) -> bool {
        let is_whole = header.length as usize == body.len() + 4;
        let may = self.is_alone()
            && !self.flight.is_barred
            && is_whole
            && self.status != b'E'
            && self.may_try_bind(header);
        if !may {
            return false;
        }
        let held = match header.tag {
            frontend::PARSE => {
                let Ok(parse) = Parse::read(body) else {
                    return false;
                };
                if !parse.name.is_empty() || !self.must_read(parse.text) {
                    return false;
                }
                Held {
                    tries: tries(&self.judge_kept(parse.text)),
                    parses: true,
                    ..Held::default()
                }
            }
            frontend::BIND => {
                let Ok((names, _)) = BindNames::read(body) else {
                    return false;
                };
                let current = self.generation.number();
                let statement = self.statements.get(names.statement);
                let statement = statement.filter(|known| {
                    // Its text would be read by another setting than the server has read it by.
                    let same_strings = known.strings == self.strings;
                    known.generation == current
                        && !known.by_sql
                        && same_strings
                        && names.portal.is_empty()
                });
                Held {
                    tries: statement.and_then(|known| tries(&known.read)),
                    binds: true,
                    ..Held::default()
                }
            }
            _ => return false,
        };
        let Some(kind) = held.tries else {
            return false;
        };
        if self.flight.luck(kind).is_out() || !self.may_send(kind) {
            return false;
        }
        self.flight.keep(header, body);
        self.flight.holds = Some(held);
        true
    }

    /// A write that fails in a block takes the block with it.
    fn may_send(&self, tries: Try) -> bool {
        match tries {
            Try::UnifiedAlone => true,
            Try::InOnePiece => self.is_outside_block(),
        }
    }

    /// Reads what is held as it came.
    fn release_flight(&mut self, insert: &mut Vec<u8>) -> Result<(), Violation> {
        let frames = self.flight.take();
        for (header, body) in each(&frames) {
            let act = self.take_frame(header, body, insert)?;
            let from = match act {
                Act::Forward => 0,
                // It has been asked before what names mean.
                Act::Drop | Act::Wait => header.frame_bytes(),
                Act::Splice(replaced) => replaced,
            };
            let mut frame = Vec::with_capacity(header.frame_bytes());
            write_frame(&mut frame, header.tag, |out| out.extend_from_slice(body));
            insert.extend_from_slice(&frame[from.min(frame.len())..]);
        }
        self.flight.give_back(frames);
        Ok(())
    }

    /// Tries in place of a Query that was read. `unnamed`: the server may have an unnamed statement; `alone`: nothing is
    /// outstanding, and nothing was sent since the last Sync.
    pub(super) fn try_query(
        &mut self,
        text: &[u8],
        read: &ReadAs,
        (unnamed, alone): (bool, bool),
        insert: &mut Vec<u8>,
    ) -> bool {
        let Some(kind) = tries(read) else {
            return false;
        };
        let may = alone
            && !self.flight.is_barred
            && self.cache.keeps_rewritten()
            && self.status != b'E'
            && text.len() <= BYTES_MAX
            && self.may_send(kind)
            && !self.flight.luck(kind).is_out();
        let Some(client) = std::str::from_utf8(text).ok().filter(|_| may) else {
            return false;
        };
        let sent = Sent {
            tries: kind,
            client,
            full: read.clone(),
            by: By::Query,
        };
        let tried = self.tried_reading(&sent);
        let Some(preparable) = tried.as_ref().and_then(|tried| tried.preparable()) else {
            return false;
        };
        if !self.may_keep(preparable) {
            return false;
        }
        let types = types_of(preparable);
        let Some((number, parsed)) = self.consult_try(&sent, preparable.sql.as_bytes(), &types)
        else {
            return false;
        };
        if unnamed {
            frontend::write_close_statement(insert, b"");
            self.expects.push_back(Expect::RenewalClose);
        }
        self.write_try_parse((number, parsed), preparable.sql.as_bytes(), &types, insert);
        let name = self.cache.name(number);
        let values = preparable.parameters.iter();
        frontend::write_bind_values(
            insert,
            name.as_bytes(),
            values.map(|value| value.value.as_bytes()),
        );
        let describes = !answer(tried.as_ref(), 0).hide_rows;
        let mut frames = Vec::with_capacity(text.len() + 6);
        frontend::write_query(&mut frames, text);
        let tried = Tried::new(kind, sent.by, (number, parsed), (tried, sent.full), frames);
        self.send_try(tried, describes, insert);
        true
    }

    /// Tries in place of the messages that are held, behind which a Sync has come.
    fn try_messages(&mut self, held: Held, insert: &mut Vec<u8>) -> bool {
        let Some(kind) = held.tries.filter(|kind| self.may_send(*kind)) else {
            return false;
        };
        let mut frames = std::mem::take(&mut self.flight.frames);
        self.pin.asked();
        match self.try_frames(kind, held, &frames, insert) {
            Some((tried, describes)) => {
                self.flight.holds = None;
                frontend::write_bare(&mut frames, frontend::SYNC);
                self.send_try(tried.of(frames), describes, insert);
                self.cache.unanswered += 1;
                self.path_sees_end();
                true
            }
            None => {
                self.flight.frames = frames;
                false
            }
        }
    }

    /// Writes what stands for the messages up to the Bind.
    fn try_frames(
        &mut self,
        kind: Try,
        held: Held,
        frames: &[u8],
        insert: &mut Vec<u8>,
    ) -> Option<(Tried, bool)> {
        let mut messages = each(frames);
        let parse_body = match held.parses {
            true => messages.next()?.1.to_vec(),
            false => Vec::new(),
        };
        let (_, bind) = messages.next()?;
        let (names, values) = BindNames::read(bind).ok()?;
        let body = match held.parses {
            true => parse_body,
            false => self.statements.get(names.statement)?.body.clone()?,
        };
        let parse = Parse::read(&body).ok()?;
        let full = match held.parses {
            true => self.judge_kept(parse.text),
            false => self.statements.get(names.statement)?.read.clone(),
        };
        let sent = Sent {
            tries: kind,
            client: std::str::from_utf8(parse.text).ok()?,
            by: By::Messages {
                parses: held.parses.then(|| body.clone().into()),
                describes: held.describes,
            },
            full: full.filter(|full| full.tries() == Some(kind)),
        };
        let tried = self.tried_reading(&sent)?;
        let Verdict::Rewritten(rewritten) = &tried.verdict else {
            return None;
        };
        if !self.keeps_text(&rewritten.sql) {
            return None;
        }
        let sql = rewritten.sql.as_bytes();
        let (number, parsed) = self.consult_try(&sent, sql, parse.types)?;
        self.write_try_parse((number, parsed), sql, parse.types, insert);
        let name = self.cache.name(number);
        write_frame(insert, frontend::BIND, |out| {
            out.push(0);
            out.extend_from_slice(name.as_bytes());
            out.push(0);
            out.extend_from_slice(values);
        });
        let describes = held.describes && !answer(Some(&tried), 0).hide_rows;
        let tried = Tried::new(
            kind,
            sent.by,
            (number, parsed),
            (Some(tried), sent.full),
            Vec::new(),
        );
        Some((tried, describes))
    }

    /// What is tried in place of a text, if that is a statement by key as well.
    fn tried_reading(&self, sent: &Sent<'_>) -> ReadAs {
        sent.full.as_ref()?;
        let strings = self.strings?;
        let tried = self
            .generation
            .trying(sent.tries, (sent.client, self.path.means), strings);
        tried.by_key().is_some().then_some(tried)
    }

    /// The number under which it is kept, and whether the server has it.
    fn consult_try(&mut self, sent: &Sent<'_>, sql: &[u8], types: &[u8]) -> Option<(Number, bool)> {
        let asked = Asked::of(sql, types).by_key(Some(sent.client));
        let at_rest = self.is_outside_block();
        match self.consult(asked, at_rest) {
            ParsePlan::AsItCame => {
                self.flight.is_new = self.cache.latest_is_new;
                None
            }
            ParsePlan::Prepare(number) => Some((number, false)),
            ParsePlan::Known(number) => Some((number, true)),
        }
    }

    fn write_try_parse(
        &mut self,
        (number, parsed): (Number, bool),
        text: &[u8],
        types: &[u8],
        insert: &mut Vec<u8>,
    ) {
        self.write_closes(insert);
        if !parsed {
            let name = self.cache.name(number);
            let name = name.as_bytes();
            frontend::write_parse(insert, Parse { name, text, types });
        }
    }

    fn send_try(&mut self, tried: Tried, describes: bool, insert: &mut Vec<u8>) {
        if describes {
            frontend::write_describe_portal(insert, b"");
        }
        let execute = Execute {
            portal: b"",
            rows_max: 0,
        };
        frontend::write_execute(insert, execute);
        let at_rest = self.is_outside_block();
        if !at_rest && tried.is_of_query() {
            // In a block it would hold its tables, and be there to be run.
            frontend::write_close(insert, DescribeTarget::Portal(b""));
        }
        frontend::write_bare(insert, frontend::SYNC);
        self.expects
            .push_back(Expect::Tried(Box::new(tried.at_rest(at_rest))));
        // What comes behind it must not be sent before it is known whether it did.
        self.hold();
    }

    /// What the unnamed statement is to whoever binds it once more: the server has not heard of it.
    pub(super) fn unnamed_was_tried(&mut self, body: &[u8]) {
        let Ok(parse) = Parse::read(body) else {
            return;
        };
        let limits = self.settings.limits;
        let statement = Statement {
            body: self.statements.keep(b"", body, limits.prepared_bytes_max),
            read: None,
            generation: 0,
            foreign_in: 0,
            serial: self.statements.next_serial(),
            strings: self.strings,
            touch: self.path_touch_of(&parse),
            kept: None,
            effect: None,
            by_sql: false,
        };
        let _undo = self.statements.insert(b"", statement);
    }
}

/// What may be tried in place of a text that is sent as it was rewritten.
fn tries(read: &ReadAs) -> Option<Try> {
    let reading = read.as_ref().filter(|_| !is_refused(read))?;
    reading.tries().filter(|_| reading.bare().is_none())
}
