//! Statements that put a table aside or bring it back: some must succeed, others may be left out, which is told.

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
                said.map_err(|error| refused(doing, error))?;
                continue;
            }
            (None, part) => {
                left_out.extend(part.clone());
                continue;
            }
        };
        let savepoint = async |word: &str| {
            let sql = format!("{word} SAVEPOINT cf_part");
            let done = transaction.batch_execute(sql.trim_start()).await;
            done.map_err(ControlError::sql(doing))
        };
        savepoint("").await?;
        match transaction.batch_execute(sql).await {
            Ok(()) => savepoint("RELEASE").await?,
            // A lock that is waited for is no reason to do without.
            Err(error) if error.as_db_error().is_none() || is_lock(&error) => {
                return Err(refused(doing, error));
            }
            Err(error) => {
                savepoint("ROLLBACK TO").await?;
                left_out.push(format!("{part}: {}", error::said(&error)));
            }
        }
    }
    Ok(left_out)
}

fn is_lock(error: &tokio_postgres::Error) -> bool {
    let sqlstate = error.code();
    sqlstate == Some(&SqlState::LOCK_NOT_AVAILABLE)
        || sqlstate == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

fn refused(doing: &'static str, error: tokio_postgres::Error) -> ControlError {
    if is_lock(&error) {
        return ControlError::Refused(format!(
            "somebody holds one of the tables, or one that they refer to, for longer than is waited for ({}): nothing was \
             changed; run it again",
            error::said(&error)
        ));
    }
    ControlError::sql(doing)(error)
}
