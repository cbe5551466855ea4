//! Statements that put a table aside or bring it back: some must succeed, others may be left out, which is told.

use std::time::Duration;

use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use crate::control::{ControlError, error};

/// One statement, or several that belong together.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// `None`: it is known before that it would be refused.
    pub sql: Option<String>,
    /// What is lacking without it; `None`: without it nothing is done.
    part: Option<String>,
}

impl Statement {
    pub fn must(sql: String) -> Statement {
        Statement {
            sql: Some(sql),
            part: None,
        }
    }

    pub fn may(sql: String, part: String) -> Statement {
        Statement {
            sql: Some(sql),
            part: Some(part),
        }
    }

    pub fn left_out(part: String) -> Statement {
        Statement {
            sql: None,
            part: Some(part),
        }
    }
}

/// Says statements in their order; what is left out, with the server's reason.
pub(super) async fn say(
    transaction: &Transaction<'_>,
    statements: &[Statement],
    doing: &'static str,
) -> Result<Vec<String>, ControlError> {
    let mut left_out = Vec::new();
    for statement in statements {
        let (sql, part) = match (&statement.sql, &statement.part) {
            (Some(sql), Some(part)) => (sql, part),
            (Some(sql), None) => {
                let said = transaction.batch_execute(sql).await;
                said.map_err(ControlError::sql(doing))?;
                continue;
            }
            (None, part) => {
                left_out.extend(part.clone());
                continue;
            }
        };
        savepoint(transaction, "SAVEPOINT", doing).await?;
        match transaction.batch_execute(sql).await {
            Ok(()) => savepoint(transaction, "RELEASE SAVEPOINT", doing).await?,
            // A lock that is waited for is no reason to do without.
            Err(error) if error.as_db_error().is_none() || error.code().is_some_and(is_lock) => {
                return Err(ControlError::sql(doing)(error));
            }
            Err(error) => {
                savepoint(transaction, "ROLLBACK TO SAVEPOINT", doing).await?;
                left_out.push(format!("{part}: {}", error::said(&error)));
            }
        }
    }
    Ok(left_out)
}

async fn savepoint(
    transaction: &Transaction<'_>,
    command: &str,
    doing: &'static str,
) -> Result<(), ControlError> {
    let done = transaction
        .batch_execute(&format!("{command} cf_part"))
        .await;
    done.map_err(ControlError::sql(doing))
}

/// How often a lock is tried, and how long is waited in between: some seconds in all, of which whoever is behind us waits
/// no more than the lock timeout at a time.
const ATTEMPTS_MAX: u32 = 10;
const RETRY: Duration = Duration::from_millis(250);

/// A transaction that is done again where a lock stands in its way that is likely to be free in a moment.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failed: u32,
}

impl Patience {
    /// Waits for the next attempt, or gives the error back.
    pub async fn after(&mut self, error: ControlError) -> Result<(), ControlError> {
        if !error.sqlstate().is_some_and(is_lock) {
            return Err(error);
        }
        self.failed += 1;
        if self.failed == ATTEMPTS_MAX {
            return Err(ControlError::Refused(format!(
                "somebody holds one of the tables, or one that they refer to: nothing was changed; run it again ({error})"
            )));
        }
        tokio::time::sleep(RETRY).await;
        Ok(())
    }
}

fn is_lock(sqlstate: &SqlState) -> bool {
    *sqlstate == SqlState::LOCK_NOT_AVAILABLE || *sqlstate == SqlState::T_R_DEADLOCK_DETECTED
}
