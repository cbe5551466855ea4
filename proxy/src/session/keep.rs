//! What the session does to keep unnamed statements prepared: the cache applied to messages.
//!
//! The guards, each with the harm without it:
//!
//! ```text
//! a setting may have changed    literals keep what the old DateStyle or TimeZone made of them
//! the transaction has failed    a ParseComplete where PostgreSQL says 25P02
//! no Bind behind a known Parse  an answer that nobody owes, or one for a text that fails by now
//! the server refuses a plan     an error that an unnamed statement never has: say it all again
//! the server notices something  the client is not told again what it is told at every Parse
//! a view shows what is kept     names that the client does not know
//! ```

use rewrite_rules::Bare;
use rewrite_rules::keeping::{Class, Effect, class};

use super::cache::{Asked, Number, ParsePlan, ReplayState};
use super::comments::Comments;
use super::expect::Expect;
use super::judge::replacement;
use super::lane::Act;
use super::path::known::Encoding;
use super::{Pin, Session};
use crate::wire::backend::{self, Fields};
use crate::wire::frame::{HEADER_BYTES, Header, write_frame};
use crate::wire::frontend::{self, BindNames, Parse};

/// Settings that a server reports and that no text's meaning depends on.
const HARMLESS_REPORTS: [&[u8]; 3] = [
    b"application_name",
    b"in_hot_standby",
    b"default_transaction_read_only",
];

/// What running this text may do to what is kept.
pub(super) fn effect(text: &[u8]) -> Option<Effect> {
    let of_bare = || Bare::of_bytes(text).map(|bare| class(bare.text.as_bytes()));
    match class(text) {
        // What a comment says does nothing, whatever it looks like.
        Class::Disturbs(effect) => match of_bare() {
            Some(Class::Fit { .. } | Class::Unfit) => None,
            Some(Class::Disturbs(effect)) => Some(effect),
            None => Some(effect),
        },
        Class::Fit { .. } | Class::Unfit => None,
    }
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

    /// What to do with an unnamed Parse of this text; and the text without comments, if that is what the server has
    /// or is to have.
    pub(super) fn plan(
        &mut self,
        (text, types): (&[u8], &[u8]),
        by_key: Option<&str>,
        at_rest: bool,
    ) -> (ParsePlan, Option<Bare>) {
        // Some encodings have quotes and backslashes within characters.
        let readable = self.encoding == Encoding::Bytes || text.is_ascii();
        let by_key = by_key.filter(|_| self.cache.keeps_rewritten());
        if !self.cache.is_on() && by_key.is_none() || self.status == b'E' || !readable {
            return (ParsePlan::AsItCame, None);
        }
        let bare = match self.settings.comments {
            Comments::Always => None,
            Comments::Never | Comments::Sampled => Bare::of_bytes(text),
        };
        let asked = match (&bare, self.settings.comments) {
            (Some(bare), Comments::Sampled) => Asked::with_comments(bare, text, types),
            (Some(bare), Comments::Never) => Asked::of(bare.text.as_bytes(), types),
            (None, _) | (Some(_), Comments::Always) => Asked::of(text, types),
        };
        let plan = self.consult(asked.by_key(by_key), at_rest);
        let bare = match plan {
            ParsePlan::AsItCame => None,
            ParsePlan::Prepare(_) | ParsePlan::Known(_) => {
                bare.filter(|_| self.cache.latest_is_bare())
            }
        };
        (plan, bare)
    }

    pub(super) fn consult(&mut self, asked: Asked<'_>, at_rest: bool) -> ParsePlan {
        if self.flight.is_new {
            return ParsePlan::AsItCame;
        }
        let was_awake = self.cache.is_awake();
        let plan = self.cache.consult(asked, at_rest);
        if !was_awake && self.cache.is_awake() {
            self.statements.find_effects(effect);
        }
        plan
    }

    /// Whether it has to be known what a statement that is prepared may do to the cache.
    pub(super) fn wants_effects(&self) -> bool {
        self.cache.is_on() || self.cache.is_awake()
    }

    pub(super) fn cache_sees_query(&mut self, text: &[u8], insert: &mut Vec<u8>) {
        if !self.cache.is_awake() {
            return;
        }
        let effect = effect(text);
        if effect.is_some() {
            self.cache.disturb();
        }
        if effect == Some(Effect::Statements) {
            self.close_at_start(insert);
        }
    }

    /// An unnamed Parse: of a text that may look at what is kept.
    pub(super) fn cache_sees_parse(&mut self, insert: &mut Vec<u8>) {
        let effect = self.statements.get(b"").and_then(|s| s.effect);
        if self.cache.is_awake() && effect == Some(Effect::Statements) {
            self.cache.clear();
            self.close_at_start(insert);
        }
    }

    pub(super) fn cache_sees_bind(&mut self, statement: &[u8], insert: &mut Vec<u8>) {
        let Some(effect) = self.statements.get(statement).and_then(|s| s.effect) else {
            return;
        };
        self.cache.disturb();
        if effect == Effect::Statements {
            // What stands for the unnamed statement ends, but not the statement.
            if self.statements.unkeep().is_some()
                && let Some(unnamed) = self.statements.get_mut(b"")
            {
                unnamed.generation = 0;
            }
            self.close_at_start(insert);
        }
    }

    pub(super) fn cache_sees_function_call(&mut self) {
        // Any function may be called by its number, the one that sets parameters as well.
        self.cache.disturb();
    }

    /// What the server says at a Parse it is to say at the next one, too.
    pub(super) fn cache_sees_notice(&mut self) {
        if let Some(Expect::Parse {
            kept: Some(number), ..
        }) = self.expects.front()
        {
            let number = *number;
            self.cache.forget(number);
        }
    }

    /// Closes what is no longer kept before a text that may look at it. Only where nothing is
    /// outstanding: a COPY that is yet to be announced would take offence.
    fn close_at_start(&mut self, insert: &mut Vec<u8>) {
        if self.expects.is_empty() {
            self.write_closes(insert);
        }
    }

    pub(super) fn write_closes(&mut self, insert: &mut Vec<u8>) {
        for done in self.cache.take_closing() {
            frontend::write_close_statement(insert, self.cache.name(done).as_bytes());
            self.expects.push_back(Expect::CacheClose(done));
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
        self.write_closes(insert);
        frontend::write_close_statement(insert, b"");
        self.expects.push_back(Expect::RenewalClose);
        let name = self.cache.name(number);
        let name = name.as_bytes();
        frontend::write_parse(insert, Parse { name, ..parse });
    }

    /// The beginning of a Bind with the kept statement's name in the place of none.
    pub(super) fn write_bind(
        &mut self,
        header: Header,
        names: BindNames<'_>,
        number: Number,
        insert: &mut Vec<u8>,
    ) -> Act {
        self.cache.bound(number);
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
    #[inline]
    pub(super) fn record(&mut self, header: Header, body: &[u8], act: Act) {
        if self.cache.replay.state != ReplayState::Off {
            self.record_now(header, body, act);
        }
    }

    fn record_now(&mut self, header: Header, body: &[u8], act: Act) {
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

    /// A known Parse that no Bind follows must be the server's own: Flush asks for its answer now,
    /// and whatever looks at the statement otherwise may not find out that its text no longer
    /// holds.
    pub(super) fn send_known_parse(&mut self, insert: &mut Vec<u8>) {
        let Some(Expect::KnownParse { .. }) = self.expects.back() else {
            return;
        };
        self.cache.replay.stop();
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
        while let Some(Expect::KnownParse { undo, .. }) = self
            .expects
            .pop_front_if(|head| matches!(head, Expect::KnownParse { .. }))
        {
            write_frame(insert, backend::PARSE_COMPLETE, |_| {});
            self.statements.settle(undo);
        }
    }

    /// An error came while a known Parse, and behind it its Bind, is at the head. True when the
    /// client need not hear of it: all up to the Sync is here and is said again, with the text.
    pub(super) fn refuses_kept(&mut self, fields: Fields<'_>) -> bool {
        let replay = self.cache.replay.state == ReplayState::Complete
            && is_analysis(fields)
            && !fields.is_fatal()
            && self.statements.get(b"").is_some_and(|s| s.body.is_some());
        if !replay {
            return false;
        }
        if let Some(Expect::KnownParse { kept, .. }) = self.expects.front() {
            let kept = *kept;
            self.cache.forget(kept);
        }
        self.cache.replay.state = ReplayState::Refused;
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
        if let Some(Expect::Bind { kept, .. }) = self.expects.get_mut(1) {
            *kept = None;
        }
    }

    /// An error of a message that was sent under a kept name: the statement goes, if it is the
    /// reason, and the client reads of its own, unnamed one. Gives the error's body if it names
    /// what the client does not know.
    pub(super) fn kept_fails(&mut self, fields: Fields<'_>) -> Option<Vec<u8>> {
        // Nothing else is sent under such a name.
        let (Expect::Bind { kept, .. } | Expect::Describe { kept, .. }) = self.expects.front()?
        else {
            return None;
        };
        let kept = (*kept)?;
        if is_analysis(fields) {
            self.cache.forget(kept);
        }
        let told = self.without_kept_name(kept, fields)?;
        Some(with_field(fields, b'M', &told))
    }

    /// What is kept failed before it was bound: it goes, unless the server has it and would take it the next time.
    pub(super) fn kept_never_ran(&mut self, (number, parsed): (Number, bool), fields: Fields<'_>) {
        match (parsed, is_analysis(fields)) {
            (true, true) => self.cache.forget(number),
            (true, false) => {}
            (false, true) => self.cache.refuse(number),
            (false, false) => {
                self.cache.lose(number);
            }
        }
    }

    /// A message that names a kept statement, without its name.
    pub(super) fn without_kept_name(&self, kept: Number, fields: Fields<'_>) -> Option<String> {
        let name = self.cache.name(kept);
        let name = std::str::from_utf8(name.as_bytes()).ok()?;
        let message = std::str::from_utf8(fields.value(b'M')?).ok()?;
        if !message.contains(name) {
            return None;
        }
        let told = message.replace(name, "");
        Some(match told.as_str() {
            "prepared statement \"\" does not exist" => {
                "unnamed prepared statement does not exist".to_owned()
            }
            _ => told,
        })
    }
}

/// An error's body with another value of one field.
pub(super) fn with_field(fields: Fields<'_>, changed: u8, told: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (code, value) in fields.iter() {
        let value = if code == changed {
            told.as_bytes()
        } else {
            value
        };
        body.push(code);
        body.extend_from_slice(value);
        body.push(0);
    }
    body.push(0);
    body
}

/// Errors that an unnamed statement would have had at its Parse, or never: the kept statement is
/// gone, its result has changed, or its text no longer holds.
pub(super) fn is_analysis(fields: Fields<'_>) -> bool {
    let sqlstate = fields.sqlstate();
    sqlstate == b"26000" || sqlstate == b"0A000" || sqlstate.starts_with(b"42")
}
