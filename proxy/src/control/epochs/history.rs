//! The epochs that there were, and how what is in force came to be, for operators.

use std::time::SystemTime;

use tokio_postgres::Client;

use super::DOING;
use crate::control::error::ControlError;
use crate::control::schema;

/// One epoch of the past or the present.
#[derive(Clone, Debug)]
pub struct Epochs {
    pub migration: String,
    pub epoch: i64,
    phase: String,
    opened: String,
    by: String,
    why: String,
    closed: Option<String>,
}

impl std::fmt::Display for Epochs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Epochs {
            migration,
            epoch,
            phase,
            opened,
            by,
            why,
            closed,
        } = self;
        write!(
            f,
            "{migration}: epoch {epoch}, {phase}, since {opened} by {by} ({why})"
        )?;
        match closed {
            Some(closed) => write!(f, ", closed {closed}"),
            None => Ok(()),
        }
    }
}

/// All of them, the oldest first.
pub async fn history(client: &Client) -> Result<Vec<Epochs>, ControlError> {
    schema::must_be_prepared(client).await?;
    const TIME: &str = "YYYY-MM-DD HH24:MI:SS TZ";
    let rows = client
        .query(
            "SELECT migration, epoch, phase, to_char(opened_at, $1), opened_by, why, to_char(closed_at, $1) \
             FROM crossfade.epochs ORDER BY migration, epoch",
            &[&TIME],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    let line = |row: &tokio_postgres::Row| Epochs {
        migration: row.get(0),
        epoch: row.get(1),
        phase: row.get(2),
        opened: row.get(3),
        by: row.get(4),
        why: row.get(5),
        closed: row.get(6),
    };
    Ok(rows.iter().map(line).collect())
}

/// How a migration has come to what is in force.
#[derive(Clone, Debug)]
pub struct Opened {
    pub migration: String,
    pub epoch: i64,
    pub at: SystemTime,
    pub by: String,
    pub why: String,
}

/// The newest epoch of every migration, as it was opened.
pub async fn opened(client: &Client) -> Result<Vec<Opened>, ControlError> {
    let rows = client
        .query(
            "SELECT DISTINCT ON (migration) migration, epoch, opened_at, opened_by, why \
             FROM crossfade.epochs ORDER BY migration, epoch DESC",
            &[],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    let opened = |row: &tokio_postgres::Row| Opened {
        migration: row.get(0),
        epoch: row.get(1),
        at: row.get(2),
        by: row.get(3),
        why: row.get(4),
    };
    Ok(rows.iter().map(opened).collect())
}
