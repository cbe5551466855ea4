//! The end of a backfill: unified rows whose legacy rows were deleted by transactions that could
//! not see what a chunk had put.
//!
//! Such a transaction runs at REPEATABLE READ or above with a snapshot from before the chunk, and
//! leaves the key in `crossfade.tombstones`. Once all those snapshots are gone, every tombstone
//! that will ever be needed is there.

use std::time::Duration;

use rewrite_rules::{Lens, Migration};
use serde_json::Value;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use super::chunk::RowFailure;
use super::conflict::Attempts;
use crate::control::drain::{self, Clock};
use crate::control::hold::Hold;
use crate::control::{ControlError, ledger};

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

/// What one transaction did.
struct Swept {
    kept: i64,
}

/// Removes the unified rows whose legacy rows were deleted, as tombstones say, some in each transaction.
pub async fn remove_ghosts(
    client: &mut Client,
    (lens, hold): (&Lens, &Hold<'_>),
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    let mut kept = 0;
    let mut attempts = Attempts::few();
    loop {
        let some = async {
            let transaction = judged(client, hold).await?;
            let count = ghosts(&transaction, lens).await?;
            committed(transaction).await?;
            Ok(count)
        };
        match some.await {
            Ok(None) => break,
            Ok(Some(more)) => {
                kept += more.kept;
                attempts = Attempts::few();
            }
            Err(error) => attempts.after(error).await?,
        }
    }
    if kept > 0 {
        tell(&format!(
            "{kept} unified rows of {} have no legacy row any more and could not be removed: `crossfade \
             status` shows why",
            lens.legacy
        ));
    }
    forget_gone(client, lens).await
}

/// At REPEATABLE READ, for at READ COMMITTED the test for the other side's row would be older than the row that the
/// delete waits for, and one that was inserted again would be removed. Where somebody wrote one of these rows
/// meanwhile, a new snapshot can judge it.
async fn judged<'c>(
    client: &'c mut Client,
    hold: &Hold<'_>,
) -> Result<Transaction<'c>, ControlError> {
    let level = IsolationLevel::RepeatableRead;
    let transaction = hold.begin(client, level, DOING).await?;
    // What refers to a row is to say so when it is removed, not when the transaction ends.
    let now = transaction.batch_execute("SET CONSTRAINTS ALL IMMEDIATE");
    now.await.map_err(ControlError::sql(DOING))?;
    Ok(transaction)
}

async fn committed(transaction: Transaction<'_>) -> Result<(), ControlError> {
    let done = transaction.commit().await;
    done.map_err(ControlError::sql(DOING))
}

const DOING: &str = "removal of rows that the other side lacks";

/// Why a ghost stays, as the ledger has it.
const BY_POLICY: (&str, &str) = (
    "deleted while its unified row could not be seen; row policies decide who may delete that, so it was \
     left: `crossfade verify --repair` removes it",
    "42501",
);

/// Some ghosts with their tombstones; `None`: no tombstone is left. Counts those that it leaves.
///
/// Who may leave a tombstone may delete unified rows, so this removes nothing that whoever left it could
/// not have removed; unless policies decide which rows those are. And one that cannot be removed (a row
/// refers to it) is not to keep the others: both enter the ledger.
async fn ghosts(transaction: &Transaction<'_>, lens: &Lens) -> Result<Option<Swept>, ControlError> {
    let sql = || ControlError::sql(DOING);
    let table = lens.legacy.sql();
    let policies = has_policies(transaction, lens).await?;
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
    let (mut removed, mut kept) = (0_i64, 0);
    let ghosts = transaction.query(&lens.ghosts_among(), &[&keys]).await;
    for row in ghosts.map_err(sql())? {
        let key: Value = row.get(0);
        let why = if policies {
            Some((BY_POLICY.0.to_owned(), BY_POLICY.1.to_owned()))
        } else {
            one_ghost(transaction, lens, &key).await?
        };
        match why {
            None => removed += 1,
            Some((reason, sqlstate)) => {
                ledger::set_aside(transaction, lens, &key, &reason, &sqlstate).await?;
                kept += 1;
            }
        }
    }
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
    Ok(Some(Swept { kept }))
}

/// Removes one, behind a savepoint; or tells why it cannot be removed, with the SQLSTATE.
async fn one_ghost(
    transaction: &Transaction<'_>,
    lens: &Lens,
    key: &Value,
) -> Result<Option<(String, String)>, ControlError> {
    let keys = Value::Array(vec![key.clone()]);
    let done = attempt(transaction, &lens.remove_ghosts(), &[&keys]).await?;
    Ok(done.err().map(|failure| (failure.reason, failure.sqlstate)))
}

/// A statement behind a savepoint, which a row may refuse.
async fn attempt(
    transaction: &Transaction<'_>,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Result<u64, RowFailure>, ControlError> {
    let sql = || ControlError::sql(DOING);
    transaction
        .batch_execute("SAVEPOINT cf_sweep")
        .await
        .map_err(sql())?;
    let done = match transaction.execute(statement, parameters).await {
        Ok(count) => Ok(count),
        Err(error) => match RowFailure::of(&error) {
            Some(failure) => {
                transaction
                    .batch_execute("ROLLBACK TO SAVEPOINT cf_sweep")
                    .await
                    .map_err(sql())?;
                Err(failure)
            }
            None => return Err(sql()(error)),
        },
    };
    transaction
        .batch_execute("RELEASE SAVEPOINT cf_sweep")
        .await
        .map_err(sql())?;
    Ok(done)
}

/// Whether policies decide who may delete which unified row.
async fn has_policies(transaction: &Transaction<'_>, lens: &Lens) -> Result<bool, ControlError> {
    let tables: Vec<String> = lens.unified_tables().iter().map(|t| t.sql()).collect();
    let row = transaction
        .query_one(
            "SELECT coalesce(bool_or(c.relrowsecurity), false) FROM unnest($1::text[]) AS name \
             JOIN pg_class AS c ON c.oid = to_regclass(name)",
            &[&tables],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(row.get(0))
}

/// What became of legacy rows that unified no longer has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stale {
    pub removed: i64,
    /// What could not be removed, since something refers to it.
    pub kept: usize,
}

/// Removes the legacy rows that unified no longer has, once unified decides, of several tables, each with its run, which
/// counts them. What refers to such a row goes before it, whichever table comes first. What stays enters the ledger, if
/// it is to be recorded.
pub async fn remove_stale(
    client: &mut Client,
    (tables, hold): (&[(&Lens, String)], &Hold<'_>),
    record: bool,
) -> Result<Stale, ControlError> {
    let mut removed = 0;
    loop {
        let mut now = Stale::default();
        for (lens, run) in tables {
            let mut at = At::All;
            let mut attempts = Attempts::few();
            while at != At::End {
                let some = async {
                    let transaction = judged(client, hold).await?;
                    let swept = stale_legacy(&transaction, (*lens, run), &at, record).await?;
                    committed(transaction).await?;
                    Ok(swept)
                };
                match some.await {
                    Ok((some, next)) => {
                        now.removed += some.removed;
                        now.kept += some.kept;
                        at = next;
                        attempts = Attempts::few();
                    }
                    Err(error) => attempts.after(error).await?,
                }
            }
            // Of what was kept before and is gone now as well.
            forget_gone(client, lens).await?;
        }
        removed += now.removed;
        if now.removed == 0 || now.kept == 0 {
            return Ok(Stale {
                removed,
                kept: now.kept,
            });
        }
    }
}

/// How far a table has been swept. Only a page of keys is held at a time, however many rows stay.
#[derive(Clone, Debug, PartialEq)]
enum At {
    /// So many at once, as long as none is refused.
    All,
    /// One by one, behind a key.
    Behind(Option<Value>),
    End,
}

/// Some legacy rows that unified lacks: what became of them, and where to go on.
async fn stale_legacy(
    transaction: &Transaction<'_>,
    (lens, run): (&Lens, &str),
    at: &At,
    record: bool,
) -> Result<(Stale, At), ControlError> {
    let sql = || ControlError::sql(DOING);
    let mut stale = Stale::default();
    let (count, next) = match at {
        At::All => {
            let all = lens.remove_stale_legacy();
            match attempt(transaction, &all, &[&ledger::KEYS_MAX]).await? {
                Ok(0) => (0, At::End),
                Ok(count) => (count, At::All),
                Err(_) => (0, At::Behind(None)),
            }
        }
        At::Behind(key) => {
            let list = lens.stale_legacy_keys(key.is_some());
            let rows = match key {
                Some(key) => transaction.query(&list, &[&ledger::KEYS_MAX, key]).await,
                None => transaction.query(&list, &[&ledger::KEYS_MAX]).await,
            };
            let rows = rows.map_err(sql())?;
            let (mut count, mut next) = (0, At::End);
            for row in &rows {
                let key: Value = row.get(0);
                let one = Value::Array(vec![key.clone()]);
                match attempt(transaction, &lens.remove_stale_legacy_of(), &[&one]).await? {
                    Ok(gone) => count += gone,
                    Err(why) => {
                        stale.kept += 1;
                        if record {
                            let (reason, sqlstate) = (&why.reason, &why.sqlstate);
                            ledger::set_aside(transaction, lens, &key, reason, sqlstate).await?;
                        }
                    }
                }
                next = At::Behind(Some(key));
            }
            (count, next)
        }
        At::End => (0, At::End),
    };
    stale.removed = i64::try_from(count).unwrap_or(i64::MAX);
    transaction
        .execute(
            "UPDATE crossfade.backfill SET ghosts_removed = ghosts_removed + $2 \
             WHERE run = $1::text::uuid",
            &[&run, &stale.removed],
        )
        .await
        .map_err(sql())?;
    Ok((stale, next))
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
