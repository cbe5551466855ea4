//! Backfill: every legacy row that was there before dual writes began is copied to unified, while
//! the application goes on.
//!
//! It walks over ranges of the legacy key in chunks, each one transaction that also notes how far it is, so
//! that a kill at any instant loses nothing and repeats nothing. It knows when a backfill may run
//! and what follows what; how a row maps is the lens's.

pub mod advance;
pub mod chunk;
pub mod conflict;
pub mod copy;
pub mod parts;
pub mod preview;
pub mod state;
pub mod sweep;
pub mod throttle;
pub mod watch;

use std::time::Duration;

use rewrite_rules::{Lens, Migration, Phase, RuleSet};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::control::hold::Hold;
use crate::control::{
    self, ControlError, connect, drain, epochs, events, ledger, named, schema, shown,
};
use crate::fault;
use chunk::Chunks;
use conflict::Attempts;
use state::{CopyDirection, CopyProgress, Speed, State, Wish};

#[derive(Clone, Debug)]
pub struct BackfillOptions {
    /// Begin from the lowest key again, whatever was done before.
    pub restart: bool,
    pub direction: CopyDirection,
    /// Connections that copy side by side.
    pub workers: usize,
    pub speed: Speed,
    /// The longest wait for the drain at the start and for old snapshots at the end.
    pub drain_timeout: Duration,
}

/// What whoever watches is told.
pub enum Event<'a> {
    Says(&'a str),
    Progress(&'a CopyProgress),
}

pub type Tell<'a> = &'a mut (dyn FnMut(Event<'_>) + Send);

/// The phases in which every writer keeps unified in step and legacy still decides.
pub(crate) const PHASES: [Phase; 3] = [Phase::DualWrite, Phase::ShadowRead, Phase::DualRead];

/// The phase in which unified decides and legacy follows.
pub(crate) const PHASES_BACK: [Phase; 1] = [Phase::UnifiedRead];

/// Copies every table of a migration, or what is left of it. Returns where each of them stands.
pub async fn run(
    url: &str,
    rules: &RuleSet,
    name: &str,
    options: &BackfillOptions,
    tell: Tell<'_>,
) -> Result<Vec<CopyProgress>, ControlError> {
    let migration = named::find(rules, name)?;
    let mut control = connect(url, "backfill").await?;
    let phase = epochs::phase(&control, migration).await?;
    let phases: &[Phase] = match options.direction {
        CopyDirection::LegacyToUnified => &PHASES,
        CopyDirection::UnifiedToLegacy => &PHASES_BACK,
    };
    if !phases.contains(&phase) {
        return Err(ControlError::Refused(match options.direction {
            CopyDirection::LegacyToUnified => refusal(name, phase),
            CopyDirection::UnifiedToLegacy => format!(
                "{name} is in {phase}: a reverse backfill runs in unified_read, where unified \
                 decides and every write reaches legacy"
            ),
        }));
    }
    schema::prepare(&control, rules, schema::Ddl::OfNone).await?;
    control::alone(&control, "backfill", name).await?;
    let epoch = epochs::newest(&control, name).await?;
    let timeout = options.drain_timeout;
    let mut say = |line: &str| tell(Event::Says(line));
    let drained = drain::wait(&control, migration, epoch, timeout, &mut say).await?;
    // Whoever still wrote legacy alone, unseen, cannot any more.
    epochs::close(&control, name, timeout, &mut say).await?;
    if drained.instances == 0 {
        tell(Event::Says(
            "no serving proxy is registered: rows written from now on reach unified only if \
             every writer goes through one",
        ));
    }
    fault::point(fault::BACKFILL_DRAINED);
    // Whoever took steps while this waited did not wait for it.
    let hold = &Hold::of(&control, migration, phases).await?;
    if options.direction.is_reverse() {
        must_have_been_complete(&control, migration).await?;
    }
    let mut runs = Vec::new();
    for lens in &migration.tables {
        if options.direction.is_reverse() {
            let begun = begin(&mut control, (lens, hold), options, tell).await?;
            runs.push((lens, begun.run));
            fault::point(fault::BACKFILL_BEGUN);
        }
    }
    // First, for what was deleted may have the name of what was inserted since.
    sweep::remove_stale(&mut control, (&runs, hold), false).await?;
    for lens in &migration.tables {
        table(url, &mut control, (migration, lens, hold), options, tell).await?;
    }
    // What was set aside because another table's row was not there yet.
    let mut outcome = Vec::new();
    for lens in &migration.tables {
        if migration.tables.len() > 1 {
            again(&mut control, (lens, hold), options.direction).await?;
        }
        outcome.push(current(&control, lens, options.direction).await?);
    }
    if options.direction.is_reverse() {
        // Again: a delete at REPEATABLE READ cannot see a legacy row that a chunk has put.
        let stale = sweep::remove_stale(&mut control, (&runs, hold), true).await?;
        if stale.kept > 0 {
            tell(Event::Says(&format!(
                "{} legacy rows have no unified row any more and could not be removed: `crossfade status` shows why",
                stale.kept
            )));
        }
        outcome.clear();
        for (lens, run) in &runs {
            if stale.removed > 0 {
                let complete = State::Complete;
                state::enter(&mut control, (lens, hold), run, complete, complete).await?;
            }
            outcome.push(current(&control, lens, options.direction).await?);
        }
    }
    events::note(&control, name, "backfill", &json!(outcome)).await?;
    Ok(outcome)
}

/// Legacy rows that unified lacks are removed on the way back. They may be, only if unified once
/// had all of them.
pub(crate) async fn must_have_been_complete(
    client: &Client,
    migration: &Migration,
) -> Result<(), ControlError> {
    for lens in &migration.tables {
        let forward = state::read(client, lens, CopyDirection::LegacyToUnified).await?;
        if forward.is_none_or(|progress| progress.state != State::Complete) {
            return Err(ControlError::Refused(format!(
                "no backfill of {} was ever complete: legacy may have rows that unified never had, \
                 and the way back would remove them",
                lens.legacy
            )));
        }
    }
    Ok(())
}

/// Changes what is wanted of the backfills of a migration that run, or were interrupted. Returns
/// how many there are.
pub async fn adjust(
    url: &str,
    rules: &RuleSet,
    name: &str,
    wish: Option<Wish>,
    speed: Speed,
) -> Result<u64, ControlError> {
    named::find(rules, name)?;
    let client = connect(url, "backfill").await?;
    schema::must_be_prepared(&client).await?;
    state::adjust(&client, name, wish, speed).await
}

fn refusal(name: &str, phase: Phase) -> String {
    match phase {
        Phase::LegacyOnly => format!(
            "{name} is in legacy_only: rows written during the backfill would be missed; \
             `crossfade advance {name}` goes to dual_write"
        ),
        Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => format!(
            "{name} is in {phase}: unified decides now, and a copy of legacy rows could undo its \
             writes; a backfill runs from dual_write to dual_read"
        ),
        Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {
            format!("{name} is in {phase}, where a backfill may run")
        }
    }
}

/// A run that goes on, or a new one.
async fn begin(
    client: &mut Client,
    (lens, hold): (&Lens, &Hold<'_>),
    options: &BackfillOptions,
    tell: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<CopyProgress, ControlError> {
    let direction = options.direction;
    let found = state::read(client, lens, direction).await?;
    let table = shown(&lens.legacy.sql());
    match found.as_ref().map(|progress| progress.state) {
        None | Some(State::Void) => state::start(client, (lens, hold), direction).await?,
        Some(_) if options.restart => state::start(client, (lens, hold), direction).await?,
        Some(State::Running) => tell(Event::Says(&format!("{table}: goes on where it stopped"))),
        Some(State::Sweeping) => tell(Event::Says(&format!("{table}: all rows are copied"))),
        Some(State::Complete) => tell(Event::Says(&format!(
            "{table} is complete; only the ledger's keys are tried again (--restart copies anew)"
        ))),
    }
    let progress = current(client, lens, direction).await?;
    state::adjust_run(client, &progress.run, options.speed).await?;
    Ok(progress)
}

async fn table(
    url: &str,
    client: &mut Client,
    (migration, lens, hold): (&Migration, &Lens, &Hold<'_>),
    options: &BackfillOptions,
    tell: Tell<'_>,
) -> Result<CopyProgress, ControlError> {
    let direction = options.direction;
    let progress = match direction {
        CopyDirection::LegacyToUnified => {
            let begun = begin(client, (lens, hold), options, tell).await?;
            fault::point(fault::BACKFILL_BEGUN);
            begun
        }
        CopyDirection::UnifiedToLegacy => current(client, lens, direction).await?,
    };
    let chunks = Chunks::prepare(client, lens, direction, Some(hold)).await?;
    let started = now(client).await?;
    if progress.state == State::Running {
        let workers = options.workers;
        copy::copy(
            url,
            client,
            (migration, lens, hold),
            progress,
            workers,
            &mut *tell,
        )
        .await?;
    }
    // On the way back rows of this very run are tried again: whether a value was still in the way
    // of another depends on the order in which the chunks met them.
    let before = match direction {
        CopyDirection::LegacyToUnified => started,
        CopyDirection::UnifiedToLegacy => now(client).await?,
    };
    ledger::drop_unreadable(client, lens, &mut |line| tell(Event::Says(line))).await?;
    let mut settled = retry_ledger(client, &chunks, lens, &before).await?;
    loop {
        match retry_set_aside(client, &chunks, lens).await? {
            0 => break,
            more => settled += more,
        }
    }
    let progress = current(client, lens, direction).await?;
    let complete = progress.state == State::Complete;
    if !complete {
        let last_chunk = progress.last_chunk.as_deref();
        let mut says = |line: &str| tell(Event::Says(line));
        let timeout = options.drain_timeout;
        sweep::wait_for_snapshots(client, migration, last_chunk, timeout, &mut says).await?;
    }
    if direction == CopyDirection::LegacyToUnified {
        let says = &mut |line: &str| tell(Event::Says(line));
        sweep::remove_ghosts(client, (lens, hold), says).await?;
    }
    // What was verified before it was settled must be verified again: the end moves.
    if !complete || settled > 0 {
        let (run, complete) = (&progress.run, State::Complete);
        state::enter(client, (lens, hold), run, progress.state, complete).await?;
    }
    let progress = current(client, lens, direction).await?;
    tell(Event::Progress(&progress));
    Ok(progress)
}

/// Tries what a run that is complete has set aside once more, as long as that settles any: what a row refers to
/// may have come behind it.
async fn again(
    client: &mut Client,
    (lens, hold): (&Lens, &Hold<'_>),
    direction: CopyDirection,
) -> Result<(), ControlError> {
    let chunks = Chunks::prepare(client, lens, direction, Some(hold)).await?;
    while retry_set_aside(client, &chunks, lens).await? > 0 {
        let progress = current(client, lens, direction).await?;
        state::enter(
            client,
            (lens, hold),
            &progress.run,
            State::Complete,
            State::Complete,
        )
        .await?;
    }
    Ok(())
}

async fn retry_set_aside(
    client: &mut Client,
    chunks: &Chunks<'_>,
    lens: &Lens,
) -> Result<i64, ControlError> {
    if !ledger::has_absent(client, lens).await? {
        return Ok(0);
    }
    let before = now(client).await?;
    retry_ledger(client, chunks, lens, &before).await
}

async fn current(
    client: &Client,
    lens: &Lens,
    direction: CopyDirection,
) -> Result<CopyProgress, ControlError> {
    state::read(client, lens, direction).await?.ok_or_else(|| {
        ControlError::Refused(format!(
            "the progress of {} vanished from crossfade.backfill; run the backfill again",
            lens.legacy
        ))
    })
}

async fn now(client: &Client) -> Result<String, ControlError> {
    let row = client
        .query_one("SELECT clock_timestamp()::text", &[])
        .await
        .map_err(ControlError::sql("look at the clock"))?;
    Ok(row.get(0))
}

/// Puts the keys that were in the ledger before, one by one; what still fails stays. Returns how
/// many left.
async fn retry_ledger(
    client: &mut Client,
    chunks: &Chunks<'_>,
    lens: &Lens,
    before: &str,
) -> Result<i64, ControlError> {
    let mut settled = 0;
    let mut after: Option<Value> = None;
    loop {
        let keys = ledger::keys_after(client, lens, after.as_ref(), Some(before)).await?;
        let Some(last) = keys.last().cloned() else {
            return Ok(settled);
        };
        for key in &keys {
            settled += retry_key(client, chunks, key).await?;
        }
        after = Some(last);
    }
}

/// Puts the keys of the ledger once more, for whoever has seen to it that none comes in meanwhile. Under load some are
/// in it nearly always, of writes whose unified half met a lock; these settle. Where they are many there is another
/// cause, and nothing is tried. Returns how many have left.
pub(crate) async fn settle_ledger(
    client: &mut Client,
    migration: &Migration,
) -> Result<i64, ControlError> {
    let hold = Hold::of(client, migration, &PHASES).await?;
    let mut settled = 0;
    if !(1..=ledger::KEYS_MAX).contains(&ledger::count(client, &migration.name).await?) {
        return Ok(settled);
    }
    for lens in &migration.tables {
        let forward = CopyDirection::LegacyToUnified;
        let chunks = Chunks::prepare(client, lens, forward, Some(&hold)).await?;
        for key in ledger::keys_after(client, lens, None, None).await? {
            match chunks.settle_one(client, &key).await {
                Ok(counts) => settled += counts.settled,
                // Somebody writes that row; whoever records is refused as long as this goes on.
                Err(error) if conflict::is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(settled)
}

async fn retry_key(
    client: &mut Client,
    chunks: &Chunks<'_>,
    key: &Value,
) -> Result<i64, ControlError> {
    let mut attempts = Attempts::while_locked();
    loop {
        match chunks.copy_one(client, key).await {
            Ok(counts) => return Ok(counts.settled),
            Err(error) => attempts.after(error).await?,
        }
    }
}
