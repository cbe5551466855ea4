//! Shadow reads: a sample of the application's reads, run once more on both sides and compared,
//! off the client's path.
//!
//! Both sides are read in one statement, hence in one snapshot: a write between two readings
//! cannot look like a difference. The reads run as the control URL's role, outside the client's
//! session; what depends on the session's role or settings may therefore fail or read differently.

mod parameter;

use std::future::Future;
use std::sync::Arc;

use rewrite_rules::Phase;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::control::ControlError;
use crate::control::connection::Manager;
use crate::server::Shared;
use crate::session::ShadowCandidate;
use parameter::Raw;

/// Reads that wait to be compared. A read is kept whole, so this also bounds the memory; when the
/// queue is full, further ones are dropped and counted.
const QUEUE_MAX: usize = 1_000;
/// Comparisons at a time: shadow reads must not compete with the application for the server.
const AT_A_TIME: u32 = 2;

/// A slow read is not worth slowing the server for; and no statement may write here, whatever
/// functions it calls.
const SETTINGS: &str = "SET default_transaction_read_only = on; SET statement_timeout = '5s'";

type Pool = bb8::Pool<Manager>;

/// Takes candidates from the sessions until `shutdown`.
pub async fn run(shared: Arc<Shared>, url: String, shutdown: impl Future<Output = ()>) {
    let manager = match Manager::new(&url, "shadow", SETTINGS) {
        Ok(manager) => manager,
        Err(error) => {
            tracing::error!(%error, "shadow reads are not compared");
            return;
        }
    };
    let pool = bb8::Pool::builder()
        .max_size(AT_A_TIME)
        .test_on_check_out(true)
        .build_unchecked(manager);
    let (offer, candidates) = mpsc::channel(QUEUE_MAX);
    if shared.shadow.set(offer).is_err() {
        tracing::error!("shadow reads already have a consumer");
        return;
    }
    tokio::select! {
        () = shutdown => {}
        // Comparisons that run are dropped at shutdown; nobody waits for them.
        () = consume(&shared, &pool, candidates) => {}
    }
}

async fn consume(
    shared: &Arc<Shared>,
    pool: &Pool,
    mut candidates: mpsc::Receiver<ShadowCandidate>,
) {
    let mut running = JoinSet::new();
    while let Some(candidate) = candidates.recv().await {
        if running.len() >= AT_A_TIME as usize {
            running.join_next().await;
        }
        // One that waited may be of a phase that is over: its unified side means less by now.
        if shared.generations.current().phase(&candidate.migration) == Some(Phase::ShadowRead) {
            running.spawn(judge(Arc::clone(shared), pool.clone(), candidate));
        }
    }
}

async fn judge(shared: Arc<Shared>, pool: Pool, candidate: ShadowCandidate) {
    let migration = candidate.migration.as_str();
    match compare(&pool, &candidate).await {
        Ok(0) => shared
            .counters
            .of_migration(migration, |t| t.shadow_equal += 1),
        Ok(rows) => {
            let mut count = 0;
            shared.counters.of_migration(migration, |t| {
                t.shadow_different += 1;
                count = t.shadow_different;
            });
            // The first ones are worth reading; of many alike every doubling is.
            if count <= 10 || count.is_power_of_two() {
                tracing::warn!(
                    migration,
                    rows,
                    count,
                    statement = candidate.legacy,
                    "a shadow read differs"
                );
            }
        }
        Err(error) => {
            let mut count = 0;
            shared.counters.of_migration(migration, |t| {
                t.shadow_failed += 1;
                count = t.shadow_failed;
            });
            if count.is_power_of_two() {
                tracing::info!(
                    migration,
                    count,
                    error,
                    "a shadow read could not be compared"
                );
            }
        }
    }
}

/// How many rows only one of the two sides has.
async fn compare(pool: &Pool, candidate: &ShadowCandidate) -> Result<i64, String> {
    let failed = |error: &tokio_postgres::Error| crate::control::error::said(error);
    let client = pool.get().await.map_err(|error| match error {
        bb8::RunError::User(error) => ControlError::to_string(&error),
        bb8::RunError::TimedOut => "no connection to the database in time".to_owned(),
    })?;
    let sql = comparison(&candidate.legacy, &candidate.unified);
    let types: Vec<_> = candidate
        .parameter_types
        .iter()
        .map(|oid| parameter::declared(*oid))
        .collect();
    let statement = client
        .prepare_typed(&sql, &types)
        .await
        .map_err(|error| failed(&error))?;
    let raw: Vec<Raw> = candidate
        .parameters
        .iter()
        .map(|(format, value)| Raw::new(*format, value.as_deref()))
        .collect();
    let raw: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        raw.iter().map(|one| one as _).collect();
    if raw.len() != statement.params().len() {
        return Err("the two sides do not use all of the parameters".to_owned());
    }
    let row = client
        .query_one(&statement, &raw)
        .await
        .map_err(|error| failed(&error))?;
    Ok(row.get(0))
}

/// Rows are compared as text, as multisets: some types have no equality, and order is the
/// statement's own affair only where it says so. The line breaks end comments in the texts.
fn comparison(legacy: &str, unified: &str) -> String {
    let legacy = format!("SELECT cf_r::text FROM (\n{}\n) AS cf_r", bare(legacy));
    let unified = format!("SELECT cf_r::text FROM (\n{}\n) AS cf_r", bare(unified));
    format!(
        "SELECT count(*) FROM (({legacy} EXCEPT ALL {unified}) UNION ALL \
         ({unified} EXCEPT ALL {legacy})) AS cf_difference"
    )
}

fn bare(sql: &str) -> &str {
    sql.trim_end().trim_end_matches(';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closing_comment_or_semicolon_does_not_swallow_the_comparison() {
        let sql = comparison("SELECT 1 -- one", "SELECT 2;");
        assert!(sql.contains("SELECT 1 -- one\n) AS cf_r"), "{sql}");
        assert!(sql.contains("SELECT 2\n) AS cf_r"), "{sql}");
    }
}
