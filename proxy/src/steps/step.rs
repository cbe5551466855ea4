//! One step between phases: gates, the new epoch, the drain, the close of the old one, the record.
//!
//! Killed at any instant it leaves the migration in the old phase or in the new one, and the next command completes it. The
//! event is written before the epoch and completed after the drain, so `status` can tell what happened.

use std::time::Duration;

use rewrite_rules::{Epoch, Migration, Phase, RuleSet};
use tokio_postgres::Client;

use super::gates::{self, gates};
use super::rehearsal::{lossy, rehearse};
use crate::control::alone::alone;
use crate::control::connection::connect;
use crate::control::error::ControlError;
use crate::control::events::Actor;
use crate::control::gate::Gate;
use crate::control::named::find;
use crate::control::{
    around, direct, drain, epochs, events, guard, neighbours, phase_file, recording, schema, seal,
};
use crate::{backfill, config, fault};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDirection {
    Forward,
    Back,
}

impl StepDirection {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            StepDirection::Forward => "advance",
            StepDirection::Back => "rollback",
        }
    }

    #[must_use]
    pub fn from(self, phase: Phase) -> Option<Phase> {
        match self {
            StepDirection::Forward => phase.next(),
            StepDirection::Back => phase.previous(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct StepOptions {
    pub direction: StepDirection,
    /// Take the step although gates are not met, for this reason, which is recorded.
    pub force: Option<String>,
    /// Why it is taken, where it is not forced.
    pub reason: Option<String>,
    /// What the gates ask of time.
    pub times: config::Gates,
    /// The longest wait for each of the two drains.
    pub drain_timeout: Duration,
    /// Transactions of an epoch that is over are ended after this.
    pub terminate_after: Option<Duration>,
    /// Whose step it is, for the record.
    pub by: Actor,
}

impl StepOptions {
    /// What goes on the record.
    fn why(&self) -> Option<&str> {
        self.force.as_deref().or(self.reason.as_deref())
    }

    fn patience(&self) -> epochs::Patience {
        epochs::Patience {
            timeout: self.drain_timeout,
            terminate_after: self.terminate_after,
        }
    }
}

/// A step that was taken.
#[derive(Debug)]
pub struct Taken {
    pub from: Phase,
    pub to: Phase,
    pub gates: Vec<Gate>,
    pub drained: drain::Drained,
}

/// Takes one step. `tell` hears what is going on, line by line.
pub async fn step(
    url: &str,
    rules: &RuleSet,
    name: &str,
    options: &StepOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<Taken, ControlError> {
    let migration = find(rules, name)?;
    let word = options.direction.word();
    let mut client = connect(url, word).await?;
    let prepared = schema::prepare(&client, rules, schema::Ddl::Of(name)).await?;
    // Two steps at once would be one that skips a phase.
    alone(&client, "step", name).await?;
    guard::before(&client, migration, migration.phase).await?;
    fault::point("step: alone");
    for table in &prepared.tables_absent {
        tell(&format!(
            "{table} does not exist: its functions were not created"
        ));
    }
    let epochs::InForce {
        phase: from, epoch, ..
    } = in_force(&client, name).await?;
    if from != migration.phase {
        return Err(ControlError::Refused(format!(
            "{name} was in {} when this command began and is in {from} now: somebody else took a step. \
             `crossfade status {name}` shows who; `--to PHASE` says how far to go, however often it is run",
            migration.phase
        )));
    }
    must_be_these(migration, epoch)?;
    let to = options.direction.from(from).ok_or_else(|| {
        ControlError::Refused(format!("{name} is in {from}: there is no step to {word}"))
    })?;

    settle_last_step(&client, migration, (from, epoch), Some(to), options, tell).await?;
    if from == Phase::UnifiedOnly {
        // The step that led here may have been killed in its drain.
        around::begin(&client, migration).await?;
    }
    if turns_reads(from, to) {
        recording::forbid(&client, name, options.drain_timeout, tell).await?;
        fault::point(fault::READS_TURN);
    }
    let judged = async {
        if turns_reads(from, to) {
            let settled = backfill::settle_ledger(&mut client, migration).await?;
            if settled > 0 {
                tell(&format!(
                    "the keys of the ledger were put once more: {settled} settled"
                ));
            }
        }
        judge(url, &client, (rules, migration), (from, to), options, tell).await
    };
    let judged = judged.await;
    if judged.is_err() {
        recording::allow(&client, name).await?;
    }
    let JudgedGates { gates, unmet } = judged?;
    let event = events::begin(
        &client,
        &events::StepTaken {
            migration: name,
            kind: word,
            from,
            to,
            forced: !unmet.is_empty(),
            reason: options.why(),
            gates: serde_json::to_value(&gates).unwrap_or_default(),
            by: &options.by,
        },
    )
    .await?;
    fault::point("step: event");
    remember(&client, name, (from, to), unmet.is_empty()).await?;
    if leaves_legacy(from, to) {
        around::forget(&client, migration).await?;
    }
    if (from, to) == (Phase::LegacyOnly, Phase::DualWrite) {
        direct::forget(&client, migration).await?;
    }
    guard::before(&client, migration, to).await?;
    seal::must_be_possible(&client, migration, to).await?;
    fault::point("step: remembered");
    let why = options.why().unwrap_or(word);
    let new = epochs::NewEpoch {
        by: &options.by,
        ..epochs::NewEpoch::of(migration, to, why)
    };
    let Some(opened) = epochs::open(&client, new, Some(epoch)).await? else {
        return Err(ControlError::Overtaken(name.to_owned()));
    };
    fault::point("step: opened");
    note_in_file(migration, to, tell);
    tell(&format!(
        "{name} is in {to} (epoch {opened}); waiting for the drain"
    ));
    let drained = drain(&client, migration, opened, options, tell)
        .await
        .map_err(|error| after_the_step(error, name, to))?;
    recording::allow(&client, name).await?;
    fault::point("step: drained");
    if leaves_legacy(from, to) {
        around::begin(&client, migration).await?;
    }
    guard::after(&client, migration, to).await?;
    fault::point("step: counting");
    events::drained(&client, event).await?;
    if drained.instances == 0 {
        tell("no serving proxy is registered; only transactions in the database were waited for");
    }
    for silent in &drained.silent {
        tell(&format!(
            "{silent} fell silent {:.0} s ago in {} without signing off: make sure that it is stopped",
            silent.seen_seconds_ago, silent.phase
        ));
    }
    Ok(Taken {
        from,
        to,
        gates,
        drained,
    })
}

/// What the database has in force.
async fn in_force(client: &Client, name: &str) -> Result<epochs::InForce, ControlError> {
    let known = epochs::of(client, name).await?;
    known.ok_or_else(|| {
        ControlError::Refused(format!(
            "crossfade.epochs has nothing of {name}; run `crossfade prepare`"
        ))
    })
}

/// The rules that the command works with are those in force.
fn must_be_these(migration: &Migration, epoch: Epoch) -> Result<(), ControlError> {
    if migration.epoch().is_none_or(|known| known == epoch) {
        return Ok(());
    }
    Err(ControlError::Overtaken(migration.name.clone()))
}

/// Whoever reads the rule file is to find the phase there, if it is on this host and may be written. What counts is the
/// database's word.
fn note_in_file(migration: &Migration, to: Phase, tell: &mut (dyn FnMut(&str) + Send)) {
    let file = &migration.file;
    if file.exists()
        && let Err(error) = phase_file::write(file, to)
    {
        tell(&format!(
            "the phase in {} was left as it is: {error}",
            file.display()
        ));
    }
}

/// Waits until every proxy serves the epoch and whoever wrote before is gone, and closes the epochs before it: from then
/// on no proxy can write as they did, not even one that this command could not see.
async fn drain(
    client: &Client,
    migration: &Migration,
    epoch: Epoch,
    options: &StepOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<drain::Drained, ControlError> {
    let timeout = options.drain_timeout;
    let drained = drain::wait(client, migration, epoch, timeout, tell).await?;
    fault::point("step: waited");
    let phase = epochs::phase(client, migration).await?;
    settle_seals(client, migration, phase, timeout, tell).await?;
    epochs::close(client, &migration.name, options.patience(), tell).await?;
    Ok(drained)
}

/// Before a step counts as done, whoever writes around the proxies is seen by the server, as the phase would have it.
async fn settle_seals(
    client: &Client,
    migration: &Migration,
    phase: Phase,
    timeout: Duration,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    let open = seal::settle(client, migration, phase, timeout, tell).await?;
    if let Some(told) = seal::told_of(&open) {
        tell(&told);
    }
    fault::point("step: sealed");
    Ok(())
}

/// What the gates say of a step that may be taken.
struct JudgedGates {
    gates: Vec<Gate>,
    /// Those that are not met and were forced.
    unmet: Vec<String>,
}

/// Looks at the gates, and refuses what they and nobody's word open.
async fn judge(
    url: &str,
    client: &Client,
    (rules, migration): (&RuleSet, &Migration),
    (from, to): (Phase, Phase),
    options: &StepOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<JudgedGates, ControlError> {
    let name = &migration.name;
    let mut gates = gates::gates(client, rules, migration, (from, to), &options.times).await?;
    gates.extend(told(url, migration, (from, to), options).await?);
    for warning in warnings(client, migration, (from, to)).await? {
        tell(&warning);
    }
    fault::point("step: gates");
    let unmet: Vec<String> = gates
        .iter()
        .filter(|g| !g.met)
        .map(Gate::to_string)
        .collect();
    if !unmet.is_empty() && options.force.is_none() {
        return Err(ControlError::Unmet(format!(
            "{name} stays in {from}. Not met for {to}:\n{}\n\
             (--force --reason TEXT goes on regardless, and is recorded)",
            unmet.join("\n")
        )));
    }

    // A step back leads to rules that have been in force.
    if options.direction == StepDirection::Forward
        && !unmet.is_empty()
        && let Some(misfit) = gates::misfit(client, (rules, migration)).await?
    {
        return Err(ControlError::Refused(format!(
            "{name} stays in {from}: no proxy puts rules into force that do not fit the tables, \
             forced or not:\n{misfit}"
        )));
    }
    Ok(JudgedGates { gates, unmet })
}

/// For a migration that stands where it is wanted: waits until the step that led there is drained, and
/// completes its record if whoever took it did not live to. Changes nothing else.
pub async fn stand(
    url: &str,
    rules: &RuleSet,
    name: &str,
    options: &StepOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<drain::Drained, ControlError> {
    let migration = find(rules, name)?;
    let client = connect(url, options.direction.word()).await?;
    schema::must_be_prepared(&client).await?;
    alone(&client, "step", name).await?;
    let epochs::InForce {
        phase: at, epoch, ..
    } = in_force(&client, name).await?;
    if at != migration.phase {
        return Err(ControlError::Refused(format!(
            "{name} was in {} when this command began and is in {at} now: somebody else took a step",
            migration.phase
        )));
    }
    let drained = settle_last_step(&client, migration, (at, epoch), None, options, tell).await?;
    if at == Phase::UnifiedOnly {
        around::begin(&client, migration).await?;
    }
    guard::after(&client, migration, at).await?;
    events::last_drained(&client, name, at).await?;
    Ok(drained)
}

/// What a step would do.
#[derive(Debug)]
pub struct StepPlan {
    migration: String,
    from: Phase,
    to: Phase,
    gates: Vec<Gate>,
    warnings: Vec<String>,
    file: String,
}

impl StepPlan {
    /// Whether nothing stands in its way.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.gates.iter().all(|gate| gate.met)
    }
}

impl std::fmt::Display for StepPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let StepPlan { from, to, .. } = self;
        writeln!(f, "{}: {from} -> {to}, nothing is done", self.migration)?;
        for gate in &self.gates {
            writeln!(f, "{gate}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "{warning}")?;
        }
        let steps = [
            format!("wait until every proxy serves {from}, drained"),
            "look at the gates above".to_owned(),
            "note in crossfade.events who takes the step, with what the gates found".to_owned(),
            format!(
                "open the epoch of {to}, and note it in {} (rollback: {from})",
                self.file
            ),
            format!("wait until every proxy serves {to}, drained"),
            "wait for every transaction that wrote to the tables at that moment".to_owned(),
            format!(
                "close the epoch of {from}: no proxy, seen or not, can write as in it any more"
            ),
        ];
        for (number, step) in steps.iter().enumerate() {
            writeln!(f, "  {}. {step}", number + 1)?;
        }
        Ok(())
    }
}

/// Looks at what stands between a migration and its next phase, and changes nothing.
pub async fn plan(
    url: &str,
    rules: &RuleSet,
    name: &str,
    options: &StepOptions,
) -> Result<StepPlan, ControlError> {
    let migration = find(rules, name)?;
    let word = options.direction.word();
    let client = connect(url, word).await?;
    schema::must_be_prepared(&client).await?;
    let from = epochs::phase(&client, migration).await?;
    let to = options.direction.from(from).ok_or_else(|| {
        ControlError::Refused(format!("{name} is in {from}: there is no step to {word}"))
    })?;
    let mut gates = gates(&client, rules, migration, (from, to), &options.times).await?;
    gates.extend(told(url, migration, (from, to), options).await?);
    Ok(StepPlan {
        migration: name.to_owned(),
        from,
        to,
        gates,
        warnings: warnings(&client, migration, (from, to)).await?,
        file: migration.file.display().to_string(),
    })
}

/// What is told beside the gates, and holds up nothing: what a way back would meet, or what it shows.
async fn told(
    url: &str,
    migration: &Migration,
    (from, to): (Phase, Phase),
    options: &StepOptions,
) -> Result<Option<Gate>, ControlError> {
    match options.direction {
        StepDirection::Forward => rehearse(url, migration, to, &options.times).await.map(Some),
        StepDirection::Back => lossy(url, migration, from, &options.times).await,
    }
}

async fn warnings(
    client: &Client,
    migration: &Migration,
    (from, to): (Phase, Phase),
) -> Result<Vec<String>, ControlError> {
    let mut lines = neighbours::warnings(client, migration, from, to).await?;
    lines.extend(direct::warnings(client, migration, (from, to)).await?);
    Ok(lines)
}

/// The step before this one must be drained, else three phases could run side by side. Only when
/// this step undoes that one are there still just two.
async fn settle_last_step(
    client: &Client,
    migration: &Migration,
    (from, epoch): (Phase, Epoch),
    to: Option<Phase>,
    options: &StepOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<drain::Drained, ControlError> {
    let last = events::last_step(client, &migration.name).await?;
    let undoes = last.as_ref().is_some_and(|last| {
        !last.drained && last.to == from.name() && to.is_some_and(|to| last.from == to.name())
    });
    if undoes {
        return Ok(drain::Drained::default());
    }
    let timeout = options.drain_timeout;
    let seen_drained = last.is_some_and(|last| last.drained && last.to == from.name());
    let waited = if seen_drained {
        // Whoever writes now began after that; only a proxy that joined since could be behind.
        drain::wait_for_instances(client, migration, epoch, timeout, tell).await
    } else {
        drain::wait(client, migration, epoch, timeout, tell).await
    };
    let drained = waited.map_err(|error| match error {
        ControlError::TimedOut {
            waited_seconds,
            waiting_for,
        } => ControlError::TimedOut {
            waited_seconds,
            waiting_for: format!(
                "{} stays in {from}, which is not drained yet:\n{waiting_for}",
                migration.name
            ),
        },
        other => other,
    })?;
    settle_seals(client, migration, from, timeout, tell).await?;
    epochs::close(client, &migration.name, options.patience(), tell).await?;
    // A step that turned the reads may have been killed.
    recording::allow(client, &migration.name).await?;
    Ok(drained)
}

/// From here on a stale unified row would be read.
fn turns_reads(from: Phase, to: Phase) -> bool {
    (from, to) == (Phase::ShadowRead, Phase::DualRead)
}

/// From here on no proxy touches the legacy tables.
fn leaves_legacy(from: Phase, to: Phase) -> bool {
    (from, to) == (Phase::UnifiedRead, Phase::UnifiedOnly)
}

/// What a phase implies for later gates, written down before anybody can act on the phase.
async fn remember(
    client: &Client,
    name: &str,
    (from, to): (Phase, Phase),
    gates_met: bool,
) -> Result<(), ControlError> {
    let statement = match to {
        Phase::LegacyOnly => {
            "WITH voided AS (UPDATE crossfade.backfill SET state = 'void', \
             updated_at = clock_timestamp() WHERE migration = $1) \
             INSERT INTO crossfade.migrations (migration, unified_stale_since) \
             VALUES ($1, clock_timestamp()) ON CONFLICT (migration) DO UPDATE \
             SET unified_stale_since = excluded.unified_stale_since"
        }
        Phase::UnifiedOnly | Phase::Retired => {
            "WITH voided AS (UPDATE crossfade.backfill SET state = 'void', \
             updated_at = clock_timestamp() WHERE migration = $1 AND reverse) \
             INSERT INTO crossfade.migrations AS m (migration, legacy_stale_since) \
             VALUES ($1, clock_timestamp()) ON CONFLICT (migration) DO UPDATE \
             SET legacy_stale_since = coalesce(m.legacy_stale_since, excluded.legacy_stale_since)"
        }
        // A transaction that still runs in legacy_only may change or delete a row that another has
        // written to both sides: what unified has so far is not to be trusted.
        Phase::DualWrite if from == Phase::LegacyOnly => {
            "INSERT INTO crossfade.migrations (migration, unified_stale_since) \
             VALUES ($1, clock_timestamp()) ON CONFLICT (migration) DO UPDATE \
             SET unified_stale_since = excluded.unified_stale_since"
        }
        // Its gates have found both sides to be current, whichever it was come from.
        Phase::DualRead if gates_met => {
            "UPDATE crossfade.migrations SET legacy_stale_since = NULL, \
             unified_stale_since = NULL WHERE migration = $1"
        }
        Phase::DualRead | Phase::DualWrite | Phase::ShadowRead | Phase::UnifiedRead => {
            return Ok(());
        }
    };
    client
        .execute(statement, &[&name])
        .await
        .map(drop)
        .map_err(ControlError::sql("note of the visit"))
}

fn after_the_step(error: ControlError, name: &str, to: Phase) -> ControlError {
    match error {
        ControlError::TimedOut {
            waited_seconds,
            waiting_for,
        } => ControlError::TimedOut {
            waited_seconds,
            waiting_for: format!(
                "{name} is in {to} and stays so, but it is not drained yet:\n{waiting_for}\n\
                 `crossfade status {name}` shows when it is; `crossfade rollback {name}` goes back"
            ),
        },
        other => other,
    }
}
