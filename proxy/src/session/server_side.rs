//! What the session does with each frame from the server: pairs it with the request that it
//! answers, and forwards, changes or swallows it.

use std::ops::RangeInclusive;

use rewrite_rules::{Answer, ServerVersion, Strings, Verdict};

use super::expect::{AnswerPart, Expect, RunningText};
use super::lane::{Act, FrameSide, NONE, Want};
use super::path::known::Encoding;
use super::{LoginState, Pin, ServerReads, Session, SessionRules, Turn, Violation};
use crate::wire::backend::{self, Fields};
use crate::wire::frame::{HEADER_BYTES, Header, write_frame};

/// Errors, notices and settings larger than this are passed on unread: none of ours is.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Notices of Crossfade's own functions, meant for the proxy; the message names the migration, and the
/// detail proves that it is one of them.
const FALLBACK: &[u8] = b"CF001";
const DIVERGENCE: &[u8] = b"CF002";

/// The direction from the server to the client.
pub struct Backend<'a, P: Pin>(pub &'a mut Session<P>);

impl<P: Pin> FrameSide for Backend<'_, P> {
    #[inline]
    fn passing(&self, tag: u8) -> RangeInclusive<u32> {
        if tag != backend::DATA_ROW && tag != backend::COPY_DATA {
            return NONE;
        }
        match self.0.expects.front().and_then(Expect::running) {
            // What describes them may have to go before.
            Some(run) if !run.answer().hide_rows && !run.is_described_later() => 4..=u32::MAX,
            // Nobody asked for data: let it be looked at, and found out of order.
            Some(_) | None => NONE,
        }
    }

    fn is_blocked(&self) -> bool {
        false
    }

    fn want(&mut self, header: Header) -> Result<Want, Violation> {
        if header.length < 4 {
            return Err(Violation::ServerLength {
                tag: header.tag,
                length: header.length,
            });
        }
        Ok(match header.tag {
            backend::READY_FOR_QUERY => Want::Whole,
            backend::AUTHENTICATION if header.frame_bytes() <= READ_BYTES_MAX => Want::Whole,
            // Passed on unread it could offer what must not be offered.
            backend::AUTHENTICATION => {
                return Err(Violation::ServerLength {
                    tag: header.tag,
                    length: header.length,
                });
            }
            backend::ERROR_RESPONSE
            | backend::NOTICE_RESPONSE
            | backend::PARAMETER_STATUS
            | backend::COMMAND_COMPLETE
            | backend::BACKEND_KEY_DATA
                if header.frame_bytes() <= READ_BYTES_MAX =>
            {
                Want::Whole
            }
            backend::ROW_DESCRIPTION
                if header.frame_bytes() <= READ_BYTES_MAX
                    && (self.0.describes_a_rewritten()
                        || self.0.holds_description()
                        || matches!(self.0.expects.front(), Some(Expect::Tried(_)))) =>
            {
                Want::Whole
            }
            backend::DATA_ROW
                if header.frame_bytes() <= READ_BYTES_MAX
                    && matches!(self.0.expects.front(), Some(Expect::Tried(tried)) if tried.holds_rows()) =>
            {
                Want::Whole
            }
            backend::DATA_ROW
                if matches!(self.0.expects.front(), Some(Expect::PathQuestion { .. })) =>
            {
                Want::Whole
            }
            _ => Want::Header,
        })
    }

    fn prefix(&self, _: Header, body: &[u8]) -> Result<Option<usize>, Violation> {
        Ok(Some(body.len()))
    }

    fn frame(
        &mut self,
        header: Header,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<Act, Violation> {
        let act = self.0.on_backend(header, body, insert)?;
        let told = act != Act::Drop || !insert.is_empty();
        self.0.was_answered(header.tag, told);
        Ok(act)
    }
}

impl<P: Pin> Session<P> {
    fn hides_rows(&self) -> bool {
        let running = self.expects.front().and_then(Expect::running);
        running.is_some_and(|run| run.answer().hide_rows)
    }

    fn on_backend(
        &mut self,
        header: Header,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<Act, Violation> {
        let tag = header.tag;
        let head = self.expects.front();
        if matches!(head, Some(Expect::Staging(_))) && is_of_staging(tag) {
            return Ok(Act::Drop);
        }
        let act = if matches!(head, Some(Expect::KnownParse { .. })) {
            self.on_kept(tag, body, insert)
        } else if matches!(head, Some(Expect::PathQuestion { .. })) {
            self.on_path_answer(tag, body)
        } else if matches!(head, Some(Expect::Query(run)) if run.kept.is_some()) {
            self.on_kept_query(tag, body, insert)?
        } else if matches!(head, Some(Expect::Tried(_))) {
            let is_whole = header.frame_bytes() == HEADER_BYTES + body.len();
            self.on_tried(tag, body, is_whole, insert)?
        } else {
            None
        };
        if let Some(act) = act {
            return Ok(act);
        }
        match tag {
            backend::NOTICE_RESPONSE => return Ok(self.on_notice(Fields::new(body))),
            backend::PARAMETER_STATUS => {
                self.on_parameter_status(body);
                return Ok(Act::Forward);
            }
            backend::NOTIFICATION_RESPONSE => return Ok(Act::Forward),
            backend::ERROR_RESPONSE => return Ok(self.on_error(body, insert)),
            backend::READY_FOR_QUERY => {
                let act = self.on_ready(body)?;
                return Ok(if self.waits_again() { Act::Drop } else { act });
            }
            _ => {}
        }
        let part = self.expects.front().and_then(|head| head.part_of(tag));
        let Some(part) = part else {
            return self.out_of_order(tag);
        };
        match tag {
            backend::ROW_DESCRIPTION | backend::NO_DATA => self.on_description(tag, body, insert),
            backend::COMMAND_COMPLETE => self.on_command_complete(body, insert),
            backend::AUTHENTICATION => Ok(self.on_authentication(body, insert)),
            backend::DATA_ROW | backend::COPY_DATA | backend::COPY_DONE if self.hides_rows() => {
                Ok(Act::Drop)
            }
            backend::COPY_IN_RESPONSE | backend::COPY_BOTH_RESPONSE => {
                self.on_copy_in();
                Ok(Act::Forward)
            }
            backend::BACKEND_KEY_DATA => {
                if let Some(pid) = body.first_chunk() {
                    let pid = i32::from_be_bytes(*pid);
                    self.told_backend = Some(pid);
                    self.pin.served_by(pid);
                }
                Ok(Act::Forward)
            }
            _ => match part {
                AnswerPart::OneOfSeveral => Ok(Act::Forward),
                AnswerPart::Last => self.answered(Act::Forward),
                AnswerPart::LastUnasked => self.answered(Act::Drop),
            },
        }
    }

    /// An answer while a known Parse, of which the server has not heard, is at the head.
    fn on_kept(&mut self, tag: u8, body: &[u8], insert: &mut Vec<u8>) -> Option<Act> {
        if tag == backend::ERROR_RESPONSE && self.refuses_kept(Fields::new(body)) {
            return Some(Act::Drop);
        }
        if self.is_replaying() && tag == backend::READY_FOR_QUERY {
            self.prepare_replay();
            return Some(Act::Drop);
        }
        if !self.is_replaying() {
            self.answer_known_parses(insert);
        }
        None
    }

    /// An answer to the session's own question; those that are not go their usual way.
    fn on_path_answer(&mut self, tag: u8, body: &[u8]) -> Option<Act> {
        match tag {
            backend::DATA_ROW => self.path_row(body),
            backend::PARSE_COMPLETE | backend::BIND_COMPLETE | backend::COMMAND_COMPLETE => {}
            backend::CLOSE_COMPLETE => {
                if let Some(Expect::PathQuestion {
                    synced,
                    closes_left,
                }) = self.expects.front_mut()
                {
                    *closes_left = closes_left.saturating_sub(1);
                    if !*synced && *closes_left == 0 {
                        self.expects.pop_front();
                        self.path_is_answered();
                    }
                }
            }
            // What the client's own statement comes to, it will be told. Without a Sync of its own
            // the question has failed the client's messages with it.
            backend::ERROR_RESPONSE
                if !Fields::new(body).is_fatal()
                    && matches!(
                        self.expects.front(),
                        Some(Expect::PathQuestion { synced: true, .. })
                    ) => {}
            _ => return None,
        }
        Some(Act::Drop)
    }

    pub(super) fn out_of_order(&self, came: u8) -> Result<Act, Violation> {
        Err(Violation::OutOfOrder {
            came,
            expected: self.expects.front().map_or("no answer", Expect::describe),
        })
    }

    /// `SASL: SCRAM-SHA-256-PLUS, SCRAM-SHA-256` → `SASL: SCRAM-SHA-256`, where the client's TLS
    /// is not the server's. The rest of the exchange is between the two of them.
    fn on_authentication(&mut self, body: &[u8], insert: &mut Vec<u8>) -> Act {
        if body == backend::AUTHENTICATION_OK {
            self.login = self.login.max(LoginState::Admitted);
        }
        if !self.settings.strip_channel_binding {
            return Act::Forward;
        }
        let Some(without) = backend::without_channel_binding(body) else {
            return Act::Forward;
        };
        write_frame(insert, backend::AUTHENTICATION, |out| {
            out.extend_from_slice(&without)
        });
        self.events().channel_binding_stripped = true;
        Act::Drop
    }

    /// The request at the head of the queue has all its answers.
    pub(super) fn answered(&mut self, act: Act) -> Result<Act, Violation> {
        let head = self.expects.pop_front();
        self.skip_copy_marks();
        if let Some(
            Expect::Parse { undo, .. }
            | Expect::KnownParse { undo, .. }
            | Expect::Close { undo: Some(undo) },
        ) = head
        {
            self.statements.settle(undo);
        }
        Ok(act)
    }

    /// The end of a COPY that never began says nothing.
    fn skip_copy_marks(&mut self) {
        while matches!(self.expects.front(), Some(Expect::CopyEnd)) {
            self.expects.pop_front();
        }
    }

    /// Whether what is described next is the result of a text of ours.
    fn describes_a_rewritten(&self) -> bool {
        let read = self.expects.front().and_then(Expect::read);
        let rewritten =
            read.is_some_and(|reading| matches!(reading.verdict, Verdict::Rewritten(_)));
        rewritten && !self.generation.origins().is_empty()
    }

    /// A description that goes on to the client, whose columns come from the table that it named.
    pub(super) fn described(&self, tag: u8, body: &[u8], insert: &mut Vec<u8>) -> Act {
        let read = self.expects.front().and_then(Expect::read);
        let told = match read.map(|reading| &reading.verdict) {
            Some(Verdict::Rewritten(rewritten)) if tag == backend::ROW_DESCRIPTION => {
                self.generation.origins().told(rewritten, body)
            }
            Some(_) | None => None,
        };
        match told {
            None => Act::Forward,
            Some(told) => {
                write_frame(insert, tag, |out| out.extend_from_slice(&told));
                Act::Drop
            }
        }
    }

    pub(super) fn on_description(
        &mut self,
        tag: u8,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<Act, Violation> {
        match self.expects.front() {
            Some(Expect::Describe { read, .. }) => {
                let hides = super::expect::answer(read.as_ref(), 0).hide_rows;
                if hides && tag == backend::ROW_DESCRIPTION {
                    backend::write_no_data(insert);
                    self.answered(Act::Drop)
                } else {
                    let act = self.described(tag, body, insert);
                    self.answered(act)
                }
            }
            Some(_) | None if self.hides_rows() => Ok(Act::Drop),
            Some(_) | None => Ok(self.described(tag, body, insert)),
        }
    }

    pub(super) fn on_command_complete(
        &mut self,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<Act, Violation> {
        self.copy_is_over();
        self.syncs_in_copy = 0;
        self.note_end(body);
        let act = match self.expects.front() {
            Some(Expect::Query(run) | Expect::Execute(run) | Expect::Staging(run)) => {
                self.deferred.ran(&run.read);
                retag(run.answer(), body, &mut self.told_later, insert)
            }
            // No part of the answer to anything else.
            Some(_) | None => return self.answered(Act::Drop),
        };
        if let Some(Expect::Query(run)) = self.expects.front_mut() {
            run.statement += 1;
            let by_name = run.read.as_ref();
            if by_name.is_some_and(|reading| !reading.effects.prepared.is_empty()) {
                self.query_went_on();
            }
            return Ok(act);
        }
        let head = self.expects.pop_front();
        self.skip_copy_marks();
        if let Some(Expect::Execute(run)) = head {
            if run.read.is_some() {
                self.prepared_after(&run, 0);
                // Only then: it looks through all that is outstanding.
                if run.prepares() {
                    self.release_after_prepare();
                }
            }
            self.ran(run);
        }
        Ok(act)
    }

    /// A statement of a Query's text, which has to do with prepared ones, has run to its end.
    fn query_went_on(&mut self) {
        let Some(Expect::Query(run)) = self.expects.pop_front() else {
            return;
        };
        self.prepared_after(&run, run.statement as usize - 1);
        self.expects.push_front(Expect::Query(run));
    }

    /// What came of a PREPARE is known: input that waited for it goes on.
    fn release_after_prepare(&mut self) {
        let prepares = |expect: &Expect| matches!(expect, Expect::Execute(run) if run.prepares());
        if self.turn == Turn::Held && !self.expects.iter().any(prepares) {
            self.release();
            self.hold_for_newer();
        }
    }

    /// A text ran to its end without an error.
    fn ran(&mut self, run: RunningText) {
        if let Some(shadow) = run.shadow {
            self.shadows.push(*shadow);
        }
    }

    fn on_copy_in(&mut self) {
        self.reads = ServerReads::CopyData;
        self.syncs_in_copy = 0;
        // The client's data must come through.
        self.release();
        // Syncs that the client sent on behind the request are read, and ignored, by the COPY.
        while matches!(self.expects.get(1), Some(Expect::Sync)) {
            self.expects.remove(1);
            self.syncs_in_copy += 1;
            self.cache.unanswered = self.cache.unanswered.saturating_sub(1);
        }
        if matches!(self.expects.get(1), Some(Expect::CopyEnd)) {
            self.expects.remove(1);
            self.copy_is_over();
        }
    }

    pub(super) fn on_notice(&mut self, fields: Fields<'_>) -> Act {
        let migration = fields.value(b'M').unwrap_or_default();
        let proof = fields.value(b'D').unwrap_or_default();
        match fields.sqlstate() {
            FALLBACK => {
                if let Some(reading) = self.expects.front().and_then(Expect::read) {
                    reading.fell_back();
                }
                let ahead = self.generation.reads_ahead(migration);
                let events = self.events();
                events.fallbacks.add(migration, proof);
                if ahead {
                    events.fallbacks_of_canaries.add(migration, proof);
                }
            }
            DIVERGENCE => self.events().divergences.add(migration, proof),
            _ => {
                self.cache_sees_notice();
                return Act::Forward;
            }
        }
        Act::Drop
    }

    fn on_parameter_status(&mut self, body: &[u8]) {
        let Some((name, value)) = backend::parameter_status(body) else {
            return;
        };
        self.cache_sees_setting(name);
        match name {
            b"client_encoding" => {
                self.encoding = match value {
                    b"UTF8" => Encoding::Bytes,
                    b"SQL_ASCII" if self.server_keeps_bytes => Encoding::Bytes,
                    _ => Encoding::Converted,
                };
            }
            // It is told but once, and may be told after the other.
            b"server_encoding" => {
                self.server_keeps_bytes = matches!(value, b"UTF8" | b"SQL_ASCII");
                self.path_touched();
            }
            b"standard_conforming_strings" => {
                self.strings = Some(match value {
                    b"off" => Strings::Escapes,
                    _ => Strings::Standard,
                });
            }
            // PostgreSQL 18 tells the first.
            b"search_path" | b"session_authorization" | b"is_superuser" => self.path_touched(),
            b"server_version" => {
                self.server = ServerVersion::told(&String::from_utf8_lossy(value));
            }
            _ => {}
        }
    }

    pub(super) fn on_ready(&mut self, body: &[u8]) -> Result<Act, Violation> {
        let head = self.expects.pop_front();
        let status = body.first().copied().unwrap_or(b'I');
        let own = matches!(
            head,
            Some(Expect::Startup | Expect::PathQuestion { synced: true, .. })
        );
        let served = status == b'I' && !own;
        self.login = self.login.max(if served {
            LoginState::Served
        } else {
            LoginState::Admitted
        });
        let asked = matches!(head, Some(Expect::PathQuestion { synced: true, .. }));
        match head {
            Some(Expect::Query(mut run)) => {
                if let Some(undo) = run.unnamed.take() {
                    self.statements.settle(undo);
                }
                if !run.failed {
                    self.ran(run);
                }
            }
            Some(
                Expect::Sync
                | Expect::FunctionCall
                | Expect::Startup
                | Expect::PathQuestion { synced: true, .. },
            ) => {}
            Some(other) => {
                self.expects.push_front(other);
                return self.out_of_order(backend::READY_FOR_QUERY);
            }
            None => return self.out_of_order(backend::READY_FOR_QUERY),
        }
        self.skip_copy_marks();
        self.cache.unanswered = self.cache.unanswered.saturating_sub(1);
        self.status = status;
        if self.status == b'I' {
            self.deferred.end();
            let finished = std::mem::take(&mut self.shadows);
            if !finished.is_empty() {
                self.events().shadows.extend(finished);
            }
        } else {
            self.shadows.clear();
        }
        self.path_sees_ready();
        if self.expects.is_empty() {
            self.rest();
        }
        if asked {
            self.path_is_answered();
            return Ok(Act::Drop);
        }
        Ok(Act::Forward)
    }

    /// Nothing is outstanding.
    fn rest(&mut self) {
        self.release();
        self.note_answered();
        if self.expects.capacity() > super::QUEUE_KEPT_ENTRIES {
            self.expects.shrink_to(0);
        }
        if self.status == b'I' && self.turn != Turn::Free {
            self.pin.end();
            self.turn = Turn::Free;
            self.portals.clear();
            self.statements.shrink();
            self.cache.rest();
        }
    }
}

/// What of the answers to a statement of ours says nothing.
fn is_of_staging(tag: u8) -> bool {
    [
        backend::PARSE_COMPLETE,
        backend::BIND_COMPLETE,
        backend::CLOSE_COMPLETE,
        backend::DATA_ROW,
    ]
    .contains(&tag)
}

/// `SELECT 3` → `UPDATE 3`, as the client's own statement would have been answered.
pub(super) fn retag(
    answer: Answer,
    body: &[u8],
    later: &mut Option<String>,
    insert: &mut Vec<u8>,
) -> Act {
    if answer.silent {
        if let Some(tag) = later.take() {
            backend::write_command_complete(insert, tag.as_bytes());
        }
        return Act::Drop;
    }
    let Some(verb) = answer.tag else {
        return Act::Forward;
    };
    let count = backend::command_tag(body).and_then(backend::tag_count);
    let Some(count) = count.and_then(|count| count.parse().ok()) else {
        return Act::Forward;
    };
    let tag = verb.tag(count);
    if answer.later {
        *later = Some(tag);
    } else {
        backend::write_command_complete(insert, tag.as_bytes());
    }
    Act::Drop
}
