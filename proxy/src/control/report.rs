//! What a serving proxy says of itself in the database, and how long silence may last.

use std::time::Duration;

use rewrite_rules::{Epoch, Phase};

use crate::generation::Reasons;

/// Ten missed heartbeats: longer than a stall of a busy machine, short enough to wait for.
pub const GONE_AFTER_SECONDS: f64 = 10.0;
/// A proxy that serves has said so by then, even if the database was prepared just now.
pub const REGISTERED_WITHIN: Duration = Duration::from_secs(2);

/// What a serving proxy says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceReport {
    pub rules_hash: String,
    /// Where it listens, for the reader of `status`.
    pub address: String,
    pub migrations: Vec<MigrationReport>,
    /// The server's processes whose sessions hold on to an older generation, some of them.
    pub held_by: Vec<i32>,
    /// Why it has not put into force what the rule files say.
    pub refused: Reasons,
}

/// Sessions that a proxy names when it is not drained: enough to see who they are.
pub const HOLDERS_MAX: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    pub migration: String,
    pub phase: Phase,
    /// `None`: the database keeps none.
    pub epoch: Option<Epoch>,
    pub generation: u64,
    /// No transaction runs under an older generation.
    pub drained: bool,
}
