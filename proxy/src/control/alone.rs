//! One step, one backfill of a migration at a time: advisory locks of the session, which end with
//! it however it ends.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::error::ControlError;

/// The server notices the end of a killed program's session a moment later than its operator.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Takes the lock for `work` on a migration, or says that somebody else is at it.
pub async fn alone(client: &Client, work: &str, migration: &str) -> Result<(), ControlError> {
    let started = Instant::now();
    loop {
        let row = client
            .query_one(
                "SELECT pg_try_advisory_lock(hashtext('crossfade ' || $1), hashtext($2))",
                &[&work, &migration],
            )
            .await
            .map_err(ControlError::sql("lock of the work"))?;
        if row.get(0) {
            return Ok(());
        }
        if started.elapsed() >= PATIENCE {
            return Err(ControlError::Refused(format!(
                "another {work} of {migration} is under way (pg_stat_activity shows it under the \
                 application name `crossfade …`)"
            )));
        }
        tokio::time::sleep(POLL).await;
    }
}
