//! What the console and the page show: one typed row for each thing that an operator asks after. What they say is found
//! out where the commands find it out; here it is laid flat.

use std::time::SystemTime;

use rewrite_rules::{Phase, RuleSet};
use tokio_postgres::Client;

use super::status::Status;
use super::step::StepDirection;
use super::{bake, gates};
use crate::config;
use crate::control::drain::Blocker;
use crate::control::error::ControlError;
use crate::control::gate::Gate;
use crate::control::instances::{self, Served};
use crate::control::ledger::{self, LedgerEntry};
use crate::control::named::find;
use crate::control::{drain, epochs, schema, shown};

/// Where a migration stands.
#[derive(Clone, Debug)]
pub struct MigrationRow {
    pub name: String,
    pub phase: Phase,
    /// `None`: the database keeps none yet.
    pub epoch: Option<i64>,
    /// When the epoch was opened, by whom and why.
    pub since: Option<SystemTime>,
    pub by: Option<String>,
    pub why: Option<String>,
    pub previous: Option<Phase>,
    pub next: Option<Phase>,
    pub legacy: Vec<String>,
    pub unified: Vec<String>,
    /// Why its statements are refused by this proxy's rules; `None`: they fit the database.
    pub misfit: Option<String>,
}

/// Every migration, in the order of the rules.
pub async fn migrations(
    client: &Client,
    rules: &RuleSet,
) -> Result<Vec<MigrationRow>, ControlError> {
    let opened = match schema::is_prepared(client).await? {
        true => epochs::opened(client).await?,
        false => Vec::new(),
    };
    let mut all = Vec::new();
    for migration in rules.migrations() {
        let phase = epochs::phase(client, migration).await?;
        let opened = opened.iter().find(|row| row.migration == migration.name);
        let tables = &migration.tables;
        let mut unified: Vec<String> = tables
            .iter()
            .flat_map(|lens| lens.unified_tables())
            .map(|table| shown(&table.sql()))
            .collect();
        unified.sort();
        unified.dedup();
        all.push(MigrationRow {
            name: migration.name.clone(),
            phase,
            epoch: opened.map(|row| row.epoch),
            since: opened.map(|row| row.at),
            by: opened.map(|row| row.by.clone()),
            why: opened.map(|row| row.why.clone()),
            previous: phase.previous(),
            next: phase.next(),
            legacy: tables
                .iter()
                .map(|lens| shown(&lens.legacy.sql()))
                .collect(),
            unified,
            misfit: migration.misfit.clone(),
        });
    }
    Ok(all)
}

/// What a gate answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateAnswer {
    Met,
    NotMet,
    /// Nobody can say; such a gate holds the step up.
    CannotTell,
}

impl GateAnswer {
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            GateAnswer::Met => "met",
            GateAnswer::NotMet => "not met",
            GateAnswer::CannotTell => "cannot tell",
        }
    }
}

/// A condition of a step.
#[derive(Clone, Debug)]
pub struct GateRow {
    pub migration: String,
    pub from: Phase,
    pub to: Phase,
    pub name: &'static str,
    pub answer: GateAnswer,
    pub found: String,
    /// What to run or do where it is not met; else empty.
    pub settle: String,
}

impl GateRow {
    fn of(migration: &str, (from, to): (Phase, Phase), gate: Gate) -> GateRow {
        GateRow {
            migration: migration.to_owned(),
            from,
            to,
            name: gate.name,
            answer: match (gate.met, gate.cannot_tell()) {
                (true, _) => GateAnswer::Met,
                (false, false) => GateAnswer::NotMet,
                (false, true) => GateAnswer::CannotTell,
            },
            found: gate.found,
            settle: match gate.met {
                true => String::new(),
                false => gate.settle,
            },
        }
    }
}

/// The gates of a migration's next step in a direction, as the step itself would find them; empty where there is no such
/// step. Some compare rows with the rules, or wait for the proxies' next look: it takes up to seconds, and is asked for,
/// not looked at all the time.
pub async fn gates(
    client: &Client,
    rules: &RuleSet,
    name: &str,
    direction: StepDirection,
    times: &config::Gates,
) -> Result<Vec<GateRow>, ControlError> {
    let migration = find(rules, name)?;
    schema::must_be_prepared(client).await?;
    let from = epochs::phase(client, migration).await?;
    let Some(to) = direction.from(from) else {
        return Ok(Vec::new());
    };
    let found = gates::gates(client, rules, migration, (from, to), times).await?;
    let row = |gate| GateRow::of(name, (from, to), gate);
    Ok(found.into_iter().map(row).collect())
}

/// What a transaction keeps a step waiting by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// The fence of the epoch in force: the step that comes next would wait for it.
    Newest,
    /// The fence of an epoch that is over: the last step is not done before it ends.
    Older,
    /// Rules older than those in force, in a proxy.
    Generation,
    /// A lock on one of the tables, while the last step is not done.
    WriteLock,
}

impl Holds {
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Holds::Newest => "fence in force",
            Holds::Older => "fence that is over",
            Holds::Generation => "older rules",
            Holds::WriteLock => "write lock",
        }
    }
}

/// Who holds what.
#[derive(Clone, Debug)]
pub struct HolderRow {
    pub migration: String,
    pub holds: Holds,
    /// Of a fence.
    pub epoch: Option<i64>,
    pub phase: Option<String>,
    /// `None`: a prepared transaction, or nobody any more.
    pub pid: Option<i32>,
    pub user: String,
    pub application: String,
    /// Where the server sees it come from; a proxy's clients have its address.
    pub address: String,
    /// The proxy that named it as one of its own.
    pub proxy: Option<String>,
    pub state: String,
    /// Without its constants.
    pub statement: String,
    /// Since its transaction began.
    pub age_seconds: f64,
}

/// Who a step waits for, or would wait for, by what [`status::read`](super::status::read) and the fences say.
pub async fn holders(client: &Client, status: &Status) -> Result<Vec<HolderRow>, ControlError> {
    let mut rows = Vec::new();
    let mut take = |holds, epoch: Option<i64>, phase: Option<&str>, blockers: &[Blocker]| {
        let row = |blocker: &Blocker| HolderRow {
            migration: status.migration.clone(),
            holds,
            epoch,
            phase: phase.map(str::to_owned),
            pid: blocker.pid,
            user: blocker.user.clone(),
            application: blocker.application.clone(),
            address: blocker.address.clone(),
            proxy: status
                .instances
                .iter()
                .find(|i| blocker.pid.is_some_and(|pid| i.held_by.contains(&pid)))
                .map(ToString::to_string),
            state: blocker.state.clone(),
            statement: blocker.query.clone(),
            age_seconds: blocker.age_seconds,
        };
        rows.extend(blockers.iter().map(row));
    };
    for open in &status.open_epochs {
        take(
            Holds::Older,
            Some(open.epoch),
            Some(&open.phase),
            &open.holders,
        );
    }
    take(Holds::Generation, None, None, &status.holders);
    take(Holds::WriteLock, None, None, &status.blockers);
    if let Some(epoch) = status.epoch {
        let holders = epochs::holders(client, &status.migration, epoch).await?;
        take(Holds::Newest, Some(epoch), Some(&status.phase), &holders);
    }
    Ok(rows)
}

/// Proxies and what they serve.
pub async fn instances(client: &Client) -> Result<Vec<Served>, ControlError> {
    match schema::is_prepared(client).await? {
        true => instances::all(client).await,
        false => Ok(Vec::new()),
    }
}

/// What the ledger has of a migration, the oldest first, `limit` at most.
pub async fn divergences(
    client: &Client,
    migration: &str,
    limit: i64,
) -> Result<Vec<LedgerEntry>, ControlError> {
    ledger::entries(client, migration, limit).await
}

/// Reads of one migration that needed legacy.
#[derive(Clone, Debug)]
pub struct FallbackRow {
    pub migration: String,
    /// Rows, as the proxies that are there counted them since they started.
    pub rows: i64,
    /// When one did last, whichever proxy saw it.
    pub last_at: Option<SystemTime>,
    /// Since when none has; `None`: `dual_read` was never entered.
    pub days_without: Option<f64>,
}

/// Of every migration, or of one.
pub async fn fallbacks(
    client: &Client,
    rules: &RuleSet,
    only: Option<&str>,
) -> Result<Vec<FallbackRow>, ControlError> {
    schema::must_be_prepared(client).await?;
    let instances = instances::all(client).await?;
    let mut all = Vec::new();
    for migration in rules.migrations() {
        let name = &migration.name;
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let of = instances.iter().filter(|served| served.migration == *name);
        all.push(FallbackRow {
            migration: name.clone(),
            rows: of.map(|served| served.instance.counted.fallbacks).sum(),
            last_at: bake::last_fallback(client, name).await?,
            days_without: bake::days_without_fallback(client, name).await?,
        });
    }
    Ok(all)
}

/// Sessions of the server by their processes: what they do now, for whoever knows which are his.
pub async fn sessions(client: &Client, pids: &[i32]) -> Result<Vec<Blocker>, ControlError> {
    drain::of_processes(client, pids).await
}
