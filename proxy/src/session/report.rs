//! What a session tells its shell: what it has done, and why it must end.

use rewrite_rules::{Foreign, TableName};

use crate::wire::frame::tag_name;
use crate::wire::frontend::MessageError;

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
pub struct SessionReport {
    pub passed: u32,
    pub rewritten: u32,
    pub refused: u32,
    /// Apart, so that counting a statement moves a few words and no more.
    pub events: Option<Box<Events>>,
}

impl SessionReport {
    /// Statements that came, whatever became of them.
    #[must_use]
    pub fn statements(&self) -> u64 {
        u64::from(self.passed) + u64::from(self.rewritten) + u64::from(self.refused)
    }
}

/// Notices of one kind, by what they say of themselves. Anybody may raise one, so what is kept of them
/// is bounded: statements that Crossfade made name a handful of migrations, all with the same proof.
#[derive(Debug, Default)]
pub struct NoticeCounts {
    by: Vec<(Notice, u64)>,
}

/// What a function of Crossfade's says to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub migration: String,
    /// What only those functions can know.
    pub proof: String,
}

impl NoticeCounts {
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
    pub fallbacks: NoticeCounts,
    /// Those among them of sessions that read ahead.
    pub fallbacks_of_canaries: NoticeCounts,
    pub divergences: NoticeCounts,
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
