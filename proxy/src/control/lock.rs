//! The turn of a preparation: a lock on a table of Crossfade's own, which nobody else may lock.
//!
//! Advisory locks anybody may take who may log in. A lock that is held for long is waited for in short
//! attempts, so that the wait can be told, with whoever holds it.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::error::ControlError;

/// It is there from the first version on.
pub(super) const TABLE: &str = "crossfade.version";

/// Longer than a preparation takes that has something to do; who waits longer is told for whom.
const ATTEMPT: Duration = Duration::from_secs(1);
/// An operator who is told who is in the way can see to it; a proxy tries again by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// The schema is made once: an error that comes again is another one.
const MADE_AT_ONCE_MAX: u32 = 3;

/// Takes it until the end of the transaction, or fails with 55P03 after [`ATTEMPT`].
pub(super) async fn take(client: &Client) -> Result<(), ControlError> {
    let sql = format!(
        "SET LOCAL lock_timeout = {}; LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE; SET LOCAL lock_timeout = 0",
        ATTEMPT.as_millis()
    );
    client
        .batch_execute(&sql)
        .await
        .map_err(ControlError::sql("wait for another preparation"))
}

/// Waiting for it.
#[derive(Debug)]
pub(super) struct LockTurn {
    doing: &'static str,
    since: Instant,
    told: String,
    made_at_once: u32,
}

impl LockTurn {
    pub fn begin(doing: &'static str) -> LockTurn {
        LockTurn {
            doing,
            since: Instant::now(),
            told: String::new(),
            made_at_once: 0,
        }
    }

    /// After an attempt that failed: gives the error back unless trying again may help.
    pub async fn after(
        &mut self,
        client: &Client,
        error: ControlError,
    ) -> Result<(), ControlError> {
        let Some(state) = error.sqlstate() else {
            return Err(error);
        };
        let is_locked = *state == SqlState::LOCK_NOT_AVAILABLE;
        // Somebody made the schema, or the first of its tables, at the same time.
        let made_at_once = [
            SqlState::UNIQUE_VIOLATION,
            SqlState::DUPLICATE_SCHEMA,
            SqlState::DUPLICATE_TABLE,
        ]
        .contains(state)
            && self.made_at_once < MADE_AT_ONCE_MAX;
        self.made_at_once += u32::from(made_at_once);
        if !is_locked && !made_at_once || self.since.elapsed() >= PATIENCE {
            return Err(error);
        }
        if is_locked {
            let holders = holders(client).await?;
            if self.told != holders {
                tracing::warn!(
                    "{} waits for {TABLE}, which is locked by {holders}",
                    self.doing
                );
                self.told = holders;
            }
        }
        Ok(())
    }
}

async fn holders(client: &Client) -> Result<String, ControlError> {
    let row = client
        .query_one(
            "SELECT coalesce(string_agg(DISTINCT format('pid %s (user %s, application %s)', l.pid, \
             coalesce(a.usename::text, 'unknown'), coalesce(nullif(a.application_name, ''), 'unnamed')), ', '), \
             'nobody any more') FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid \
             WHERE l.locktype = 'relation' AND l.relation = to_regclass($1) AND l.granted \
             AND l.mode NOT IN ('AccessShareLock', 'RowShareLock') AND l.pid <> pg_backend_pid()",
            &[&TABLE],
        )
        .await
        .map_err(ControlError::sql("look at who holds a lock"))?;
    Ok(row.get(0))
}
