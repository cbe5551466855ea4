//! What a client said outside of a transaction block is said again when the database refuses it for the epoch that it was
//! rewritten in: nothing has happened, and by the rules in force now it may.
//!
//! ```text
//! Query UPDATE iso_agents …   →  Query ‹as in epoch 7›
//!                                42P01 crossfade_e7_….fence missing, ReadyForQuery   →  nothing
//! input waits for the newer rules, then
//!                             →  Query ‹as in epoch 9›
//!                                UPDATE 1, ReadyForQuery                              →  as they come
//! ```
//!
//! Only where it is sure that nothing has: outside of a block, before the client was told anything of this Query or of
//! the messages up to this Sync, with nothing sent behind them. The fence is looked for when a text is parsed or a kept plan is
//! used, so of a text of several statements the first may have run: it was answered then. How long the newer rules may take to
//! come is for the shell to say, which has a clock.

use super::expect::Expect;
use super::spoken::State;
use super::translate::is_fenced_off;
use super::{Pin, ServerReads, Session, SessionRules};
use crate::wire::backend::{self, Fields};
use crate::wire::frame::{Header, write_frame};
use crate::wire::frontend;
use rewrite_rules::Verdict;

/// Steps are drained one after the other. Who meets so many in a row is better told of it.
const TIMES_MAX: u8 = 3;

impl<P: Pin> Session<P> {
    /// Whether a Bind is wanted whole.
    pub(super) fn may_keep_again(&self, header: Header) -> bool {
        let again = &self.again;
        let begins = again.state == State::Off && again.has_rewritten && self.status == b'I';
        (begins || again.state == State::Keeping) && again.has_room(header.frame_bytes())
    }

    /// Whatever comes behind what is kept would be overtaken by it; and whoever flushes wants answers before all is here.
    #[inline]
    pub(super) fn comes_behind(&mut self, tag: u8) {
        match self.again.state {
            State::Off | State::Over | State::Waiting => {}
            State::Keeping if tag != frontend::FLUSH => {}
            State::Keeping | State::Whole => self.again.stop(),
        }
    }

    /// Keeps a message that was sent on. `at_rest`: it is the first one, outside of a block.
    #[inline]
    pub(super) fn keep_again(&mut self, header: Header, body: &[u8], at_rest: bool) {
        if let Some(Expect::Tried(_)) = self.expects.back() {
            // It keeps its messages itself.
            return;
        }
        let last = self.expects.back().and_then(Expect::read);
        let rewritten = last.is_some_and(|read| matches!(read.verdict, Verdict::Rewritten(_)));
        if header.tag == frontend::PARSE {
            self.again.has_rewritten |= rewritten;
        }
        if at_rest && rewritten {
            self.again.forget();
            self.again.state = State::Keeping;
        }
        if self.again.state != State::Keeping {
            return;
        }
        match header.tag {
            frontend::PARSE | frontend::BIND | frontend::DESCRIBE | frontend::EXECUTE => {
                self.again.keep(header, body);
            }
            frontend::QUERY | frontend::SYNC => {
                self.again.keep(header, body);
                if self.again.state == State::Keeping {
                    self.again.state = State::Whole;
                }
            }
            _ => self.again.stop(),
        }
    }

    /// Something of this was told to the client, or it has ended: it is not said again.
    #[inline]
    pub(super) fn was_answered(&mut self, tag: u8, told: bool) {
        if self.again.state == State::Off {
            return;
        }
        let is_of_it = !matches!(
            tag,
            backend::PARAMETER_STATUS | backend::NOTIFICATION_RESPONSE
        );
        if told && is_of_it && !self.again.holds_input() {
            self.again.stop();
        }
    }

    /// An error came. True when the client need not hear of it, since its messages are said again.
    pub(super) fn begins_again(&mut self, fields: Fields<'_>) -> bool {
        // What was bound in place of a Query is sent as that Query first.
        let is_first = match self.expects.front() {
            Some(Expect::Query(run)) => run.statement == 0 && run.kept.is_none(),
            Some(_) => true,
            None => false,
        };
        let may = self.again.state == State::Whole
            && self.again.times < TIMES_MAX
            && self.status == b'I'
            && self.reads == ServerReads::Messages
            && is_first
            && !fields.is_fatal()
            && is_fenced_off(fields)
            // Said of the text itself, not of one that a function ran.
            && fields.value(b'W').is_none();
        if may {
            self.again.state = State::Over;
            self.again.times += 1;
        }
        may
    }

    /// The server is ready. True if that is no news for the client.
    pub(super) fn waits_again(&mut self) -> bool {
        let waits = self.again.state == State::Over;
        if waits {
            self.again.state = State::Waiting;
        }
        waits
    }

    /// Whether messages wait for newer rules, to be said again or given up.
    #[must_use]
    #[inline]
    pub fn waits_for_newer(&self) -> bool {
        self.again.state == State::Waiting
    }

    /// Whether they are there, or are not needed: what was tried did not do.
    #[must_use]
    pub fn is_renewed(&self) -> bool {
        self.waits_for_newer()
            && (self.again.at_once || self.pin.newest() != self.generation.number())
    }

    /// The messages, once there are newer rules to read them by: they go before anything else that the client has sent.
    pub fn take_again(&mut self) -> Option<Vec<u8>> {
        if !self.is_renewed() {
            return None;
        }
        Some(self.again.take())
    }

    /// Newer rules do not come: what the client is told in place of an answer.
    pub fn give_up(&mut self) -> Vec<u8> {
        let mut told = Vec::new();
        if self.waits_for_newer() {
            self.again.stop();
            super::translate::write_over(&mut told);
            write_frame(&mut told, backend::READY_FOR_QUERY, |out| out.push(b'I'));
        }
        told
    }
}
