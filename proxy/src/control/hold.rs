//! The epoch that a command's own writes belong to: no chunk, sweep or repair writes by rules, or in a phase, that are not
//! in force any more, however long the command slept before it.
//!
//! | | |
//! |---|---|
//! | each transaction that writes rows | locks the epoch's fence first, as a client's statement does |
//! | the epoch is closed | the transaction fails before it has touched a row; the next one looks what is in force now |
//! | the same rules, in a phase where the command may run | it goes on by the new epoch |
//! | anything else | it is refused, with the phase |

use std::sync::{Mutex, MutexGuard, PoisonError};

use rewrite_rules::{Epoch, Migration, Phase, fence};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use super::error::ControlError;
use super::{epochs, phase_file};

#[derive(Debug)]
pub struct Hold<'a> {
    migration: &'a Migration,
    /// Where the command may write.
    phases: &'a [Phase],
    /// `None`: closed, and what came after it is to be looked up.
    epoch: Mutex<Option<Epoch>>,
}

impl<'a> Hold<'a> {
    /// What is in force, if a command may write in it.
    pub async fn of(
        client: &Client,
        migration: &'a Migration,
        phases: &'a [Phase],
    ) -> Result<Hold<'a>, ControlError> {
        let hold = Hold {
            migration,
            phases,
            epoch: Mutex::new(None),
        };
        hold.begins_with(client).await?;
        Ok(hold)
    }

    fn epoch(&self) -> MutexGuard<'_, Option<Epoch>> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each transaction begins with. The connection must be in none.
    pub async fn begins_with(&self, client: &Client) -> Result<String, ControlError> {
        let known = *self.epoch();
        let epoch = match known {
            Some(epoch) => epoch,
            None => self.in_force(client).await?,
        };
        Ok(fence::locked(&epoch.table(&self.migration.name)))
    }

    async fn in_force(&self, client: &Client) -> Result<Epoch, ControlError> {
        let name = &self.migration.name;
        let now = epochs::of(client, name).await?;
        let now = now.ok_or_else(|| {
            ControlError::Refused(format!(
                "crossfade.epochs has nothing of {name}; run `crossfade prepare`"
            ))
        })?;
        let ours = phase_file::does(&self.migration.text);
        if ours.is_none() || ours != phase_file::does(&now.rules) {
            return Err(ControlError::Overtaken(name.clone()));
        }
        if !self.phases.contains(&now.phase) {
            let phases: Vec<&str> = self.phases.iter().map(|phase| phase.name()).collect();
            return Err(ControlError::Refused(format!(
                "{name} is in {} now (epoch {}): somebody took a step while this command ran, which writes rows in {} \
                 alone. What it has done stays, and nothing was written since",
                now.phase,
                now.epoch,
                phases.join(", ")
            )));
        }
        *self.epoch() = Some(now.epoch);
        Ok(now.epoch)
    }

    /// A transaction that holds the epoch open.
    pub async fn begin<'c>(
        &self,
        client: &'c mut Client,
        level: IsolationLevel,
        doing: &'static str,
    ) -> Result<Transaction<'c>, ControlError> {
        let begins_with = self.begins_with(client).await?;
        let begin = client.build_transaction().isolation_level(level).start();
        let transaction = begin.await.map_err(ControlError::sql(doing))?;
        let locked = transaction.batch_execute(&begins_with).await;
        locked.map_err(|error| self.failed(error, doing))?;
        Ok(transaction)
    }

    /// A transaction's first statement has failed.
    pub fn failed(&self, error: tokio_postgres::Error, doing: &'static str) -> ControlError {
        let is_missing = matches!(
            error.code(),
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME)
        ) && error
            .as_db_error()
            .is_some_and(|db| fence::is_missing(db.message()));
        if !is_missing {
            return ControlError::sql(doing)(error);
        }
        *self.epoch() = None;
        ControlError::EpochOver(self.migration.name.clone())
    }
}
