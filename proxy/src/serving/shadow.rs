//! Shadow reads: a sample of the application's reads, run once more on both sides and compared,
//! off the client's path.
//!
//! Both sides are read in one statement, hence in one snapshot: a write between two readings
//! cannot look like a difference. The reads run with the rights of the client's login role, and only
//! where nothing of anybody's making is called (`compare`, `control::client_role`); every other is
//! counted, with the reason.

mod compare;
mod parameter;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rewrite_rules::Phase;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::control::connection::Manager;
use crate::control::{ControlError, client_role};
use crate::counters::reason::{NotComparable, Reason};
use crate::shared::{ShadowRead, Shared};

/// Reads that wait to be compared. A read is kept whole, so this also bounds the memory; when the
/// queue is full, further ones are dropped and counted.
const QUEUE_MAX: usize = 1_000;
/// Comparisons at a time: shadow reads must not compete with the application for the server.
const AT_A_TIME: u32 = 2;
/// Each makes two functions that it rolls back, which takes a transaction id and leaves dead rows in
/// pg_proc: forty in a second are for autovacuum what a quiet application is, and find any difference
/// that is worth the name within minutes.
const PAUSE: Duration = Duration::from_millis(50);
/// Above what the server allows one (`compare`): a server that does not keep its own limits loses
/// the connection.
const TIME_MAX: Duration = Duration::from_secs(30);

type Pool = bb8::Pool<Manager>;

/// Takes candidates from the sessions until `shutdown`.
pub async fn run(shared: Arc<Shared>, url: String, shutdown: impl Future<Output = ()>) {
    let manager = match Manager::new(&url, "shadow", "") {
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

async fn consume(shared: &Arc<Shared>, pool: &Pool, mut candidates: mpsc::Receiver<ShadowRead>) {
    let mut running = JoinSet::new();
    while let Some(read) = candidates.recv().await {
        if running.len() >= AT_A_TIME as usize {
            running.join_next().await;
        }
        // One that waited may be of a phase that is over: its unified side means less by now.
        let migration = &read.candidate.migration;
        if shared.generations.current().phase(migration) == Some(Phase::ShadowRead) {
            running.spawn(judge(Arc::clone(shared), pool.clone(), read));
        }
    }
}

/// Compares, and counts what came of it. What is logged names no part of the statement: not its
/// text, which has constants in it, and not the server's words, which may repeat them.
async fn judge(shared: Arc<Shared>, pool: Pool, read: ShadowRead) {
    let migration = read.candidate.migration.as_str();
    match compared(&pool, &read).await {
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
                let statement = rewrite_rules::shape(&read.candidate.legacy);
                tracing::warn!(
                    migration,
                    rows,
                    count,
                    statement = statement.as_deref().unwrap_or("(not to be told)"),
                    "a shadow read differs"
                );
            }
        }
        Err(NotComparable { reason, sqlstate }) => {
            let mut count = 0;
            shared.counters.of_migration(migration, |t| {
                let of_reason = &mut t.not_comparable[reason as usize];
                *of_reason += 1;
                count = *of_reason;
            });
            if count.is_power_of_two() {
                let reason = reason.name();
                let sqlstate = sqlstate.unwrap_or_default();
                tracing::info!(
                    migration,
                    count,
                    reason,
                    sqlstate,
                    "a shadow read could not be compared"
                );
            }
        }
    }
    // Keeps the place: see there.
    tokio::time::sleep(PAUSE).await;
}

async fn compared(pool: &Pool, read: &ShadowRead) -> Result<i64, NotComparable> {
    let control = pool.get().await.map_err(|error| {
        let error = match error {
            bb8::RunError::User(error) => ControlError::to_string(&error),
            bb8::RunError::TimedOut => "no connection to the database in time".to_owned(),
        };
        tracing::debug!(error, "no connection for a shadow read");
        NotComparable::from(Reason::Failed)
    })?;
    let within = tokio::time::timeout(TIME_MAX, async {
        let compared = compare::compare(&control, read).await;
        (compared, client_role::end(&control).await)
    });
    match within.await {
        Ok((compared, Ok(()))) => compared,
        // What a client's statement may have left in a session must not meet another client's.
        Ok((_, Err(_))) | Err(_) => {
            control.close();
            Err(Reason::TimedOut.into())
        }
    }
}
