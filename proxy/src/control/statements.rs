//! `crossfade.statements`: which statements the proxies saw, for `coverage` to judge.
//!
//! Written from counters beside the clients' path; what cannot be written is dropped, since it
//! comes again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rewrite_rules::RuleSet;
use tokio_postgres::Client;

use super::connection::connect;
use super::error::ControlError;
use crate::generation::Generation;
use crate::server::Shared;

/// Often enough for an operator who waits for a statement to show, rare enough to cost nothing.
const PERIOD: Duration = Duration::from_secs(2);
/// At a stop the rest is written if it can be written quickly.
const LAST_TIMEOUT: Duration = Duration::from_secs(1);
/// Rows of the table: several proxies with different applications may write to it.
const STATEMENTS_MAX: i64 = 20_000;

/// A statement and what is known of it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub statement: String,
    pub calls: i64,
    /// Seconds since it came last; `None` where nobody noted the time.
    pub last_seen_seconds: Option<f64>,
}

/// Writes what was counted until `shutdown`, then once more.
pub async fn run(shared: Arc<Shared>, url: String, shutdown: impl Future<Output = ()>) {
    tokio::pin!(shutdown);
    // A session may still count in the generation before the newest.
    let mut generations: Vec<Arc<Generation>> = Vec::new();
    loop {
        let ended = tokio::select! {
            () = &mut shutdown => true,
            () = tokio::time::sleep(PERIOD) => false,
        };
        let newest = shared.generations.current();
        if generations
            .last()
            .is_none_or(|last| last.number() != newest.number())
        {
            generations.push(newest);
        }
        let writing = write(&url, &generations);
        if ended {
            if tokio::time::timeout(LAST_TIMEOUT, writing).await.is_err() {
                tracing::debug!("no time to write the last statements");
            }
            return;
        }
        if let Err(error) = writing.await {
            tracing::debug!(%error, "statements could not be noted");
        }
        let drop_before = generations.len().saturating_sub(2);
        generations.drain(..drop_before);
    }
}

async fn write(url: &str, generations: &[Arc<Generation>]) -> Result<(), ControlError> {
    let generations = generations.to_vec();
    let take = move || -> Vec<(String, u64)> {
        let rules = generations.iter().map(|generation| generation.rules());
        rules.flat_map(RuleSet::take_statements).collect()
    };
    // Finds the shapes of new texts, which may be thousands.
    let taken = tokio::task::spawn_blocking(take).await.unwrap_or_default();
    if taken.is_empty() {
        return Ok(());
    }
    let (statements, calls): (Vec<String>, Vec<i64>) = taken
        .into_iter()
        .map(|(statement, calls)| (statement, i64::try_from(calls).unwrap_or(i64::MAX)))
        .unzip();
    let control = connect(url, "statements").await?;
    note(&control, &statements, &calls).await
}

/// All of them at once or none, so that who reads the table never sees half of what was counted.
async fn note(client: &Client, statements: &[String], calls: &[i64]) -> Result<(), ControlError> {
    client
        .execute(
            "INSERT INTO crossfade.statements AS s (hash, statement, calls) \
             SELECT md5(t.statement), t.statement, sum(t.calls)::bigint \
             FROM unnest($1::text[], $2::bigint[]) AS t (statement, calls) \
             WHERE (SELECT count(*) FROM crossfade.statements) < $3 \
             OR EXISTS (SELECT FROM crossfade.statements WHERE hash = md5(t.statement)) \
             GROUP BY t.statement ORDER BY 1 \
             ON CONFLICT (hash) DO UPDATE SET calls = s.calls + excluded.calls, last_seen = clock_timestamp()",
            &[&statements, &calls, &STATEMENTS_MAX],
        )
        .await
        .map_err(ControlError::sql("note of the statements"))?;
    Ok(())
}

/// Everything noted, most called first.
pub async fn read(client: &Client) -> Result<Vec<Seen>, ControlError> {
    let rows = client
        .query(
            "SELECT statement, calls, extract(epoch FROM clock_timestamp() - last_seen)::float8 \
             FROM crossfade.statements ORDER BY calls DESC, statement",
            &[],
        )
        .await
        .map_err(ControlError::sql("read of the statements"))?;
    Ok(rows
        .iter()
        .map(|row| Seen {
            statement: row.get(0),
            calls: row.get(1),
            last_seen_seconds: Some(row.get(2)),
        })
        .collect())
}

/// What the server's own statistics hold, for an application that has not met a proxy yet.
pub async fn from_pg_stat_statements(client: &Client) -> Result<Vec<Seen>, ControlError> {
    let rows = client
        .query(
            "SELECT query, sum(calls)::bigint FROM pg_stat_statements s \
             JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database() \
             GROUP BY query ORDER BY 2 DESC",
            &[],
        )
        .await
        .map_err(ControlError::sql(
            "read of pg_stat_statements (is the extension installed?)",
        ))?;
    Ok(rows
        .iter()
        .map(|row| Seen {
            statement: row.get(0),
            calls: row.get(1),
            last_seen_seconds: None,
        })
        .collect())
}
