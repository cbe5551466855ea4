//! What the session does with each frame from the client.
//!
//! Before → after, for a text that the rules replace:
//!
//! ```text
//! Parse "s" UPDATE iso_agents …   →  Parse "s" WITH cf_new AS (UPDATE iso_agents …) …
//! Bind to "s", older generation   →  Close "s", Parse "s" <today's text>, Bind to "s"
//! Query <refused>                 →  Query SELECT crossfade.refused   (fails with 42P01)
//! Execute, rows hidden, limit 10  →  Execute, no limit
//! ```

use rewrite_rules::{Touch, Verdict};
use std::ops::RangeInclusive;

use super::cache::ParsePlan;
use super::comments::sent_bare;
use super::expect::{Expect, ReadAs, RunningText, Undo, answer, is_refused};
use super::judge::{refused, replacement};
use super::keep::effect;
use super::lane::{Act, FrameSide, NONE, Want};
use super::renewal::too_many;
use super::sampling::{candidate, is_comparable};
use super::statements::{Portal, Statement};
use super::{
    LoginState, Pin, ServerReads, Session, SessionRules, ShadowCandidate, Turn, Violation,
};
use super::{context, staging};
use crate::wire::frame::{HEADER_BYTES, Header};
use crate::wire::frontend::{self, BindNames, DescribeTarget, Execute, MessageError, Parse};

/// The direction from the client to the server.
pub struct Frontend<'a, P: Pin>(pub &'a mut Session<P>);

impl<P: Pin> FrameSide for Frontend<'_, P> {
    #[inline]
    fn passing(&self, tag: u8) -> RangeInclusive<u32> {
        // What is kept to be said again must not be said before what came behind it.
        let is_seen = self.0.again.is_whole() || self.0.flight.holds();
        if tag == frontend::COPY_DATA && self.0.login >= LoginState::Admitted && !is_seen {
            4..=self.0.settings.limits.messages.values_bytes_max
        } else {
            NONE
        }
    }

    fn is_blocked(&self) -> bool {
        self.0.is_blocked()
    }

    fn want(&mut self, header: Header) -> Result<Want, Violation> {
        frontend::check_header(
            header,
            &self.0.settings.limits.messages,
            self.0.login >= LoginState::Admitted,
        )?;
        Ok(match header.tag {
            frontend::BIND => {
                self.0.sample.compares_bind = self.0.samples_bind(header);
                let is_kept = self.0.keeps_bind(header)
                    || self.0.may_keep_again(header)
                    || self.0.may_try_bind(header);
                if self.0.sample.compares_bind || is_kept {
                    Want::Whole
                } else {
                    Want::Prefix
                }
            }
            frontend::QUERY
            | frontend::PARSE
            | frontend::DESCRIBE
            | frontend::EXECUTE
            | frontend::CLOSE => Want::Whole,
            // Sync, Flush, Terminate, FunctionCall, COPY's messages, authentication.
            _ => Want::Header,
        })
    }

    fn prefix(&self, header: Header, body: &[u8]) -> Result<Option<usize>, Violation> {
        let extent = BindNames::extent(body);
        let complete = HEADER_BYTES + body.len() == header.frame_bytes();
        if extent.is_none() && (complete || body.len() > frontend::BIND_NAMES_BYTES_MAX) {
            return Err(Violation::Client(MessageError::Malformed {
                message: "Bind",
                wrong: "the names of portal and statement do not end",
            }));
        }
        Ok(extent)
    }

    fn frame(
        &mut self,
        header: Header,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<Act, Violation> {
        self.0.on_frontend(header, body, insert)
    }
}

impl<P: Pin> Session<P> {
    fn on_frontend(
        &mut self,
        header: Header,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<Act, Violation> {
        self.comes_behind(header.tag);
        self.ends_flight(header.tag, insert)?;
        match header.tag {
            frontend::TERMINATE => {
                self.ending = true;
                return Ok(Act::Forward);
            }
            frontend::COPY_DONE => return Ok(self.client_completes_copy(header, insert)),
            frontend::COPY_FAIL => {
                self.client_ends_copy();
                return Ok(Act::Forward);
            }
            frontend::FLUSH if self.reads != ServerReads::NothingToSync => {
                self.cache.replay.stop();
                self.send_known_parse(insert);
                return Ok(Act::Forward);
            }
            frontend::FLUSH | frontend::PASSWORD | frontend::COPY_DATA => return Ok(Act::Forward),
            frontend::SYNC if self.is_copying_in() => {
                self.syncs_in_copy += 1;
                return Ok(Act::Forward);
            }
            frontend::SYNC => self.reads = ServerReads::Messages,
            // The server skips these unread, so they have no effect here either.
            _ if self.reads == ServerReads::NothingToSync => return Ok(Act::Forward),
            _ => {}
        }
        self.begin();
        if self.waits_for_path(header, body, insert)? {
            return Ok(Act::Wait);
        }
        if (self.flight.holds() || self.generation.tries())
            && let Some(act) = self.fly(header, body, insert)?
        {
            return Ok(act);
        }
        self.take_frame(header, body, insert)
    }

    /// Nothing is outstanding, and nothing was sent since the last Sync.
    pub(super) fn is_alone(&self) -> bool {
        self.expects.is_empty() && !self.cache.in_segment
    }

    /// A message that is read now.
    pub(super) fn take_frame(
        &mut self,
        header: Header,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<Act, Violation> {
        if self.expects.is_empty() {
            self.pin.asked();
        }
        let alone = self.is_alone();
        let at_rest = alone && self.is_outside_block();
        self.cache.in_segment = true;
        if header.tag != frontend::BIND {
            self.send_known_parse(insert);
        }
        let act = match header.tag {
            frontend::QUERY => self.on_query(frontend::query_text(body)?, alone, insert),
            frontend::PARSE => self.on_parse(Parse::read(body)?, body, at_rest, insert),
            frontend::BIND => {
                let (names, rest) = BindNames::read(body)?;
                self.on_bind(header, names, rest, insert)
            }
            frontend::DESCRIBE => self.on_describe(DescribeTarget::read("Describe", body)?, insert),
            frontend::EXECUTE => self.on_execute(Execute::read(body)?, insert),
            frontend::CLOSE => self.on_close(DescribeTarget::read("Close", body)?),
            frontend::SYNC => {
                self.expects.push_back(Expect::Sync);
                Act::Forward
            }
            frontend::FUNCTION_CALL => {
                self.cache_sees_function_call();
                // Any function may be called by its number, the one that sets parameters as well.
                self.path_touched();
                self.expects.push_back(Expect::FunctionCall);
                Act::Forward
            }
            unknown => return Err(MessageError::UnknownType(unknown).into()),
        };
        self.record(header, body, act);
        self.keep_again(header, body, alone && self.is_outside_block());
        if matches!(
            header.tag,
            frontend::QUERY | frontend::SYNC | frontend::FUNCTION_CALL
        ) {
            self.cache.unanswered += 1;
            self.cache.in_segment = false;
            self.flight.is_barred = false;
            self.flight.is_new = false;
            self.path_sees_end();
            self.hold_for_newer();
        }
        Ok(act)
    }

    /// The first message of a transaction takes the newest generation; later ones keep it.
    fn begin(&mut self) {
        if self.turn == Turn::Free {
            self.pin.begin(&mut self.generation);
            self.turn = Turn::Pinned;
        }
    }

    /// A client that never lets the queue run empty would otherwise keep its generation for ever.
    pub(super) fn hold_for_newer(&mut self) {
        // Whoever is bound to none takes the newest with the next message; and where no ReadyForQuery is on its
        // way, nothing would ever end the wait.
        let waits = |expect: &Expect| expect.ends_with_ready();
        if self.turn != Turn::Free
            && self.pin.newest() != self.generation.number()
            && self.expects.iter().rev().any(waits)
        {
            self.hold();
        }
    }

    pub(super) fn client_ends_copy(&mut self) {
        if self.is_copying_in() {
            self.copy_is_over();
        } else if !self.expects.is_empty() && self.reads == ServerReads::Messages {
            // Sent blindly, before the server said that it reads CopyData.
            self.expects.push_back(Expect::CopyEnd);
        }
    }

    /// `alone`: nothing is outstanding, and nothing was sent since the last Sync.
    fn on_query(&mut self, text: &[u8], alone: bool, insert: &mut Vec<u8>) -> Act {
        // The server drops its unnamed statement at every Query, whatever it says.
        let unnamed = self.statements.remove(b"");
        // What was tried has been counted.
        let read = match self.flight.is_barred {
            true => self.judge_counted(text),
            false => self.judge(text),
        };
        // What finds one row by its key changes nothing for other texts.
        if read
            .as_ref()
            .is_none_or(|reading| reading.by_key().is_none())
        {
            self.cache_sees_query(text, insert);
        }
        let read = self.complete_query(text, read, insert);
        let read = self.without_comments(context::within(read));
        if self.try_query(text, &read, (unnamed.is_some(), alone), insert) {
            return Act::Drop;
        }
        self.path_sees_text(text, &read);
        self.path_sees_run(&read);
        self.count(&read);
        let shadow = if self.is_outside_block()
            && is_comparable(&read)
            && self.sample.takes(self.settings.shadow_sample)
        {
            candidate(&read, Vec::new(), Vec::new())
        } else {
            None
        };
        let kept = self.send_kept(&read, unnamed.is_some(), alone, insert);
        let act = match replacement(&read) {
            _ if kept.is_some() => Act::Drop,
            Some(sql) => {
                frontend::write_query(insert, sql);
                Act::Drop
            }
            None => Act::Forward,
        };
        let run = RunningText {
            unnamed,
            kept,
            ..self.run(read, shadow)
        };
        self.expects.push_back(Expect::Query(run));
        act
    }

    fn on_parse(
        &mut self,
        parse: Parse<'_>,
        body: &[u8],
        at_rest: bool,
        insert: &mut Vec<u8>,
    ) -> Act {
        let mut read = self.judge_prepared(parse.text);
        let foreign = self.path.judged_foreign;
        let limits = self.settings.limits;
        let known = self.statements.get(parse.name).is_some();
        if !known
            && !parse.name.is_empty()
            && self.statements.named_count() >= limits.prepared_statements_max
        {
            // Without its text a statement could not follow a change of phase, and forgetting
            // another one in its stead would be no better: so the client must close some.
            read = Some(refused(too_many(
                "prepared statements",
                limits.prepared_statements_max,
            )));
        }
        let (plan, bare) =
            if parse.name.is_empty() && !is_refused(&read) && !staging::is_beside_others(&read) {
                let text = replacement(&read).unwrap_or(parse.text);
                let by_key = read.as_ref().and_then(|reading| reading.by_key());
                self.plan((text, parse.types), by_key, at_rest)
            } else {
                (ParsePlan::AsItCame, None)
            };
        if let Some(bare) = bare {
            read = Some(sent_bare(read, bare));
        }
        let text = replacement(&read).unwrap_or(parse.text);
        let kept = match plan {
            ParsePlan::AsItCame => None,
            ParsePlan::Prepare(number) | ParsePlan::Known(number) => Some(number),
        };
        let undo = if is_refused(&read) {
            self.report().refused += 1;
            // The server drops its unnamed statement even when the new one fails.
            match self.statements.remove(parse.name) {
                Some(undo @ Undo::Unnamed(_)) => undo,
                Some(undo @ Undo::Named(_)) => {
                    self.statements.revert(undo);
                    Undo::Nothing
                }
                Some(Undo::Nothing) | None => Undo::Nothing,
            }
        } else {
            let statement = Statement {
                body: self
                    .statements
                    .keep(parse.name, body, limits.prepared_bytes_max),
                read: read.clone(),
                generation: self.generation.number(),
                foreign_in: if foreign { self.generation.number() } else { 0 },
                serial: self.statements.next_serial(),
                strings: self.strings,
                touch: self.path_touch_of(&parse),
                kept,
                effect: if self.wants_effects() && kept.is_none() {
                    effect(parse.text)
                } else {
                    None
                },
                by_sql: false,
            };
            self.statements.insert(parse.name, statement)
        };
        if parse.name.is_empty() {
            self.cache_sees_parse(insert);
        }
        let act = match plan {
            ParsePlan::AsItCame if replacement(&read).is_none() => Act::Forward,
            ParsePlan::AsItCame => {
                frontend::write_parse(insert, Parse { text, ..parse });
                Act::Drop
            }
            ParsePlan::Prepare(number) => {
                self.write_prepare(number, Parse { text, ..parse }, insert);
                Act::Drop
            }
            ParsePlan::Known(kept) => {
                if at_rest {
                    self.cache.replay.start();
                }
                self.expects
                    .push_back(Expect::KnownParse { undo, read, kept });
                return Act::Drop;
            }
        };
        self.expects.push_back(Expect::Parse { undo, read, kept });
        act
    }

    fn on_bind(
        &mut self,
        header: Header,
        names: BindNames<'_>,
        rest: &[u8],
        insert: &mut Vec<u8>,
    ) -> Act {
        if !names.statement.is_empty() {
            self.send_known_parse(insert);
        }
        let current = self.generation.number();
        let statement = self.statements.get(names.statement);
        let touch = statement.map_or(Touch::No, |statement| statement.touch);
        let is_plain = statement.is_none_or(|statement| statement.is_plain(current));
        if is_plain && (touch == Touch::No || names.portal.is_empty()) {
            // Of most Binds, this is all: one look.
            let portal = Portal {
                touch,
                ..Portal::default()
            };
            self.portals.bind(names.portal, portal);
            let (read, kept) = (None, None);
            self.expects.push_back(Expect::Bind { read, kept });
            return Act::Forward;
        }
        let mut read = self.renewed(names.statement, insert);
        if is_by_name(&read) {
            read = self.completed_of(names.statement, read, insert);
        }
        self.cache_sees_bind(names.statement, insert);
        self.set_context(&read, insert);
        let limit = self.settings.limits.prepared_statements_max;
        let counts = (read.is_some() || touch != Touch::No) && !names.portal.is_empty();
        if counts && self.portals.named_count() >= limit {
            read = self.poison(refused(too_many("portals", limit)), insert);
        }
        self.sample.comparable_statements |= is_comparable(&read);
        // The values are here if this Bind was chosen to be compared.
        let shadow = if is_comparable(&read) && self.sample.compares_bind {
            frontend::bind_parameters(rest)
                .and_then(|values| candidate(&read, self.declared_types(names.statement), values))
        } else {
            None
        };
        let portal = Portal {
            read: read.clone(),
            touch,
            shadow,
        };
        self.portals.bind(names.portal, portal);
        let kept = self.kept(names.statement);
        self.expects.push_back(Expect::Bind { read, kept });
        match kept {
            Some(number) => self.write_bind(header, names, number, insert),
            None => Act::Forward,
        }
    }

    fn on_describe(&mut self, target: DescribeTarget<'_>, insert: &mut Vec<u8>) -> Act {
        let (read, kept) = match target {
            DescribeTarget::Statement(name) => {
                let read = self.renewed(name, insert);
                let read = if is_by_name(&read) {
                    self.completed_of(name, read, insert)
                } else {
                    read
                };
                (read, self.kept(name))
            }
            DescribeTarget::Portal(name) => (self.portal_read(name), None),
        };
        self.expects.push_back(Expect::Describe { read, kept });
        let Some(number) = kept else {
            return Act::Forward;
        };
        frontend::write_describe_statement(insert, self.cache.name(number).as_bytes());
        Act::Drop
    }

    fn on_execute(&mut self, execute: Execute<'_>, insert: &mut Vec<u8>) -> Act {
        let (read, touch, shadow) = match self.portals.get_mut(execute.portal) {
            Some(portal) => (portal.read.clone(), portal.touch, portal.shadow.take()),
            None => (None, Touch::No, None),
        };
        if !is_refused(&read) {
            // A refused statement was counted when its Bind was poisoned.
            self.count(&read);
        }
        let hides = answer(read.as_ref(), 0).hide_rows;
        self.path_sees_touch(touch);
        self.path_sees_run(&read);
        if self.stages(&read, insert) {
            let statement = staging::OWN;
            let run = self.run(read, shadow);
            self.expects
                .push_back(Expect::Execute(RunningText { statement, ..run }));
            frontend::write_execute(insert, execute);
            return Act::Drop;
        }
        let run = self.run(read, shadow);
        let prepares = run.prepares();
        self.expects.push_back(Expect::Execute(run));
        if prepares {
            // Whether it succeeds decides what the next text means.
            self.hold();
            frontend::write_execute(insert, execute);
            frontend::write_bare(insert, frontend::FLUSH);
            return Act::Drop;
        }
        if hides && execute.rows_max > 0 {
            // The client's statement would have run to its end; rows that it never sees must not
            // suspend it half-way.
            let unlimited = Execute {
                rows_max: 0,
                ..execute
            };
            frontend::write_execute(insert, unlimited);
            return Act::Drop;
        }
        Act::Forward
    }

    fn on_close(&mut self, target: DescribeTarget<'_>) -> Act {
        let undo = match target {
            DescribeTarget::Statement(name) => self.statements.remove(name),
            DescribeTarget::Portal(name) => {
                self.portals.close(name);
                None
            }
        };
        self.expects.push_back(Expect::Close { undo });
        Act::Forward
    }

    fn portal_read(&mut self, name: &[u8]) -> ReadAs {
        self.portals.get_mut(name).and_then(|p| p.read.clone())
    }

    pub(super) fn run(&self, read: ReadAs, shadow: Option<Box<ShadowCandidate>>) -> RunningText {
        RunningText {
            read,
            statement: 0,
            failed: false,
            unnamed: None,
            serial: self.statements.serial(),
            shadow,
            kept: None,
        }
    }

    pub(super) fn count(&mut self, read: &ReadAs) {
        let report = self.report();
        match read.as_ref().map(|reading| &reading.verdict) {
            None | Some(Verdict::PassThrough) => report.passed += 1,
            Some(Verdict::Rewritten(_)) => report.rewritten += 1,
            Some(Verdict::Refused(_)) => report.refused += 1,
        }
    }

    /// No transaction block is open, as far as the server has said.
    pub(super) fn is_outside_block(&self) -> bool {
        self.status == b'I'
    }
}

/// Whether the text has to do with prepared statements by their names.
fn is_by_name(read: &ReadAs) -> bool {
    read.as_ref()
        .is_some_and(|reading| !reading.effects.prepared.is_empty())
}
