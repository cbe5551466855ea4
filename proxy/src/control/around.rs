//! What has touched a legacy table around the proxies, by the server's own counters of its scans
//! and of its written rows (`pg_stat_user_tables`).
//!
//! From `unified_only` on no proxy touches the table, so whatever the counters say since then, less
//! what Crossfade's own commands have scanned, came another way: a session that does not go through
//! a proxy, a function, a trigger, a foreign key.

use rewrite_rules::{Migration, Phase};
use serde::Serialize;
use tokio_postgres::{Client, GenericClient};

use super::error::ControlError;
use super::gate::Gate;
use super::{direct, flush_counters, shown, stand_in};

/// The server's counters of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCounters {
    pub scans: i64,
    pub writes: i64,
    /// When the database's counters were last reset.
    pub stats_reset: Option<String>,
}

impl TableCounters {
    /// Scans and written rows since then; `None`: the counters were reset meanwhile.
    #[must_use]
    pub fn until(&self, now: &TableCounters) -> Option<(i64, i64)> {
        let (scans, writes) = (now.scans - self.scans, now.writes - self.writes);
        (self.stats_reset == now.stats_reset && scans >= 0 && writes >= 0)
            .then_some((scans, writes))
    }
}

/// Where the counters of a table stand; what this session has done is in them.
pub async fn counters(client: &Client, table: &str) -> Result<TableCounters, ControlError> {
    flush_counters(client).await?;
    let row = client
        .query_one(
            "SELECT coalesce(sum(t.seq_scan + coalesce(t.idx_scan, 0)), 0)::bigint, \
             coalesce(sum(t.n_tup_ins + t.n_tup_upd + t.n_tup_del), 0)::bigint, \
             (SELECT d.stats_reset::text FROM pg_stat_database AS d \
             WHERE d.datname = current_database()) \
             FROM pg_stat_user_tables AS t WHERE t.relid = to_regclass($1)",
            &[&table],
        )
        .await
        .map_err(ControlError::sql("look at pg_stat_user_tables"))?;
    Ok(TableCounters {
        scans: row.get(0),
        writes: row.get(1),
        stats_reset: row.get(2),
    })
}

/// What came around the proxies.
#[derive(Clone, Debug, Serialize)]
pub struct CameAround {
    pub legacy_table: String,
    pub since: String,
    pub scans: i64,
    pub writes: i64,
    /// The server's counters were reset since then: there may have been more.
    pub counters_reset: bool,
}

impl std::fmt::Display for CameAround {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} scans and {} written rows around the proxies since {}{}",
            shown(&self.legacy_table),
            self.scans,
            self.writes,
            self.since,
            if self.counters_reset {
                " (the server's counters were reset meanwhile)"
            } else {
                ""
            }
        )
    }
}

/// Before a step that leaves the tables behind: what was counted after an earlier one is void.
pub(crate) async fn forget(client: &Client, migration: &Migration) -> Result<(), ControlError> {
    client
        .execute(
            "DELETE FROM crossfade.left_behind WHERE migration = $1",
            &[&migration.name],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of the counters"))
}

/// A session's process tells the server's counters what it did up to a minute later: what proxies
/// did just before they left the tables alone must not be taken for something around them.
const SETTLED_SECONDS: f64 = 60.0;

/// Shown to people.
const NAMED_MAX: usize = 5;

/// Whether that has been done.
pub(crate) async fn is_begun(client: &Client, migration: &Migration) -> Result<bool, ControlError> {
    let tables = migration.left_behind().count();
    let row = client
        .query_one(
            "SELECT count(*) FROM crossfade.left_behind WHERE migration = $1",
            &[&migration.name],
        )
        .await
        .map_err(ControlError::sql("note of the counters"))?;
    Ok(usize::try_from(row.get::<_, i64>(0)).is_ok_and(|begun| begun >= tables))
}

/// Once no proxy touches the tables any more; the first look after a minute begins to count.
pub(crate) async fn begin(client: &Client, migration: &Migration) -> Result<(), ControlError> {
    let tables: Vec<String> = migration.left_behind().map(|t| t.legacy.sql()).collect();
    client
        .execute(
            "INSERT INTO crossfade.left_behind (migration, legacy_table) \
             SELECT $1, name FROM unnest($2::text[]) AS t (name) ON CONFLICT DO NOTHING",
            &[&migration.name, &tables],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of the counters"))
}

async fn count_from_now(
    client: &Client,
    migration: &str,
    table: &str,
    now: &TableCounters,
) -> Result<(), ControlError> {
    client
        .execute(
            "UPDATE crossfade.left_behind SET scans = $3, writes = $4, \
             stats_reset = $5::text::timestamptz, own_scans = 0, since = clock_timestamp() \
             WHERE migration = $1 AND legacy_table = $2",
            &[
                &migration,
                &table,
                &now.scans,
                &now.writes,
                &now.stats_reset,
            ],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of the counters"))
}

/// The scans that a transaction has made of a table so far, without those of parallel workers.
pub async fn own_scans(transaction: &impl GenericClient, table: &str) -> Result<i64, ControlError> {
    let row = transaction
        .query_one(
            "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::bigint \
             FROM pg_stat_xact_user_tables WHERE relid = to_regclass($1)",
            &[&table],
        )
        .await
        .map_err(ControlError::sql("count of our own scans"))?;
    Ok(row.get(0))
}

/// Notes that so many of the scans were Crossfade's own.
pub async fn add_own(
    client: &Client,
    migration: &str,
    table: &str,
    scans: i64,
) -> Result<(), ControlError> {
    client
        .execute(
            "UPDATE crossfade.left_behind SET own_scans = own_scans + $3 \
             WHERE migration = $1 AND legacy_table = $2",
            &[&migration, &table, &scans],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("count of our own scans"))
}

/// What came around the proxies to each table, where that can be told.
pub async fn read(
    client: &Client,
    migration: &Migration,
    phase: Phase,
) -> Result<Vec<CameAround>, ControlError> {
    match phase {
        Phase::UnifiedOnly | Phase::Retired => {}
        // The proxies read and write it themselves, as often as clients ask.
        Phase::LegacyOnly
        | Phase::DualWrite
        | Phase::ShadowRead
        | Phase::DualRead
        | Phase::UnifiedRead => return Ok(Vec::new()),
    }
    let mut all = Vec::new();
    for lens in &migration.tables {
        let table = lens.legacy.sql();
        let row = client
            .query_opt(
                "SELECT scans, writes, stats_reset::text, own_scans, \
                 to_char(since, 'YYYY-MM-DD HH24:MI TZ'), \
                 extract(epoch FROM clock_timestamp() - since)::float8 FROM crossfade.left_behind \
                 WHERE migration = $1 AND legacy_table = $2",
                &[&migration.name, &table],
            )
            .await
            .map_err(ControlError::sql("look at the counters"))?;
        let Some(row) = row else { continue };
        // Those of a stand-in are another table's.
        if !stand_in::is_legacy_there(client, &table).await? {
            continue;
        }
        let now = counters(client, &table).await?;
        let before = match (row.get(0), row.get(1)) {
            (Some(scans), Some(writes)) => TableCounters {
                scans,
                writes,
                stats_reset: row.get(2),
            },
            _ if row.get::<_, f64>(5) < SETTLED_SECONDS => continue,
            _ => {
                count_from_now(client, &migration.name, &table, &now).await?;
                now.clone()
            }
        };
        let own: i64 = row.get(3);
        let (scans, writes) = before.until(&now).unwrap_or((now.scans, now.writes));
        all.push(CameAround {
            legacy_table: table,
            since: row.get(4),
            scans: (scans - own).max(0),
            writes,
            counters_reset: before.until(&now).is_none(),
        });
    }
    Ok(all)
}

/// Nobody has written a legacy table since it was left behind: that write is in no other place.
pub(crate) async fn unwritten(
    client: &Client,
    migration: &Migration,
    from: Phase,
) -> Result<Gate, ControlError> {
    let around = read(client, migration, from).await?;
    let mut lines: Vec<String> = around.iter().map(ToString::to_string).collect();
    let met = around.iter().all(|around| around.writes == 0);
    if !met {
        let told = direct::written(client, &migration.name).await?;
        lines.extend(told.iter().take(NAMED_MAX).map(ToString::to_string));
    }
    Ok(Gate {
        name: "around the proxies",
        met,
        found: if lines.is_empty() {
            "nothing is counted yet: that begins a minute after the step to unified_only".to_owned()
        } else {
            lines.join("; ")
        },
        settle: format!(
            "find the writer and bring over what it wrote: `crossfade rollback {0}`, then \
             `crossfade verify {0}`, shows it",
            migration.name
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_went_back_or_were_reset_say_nothing_of_the_time_between() {
        let at = |scans, writes, reset: Option<&str>| TableCounters {
            scans,
            writes,
            stats_reset: reset.map(str::to_owned),
        };
        let before = at(5, 7, None);
        assert_eq!(before.until(&at(5, 7, None)), Some((0, 0)));
        assert_eq!(before.until(&at(6, 9, None)), Some((1, 2)));
        for reset in [at(4, 7, None), at(5, 6, None), at(5, 7, Some("today"))] {
            assert_eq!(before.until(&reset), None);
        }
    }
}
