//! Whether writes whose unified half fails may be recorded.
//!
//! Until `shadow_read` they may, and `dual_read` serves what unified has. So before reads turn the ledger must be looked
//! at when nobody can add to it any more: a transaction that still runs in `shadow_read` would leave a stale row that
//! others read already.
//!
//! ```text
//! a write in shadow_read                       the step to dual_read
//! SELECT allowed … FOR SHARE, until its end
//!                                              UPDATE … SET allowed = false     waits for it
//! SELECT allowed … FOR SHARE: 40001
//!                                              its keys are put once more, and the gates looked at
//!                                              the rule file, the drain
//!                                              UPDATE … SET allowed = true      from now on dual_read refuses by itself
//! ```
//!
//! A step that was killed in between leaves it forbidden: the next step, or `--to` the phase where it stands, allows it.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::drain::Clock;
use super::error::ControlError;

const DOING: &str = "turn of the reads";
/// Whoever waits for the lock holds up those that come to record; they and it take turns.
const FORBID: &str = "\
BEGIN; SET LOCAL lock_timeout = '200ms'; \
UPDATE crossfade.recording SET allowed = false WHERE migration = ";

/// From when this returns on no transaction records, and none that has is still open.
pub async fn forbid(
    client: &Client,
    migration: &str,
    timeout: Duration,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    allow(client, migration).await?;
    let name = rewrite_rules::lens::quote_literal(migration);
    let mut clock = Clock::start(timeout);
    loop {
        let forbidden = client
            .batch_execute(&format!("{FORBID}{name}; COMMIT"))
            .await;
        let Err(error) = forbidden else {
            return Ok(());
        };
        client
            .batch_execute("ROLLBACK")
            .await
            .map_err(ControlError::sql(DOING))?;
        if error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) {
            return Err(ControlError::sql(DOING)(error));
        }
        let waits =
            "a transaction has recorded a write whose unified half failed, and is still open";
        clock.wait(waits, tell).await?;
    }
}

/// As it is outside of that step.
pub async fn allow(client: &Client, migration: &str) -> Result<(), ControlError> {
    let sql = "UPDATE crossfade.recording SET allowed = true WHERE migration = $1 AND NOT allowed";
    client
        .execute(sql, &[&migration])
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(())
}

/// Whether it is; not while reads turn, nor after a step that turned them and did not live to its end.
pub async fn is_allowed(client: &Client, migration: &str) -> Result<bool, ControlError> {
    let sql = "SELECT allowed FROM crossfade.recording WHERE migration = $1";
    let row = client
        .query_opt(sql, &[&migration])
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(row.is_some_and(|row| row.get(0)))
}
