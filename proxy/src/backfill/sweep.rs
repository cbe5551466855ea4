//! The end of a backfill: unified rows whose legacy rows were deleted by transactions that could
//! not see what a chunk had put.
//!
//! Such a transaction runs at REPEATABLE READ or above with a snapshot from before the chunk, and
//! leaves the key in `crossfade.tombstones`. Once all those snapshots are gone, every tombstone
//! that will ever be needed is there.

use std::time::Duration;

use rewrite_rules::{Lens, Migration};
use serde_json::Value;
use tokio_postgres::{Client, Transaction};

use super::conflict::Attempts;
use crate::control::drain::{self, Clock};
use crate::control::{ControlError, ledger, snapshot};

/// Waits until nobody holds a snapshot that lacks the last chunk, nor a prepared transaction
/// (which holds locks but no snapshot) from that time.
pub async fn wait_for_snapshots(
    client: &Client,
    migration: &Migration,
    last_chunk: Option<&str>,
    timeout: Duration,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    let Some(last_chunk) = last_chunk else {
        return Ok(()); // no chunk: nothing that anybody could have missed
    };
    let mut clock = Clock::start(timeout);
    loop {
        let holders = client
            .query(
                "SELECT format('pid %s (user %s, application %s)', pid, usename, application_name) \
                 FROM pg_stat_activity WHERE backend_xmin IS NOT NULL \
                 AND datname = current_database() AND pid <> pg_backend_pid() \
                 AND backend_type NOT IN ('autovacuum worker', 'walsender') \
                 AND age(backend_xmin) >= age($1::text::xid8::xid) ORDER BY pid",
                &[&last_chunk],
            )
            .await
            .map_err(ControlError::sql("look for old snapshots"))?;
        if holders.is_empty() {
            break;
        }
        let lines: Vec<String> = holders
            .iter()
            .map(|row| {
                let who: &str = row.get(0);
                format!("a snapshot from before the last chunk is still in use: {who}")
            })
            .collect();
        clock.wait(&lines.join("\n"), tell).await?;
    }
    drain::wait_for_writers(client, migration, timeout, tell)
        .await
        .map(drop)
}

/// Which rows nobody backs any more.
#[derive(Clone, Copy, Debug)]
pub enum Remains<'a> {
    /// Unified rows whose legacy rows were deleted, as tombstones say.
    Ghosts,
    /// Legacy rows that unified no longer has, once unified decides; counted in this run.
    StaleLegacy { run: &'a str },
}

/// Removes all of them, some in each transaction; returns how many there were.
pub async fn remove(
    client: &mut Client,
    lens: &Lens,
    remains: Remains<'_>,
) -> Result<i64, ControlError> {
    let mut removed = 0;
    let mut attempts = Attempts::few();
    loop {
        // At REPEATABLE READ, for at READ COMMITTED the test for the other side's row would be
        // older than the row that the delete waits for, and one that was inserted again would be
        // removed. Where somebody wrote one of these rows meanwhile, a new snapshot can judge it.
        let some = async {
            let transaction = snapshot(client, DOING).await?;
            let count = match remains {
                Remains::Ghosts => ghosts(&transaction, lens).await?,
                Remains::StaleLegacy { run } => stale_legacy(&transaction, lens, run).await?,
            };
            transaction
                .commit()
                .await
                .map_err(ControlError::sql(DOING))?;
            Ok(count)
        };
        match some.await {
            Ok(None) => break,
            Ok(Some(more)) => {
                removed += more;
                attempts = Attempts::few();
            }
            Err(error) => attempts.after(error).await?,
        }
    }
    forget_gone(client, lens).await?;
    Ok(removed)
}

const DOING: &str = "removal of rows that the other side lacks";

/// Some ghosts with their tombstones; `None`: no tombstone is left.
async fn ghosts(transaction: &Transaction<'_>, lens: &Lens) -> Result<Option<i64>, ControlError> {
    let sql = || ControlError::sql(DOING);
    let table = lens.legacy.sql();
    let row = transaction
        .query_one(
            "SELECT jsonb_agg(key) FROM (SELECT DISTINCT key FROM crossfade.tombstones \
             WHERE migration = $1 AND legacy_table = $2 LIMIT $3) AS t",
            &[&lens.migration, &table, &ledger::KEYS_MAX],
        )
        .await
        .map_err(sql())?;
    let Some(keys) = row.get::<_, Option<Value>>(0) else {
        return Ok(None);
    };
    let removed = transaction
        .execute(&lens.remove_ghosts(), &[&keys])
        .await
        .map_err(sql())?;
    let removed = i64::try_from(removed).unwrap_or(i64::MAX);
    transaction
        .execute(
            "DELETE FROM crossfade.tombstones WHERE migration = $1 AND legacy_table = $2 \
             AND key IN (SELECT value FROM jsonb_array_elements($3::jsonb))",
            &[&lens.migration, &table, &keys],
        )
        .await
        .map_err(sql())?;
    transaction
        .execute(
            "UPDATE crossfade.backfill SET ghosts_removed = ghosts_removed + $3 \
             WHERE migration = $1 AND legacy_table = $2 AND NOT reverse",
            &[&lens.migration, &table, &removed],
        )
        .await
        .map_err(sql())?;
    Ok(Some(removed))
}

/// Some legacy rows that unified lacks; `None`: there are no more.
async fn stale_legacy(
    transaction: &Transaction<'_>,
    lens: &Lens,
    run: &str,
) -> Result<Option<i64>, ControlError> {
    let sql = || ControlError::sql(DOING);
    let count = transaction
        .execute(&lens.remove_stale_legacy(), &[&ledger::KEYS_MAX])
        .await
        .map_err(sql())?;
    if count == 0 {
        return Ok(None);
    }
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    transaction
        .execute(
            "UPDATE crossfade.backfill SET ghosts_removed = ghosts_removed + $2 \
             WHERE run = $1::text::uuid",
            &[&run, &count],
        )
        .await
        .map_err(sql())?;
    Ok(Some(count))
}

/// A key in the ledger that neither side has any more needs nobody's attention. One that only
/// unified has may be somebody's data: it stays in the ledger, and verify shows it as extra.
async fn forget_gone(client: &Client, lens: &Lens) -> Result<(), ControlError> {
    let mut after: Option<Value> = None;
    loop {
        let keys = ledger::keys_after(client, lens, after.as_ref(), None).await?;
        let Some(last) = keys.last().cloned() else {
            return Ok(());
        };
        client
            .execute(&lens.forget_gone(), &[&Value::Array(keys)])
            .await
            .map_err(ControlError::sql("clean-up of the ledger"))?;
        after = Some(last);
    }
}
