//! The row of `crossfade.backfill`: how far a table's backfill is, kept in the database, so that
//! whoever comes next goes on exactly there.

use rewrite_rules::Lens;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, IsolationLevel};

use super::conflict::Attempts;
use crate::control::ControlError;
use crate::control::hold::Hold;
use crate::pace::CHUNK_ROWS_START;

/// Which side is copied to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyDirection {
    LegacyToUnified,
    UnifiedToLegacy,
}

impl CopyDirection {
    #[must_use]
    pub fn is_reverse(self) -> bool {
        match self {
            CopyDirection::LegacyToUnified => false,
            CopyDirection::UnifiedToLegacy => true,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Chunks are being copied, or were when it was interrupted.
    Running,
    /// Every chunk is in; ghosts are still to be swept.
    Sweeping,
    Complete,
    /// `legacy_only` was visited since: writes may be missing anywhere.
    Void,
}

impl State {
    pub const ALL: [State; 4] = [
        State::Running,
        State::Sweeping,
        State::Complete,
        State::Void,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Sweeping => "sweeping",
            State::Complete => "complete",
            State::Void => "void",
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct CopyProgress {
    pub legacy_table: String,
    #[serde(skip)]
    pub run: String,
    pub state: State,
    /// The highest key when it started; `None`: the table was empty.
    pub highest_key: Option<Value>,
    pub chunk_rows: i64,
    /// An estimate for large tables.
    pub rows_estimated: i64,
    pub rows_done: i64,
    /// Rows that unified lacked or had otherwise.
    pub rows_put: i64,
    /// Those of the rows set aside that are still in the ledger.
    pub rows_set_aside: i64,
    pub ghosts_removed: i64,
    /// Nobody is at it any more, though it is not complete.
    pub interrupted: bool,
    /// The last chunk's transaction.
    #[serde(skip)]
    pub last_chunk: Option<String>,
    pub updated_seconds_ago: f64,
    pub wish: Wish,
    pub rows_per_second_max: Option<i64>,
    pub replica_lag_max_seconds: Option<f64>,
    pub p99_max_ms: Option<f64>,
    /// Gives way to the application.
    pub yields: bool,
    /// While it runs: what holds it back now.
    pub held_back: Option<String>,
    pub direction: CopyDirection,
}

/// What the operator wants of a backfill that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    Run,
    Pause,
    Cancel,
}

impl Wish {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Wish::Run => "run",
            Wish::Pause => "pause",
            Wish::Cancel => "cancel",
        }
    }

    /// The column's CHECK knows the same words.
    pub(super) fn of(name: &str) -> Wish {
        match name {
            "pause" => Wish::Pause,
            "cancel" => Wish::Cancel,
            _run => Wish::Run,
        }
    }
}

/// What one chunk adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows: i64,
    pub put: i64,
    pub set_aside: i64,
    /// Keys that left the ledger.
    pub settled: i64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.rows += other.rows;
        self.put += other.put;
        self.set_aside += other.set_aside;
        self.settled += other.settled;
    }
}

pub async fn read(
    client: &Client,
    lens: &Lens,
    direction: CopyDirection,
) -> Result<Option<CopyProgress>, ControlError> {
    let row = client
        .query_opt(
            "SELECT run::text, state, yields, highest_key, chunk_rows, rows_estimated, \
             rows_done, rows_put, least(rows_set_aside, (SELECT count(*) FROM crossfade.divergence AS d \
             WHERE d.migration = $1 AND d.legacy_table = $2)), ghosts_removed, last_chunk::text, \
             extract(epoch FROM clock_timestamp() - updated_at)::float8, wish, rows_per_second_max, \
             replica_lag_max_seconds, p99_max_ms, state IN ('running', 'sweeping') AND NOT EXISTS ( \
             SELECT FROM crossfade.work AS w JOIN pg_stat_activity AS a ON a.pid = w.pid \
             AND coalesce(a.backend_start, w.began) = w.began \
             WHERE w.work = 'backfill' AND w.migration = $1) \
             FROM crossfade.backfill WHERE migration = $1 AND legacy_table = $2 AND reverse = $3",
            &[&lens.migration, &lens.legacy.sql(), &direction.is_reverse()],
        )
        .await
        .map_err(ControlError::sql("look at the backfill's progress"))?;
    Ok(row.map(|row| {
        let state: &str = row.get(1);
        CopyProgress {
            legacy_table: lens.legacy.sql(),
            run: row.get(0),
            // The column's CHECK knows the same words.
            state: State::ALL
                .into_iter()
                .find(|known| known.name() == state)
                .unwrap_or(State::Void),
            yields: row.get(2),
            highest_key: row.get(3),
            chunk_rows: row.get(4),
            rows_estimated: row.get(5),
            rows_done: row.get(6),
            rows_put: row.get(7),
            rows_set_aside: row.get(8),
            ghosts_removed: row.get(9),
            last_chunk: row.get(10),
            updated_seconds_ago: row.get(11),
            wish: Wish::of(row.get(12)),
            rows_per_second_max: row.get(13),
            replica_lag_max_seconds: row.get(14),
            p99_max_ms: row.get(15),
            interrupted: row.get(16),
            held_back: None,
            direction,
        }
    }))
}

/// Begins from the lowest key; the end is the highest key there is now. Rows that are inserted
/// above it later are dual-written.
pub async fn start(
    client: &mut Client,
    (lens, hold): (&Lens, &Hold<'_>),
    direction: CopyDirection,
) -> Result<(), ControlError> {
    let rows_estimated = estimate(client, lens, direction).await?;
    let highest_key = match direction {
        CopyDirection::LegacyToUnified => lens.highest_key(),
        CopyDirection::UnifiedToLegacy => lens.highest_unified_key(),
    };
    let statement = format!(
        "INSERT INTO crossfade.backfill \
                 (migration, legacy_table, run, state, highest_key, chunk_rows, rows_estimated, \
                 reverse) \
                 VALUES ($1, $2, gen_random_uuid(), 'running', ({highest_key}), $3, $4, $5) \
                 ON CONFLICT (migration, legacy_table, reverse) DO UPDATE SET run = excluded.run, \
                 state = excluded.state, last_key = NULL, highest_key = excluded.highest_key, \
                 chunk_rows = excluded.chunk_rows, rows_estimated = excluded.rows_estimated, \
                 rows_done = 0, rows_put = 0, rows_set_aside = 0, ghosts_removed = 0, \
                 last_chunk = NULL, started_at = clock_timestamp(), \
                 updated_at = clock_timestamp(), finished_at = NULL"
    );
    let parameters: [&(dyn ToSql + Sync); 5] = [
        &lens.migration,
        &lens.legacy.sql(),
        &CHUNK_ROWS_START,
        &rows_estimated,
        &direction.is_reverse(),
    ];
    write(
        client,
        hold,
        &statement,
        &parameters,
        "start of the backfill",
    )
    .await
    .map(drop)
}

/// One statement in the epoch that is held.
async fn write(
    client: &mut Client,
    hold: &Hold<'_>,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
    doing: &'static str,
) -> Result<u64, ControlError> {
    let mut attempts = Attempts::few();
    loop {
        let written = async {
            let level = IsolationLevel::ReadCommitted;
            let transaction = hold.begin(client, level, doing).await?;
            let written = transaction.execute(statement, parameters).await;
            let written = written.map_err(ControlError::sql(doing))?;
            transaction
                .commit()
                .await
                .map_err(ControlError::sql(doing))?;
            Ok(written)
        };
        match written.await {
            Ok(written) => return Ok(written),
            Err(error) => attempts.after(error).await?,
        }
    }
}

/// Tables below this are counted; above, the planner's figure will do for a progress bar.
const COUNTED_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// How many rows there are to copy, about.
pub async fn estimate(
    client: &Client,
    lens: &Lens,
    direction: CopyDirection,
) -> Result<i64, ControlError> {
    let from = match direction {
        CopyDirection::LegacyToUnified => lens.legacy.sql(),
        CopyDirection::UnifiedToLegacy => lens.unified.sql(),
    };
    let counted = match direction {
        CopyDirection::LegacyToUnified => from.clone(),
        CopyDirection::UnifiedToLegacy => lens.unified_rows(),
    };
    let row = client
        .query_one(
            &format!(
                "SELECT CASE WHEN c.reltuples >= 0 AND pg_table_size(c.oid) > {COUNTED_BYTES_MAX} \
                 THEN c.reltuples::bigint ELSE (SELECT count(*) FROM {}) END \
                 FROM pg_class AS c WHERE c.oid = $1::text::regclass",
                counted
            ),
            &[&from],
        )
        .await
        .map_err(ControlError::sql("estimate of the rows"))?;
    Ok(row.get(0))
}

/// What the operator says of a run's speed; `None` leaves things as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    /// 0 takes the limit away.
    pub rows_per_second_max: Option<i64>,
    /// 0 takes the limit away.
    pub replica_lag_max_seconds: Option<f64>,
    /// 0 takes the limit away.
    pub p99_max_ms: Option<f64>,
    pub yields: Option<bool>,
}

impl Speed {
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        self.rows_per_second_max.is_none()
            && self.replica_lag_max_seconds.is_none()
            && self.p99_max_ms.is_none()
            && self.yields.is_none()
    }
}

/// What [`Speed`] changes, its values the statement's parameters from `$2` on.
const SPEED: &str = "rows_per_second_max = CASE WHEN $2::bigint IS NULL THEN rows_per_second_max \
     ELSE nullif($2, 0) END, replica_lag_max_seconds = CASE WHEN $3::float8 IS NULL \
     THEN replica_lag_max_seconds ELSE nullif($3, 0) END, yields = coalesce($4, yields), \
     p99_max_ms = CASE WHEN $5::float8 IS NULL THEN p99_max_ms ELSE nullif($5, 0) END";

/// Whoever runs it wants it to run.
pub async fn adjust_run(client: &Client, run: &str, speed: Speed) -> Result<(), ControlError> {
    client
        .execute(
            &format!(
                "UPDATE crossfade.backfill SET wish = 'run', {SPEED} WHERE run = $1::text::uuid"
            ),
            &[
                &run,
                &speed.rows_per_second_max,
                &speed.replica_lag_max_seconds,
                &speed.yields,
                &speed.p99_max_ms,
            ],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of what is wanted"))
}

/// Changes what is wanted of a migration's unfinished runs.
pub async fn adjust(
    client: &Client,
    migration: &str,
    wish: Option<Wish>,
    speed: Speed,
) -> Result<u64, ControlError> {
    client
        .execute(
            &format!(
                "UPDATE crossfade.backfill SET wish = coalesce($6, wish), {SPEED} \
                 WHERE migration = $1 AND state = 'running'"
            ),
            &[
                &migration,
                &speed.rows_per_second_max,
                &speed.replica_lag_max_seconds,
                &speed.yields,
                &speed.p99_max_ms,
                &wish.map(Wish::name),
            ],
        )
        .await
        .map_err(ControlError::sql("note of what is wanted"))
}

/// From one state to the next, unless somebody voided the run.
pub async fn enter(
    client: &mut Client,
    (lens, hold): (&Lens, &Hold<'_>),
    run: &str,
    from: State,
    to: State,
) -> Result<(), ControlError> {
    let updated = write(
            client,
            hold,
            "UPDATE crossfade.backfill SET state = $5, updated_at = clock_timestamp(), \
             finished_at = CASE WHEN $5 = 'complete' THEN clock_timestamp() END, \
             rows_set_aside = CASE WHEN $5 = 'complete' THEN least(rows_set_aside, (SELECT count(*) \
                 FROM crossfade.divergence AS d WHERE d.migration = $1 AND d.legacy_table = $2)) \
                 ELSE rows_set_aside END \
             WHERE migration = $1 AND legacy_table = $2 AND run = $3::text::uuid AND state = $4",
            &[
                &lens.migration,
                &lens.legacy.sql(),
                &run,
                &from.name(),
                &to.name(),
            ],
            "note of the backfill's progress",
        )
        .await?;
    still_ours(updated)
}

pub(super) fn still_ours(updated: u64) -> Result<(), ControlError> {
    if updated == 1 {
        Ok(())
    } else {
        Err(ControlError::Refused(
            "the backfill was voided or started anew while it ran (was legacy_only visited?); \
             run it again"
                .to_owned(),
        ))
    }
}
