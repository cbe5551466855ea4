//! Whether anybody has touched a table on probation: by the server's own counters of its scans and
//! writes, and by a hash of what it holds.
//!
//! The counters are the cumulative ones of `pg_stat_user_tables`: as long as they stand, nothing
//! has touched the table. Whenever they have moved, or were reset, the time begins anew. What
//! Crossfade's own look scans is counted away.

use serde::Serialize;
use tokio_postgres::Client;

use super::Aside;
use crate::control::{ControlError, flush_counters};

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
    let now = counters(client, aside).await?;
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
        (Some(scans), Some(writes)) => Some(Counters {
            scans,
            writes,
            stats_reset: row.get(4),
        }),
        _ => None,
    };
    let touched = match &before {
        // Killed before it had looked for the first time.
        None => Some("it was not looked at yet".to_owned()),
        Some(before) => before.moved_to(&now),
    };
    if held_before.is_none() {
        begin(client, migration, aside).await?;
    } else if touched.is_some() {
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
        untouched_seconds: match touched {
            Some(_) => 0.0,
            None => row.get::<_, Option<f64>>(5).unwrap_or_default(),
        },
        untouched_days_min: 0.0,
        touched,
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
    let now = counters(client, aside).await?;
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

#[derive(Debug)]
struct Counters {
    scans: i64,
    writes: i64,
    stats_reset: Option<String>,
}

impl Counters {
    fn moved_to(&self, now: &Counters) -> Option<String> {
        if self.stats_reset != now.stats_reset || now.scans < self.scans || now.writes < self.writes
        {
            return Some("the server's counters were reset".to_owned());
        }
        let (scans, writes) = (now.scans - self.scans, now.writes - self.writes);
        (scans + writes > 0).then(|| format!("{scans} scans and {writes} written rows"))
    }
}

async fn counters(client: &Client, aside: &Aside) -> Result<Counters, ControlError> {
    let sql = || ControlError::sql("look at pg_stat_user_tables");
    flush_counters(client).await?;
    let row = client
        .query_one(
            "SELECT coalesce(sum(t.seq_scan + coalesce(t.idx_scan, 0)), 0)::bigint, \
             coalesce(sum(t.n_tup_ins + t.n_tup_upd + t.n_tup_del), 0)::bigint, \
             (SELECT d.stats_reset::text FROM pg_stat_database AS d \
             WHERE d.datname = current_database()) \
             FROM pg_stat_user_tables AS t WHERE t.relid = to_regclass($1)",
            &[&aside.put_aside_as],
        )
        .await
        .map_err(sql())?;
    Ok(Counters {
        scans: row.get(0),
        writes: row.get(1),
        stats_reset: row.get(2),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_moved_or_went_back_were_touched_and_say_by_what() {
        let at = |scans, writes, reset: Option<&str>| Counters {
            scans,
            writes,
            stats_reset: reset.map(str::to_owned),
        };
        let before = at(5, 7, None);
        assert_eq!(before.moved_to(&at(5, 7, None)), None);
        let moved = before.moved_to(&at(6, 9, None));
        assert_eq!(moved.as_deref(), Some("1 scans and 2 written rows"));
        for reset in [at(4, 7, None), at(5, 6, None), at(5, 7, Some("today"))] {
            let moved = before.moved_to(&reset).expect("touched");
            assert!(moved.contains("reset"), "{moved}");
        }
    }
}
