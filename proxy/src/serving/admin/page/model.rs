//! What a page shows, found and ready to be written down. The markup knows nothing else; a test makes it up.

use std::time::{Duration, SystemTime};

use rewrite_rules::Phase;

use super::trends::Trends;
use crate::control::history::Event;
use crate::control::instances::Served;
use crate::control::ledger::LedgerEntry;
use crate::control::plans::PlanFinding;
use crate::control::results::StatementResult;
use crate::steps::canary::CanaryView;
use crate::steps::status::Status;
use crate::steps::step::StepDirection;
use crate::steps::views::{GateRow, HolderRow, MigrationRow};

/// Who looks.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub user: String,
    pub may_operate: bool,
    /// What this visitor's forms carry.
    pub csrf: String,
}

/// The list of migrations.
#[derive(Debug, Default)]
pub(super) struct Overview {
    pub migrations: Vec<Summary>,
}

#[derive(Debug)]
pub(super) struct Summary {
    pub row: MigrationRow,
    pub status: Status,
    pub activity: Option<Activity>,
}

/// One migration.
#[derive(Debug)]
pub(super) struct Detail {
    pub row: MigrationRow,
    pub status: Status,
    pub holders: Vec<HolderRow>,
    pub gates: Gates,
    /// A step that this proxy takes, or the last one that it took.
    pub activity: Option<Activity>,
    pub trends: Trends,
    pub ledger: Vec<LedgerEntry>,
    pub samples: Vec<Sample>,
    /// The newest first.
    pub events: Vec<Event>,
    /// Sessions that read as in the next phase.
    pub canary: Option<CanaryView>,
    /// What came of statements, the most called first.
    pub statements: Vec<StatementResult>,
    /// How they would be planned, the worst first.
    pub plans: Vec<PlanFinding>,
}

/// What is known of the gates of a step.
#[derive(Clone, Debug)]
pub(super) enum Gates {
    /// There is no such step.
    NoStep,
    /// Nobody has looked yet; somebody does now.
    Looking,
    Known {
        rows: Vec<GateRow>,
        age: Duration,
        /// Somebody looks again.
        looking: bool,
    },
    /// They could not be looked at: nobody can tell.
    Failed { why: String, age: Duration },
}

/// What a confirmation asks for.
#[derive(Debug)]
pub(super) struct Confirmation {
    pub row: MigrationRow,
    pub direction: StepDirection,
    pub to: Phase,
    pub gates: Gates,
    pub holders: Vec<HolderRow>,
    /// What was wrong with the form when it was sent.
    pub wrong: Option<String>,
    /// What was typed into it.
    pub reason: String,
}

/// A step that somebody takes through this proxy.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    pub by: String,
    pub direction: StepDirection,
    pub from: Phase,
    pub to: Phase,
    pub began: SystemTime,
    /// What was told meanwhile, the newest last.
    pub lines: Vec<String>,
    pub ended: Option<Ended>,
}

#[derive(Clone, Debug)]
pub(super) enum Ended {
    Taken { instances: usize, waited_for: usize },
    Refused(String),
}

/// A row that the last verify found to differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub table: String,
    /// `missing`, `extra`, `different`.
    pub kind: String,
    pub key: String,
    /// Column, in legacy, in unified, and whether they differ.
    pub columns: Vec<(String, Value, Value, bool)>,
}

/// A value of somebody's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// It is not to be shown.
    Hidden,
    Null,
    /// There is no row on that side.
    Absent,
    Text(String),
}

/// All proxies and what they serve.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    pub served: Vec<Served>,
}

/// What happened, the newest first.
#[derive(Debug, Default)]
pub(super) struct History {
    pub migration: Option<String>,
    pub events: Vec<Event>,
    /// The id before which there are older ones.
    pub older: Option<i64>,
}
