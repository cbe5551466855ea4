//! How an operator changes tables by hand, past the proxy and under a live application.

use std::time::Duration;

use anyhow::Context;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// The application's statements hold these locks for milliseconds.
const ATTEMPTS_MAX: usize = 50;
const RETRY: Duration = Duration::from_millis(50);

/// Takes the locks only if they are free at once, well before a deadlock would be looked for:
/// where the operator and a client get in each other's way, the operator goes back.
pub async fn politely(db: &Client, sql: &str) -> anyhow::Result<()> {
    let sql = format!("BEGIN; SET LOCAL lock_timeout = '200ms'; {sql} COMMIT;");
    let mut attempt = 1;
    loop {
        match db.batch_execute(&sql).await {
            Ok(()) => return Ok(()),
            Err(error)
                if attempt < ATTEMPTS_MAX
                    && error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) =>
            {
                attempt += 1;
                db.batch_execute("ROLLBACK").await?;
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error).context("changing the tables"),
        }
    }
}
