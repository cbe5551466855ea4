//! A client's session: what an error of it means, and what was done in it last.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::{Client, Statement};

use crate::torture::now;

/// What a client did last, to be read where an answer was wrong.
const TRAIL: usize = 60;

/// The latest statements with their outcomes, and when these were there.
#[derive(Clone, Default)]
pub(super) struct Trail(pub(super) Arc<Mutex<VecDeque<String>>>);

impl Trail {
    pub(super) fn note<T>(&self, what: &str, outcome: &Result<T, Failure>) {
        let outcome = match outcome {
            Ok(_) => "ok",
            Err(Failure::Lost) => "lost",
            Err(Failure::Conflict { .. }) => "conflict",
            Err(Failure::Error(_, text) | Failure::Wrong(text)) => text,
        };
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TRAIL {
            lines.pop_front();
        }
        lines.push_back(format!("{} {what}: {outcome}", now()));
    }

    pub(super) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("  {line}\n")).collect()
    }
}

/// Why a statement has no answer.
pub(super) enum Failure {
    /// The connection is gone; what it was about to do may have been done.
    Lost,
    /// A serialization failure or a deadlock: nothing was done.
    Conflict {
        /// Of a statement whose epoch was closed, which may come outside of a transaction as well.
        fenced: bool,
    },
    /// Another error, with its SQLSTATE.
    Error(String, String),
    Wrong(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let text = format!("{error:?}");
            // Anything else says that the protocol was broken.
            return if error.is_closed() || text.contains("kind: Io") {
                Failure::Lost
            } else {
                Failure::Wrong(text)
            };
        };
        let code = db.code().code();
        if matches!(db.severity(), "FATAL" | "PANIC") || code.starts_with("08") {
            return Failure::Lost;
        }
        match code {
            // A proxy that has just started and does not know the phase yet.
            "57P03" => Failure::Conflict { fenced: true },
            "40001" | "40P01" => Failure::Conflict {
                fenced: db.message().contains("not in force any more"),
            },
            // Documented: where a lens alone sees to a foreign key.
            "0A000"
                if db
                    .message()
                    .starts_with("at REPEATABLE READ nothing can tell") =>
            {
                Failure::Conflict { fenced: false }
            }
            // The postmaster's word for "another process broke, end": always FATAL from a server.
            _ => Failure::Error(code.to_owned(), format!("{code} {}", db.message())),
        }
    }
}

pub(super) struct Session {
    pub(super) db: Client,
    pub(super) name: String,
    pub(super) prepared: HashMap<String, Statement>,
    pub(super) trail: Trail,
}

impl Session {
    pub(super) async fn command(&self, sql: &str) -> Result<(), Failure> {
        let outcome = self.db.batch_execute(sql).await.map_err(Failure::from);
        self.trail.note(sql, &outcome);
        outcome
    }
}
