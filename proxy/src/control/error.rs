//! What can go wrong in the control plane, in words that say what to do.

use std::path::PathBuf;

use tokio_postgres::error::SqlState;

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("cannot read the control URL: {0}; expected postgres://user@host:port/database")]
    Url(String),
    #[error("cannot connect to the database of the control URL: {0}")]
    Connect(String),
    #[error("the database refused Crossfade's own work ({doing}): {said}")]
    Sql {
        doing: &'static str,
        said: String,
        /// To tell what can be retried from what cannot.
        sqlstate: Option<SqlState>,
    },
    #[error(
        "schema crossfade has version {found}, made by a newer Crossfade; this one knows {known}: \
         use the newer program"
    )]
    NewerSchema { found: i32, known: i32 },
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {said}", path.display())]
    PhaseLine { path: PathBuf, said: String },
    /// The work is well defined but must not be done now; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// Gates of a step that are not met; what it waits for may come by itself.
    #[error("{0}")]
    Unmet(String),
    /// Other rules were put into force meanwhile; by these it may be done.
    #[error("{0} has changed since this command began: other rules were applied. Run it again")]
    Overtaken(String),
    /// A transaction found its epoch closed and has done nothing; one by what is in force now may follow.
    #[error("{0} has gone on to another epoch")]
    EpochOver(String),
    #[error("gave up after {waited_seconds} s: {waiting_for}")]
    TimedOut {
        waited_seconds: u64,
        waiting_for: String,
    },
}

impl ControlError {
    /// For `map_err`: names the work that the statement was part of.
    pub fn sql(doing: &'static str) -> impl FnOnce(tokio_postgres::Error) -> ControlError {
        move |error| ControlError::Sql {
            doing,
            said: said(&error),
            sqlstate: error.code().cloned(),
        }
    }

    #[must_use]
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            ControlError::Sql { sqlstate, .. } => sqlstate.as_ref(),
            ControlError::Url(_)
            | ControlError::Connect(_)
            | ControlError::NewerSchema { .. }
            | ControlError::File { .. }
            | ControlError::PhaseLine { .. }
            | ControlError::Refused(_)
            | ControlError::Unmet(_)
            | ControlError::Overtaken(_)
            | ControlError::EpochOver(_)
            | ControlError::TimedOut { .. } => None,
        }
    }
}

/// A driver's error in the server's own words where it has some.
#[must_use]
pub fn said(error: &tokio_postgres::Error) -> String {
    use std::error::Error;

    if let Some(db) = error.as_db_error() {
        let mut text = format!("{} ({})", db.message(), db.code().code());
        for more in [db.detail(), db.hint()].into_iter().flatten() {
            text = format!("{text}; {more}");
        }
        return text;
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
