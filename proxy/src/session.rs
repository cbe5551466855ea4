//! One client's session as a value: fed frames of both directions, it answers forward, replace or
//! drop, and keeps the queue of answers that the server owes.
//!
//! It knows the protocol and asks a rule set what a text means. It never sees a socket, a clock,
//! a log or a thread, so every decision here can be tested by feeding it bytes.

mod again;
mod cache;
mod client_side;
mod comments;
mod context;
mod deferred;
mod ended;
mod expect;
mod failure;
mod flight;
mod judge;
mod keep;
mod kept_query;
pub mod lane;
pub mod origin;
mod path;
mod pin;
mod prepared;
mod renewal;
mod report;
mod sampling;
mod server_side;
mod spoken;
mod staging;
mod statements;
#[cfg(test)]
mod tests;
mod translate;
mod trial;
mod tried;

use std::collections::VecDeque;
use std::sync::Arc;

use rewrite_rules::{SearchPath, ServerVersion, Strings};

use crate::wire::frontend::MessageLimits;
use cache::Cache;
use deferred::Deferred;
use expect::{Expect, OfExchange};
use path::known::{Encoding, Path};
use sampling::Sampling;
use spoken::Again;
use statements::{Portals, Statements};
use trial::Flight;

pub use cache::CacheLimits;
pub use client_side::Frontend;
pub use comments::Comments;
pub use pin::{Pin, ReadEnd, SessionRules};
pub use report::{Events, Notice, NoticeCounts, SessionReport, ShadowCandidate, Violation};
pub use server_side::Backend;

/// Bounds on what one client can make the session keep.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    pub messages: MessageLimits,
    pub prepared_statements_max: usize,
    /// Texts kept to prepare statements anew under a later generation.
    pub prepared_bytes_max: usize,
    pub cache: CacheLimits,
}

/// What the session is born with.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings {
    pub limits: SessionLimits,
    pub search_path: SearchPath,
    /// SCRAM-SHA-256-PLUS binds a login to the TLS connection that the server sees. The client has
    /// another one, or none: it must not be offered what cannot succeed.
    pub strip_channel_binding: bool,
    /// Which comments of clients reach the server.
    pub comments: Comments,
    /// The share of comparable reads that are reported for a shadow read, 0 to 1.
    pub shadow_sample: f64,
    /// Seeds the choice of shadow reads, so that the session itself needs no source of chance.
    pub seed: u64,
}

/// Answers that a client may have outstanding before its input has to wait. The server's output
/// buffer of 8 KiB holds fewer than 2,000 of the shortest answers, so by then it has sent some:
/// waiting for them cannot wait for ever.
const OUTSTANDING_MAX: usize = 16_384;

/// Nothing in the queue is worth keeping this much room for, once it is empty.
const QUEUE_KEPT_ENTRIES: usize = 64;

#[derive(Debug)]
pub struct Session<P: Pin> {
    pin: P,
    generation: Arc<P::Rules>,
    settings: SessionSettings,
    path: Path,
    /// The generation that the session began with.
    born: u64,
    encoding: Encoding,
    /// Whether plain strings have escapes; `None` when the server was asked and did not say.
    strings: Option<Strings>,
    /// The server keeps bytes as they are: its own encoding is UTF-8, or none.
    server_keeps_bytes: bool,
    server: ServerVersion,
    expects: VecDeque<Expect>,
    deferred: Deferred,
    statements: Statements,
    portals: Portals,
    cache: Cache,
    again: Again,
    flight: Flight,
    login: LoginState,
    /// The server's process, as the server, or whoever stands before it, says at the beginning.
    told_backend: Option<i32>,
    /// The last ReadyForQuery's transaction status.
    status: u8,
    turn: Turn,
    reads: ServerReads,
    /// The end of a statement that is told with that of the one behind it.
    told_later: Option<String>,
    /// Syncs that went to a COPY that reads, and are lost in it unless it fails before it does.
    syncs_in_copy: usize,
    /// The client said Terminate, or the server FATAL: the end of the connection is no surprise.
    ending: bool,
    /// Shadow reads that succeeded inside a transaction that is still to be seen ended.
    shadows: Vec<ShadowCandidate>,
    sample: Sampling,
    /// What the exchange under way consists of, where it is timed.
    of_exchange: OfExchange,
    /// What happened since it was last taken, if anything did.
    report: Option<SessionReport>,
}

/// How far the client has come with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LoginState {
    /// It has yet to prove who it is.
    Proving,
    /// The server has accepted who it says it is.
    Admitted,
    /// A transaction has been brought to its end: the connection has served its purpose once.
    Served,
}

/// Whether the session is bound to its generation, and lets input through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// No transaction, nothing outstanding: what comes next takes the newest generation.
    Free,
    /// A transaction is under way or an answer outstanding: the generation is pinned.
    Pinned,
    /// The same, and no more input until the server is ready: a new generation waits for its turn, or what
    /// comes next depends on an answer.
    Held,
}

/// What the server does with the messages that come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerReads {
    Messages,
    /// An extended-protocol error came: it discards everything up to the next Sync.
    NothingToSync,
    /// It reads CopyData, and ignores Sync and Flush meanwhile.
    CopyData,
}

impl<P: Pin> Session<P> {
    #[must_use]
    pub fn new(pin: P, generation: Arc<P::Rules>, settings: SessionSettings) -> Session<P> {
        let asks = generation.path_question().is_some();
        let mut expects = VecDeque::new();
        expects.push_back(Expect::Startup);
        Session {
            pin,
            settings,
            path: Path::new(&*generation, settings.search_path),
            born: generation.number(),
            generation,
            encoding: Encoding::Bytes,
            strings: Some(Strings::Standard),
            server_keeps_bytes: true,
            server: ServerVersion::default(),
            expects,
            deferred: Deferred::default(),
            statements: Statements::default(),
            portals: Portals::default(),
            cache: Cache::new(settings.limits.cache, settings.seed, !asks),
            again: Again::default(),
            flight: Flight::default(),
            login: LoginState::Proving,
            told_backend: None,
            status: b'I',
            turn: Turn::Free,
            reads: ServerReads::Messages,
            told_later: None,
            syncs_in_copy: 0,
            ending: false,
            shadows: Vec::new(),
            sample: Sampling::new(settings.seed),
            of_exchange: OfExchange::Nothing,
            report: None,
        }
    }

    /// The client's input must wait: for a generation's turn, or for answers to be taken.
    #[must_use]
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.turn == Turn::Held
            || self.is_replaying()
            || self.again.holds_input()
            || self.expects.len() >= OUTSTANDING_MAX
    }

    /// No transaction and nothing outstanding.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.turn == Turn::Free && self.expects.is_empty() && !self.again.holds_input()
    }

    /// Startup is over: the server has said that it is ready for a first query.
    #[must_use]
    pub fn is_established(&self) -> bool {
        !matches!(self.expects.front(), Some(Expect::Startup))
    }

    /// At least one transaction, or a statement outside of one, has come to its end.
    #[must_use]
    pub fn has_served(&self) -> bool {
        self.login == LoginState::Served
    }

    /// The end of the connection was announced by one of the two sides.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// What happened since the last call, if anything did.
    pub fn take_report(&mut self) -> Option<SessionReport> {
        self.report.take()
    }

    fn report(&mut self) -> &mut SessionReport {
        self.report.get_or_insert_default()
    }

    fn events(&mut self) -> &mut Events {
        self.report().events.get_or_insert_default()
    }

    /// No more input until the server is ready.
    fn hold(&mut self) {
        self.turn = Turn::Held;
    }

    /// Input may come again.
    fn release(&mut self) {
        if self.turn == Turn::Held {
            self.turn = Turn::Pinned;
        }
    }

    fn is_copying_in(&self) -> bool {
        self.reads == ServerReads::CopyData
    }

    /// The server reads no more CopyData.
    fn copy_is_over(&mut self) {
        if self.is_copying_in() {
            self.reads = ServerReads::Messages;
        }
    }
}
