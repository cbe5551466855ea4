//! Repair: what a verify found is put right, key by key, under row locks, by the side that decides.
//!
//! Legacy decides until `dual_read`, unified in `unified_read`. Rows that only the other side has
//! are removed, which nothing does unasked: this is the asking.

mod intent;

use rewrite_rules::lens::Disagreement;
use rewrite_rules::{Lens, Migration, Phase, RuleSet};
use serde_json::Value;
use tokio_postgres::{Client, IsolationLevel};

use crate::backfill::chunk::{Chunks, RowFailure};
use crate::backfill::conflict::Attempts;
use crate::backfill::state::CopyDirection;
use crate::backfill::{PHASES, PHASES_BACK, must_have_been_complete};
use crate::control::hold::Hold;
use crate::control::{ControlError, alone, connect, epochs, events, ledger, named, schema};
use crate::fault;
use crate::verify::report::VerifyReport;
use crate::verify::{VerifyOptions, compare, record};

/// Keys repaired before both sides are compared again: their list is held in memory.
const KEYS_MAX: u32 = 10_000;
/// Repairs until nothing is left to repair, and records the verify of the end. Returns how many
/// keys were looked after, and that verify.
pub async fn run(
    url: &str,
    rules: &RuleSet,
    name: &str,
    samples_max: u32,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(u64, VerifyReport), ControlError> {
    let migration = named::find(rules, name)?;
    let mut client = connect(url, "repair").await?;
    schema::must_be_prepared(&client).await?;
    let direction = direction(name, epochs::phase(&client, migration).await?)?;
    // A backfill copies the same rows: one of them at a time.
    alone(&client, "backfill", name).await?;
    if direction.is_reverse() {
        must_have_been_complete(&client, migration).await?;
    }
    let phases: &[Phase] = match direction {
        CopyDirection::LegacyToUnified => &PHASES,
        CopyDirection::UnifiedToLegacy => &PHASES_BACK,
    };
    let hold = Hold::of(&client, migration, phases).await?;
    let mut repaired = 0;
    let mut left = i64::MAX;
    let report = loop {
        let report = compare(
            url,
            &mut client,
            migration,
            &VerifyOptions {
                samples_max,
                ..VerifyOptions::default()
            },
        )
        .await?;
        let wrong = report.missing + report.extra + report.different;
        // What a round did not make less, the next one will not either.
        if wrong == 0 || wrong >= left {
            break report;
        }
        if repaired == 0 {
            for line in intent::lines(&client, migration, direction, &report).await? {
                tell(&line);
            }
        }
        left = wrong;
        fault::point(fault::REPAIR_COMPARED);
        repaired += round(&mut client, (migration, &hold), direction).await?;
    };
    record::add(&client, migration, &report).await?;
    events::note(&client, name, "repair", &record::summary(&report)).await?;
    Ok((repaired, report))
}

fn direction(name: &str, phase: Phase) -> Result<CopyDirection, ControlError> {
    match phase {
        Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {
            Ok(CopyDirection::LegacyToUnified)
        }
        Phase::UnifiedRead => Ok(CopyDirection::UnifiedToLegacy),
        Phase::LegacyOnly | Phase::UnifiedOnly | Phase::Retired => {
            Err(ControlError::Refused(format!(
                "{name} is in {phase}, where one side is left behind: a repair would not last. It \
                 runs from dual_write to unified_read"
            )))
        }
    }
}

async fn round(
    client: &mut Client,
    (migration, hold): (&Migration, &Hold<'_>),
    direction: CopyDirection,
) -> Result<u64, ControlError> {
    let mut repaired = 0;
    for lens in &migration.tables {
        let chunks = Chunks::prepare(client, lens, direction, Some(hold)).await?;
        for kind in Disagreement::ALL {
            for key in &differing(client, lens, kind).await? {
                one(client, &chunks, (lens, hold), (direction, kind), key).await?;
                repaired += 1;
            }
        }
    }
    Ok(repaired)
}

/// The keys of one kind of difference, as many as are repaired in a round.
async fn differing(
    client: &Client,
    lens: &Lens,
    kind: Disagreement,
) -> Result<Vec<Value>, ControlError> {
    let rows = client
        .query(
            &lens.sample_disagreements(kind),
            &[&i64::from(KEYS_MAX), &None::<Vec<i64>>],
        )
        .await
        .map_err(ControlError::sql("list of what differs"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn one(
    client: &mut Client,
    chunks: &Chunks<'_>,
    (lens, hold): (&Lens, &Hold<'_>),
    what: (CopyDirection, Disagreement),
    key: &Value,
) -> Result<(), ControlError> {
    let mut attempts = Attempts::few();
    loop {
        let done = match what {
            (CopyDirection::LegacyToUnified, Disagreement::Extra) => {
                remove(client, (lens, hold), &lens.remove_ghosts(), key).await
            }
            (CopyDirection::UnifiedToLegacy, Disagreement::Missing) => {
                remove(client, (lens, hold), &lens.remove_stale_legacy_of(), key).await
            }
            (_, Disagreement::Different) => touch(client, chunks, (lens, hold), key).await,
            (CopyDirection::LegacyToUnified, Disagreement::Missing)
            | (CopyDirection::UnifiedToLegacy, Disagreement::Extra) => {
                chunks.copy_one(client, key).await.map(drop)
            }
        };
        match done {
            Ok(()) => return Ok(()),
            Err(error) => attempts.after(error).await?,
        }
    }
}

/// Both sides may differ in nothing but what their triggers set: writing both rows as they are, in
/// one transaction, runs both triggers at one time.
async fn touch(
    client: &mut Client,
    chunks: &Chunks<'_>,
    (lens, hold): (&Lens, &Hold<'_>),
    key: &Value,
) -> Result<(), ControlError> {
    chunks.copy_one(client, key).await?;
    if let Some(touch) = lens.touch_both() {
        let doing = "repair of what triggers set";
        let level = IsolationLevel::ReadCommitted;
        let transaction = hold.begin(client, level, doing).await?;
        let touched = transaction.execute(&touch, &[key]).await;
        touched.map_err(ControlError::sql(doing))?;
        transaction
            .commit()
            .await
            .map_err(ControlError::sql(doing))?;
    }
    Ok(())
}

/// At REPEATABLE READ, for a row that is inserted again meanwhile must not be taken for this one.
/// One that something refers to stays, until that has gone in a later round; its key enters the ledger.
async fn remove(
    client: &mut Client,
    (lens, hold): (&Lens, &Hold<'_>),
    statement: &str,
    key: &Value,
) -> Result<(), ControlError> {
    let doing = "removal of a row that the other side lacks";
    let sql = || ControlError::sql(doing);
    let level = IsolationLevel::RepeatableRead;
    let transaction = hold.begin(client, level, doing).await?;
    transaction
        .batch_execute("SET CONSTRAINTS ALL IMMEDIATE")
        .await
        .map_err(sql())?;
    let keys = Value::Array(vec![key.clone()]);
    match transaction.execute(statement, &[&keys]).await {
        Ok(_) => transaction.commit().await.map_err(sql()),
        Err(error) => match RowFailure::of(&error) {
            Some(why) => {
                transaction.rollback().await.map_err(sql())?;
                ledger::set_aside(client, lens, key, &why.reason, &why.sqlstate).await
            }
            None => Err(sql()(error)),
        },
    }
}
