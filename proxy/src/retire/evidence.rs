//! Whether anybody has touched a table on probation: by the server's own counters of its scans and
//! writes, and by a hash of what it holds.
//!
//! The counters are the cumulative ones of `pg_stat_user_tables`: as long as they stand, nothing
//! has touched the table. Whenever they have moved, or were reset, the time begins anew. What
//! Crossfade's own look scans is counted away.

use serde::Serialize;
use tokio_postgres::Client;

use super::Aside;
use crate::control::ControlError;
use crate::control::around::{TableCounters, counters};

const DAY_SECONDS: f64 = 86_400.0;

/// What is known of one table.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    pub legacy_table: String,
    pub put_aside_as: String,
    pub aside_seconds: f64,
    pub untouched_seconds: f64,
    pub untouched_days_min: f64,
    /// What has touched it since the last look.
    pub touched: Option<String>,
    /// Whether it holds what it held when it was put aside.
    pub unchanged: bool,
    pub rows: i64,
}

impl Evidence {
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.unchanged && self.untouched_seconds >= self.untouched_days_min * DAY_SECONDS
    }
}

/// Once nobody has rights any more: what the table holds, and where its counters stand.
pub(super) async fn begin(
    client: &Client,
    migration: &str,
    aside: &Aside,
) -> Result<(), ControlError> {
    let (rows, hash) = held(client, aside).await?;
    client
        .execute(
            "UPDATE crossfade.retirements SET row_count = $3, hash = $4, \
             untouched_since = clock_timestamp() WHERE migration = $1 AND legacy_table = $2",
            &[&migration, &aside.legacy_table, &rows, &hash],
        )
        .await
        .map_err(ControlError::sql("note of what the table holds"))?;
    count_anew(client, migration, aside).await
}

/// Looks at a table; if it was touched, the time begins anew.
pub(super) async fn look(
    client: &Client,
    migration: &str,
    aside: &Aside,
) -> Result<Evidence, ControlError> {
    let now = counters(client, &aside.put_aside_as).await?;
    let row = client
        .query_one(
            "SELECT row_count, hash, scans, writes, stats_reset::text, \
             extract(epoch FROM clock_timestamp() - untouched_since)::float8 \
             FROM crossfade.retirements WHERE migration = $1 AND legacy_table = $2",
            &[&migration, &aside.legacy_table],
        )
        .await
        .map_err(ControlError::sql("look at the probation"))?;
    let held_before: Option<String> = row.get(1);
    let before = match (row.get(2), row.get(3)) {
        (Some(scans), Some(writes)) => Some(TableCounters {
            scans,
            writes,
            stats_reset: row.get(4),
        }),
        _ => None,
    };
    let moved = match &before {
        // Killed before it had looked for the first time.
        None => Some("it was not looked at yet".to_owned()),
        Some(before) => touched(before, &now),
    };
    if held_before.is_none() {
        begin(client, migration, aside).await?;
    } else if moved.is_some() {
        client
            .execute(
                "UPDATE crossfade.retirements SET untouched_since = clock_timestamp() \
                 WHERE migration = $1 AND legacy_table = $2",
                &[&migration, &aside.legacy_table],
            )
            .await
            .map_err(ControlError::sql("note of what touched the table"))?;
    }
    let (rows, hash) = held(client, aside).await?;
    Ok(Evidence {
        legacy_table: aside.legacy_table.clone(),
        put_aside_as: aside.put_aside_as.clone(),
        aside_seconds: aside.seconds,
        untouched_seconds: match &moved {
            Some(_) => 0.0,
            None => row.get::<_, Option<f64>>(5).unwrap_or_default(),
        },
        untouched_days_min: 0.0,
        touched: moved,
        unchanged: held_before.is_none_or(|before| before == hash),
        rows,
    })
}

/// Lets the counters stand where they are, after a look of our own.
pub(super) async fn count_anew(
    client: &Client,
    migration: &str,
    aside: &Aside,
) -> Result<(), ControlError> {
    let now = counters(client, &aside.put_aside_as).await?;
    client
        .execute(
            "UPDATE crossfade.retirements SET scans = $3, writes = $4, \
             stats_reset = $5::text::timestamptz WHERE migration = $1 AND legacy_table = $2",
            &[
                &migration,
                &aside.legacy_table,
                &now.scans,
                &now.writes,
                &now.stats_reset,
            ],
        )
        .await
        .map_err(ControlError::sql("note of the counters"))?;
    Ok(())
}

/// What has touched a table between two looks.
fn touched(before: &TableCounters, now: &TableCounters) -> Option<String> {
    match before.until(now) {
        None => Some("the server's counters were reset".to_owned()),
        Some((0, 0)) => None,
        Some((scans, writes)) => Some(format!("{scans} scans and {writes} written rows")),
    }
}

/// How many rows, and a hash of all of them in whatever order.
async fn held(client: &Client, aside: &Aside) -> Result<(i64, String), ControlError> {
    let row = client
        .query_one(
            &format!(
                "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {} AS t",
                aside.put_aside_as
            ),
            &[],
        )
        .await
        .map_err(ControlError::sql("hashing of a table on probation"))?;
    Ok((row.get(0), row.get(1)))
}
