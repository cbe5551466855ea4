//! What the session does to keep unnamed statements prepared: the cache applied to messages.
//!
//! The guards, each with the harm without it:
//!
//! ```text
//! a setting may have changed   literals keep what the old DateStyle or TimeZone made of them
//! the transaction has failed   a ParseComplete where PostgreSQL says 25P02
//! Flush behind a known Parse   the client waits for an answer that nobody owes
//! the server refuses a plan    an error that an unnamed statement never has: say it all again
//! ```

use super::cache::text::{Class, class};
use super::cache::{Number, Plan, ReplayState};
use super::expect::Expect;
use super::judge::replacement;
use super::lane::Act;
use super::{Encoding, Pin, Session};
use crate::wire::backend::{self, Fields};
use crate::wire::frame::{HEADER_BYTES, Header, write_frame};
use crate::wire::frontend::{self, BindNames, Parse};

/// Settings that a server reports and that no text's meaning depends on.
const HARMLESS_REPORTS: [&[u8]; 3] = [
    b"application_name",
    b"in_hot_standby",
    b"default_transaction_read_only",
];

/// The parameters' types of any statement that PostgreSQL takes would nearly fit; longer
/// descriptions pass as they come.
const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;

/// Whether running this text may change what other texts mean.
pub(super) fn is_disturbing(text: &[u8]) -> bool {
    class(text) == Class::Disturbs
}

impl<P: Pin> Session<P> {
    /// Messages to the server that are to go before anything else from the client.
    pub fn take_resend(&mut self) -> Option<Vec<u8>> {
        (self.cache.replay.state == ReplayState::Ready).then(|| self.cache.replay.take())
    }

    #[inline]
    pub(super) fn is_replaying(&self) -> bool {
        matches!(
            self.cache.replay.state,
            ReplayState::Refused | ReplayState::Ready
        )
    }

    pub(super) fn plan(&mut self, text: &[u8], types: &[u8], at_rest: bool) -> Plan {
        // Some encodings have quotes and backslashes within characters.
        let readable = self.encoding == Encoding::Bytes || text.is_ascii();
        if !self.cache.is_on() || self.status == b'E' || !readable {
            return Plan::AsItCame;
        }
        self.cache.consult(text, types, at_rest)
    }

    pub(super) fn cache_sees_query(&mut self, text: &[u8]) {
        if !self.cache.is_awake() {
            return;
        }
        // A Query ends the server's unnamed statement.
        self.statements.unkeep();
        if is_disturbing(text) {
            self.cache.disturb();
        }
    }

    pub(super) fn cache_sees_bind(&mut self, statement: &[u8]) {
        if self.statements.get(statement).is_some_and(|s| s.disturbs) {
            self.cache.disturb();
            // DEALLOCATE ALL ends what stands for the unnamed statement, but not the statement.
            if self.statements.unkeep().is_some()
                && let Some(unnamed) = self.statements.get_mut(b"")
            {
                unnamed.generation = 0;
            }
        }
    }

    pub(super) fn cache_sees_setting(&mut self, name: &[u8]) {
        if !HARMLESS_REPORTS.contains(&name) {
            self.cache.clear();
        }
    }

    pub(super) fn kept(&self, name: &[u8]) -> Option<Number> {
        if !name.is_empty() {
            return None;
        }
        self.statements.get(name).and_then(|unnamed| unnamed.kept)
    }

    /// Prepares the unnamed statement under the cache's name. The server's own unnamed statement
    /// ends as it would have: were the Parse to fail, the client must find none.
    pub(super) fn write_prepare(&mut self, number: Number, parse: Parse<'_>, insert: &mut Vec<u8>) {
        for done in self.cache.take_closing() {
            frontend::write_close_statement(insert, self.cache.name(done).as_bytes());
            self.expects.push_back(Expect::CacheClose(done));
        }
        frontend::write_close_statement(insert, b"");
        self.expects.push_back(Expect::RenewalClose);
        let name = self.cache.name(number);
        let name = name.as_bytes();
        frontend::write_parse(insert, Parse { name, ..parse });
    }

    /// The beginning of a Bind with the kept statement's name in the place of none.
    pub(super) fn write_bind(
        &self,
        header: Header,
        names: BindNames<'_>,
        number: Number,
        insert: &mut Vec<u8>,
    ) -> Act {
        let name = self.cache.name(number);
        // A Bind comes near the limit of a length only with a length that the server refuses.
        let length = header.length.saturating_add(name.as_bytes().len() as u32);
        insert.push(header.tag);
        insert.extend_from_slice(&length.to_be_bytes());
        insert.extend_from_slice(names.portal);
        insert.push(0);
        insert.extend_from_slice(name.as_bytes());
        insert.push(0);
        Act::Splice(HEADER_BYTES + names.portal.len() + names.statement.len() + 2)
    }

    /// Whether a Bind is wanted whole, to be said again if need be.
    pub(super) fn keeps_bind(&self, header: Header) -> bool {
        self.cache.replay.has_room(header.frame_bytes())
    }

    /// Keeps what follows a known Parse up to its Sync.
    pub(super) fn record(&mut self, header: Header, body: &[u8], act: Act) {
        let replay = &mut self.cache.replay;
        match (replay.state, header.tag) {
            (ReplayState::Off | ReplayState::Refused | ReplayState::Ready, _) => {}
            // The known Parse itself has just begun the record.
            (ReplayState::Recording, frontend::PARSE) if self.expects.len() == 1 => {}
            (ReplayState::Recording, frontend::BIND | frontend::DESCRIBE) => {
                replay.keep(header.tag, header.length, body);
            }
            (ReplayState::Recording, frontend::EXECUTE) if act == Act::Forward => {
                replay.keep(header.tag, header.length, body);
            }
            (ReplayState::Recording, frontend::SYNC) => {
                replay.keep(header.tag, header.length, body);
                if replay.state == ReplayState::Recording {
                    replay.state = ReplayState::Complete;
                }
            }
            (ReplayState::Recording | ReplayState::Complete, _) => replay.stop(),
        }
    }

    /// Flush asks for the answers so far: a ParseComplete that nothing follows must be the
    /// server's own.
    pub(super) fn send_known_parse(&mut self, insert: &mut Vec<u8>) {
        self.cache.replay.stop();
        let Some(Expect::KnownParse { .. }) = self.expects.back() else {
            return;
        };
        if self.write_unnamed_parse(insert)
            && let Some(Expect::KnownParse { undo, read, .. }) = self.expects.pop_back()
        {
            self.statements.unkeep();
            let kept = None;
            self.expects.push_back(Expect::Parse { undo, read, kept });
        }
    }

    /// The unnamed statement's text as the server is to have it; false when it was not kept.
    fn write_unnamed_parse(&self, insert: &mut Vec<u8>) -> bool {
        let Some(unnamed) = self.statements.get(b"") else {
            return false;
        };
        let Some(Ok(parse)) = unnamed.body.as_deref().map(Parse::read) else {
            return false;
        };
        let text = replacement(&unnamed.read).unwrap_or(parse.text);
        frontend::write_parse(insert, Parse { text, ..parse });
        true
    }

    /// Answers the known Parses at the head of the queue.
    pub(super) fn answer_known_parses(&mut self, insert: &mut Vec<u8>) {
        self.cache.replay.stop();
        let held = self.cache.replay.held.take();
        while let Some(Expect::KnownParse { undo, .. }) = self
            .expects
            .pop_front_if(|head| matches!(head, Expect::KnownParse { .. }))
        {
            write_frame(insert, backend::PARSE_COMPLETE, |_| {});
            self.statements.settle(undo);
        }
        if let Some(held) = held {
            write_frame(insert, backend::PARAMETER_DESCRIPTION, |body| {
                body.extend_from_slice(&held);
            });
        }
    }

    pub(super) fn may_hold_description(&self, header: Header) -> bool {
        self.cache.replay.state == ReplayState::Complete
            && header.frame_bytes() <= DESCRIPTION_BYTES_MAX
            && matches!(self.expects.front(), Some(Expect::KnownParse { .. }))
    }

    /// The server describes a statement's parameters before it finds that its result has
    /// changed: until it has passed that point, the client is told nothing.
    pub(super) fn holds_description(&mut self, body: &[u8]) -> bool {
        let replay = &mut self.cache.replay;
        let described = matches!(
            self.expects.get(1),
            Some(Expect::Describe { kept: Some(_), .. })
        );
        // At least the count is there, unless the body was not wanted.
        let hold = replay.state == ReplayState::Complete && described && body.len() >= 2;
        if hold {
            replay.held = Some(body.to_vec());
        }
        hold
    }

    /// An error came while a known Parse is at the head. True when the client need not hear of
    /// it: all is said again, with the text.
    pub(super) fn refuses_kept(&mut self, fields: Fields<'_>) -> bool {
        let concerns = match self.expects.get(1) {
            Some(Expect::Bind { kept, .. } | Expect::Describe { kept, .. }) => kept.is_some(),
            Some(_) | None => false,
        };
        let replay = self.cache.replay.state == ReplayState::Complete
            && concerns
            && is_analysis(fields)
            && !fields.is_fatal()
            && matches!(self.expects.back(), Some(Expect::Sync))
            && self.statements.get(b"").is_some_and(|s| s.body.is_some());
        if !replay {
            return false;
        }
        if let Some(Expect::KnownParse { kept, .. }) = self.expects.front() {
            let kept = *kept;
            self.cache.forget(kept);
        }
        self.cache.replay.state = ReplayState::Refused;
        self.cache.replay.held = None;
        true
    }

    /// The server is ready after its refusal, and nothing has had an effect.
    pub(super) fn prepare_replay(&mut self) {
        self.statements.unkeep();
        let mut parse = Vec::new();
        self.write_unnamed_parse(&mut parse);
        self.cache.replay.prepare(|out| out.append(&mut parse));
        if let Some(Expect::KnownParse { undo, read, .. }) = self.expects.pop_front() {
            let kept = None;
            self.expects.push_front(Expect::Parse { undo, read, kept });
        }
        for expect in &mut self.expects {
            if let Expect::Bind { kept, .. } | Expect::Describe { kept, .. } = expect {
                *kept = None;
            }
        }
    }

    /// An error of a message that was sent under a kept name: the statement goes, if it is the
    /// reason, and the client reads of its own, unnamed one. Gives the error's body if it names
    /// what the client does not know.
    pub(super) fn kept_fails(&mut self, fields: Fields<'_>) -> Option<Vec<u8>> {
        let kept = match self.expects.front()? {
            Expect::Bind { kept, .. } | Expect::Describe { kept, .. } => (*kept)?,
            Expect::Startup
            | Expect::Parse { .. }
            | Expect::KnownParse { .. }
            | Expect::Renewal { .. }
            | Expect::Close { .. }
            | Expect::RenewalClose
            | Expect::CacheClose(_)
            | Expect::Execute(_)
            | Expect::Query(_)
            | Expect::FunctionCall
            | Expect::Sync
            | Expect::CopyEnd => return None,
        };
        if is_analysis(fields) {
            self.cache.forget(kept);
        }
        let name = self.cache.name(kept);
        let name = std::str::from_utf8(name.as_bytes()).ok()?;
        let message = std::str::from_utf8(fields.value(b'M')?).ok()?;
        if !message.contains(name) {
            return None;
        }
        let told = message.replace(name, "");
        let told = match told.as_str() {
            "prepared statement \"\" does not exist" => "unnamed prepared statement does not exist",
            other => other,
        };
        let mut body = Vec::new();
        for (code, value) in fields.iter() {
            let value = if code == b'M' { told.as_bytes() } else { value };
            body.push(code);
            body.extend_from_slice(value);
            body.push(0);
        }
        body.push(0);
        Some(body)
    }
}

/// Errors that an unnamed statement would have had at its Parse, or never: the kept statement is
/// gone, its result has changed, or its text no longer holds.
fn is_analysis(fields: Fields<'_>) -> bool {
    let sqlstate = fields.sqlstate();
    sqlstate == b"26000" || sqlstate == b"0A000" || sqlstate.starts_with(b"42")
}
