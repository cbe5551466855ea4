//! Where a migration stands: what the file says, what the proxies serve, what the data shows.

use rewrite_rules::{Migration, Phase, RuleSet};
use serde::Serialize;
use tokio_postgres::Client;

use super::{bake, plans, sequences};
use crate::backfill::state::{self, CopyDirection, CopyProgress};
use crate::control::around::{self, CameAround};
use crate::control::connection::address;
use crate::control::direct::{self, DirectWriter, WriterAround};
use crate::control::drain::{self, Blocker};
use crate::control::epochs::{self, OpenEpoch};
use crate::control::error::ControlError;
use crate::control::events::{self, LastStep};
use crate::control::gate::Gate;
use crate::control::instances::{Instance, instances};
use crate::control::ledger::{self, LedgerEntry};
use crate::control::refused::{self, RefusedRules};
use crate::control::{recording, schema, stand_in};
use crate::retire::{self, Aside};
use crate::verify::record::{self, Last};

/// Enough to see what is wrong; the ledger itself has the rest.
const ENTRIES_SHOWN: i64 = 5;

#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub migration: String,
    /// The host that was asked, as it calls itself; `None`: by a socket file.
    pub host: Option<String>,
    /// What is in force: the phase that every proxy is to serve.
    pub phase: String,
    /// Its epoch; `None`: the database keeps none yet.
    pub epoch: Option<i64>,
    /// Epochs before it that are not closed yet, and who holds them open.
    pub open_epochs: Vec<OpenEpoch>,
    /// Every live instance serves that phase and has drained.
    pub drained: bool,
    /// The database was prepared; without it there is nothing else to tell.
    pub prepared: bool,
    pub instances: Vec<Instance>,
    /// Proxies that have not put into force what a rule file says, and why.
    pub rules_refused: Vec<RefusedRules>,
    pub last_step: Option<LastStep>,
    /// Legacy tables that `retire` has put on probation, and what became of them.
    pub put_aside: Vec<Aside>,
    /// Retired, and every legacy table is dropped: nothing is left to do.
    pub done: bool,
    pub backfill: Vec<CopyProgress>,
    pub last_verify: Option<Last>,
    pub divergence_count: i64,
    pub divergence: Vec<LedgerEntry>,
    /// Whether writes whose unified half fails may be recorded in it: not while reads turn, nor after a step that
    /// turned them and was not seen to its end.
    pub recording: bool,
    pub tombstones: i64,
    /// Since when no read has needed legacy; `None`: `dual_read` was never entered.
    pub days_without_fallback: Option<f64>,
    /// When a read last needed legacy, and when a key last entered the ledger.
    pub last_fallback_at: Option<String>,
    pub last_divergence_at: Option<String>,
    /// What the gates of the next step would find of statements and of sequences; not looked at by
    /// whoever looks every other second.
    pub coverage: Option<Gate>,
    pub sequences: Option<Gate>,
    /// How the statements would be planned in the phases to come, as the last comparison found it.
    pub plans: Option<Gate>,
    /// What has touched the legacy tables around the proxies, once these leave them alone.
    pub around: Vec<CameAround>,
    /// Who wrote there around the proxies, as the tables' seals tell it.
    pub writers_around: Vec<WriterAround>,
    /// Who was seen to while they wrote both sides, by whoever looked once a second.
    pub direct_writers: Vec<DirectWriter>,
    /// The same in words, or whether anybody looks.
    #[serde(skip)]
    pub direct: Vec<String>,
    /// Sessions that hold on to an earlier phase in a proxy.
    pub holders: Vec<Blocker>,
    /// Transactions that write to the tables now, while a step is not drained.
    pub blockers: Vec<Blocker>,
}

/// The status of one migration, or of all; with what takes longer to find out, or without.
pub async fn read(
    client: &Client,
    rules: &RuleSet,
    only: Option<&str>,
    thorough: bool,
) -> Result<Vec<Status>, ControlError> {
    let mut all = Vec::new();
    for migration in rules.migrations() {
        if only.is_none_or(|name| name == migration.name) {
            let mut status = of(client, migration).await?;
            if thorough && status.prepared {
                ahead(client, rules, migration, &mut status).await?;
            }
            all.push(status);
        }
    }
    Ok(all)
}

async fn of(client: &Client, migration: &Migration) -> Result<Status, ControlError> {
    let name = &migration.name;
    let phase = epochs::phase(client, migration).await?;
    let mut status = Status {
        migration: name.clone(),
        host: address(client).await?,
        phase: phase.name().to_owned(),
        epoch: migration.epoch().map(|epoch| epoch.0),
        open_epochs: Vec::new(),
        drained: false,
        prepared: schema::is_prepared(client).await?,
        instances: Vec::new(),
        rules_refused: Vec::new(),
        last_step: None,
        put_aside: Vec::new(),
        done: false,
        backfill: Vec::new(),
        last_verify: None,
        divergence_count: 0,
        divergence: Vec::new(),
        recording: true,
        tombstones: 0,
        days_without_fallback: None,
        last_fallback_at: None,
        last_divergence_at: None,
        coverage: None,
        sequences: None,
        plans: None,
        around: Vec::new(),
        writers_around: Vec::new(),
        direct_writers: Vec::new(),
        direct: Vec::new(),
        holders: Vec::new(),
        blockers: Vec::new(),
    };
    if !status.prepared {
        return Ok(status);
    }
    status.instances = instances(client, name).await?;
    status.open_epochs = epochs::still_open(client, name).await?;
    status.rules_refused = refused::read(client, name).await?;
    status.last_step = events::last_step(client, name).await?;
    status.put_aside = retire::read(client, name).await?;
    status.done = is_done(client, migration, phase, &status.put_aside).await?;
    for lens in &migration.tables {
        for direction in [
            CopyDirection::LegacyToUnified,
            CopyDirection::UnifiedToLegacy,
        ] {
            status
                .backfill
                .extend(state::read(client, lens, direction).await?);
        }
    }
    status.last_verify = record::last(client, migration).await?;
    status.divergence_count = ledger::count(client, name).await?;
    status.divergence = ledger::entries(client, name, ENTRIES_SHOWN).await?;
    status.recording = recording::is_allowed(client, name).await?;
    status.tombstones = ledger::tombstones(client, name).await?;
    status.days_without_fallback = bake::days_without_fallback(client, name).await?;
    (status.last_fallback_at, status.last_divergence_at) = bake::last_times(client, name).await?;
    status.around = around::read(client, migration, phase).await?;
    status.direct_writers = direct::read(client, name).await?;
    status.writers_around = direct::written(client, name).await?;
    let who = (&status.writers_around[..], &status.direct_writers[..]);
    status.direct = direct::lines(client, migration, phase, who).await?;
    status.drained = all_there(&status, phase);
    if !status.drained {
        status.holders = drain::holders(client, &status.instances).await?;
        status.blockers = drain::writers(client, migration).await?;
    }
    Ok(status)
}

/// What will matter at the next step.
async fn ahead(
    client: &Client,
    rules: &RuleSet,
    migration: &Migration,
    status: &mut Status,
) -> Result<(), ControlError> {
    let phase = epochs::phase(client, migration).await?;
    match phase {
        Phase::LegacyOnly
        | Phase::DualWrite
        | Phase::ShadowRead
        | Phase::DualRead
        | Phase::UnifiedRead => {}
        Phase::UnifiedOnly | Phase::Retired => return Ok(()),
    }
    if let Some(next) = phase.next() {
        status.coverage = Some(bake::covered(client, rules, migration, (phase, next)).await?);
        status.plans = Some(plans::advice(client, migration, next).await?);
    }
    for lens in &migration.tables {
        for table in lens.unified_tables() {
            if !schema::table_exists(client, &table.sql()).await? {
                return Ok(());
            }
        }
    }
    status.sequences = Some(sequences::ahead(client, migration).await?);
    Ok(())
}

async fn is_done(
    client: &Client,
    migration: &Migration,
    phase: Phase,
    put_aside: &[Aside],
) -> Result<bool, ControlError> {
    let tables: Vec<String> = migration.left_behind().map(|t| t.legacy.sql()).collect();
    if phase != Phase::Retired || tables.is_empty() || put_aside.iter().any(Aside::is_there) {
        return Ok(false);
    }
    Ok(stand_in::legacy_there(client, &tables).await?.is_empty())
}

fn all_there(status: &Status, phase: Phase) -> bool {
    let step_done = status
        .last_step
        .as_ref()
        .is_none_or(|step| step.drained || step.to != status.phase);
    step_done
        && status
            .instances
            .iter()
            .filter(|instance| instance.live)
            .all(|instance| instance.drained && instance.phase == phase.name())
        && status.open_epochs.is_empty()
}
