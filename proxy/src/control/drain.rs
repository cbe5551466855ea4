//! Waiting until an epoch is drained: no transaction of an earlier generation in any proxy, and
//! none left anywhere that was writing when the last proxy said so.
//!
//! The second half is how CREATE INDEX CONCURRENTLY waits, by `pg_locks`: it also catches writers
//! that go around the proxy, and prepared transactions.

use std::time::{Duration, Instant};

use rewrite_rules::{Epoch, Migration};
use serde::Serialize;
use tokio_postgres::Client;

use super::error::ControlError;
use super::instances::{Instance, instances};
use super::report::REGISTERED_WITHIN;
use super::said::{TEXT, said};

/// Between two looks: small against the heartbeat and against a human's patience.
const POLL: Duration = Duration::from_millis(50);

/// What takes no longer than a reload of the rules needs no words.
const TELL_AFTER: Duration = Duration::from_millis(500);

/// The locks of transactions that change rows. SHARE UPDATE EXCLUSIVE and SHARE are left out:
/// VACUUM, ANALYZE and CREATE INDEX take them, run long, and write no rows.
const WRITE_LOCKS: &str =
    "('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')";

/// A transaction that writes to a managed table, and who runs it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Blocker {
    #[serde(skip)]
    pub virtual_transaction: String,
    /// `None`: a prepared transaction, which no process runs.
    pub pid: Option<i32>,
    pub user: String,
    pub application: String,
    pub age_seconds: f64,
    /// As `pg_stat_activity` has it: `active`, `idle in transaction`, …
    pub state: String,
    /// What it runs, or ran last, without constants.
    pub query: String,
    /// Where the server sees it come from: through a proxy that is the proxy's; empty: a socket file.
    pub address: String,
}

impl std::fmt::Display for Blocker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(
                f,
                "pid {pid} (user {}, application {}), in a transaction for {:.0} s ({}), last: {}",
                self.user,
                if self.application.is_empty() {
                    "unnamed"
                } else {
                    &self.application
                },
                self.age_seconds,
                self.state,
                self.query,
            ),
            None => write!(
                f,
                "prepared transaction {} (see pg_prepared_xacts; COMMIT PREPARED or ROLLBACK PREPARED ends it)",
                self.virtual_transaction
            ),
        }
    }
}

/// What a drain saw.
#[derive(Clone, Debug, Default)]
pub struct Drained {
    /// Live instances that serve the epoch; with none, only the locks were waited for.
    pub instances: usize,
    /// Instances that fell silent without signing off.
    pub silent: Vec<Instance>,
    /// Transactions that were waited for.
    pub waited_for: usize,
}

/// Waits until every live instance serves this epoch, drained, and then for the writers.
/// `tell` hears what is being waited for whenever that changes.
pub async fn wait(
    client: &Client,
    migration: &Migration,
    epoch: Epoch,
    timeout: Duration,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<Drained, ControlError> {
    let mut clock = Clock::start(timeout);
    let drained = instances_there(client, migration, epoch, &mut clock, tell).await?;
    let waited_for = writers_gone(client, migration, &mut clock, tell).await?;
    Ok(Drained {
        waited_for,
        ..drained
    })
}

/// The first half alone: every live instance serves this epoch, drained.
pub async fn wait_for_instances(
    client: &Client,
    migration: &Migration,
    epoch: Epoch,
    timeout: Duration,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<Drained, ControlError> {
    instances_there(client, migration, epoch, &mut Clock::start(timeout), tell).await
}

async fn instances_there(
    client: &Client,
    migration: &Migration,
    epoch: Epoch,
    clock: &mut Clock,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<Drained, ControlError> {
    loop {
        let all = instances(client, &migration.name).await?;
        let mut late: Vec<String> = all
            .iter()
            .filter(|i| i.live)
            .filter_map(|i| lag(i, epoch))
            .collect();
        let live = all.iter().filter(|i| i.live).count();
        if live == 0 && clock.started.elapsed() < REGISTERED_WITHIN.min(clock.timeout) {
            clock.wait("a proxy to say that it serves", tell).await?;
            continue;
        }
        if late.is_empty() {
            return Ok(Drained {
                instances: live,
                silent: all.into_iter().filter(|i| !i.live).collect(),
                waited_for: 0,
            });
        }
        for holder in holders(client, &all).await? {
            late.push(format!("it waits for {holder}"));
        }
        clock.wait(&late.join("\n"), tell).await?;
    }
}

/// Who holds on to an older generation in the instances that are there, as the server knows them.
pub async fn holders(client: &Client, all: &[Instance]) -> Result<Vec<Blocker>, ControlError> {
    let live = all.iter().filter(|instance| instance.live);
    let pids: Vec<i32> = live.flat_map(|i| &i.held_by).copied().collect();
    of_processes(client, &pids).await
}

/// What the server knows of these processes of its own, those in the oldest transactions first.
pub async fn of_processes(client: &Client, pids: &[i32]) -> Result<Vec<Blocker>, ControlError> {
    if pids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            &format!(
                "SELECT '' AS virtual, p.pid, {} FROM unnest($1::integer[]) AS p (pid) \
                 JOIN pg_stat_activity AS a ON a.pid = p.pid ORDER BY a.xact_start",
                who()
            ),
            &[&pids],
        )
        .await
        .map_err(ControlError::sql("look at the sessions of the proxies"))?;
    Ok(rows.iter().map(blocker).collect())
}

/// Of `a`, a row of `pg_stat_activity` or none.
fn who() -> String {
    format!(
        "coalesce(a.usename::text, 'unknown'), coalesce(a.application_name, ''), \
         coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, \
         coalesce(a.state, 'unknown to this role'), {TEXT}, coalesce(host(a.client_addr), '')"
    )
}

fn blocker(row: &tokio_postgres::Row) -> Blocker {
    Blocker {
        virtual_transaction: row.get(0),
        pid: row.get(1),
        user: row.get(2),
        application: row.get(3),
        age_seconds: row.get(4),
        state: row.get(5),
        query: said(row.get(6)),
        address: row.get(7),
    }
}

/// Waits until the transactions that hold a write lock now are gone; later ones are not waited for.
pub async fn wait_for_writers(
    client: &Client,
    migration: &Migration,
    timeout: Duration,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<usize, ControlError> {
    writers_gone(client, migration, &mut Clock::start(timeout), tell).await
}

async fn writers_gone(
    client: &Client,
    migration: &Migration,
    clock: &mut Clock,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<usize, ControlError> {
    let held: Vec<String> = writers(client, migration)
        .await?
        .into_iter()
        .map(|writer| writer.virtual_transaction)
        .collect();
    loop {
        let mut left = writers(client, migration).await?;
        left.retain(|writer| held.contains(&writer.virtual_transaction));
        if left.is_empty() {
            return Ok(held.len());
        }
        let lines: Vec<String> = left
            .iter()
            .map(|writer| format!("an earlier writer is still there: {writer}"))
            .collect();
        clock.wait(&lines.join("\n"), tell).await?;
    }
}

/// Why an instance is not yet where it should be.
fn lag(instance: &Instance, epoch: Epoch) -> Option<String> {
    if instance.epoch.is_none_or(|serves| serves < epoch.0) {
        let serves = instance.epoch.map_or_else(
            || "of no epoch".to_owned(),
            |epoch| format!("of epoch {epoch}"),
        );
        return Some(format!(
            "{instance} still serves {} {serves}; expected epoch {epoch}",
            instance.phase,
        ));
    }
    (!instance.drained).then(|| {
        format!(
            "{instance} serves {}, but transactions of an earlier generation still run in it",
            instance.phase
        )
    })
}

/// Transactions of this database, our own excepted, that hold or await a write lock on a table of
/// the migration.
pub async fn writers(client: &Client, migration: &Migration) -> Result<Vec<Blocker>, ControlError> {
    let tables: Vec<String> = migration
        .tables
        .iter()
        .flat_map(|lens| std::iter::once(&lens.legacy).chain(lens.unified_tables()))
        .map(rewrite_rules::TableName::sql)
        .collect();
    let rows = client
        .query(
            &format!(
                "SELECT DISTINCT ON (l.virtualtransaction) l.virtualtransaction, l.pid, {} \
                 FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid \
                 WHERE l.locktype = 'relation' AND l.mode IN {WRITE_LOCKS} \
                 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                 AND l.relation IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS t (name)) \
                 AND l.pid IS DISTINCT FROM pg_backend_pid() \
                 ORDER BY l.virtualtransaction",
                who()
            ),
            &[&tables],
        )
        .await
        .map_err(ControlError::sql("look at pg_locks"))?;
    Ok(rows.iter().map(blocker).collect())
}

/// Transactions, our own excepted, that hold a lock on this table. Who waits for one holds nothing open, and is not to be
/// ended for it.
pub async fn holders_of(client: &Client, table: &str) -> Result<Vec<Blocker>, ControlError> {
    let rows = client
        .query(
            &format!(
                "SELECT DISTINCT ON (l.virtualtransaction) l.virtualtransaction, l.pid, {} \
                 FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid \
                 WHERE l.locktype = 'relation' AND l.granted AND l.mode <> 'AccessShareLock' \
                 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                 AND l.relation = to_regclass($1) AND l.pid IS DISTINCT FROM pg_backend_pid() \
                 ORDER BY l.virtualtransaction",
                who()
            ),
            &[&table],
        )
        .await
        .map_err(ControlError::sql("look at pg_locks"))?;
    Ok(rows.iter().map(blocker).collect())
}

/// A wait's limit, and when to speak of it.
pub(crate) struct Clock {
    started: Instant,
    timeout: Duration,
    told: String,
}

impl Clock {
    pub(crate) fn start(timeout: Duration) -> Self {
        Clock {
            started: Instant::now(),
            timeout,
            told: String::new(),
        }
    }

    /// One pause of the wait; an error naming what was waited for once the time is up.
    pub(crate) async fn wait(
        &mut self,
        waiting_for: &str,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), ControlError> {
        if self.started.elapsed() >= self.timeout {
            return Err(ControlError::TimedOut {
                waited_seconds: self.timeout.as_secs(),
                waiting_for: waiting_for.to_owned(),
            });
        }
        // Ages and queries change at every look; the first line of each blocker is said once.
        let gist: String = waiting_for
            .lines()
            .map(|line| line.split(", in a transaction for").next().unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n");
        if self.told != gist && self.started.elapsed() >= TELL_AFTER {
            tell(waiting_for);
            self.told = gist;
        }
        tokio::time::sleep(POLL).await;
        Ok(())
    }
}
