//! Conflicts with the application's transactions: which errors are some, how long to wait before the
//! next attempt, and when to give up.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use crate::control::ControlError;

/// A row that somebody has kept locked for this long is waited for no longer; the work can be
/// taken up again at any time.
pub const LOCK_WAIT_MAX: Duration = Duration::from_secs(600);

/// A row that changes at each attempt is the application's, not ours to wait for.
const ATTEMPTS_MAX: u32 = 100;

/// Whether trying again may help: a conflict with somebody else's transaction, or with a step.
pub fn is_conflict(error: &ControlError) -> bool {
    matches!(error, ControlError::EpochOver(_))
        || error.sqlstate().is_some_and(|state| {
            [
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::LOCK_NOT_AVAILABLE,
            ]
            .contains(state)
        })
}

/// Between attempts: longer each time, never so long that the end of the conflict goes unnoticed.
#[must_use]
pub fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(20 << attempt.min(5))
}

/// The attempts at one thing.
#[derive(Debug)]
pub struct Attempts {
    since: Instant,
    failed: u32,
    /// So many conflicts are one too many; `None`: the time alone decides.
    failed_max: Option<u32>,
}

impl Attempts {
    /// As long as a lock may be waited for.
    #[must_use]
    pub fn while_locked() -> Attempts {
        Attempts {
            since: Instant::now(),
            failed: 0,
            failed_max: None,
        }
    }

    /// A bounded number, for what a new snapshot settles unless somebody keeps writing there.
    #[must_use]
    pub fn few() -> Attempts {
        Attempts {
            failed_max: Some(ATTEMPTS_MAX),
            ..Attempts::while_locked()
        }
    }

    /// Waits before the next attempt; gives the error back when it is no conflict, or when there
    /// were enough of them.
    pub async fn after(&mut self, error: ControlError) -> Result<(), ControlError> {
        let enough = self.since.elapsed() >= LOCK_WAIT_MAX
            || self.failed_max.is_some_and(|max| self.failed >= max);
        if enough || !is_conflict(&error) {
            return Err(error);
        }
        tokio::time::sleep(backoff(self.failed)).await;
        self.failed += 1;
        Ok(())
    }
}
