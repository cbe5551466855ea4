//! One client's session as a value: fed frames of both directions, it answers forward, replace or
//! drop, and keeps the queue of answers that the server owes.
//!
//! It knows the protocol and asks a rule set what a text means. It never sees a socket, a clock,
//! a log or a thread, so every decision here can be tested by feeding it bytes.

mod cache;
mod client_side;
mod deferred;
mod expect;
mod failure;
mod judge;
mod keep;
pub mod lane;
pub mod origin;
mod path;
mod prepared;
mod renewal;
mod sampling;
mod server_side;
mod staging;
mod statements;
#[cfg(test)]
mod tests;
mod translate;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use rewrite_rules::{Foreign, Meaning, Reading, SearchPath, ServerVersion, Strings, TableName};

use crate::wire::frame::tag_name;
use crate::wire::frontend::{MessageError, MessageLimits};
use cache::Cache;
use deferred::Deferred;
use expect::Expect;
use origin::Origins;
use path::Path;
use statements::{Portals, Statements};

pub use cache::CacheLimits;
pub use client_side::Frontend;
pub use server_side::Backend;

/// One generation of rules, as far as a session needs it.
pub trait Reader: fmt::Debug {
    fn number(&self) -> u64;
    /// Whether the text spells anything that the session must look at.
    fn must_read(&self, text: &[u8]) -> bool;
    /// Whether the text can name a managed table at all.
    fn may_name(&self, text: &[u8]) -> bool;
    /// Whether it spells one as it is, not in escapes.
    fn spells_name(&self, text: &[u8]) -> bool;
    /// What becomes of a text that was sent.
    fn rewrite(&self, text: &str, path: SearchPath, strings: Strings) -> Arc<Reading>;
    /// The same of one that was not, or is read once more: it is counted nowhere.
    fn look(&self, text: &str, path: SearchPath, strings: Strings) -> Arc<Reading>;
    /// Whether a managed name is spelled otherwise in other encodings.
    fn names_beyond_ascii(&self) -> bool;
    /// The first generation since which the names of managed tables are these.
    fn names_since(&self) -> u64;
    /// The first generation since which what sessions prepare is seen.
    fn watched_since(&self) -> u64;
    /// The query by which the server tells what those names mean to a session, if any is managed.
    fn path_question(&self) -> Option<&str>;
    fn path_answered(&self, letters: &[u8]) -> Option<Meaning>;
    /// Which legacy columns stand for which unified ones in the description of a result.
    fn origins(&self) -> Arc<Origins>;
}

/// Where a session takes its generation from, and tells others which one it is using.
pub trait Pin: fmt::Debug {
    type Reader: Reader;
    /// The newest generation's number; asked once for each Sync and Query.
    fn newest(&self) -> u64;
    /// A transaction begins: pins the newest generation and puts it into `held` if that is older.
    fn begin(&mut self, held: &mut Arc<Self::Reader>);
    /// The transaction is over and nothing is outstanding.
    fn end(&mut self);
    /// The client's first message after everything was answered.
    fn asked(&mut self);
    /// Nothing is outstanding any more.
    fn answered(&mut self);
    /// Which of the server's processes works for the session, for whoever asks who holds it up.
    fn served_by(&mut self, backend: i32);
}

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
pub struct Settings {
    pub limits: SessionLimits,
    pub search_path: SearchPath,
    /// SCRAM-SHA-256-PLUS binds a login to the TLS connection that the server sees. The client has
    /// another one, or none: it must not be offered what cannot succeed.
    pub strip_channel_binding: bool,
    /// The share of comparable reads that are reported for a shadow read, 0 to 1.
    pub shadow_sample: f64,
    /// Seeds the choice of shadow reads, so that the session itself needs no source of chance.
    pub seed: u64,
}

/// A read that has succeeded for the client and whose unified counterpart may now be run beside
/// it, off the client's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowCandidate {
    pub migration: String,
    pub legacy: String,
    pub unified: String,
    /// The tables that both may read.
    pub tables: Vec<TableName>,
    /// Why they are not to be run, and only counted.
    pub foreign: Option<Foreign>,
    /// As declared in Parse: 0 or absent where the client left the choice to the server.
    pub parameter_types: Vec<u32>,
    /// Format code (0 text, 1 binary) and value; `None` is NULL.
    pub parameters: Vec<(i16, Option<Vec<u8>>)>,
}

/// What happened since the shell last took it; emptied by [`Session::take_report`].
#[derive(Debug, Default)]
pub struct Report {
    pub passed: u32,
    pub rewritten: u32,
    pub refused: u32,
    /// Apart, so that counting a statement moves a few words and no more.
    pub events: Option<Box<Events>>,
}

/// Notices of one kind, by what they say of themselves. Anybody may raise one, so what is kept of them
/// is bounded: statements that Crossfade made name a handful of migrations, all with the same proof.
#[derive(Debug, Default)]
pub struct Counted {
    by: Vec<(Notice, u64)>,
}

/// What a function of Crossfade's says to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub migration: String,
    /// What only those functions can know.
    pub proof: String,
}

impl Counted {
    /// More than a report of one exchange has use for; the rest are somebody else's.
    const NOTICES_MAX: usize = 32;
    /// A name has 63 bytes, and two UUIDs have 72.
    const BYTES_MAX: usize = 128;

    pub(crate) fn add(&mut self, migration: &[u8], proof: &[u8]) {
        if migration.len() > Self::BYTES_MAX || proof.len() > Self::BYTES_MAX {
            return;
        }
        let is = |kept: &Notice| {
            kept.migration.as_bytes() == migration && kept.proof.as_bytes() == proof
        };
        if let Some((_, count)) = self.by.iter_mut().find(|(kept, _)| is(kept)) {
            *count += 1;
        } else if self.by.len() < Self::NOTICES_MAX {
            let notice = Notice {
                migration: String::from_utf8_lossy(migration).into_owned(),
                proof: String::from_utf8_lossy(proof).into_owned(),
            };
            self.by.push((notice, 1));
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Notice, u64)> {
        self.by.iter().map(|(notice, count)| (notice, *count))
    }
}

/// What happens less often than a statement.
#[derive(Debug, Default)]
pub struct Events {
    pub fallbacks: Counted,
    pub divergences: Counted,
    pub shadows: Vec<ShadowCandidate>,
    /// SCRAM-SHA-256-PLUS was taken from the server's offer.
    pub channel_binding_stripped: bool,
}

/// Why a session must end. The client's mistakes are told to the client; a server that breaks
/// the protocol is our broken invariant, and is logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error(transparent)]
    Client(#[from] MessageError),
    #[error(
        "the server sent {} while {expected} was expected",
        tag_name(*came)
    )]
    OutOfOrder { came: u8, expected: &'static str },
    #[error("the server sent a message {} with a length of {length}", tag_name(*tag))]
    ServerLength { tag: u8, length: u32 },
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
    generation: Arc<P::Reader>,
    settings: Settings,
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
    /// The server has accepted who the client says it is.
    admitted: bool,
    /// A transaction has been brought to its end: the connection has served its purpose once.
    served: bool,
    /// The last ReadyForQuery's transaction status.
    status: u8,
    /// A transaction is under way or an answer outstanding: the generation is pinned.
    pinned: bool,
    /// An extended-protocol error came: the server discards everything up to the next Sync.
    discarding: bool,
    /// The server reads CopyData; it ignores Sync and Flush meanwhile.
    copying_in: bool,
    /// Syncs that went to a COPY that reads, and are lost in it unless it fails before it does.
    syncs_in_copy: usize,
    /// A new generation waits: no more input until the server is ready, so that it gets its turn.
    holding: bool,
    /// The client said Terminate, or the server FATAL: the end of the connection is no surprise.
    ending: bool,
    /// Shadow reads that succeeded inside a transaction that is still to be seen ended.
    shadows: Vec<ShadowCandidate>,
    /// A statement that can be compared was seen: Binds are worth a look.
    comparable_statements: bool,
    /// The Bind that is being taken was chosen to be compared.
    compares_bind: bool,
    chance: u64,
    report: Report,
    reported: bool,
}

/// How the client's bytes spell characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// UTF-8, or SQL_ASCII on a server of UTF-8: the server reads the same bytes that the rules do.
    Bytes,
    /// The server converts: only ASCII means the same to both.
    Converted,
}

impl<P: Pin> Session<P> {
    #[must_use]
    pub fn new(pin: P, generation: Arc<P::Reader>, settings: Settings) -> Session<P> {
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
            cache: Cache::new(settings.limits.cache, settings.seed),
            admitted: false,
            served: false,
            status: b'I',
            pinned: false,
            discarding: false,
            copying_in: false,
            syncs_in_copy: 0,
            holding: false,
            ending: false,
            shadows: Vec::new(),
            comparable_statements: false,
            compares_bind: false,
            chance: settings.seed | 1,
            report: Report::default(),
            reported: false,
        }
    }

    /// The client's input must wait: for a generation's turn, or for answers to be taken.
    #[must_use]
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.holding || self.is_replaying() || self.expects.len() >= OUTSTANDING_MAX
    }

    /// No transaction and nothing outstanding.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.pinned && self.expects.is_empty()
    }

    /// Startup is over: the server has said that it is ready for a first query.
    #[must_use]
    pub fn is_established(&self) -> bool {
        !matches!(self.expects.front(), Some(Expect::Startup))
    }

    /// At least one transaction, or a statement outside of one, has come to its end.
    #[must_use]
    pub fn has_served(&self) -> bool {
        self.served
    }

    /// The end of the connection was announced by one of the two sides.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// What happened since the last call, if anything did.
    pub fn take_report(&mut self) -> Option<Report> {
        if std::mem::take(&mut self.reported) {
            Some(std::mem::take(&mut self.report))
        } else {
            None
        }
    }

    fn report(&mut self) -> &mut Report {
        self.reported = true;
        &mut self.report
    }

    fn events(&mut self) -> &mut Events {
        self.report().events.get_or_insert_default()
    }

    /// xorshift: a sample needs no better.
    fn sampled(&mut self) -> bool {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let unit = (self.chance >> 11) as f64 / (1_u64 << 53) as f64;
        unit < self.settings.shadow_sample
    }
}
