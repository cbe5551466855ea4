//! The tenants, followed while a proxy serves: whoever is new is known a moment later, without a reload.
//!
//! A new list is a new generation, so that a transaction keeps the tenants that it began with, and names
//! are asked for again.

use crate::control::connection::{Control, connect};
use crate::control::{ControlError, tenants};
use crate::rules_dir::RulesError;
use crate::shared::Shared;

use super::attached;

use rewrite_rules::RuleSet;

/// Looks for tenants that have come or gone, by a connection that is kept.
#[derive(Debug, Default)]
pub(super) struct Following {
    connection: Option<Control>,
    told: String,
}

#[derive(Debug, thiserror::Error)]
enum TenantsError {
    #[error(transparent)]
    Database(#[from] ControlError),
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// Rules with the tenants that there are now. Without a control connection nobody says who they are.
pub(super) async fn known(shared: &Shared, rules: RuleSet) -> Result<RuleSet, ControlError> {
    match &shared.config.control.url {
        Some(url) if rules.has_tenants() => {
            tenants::known(&*connect(url, "tenants").await?, rules).await
        }
        Some(_) | None => Ok(rules),
    }
}

impl Following {
    /// Puts the tenants in force that are listed now. What stands against it is told once.
    pub async fn look(&mut self, shared: &Shared) {
        match self.followed(shared).await {
            Ok(()) => self.told.clear(),
            Err(error) => {
                // Whatever was wrong, the next look begins anew.
                self.connection = None;
                let error = error.to_string();
                if self.told != error {
                    tracing::error!("the tenants are those of before: {error}");
                }
                self.told = error;
            }
        }
    }

    async fn followed(&mut self, shared: &Shared) -> Result<(), TenantsError> {
        let running = shared.generations.current();
        let (true, Some(url)) = (running.rules().has_tenants(), &shared.config.control.url) else {
            self.connection = None;
            return Ok(());
        };
        let client = match &mut self.connection {
            Some(client) => client,
            none @ None => none.insert(connect(url, "tenants").await?),
        };
        let Some(listed) = tenants::listed(client, running.rules()).await? else {
            return Ok(());
        };
        if running.rules().tenants() == Some(listed.as_slice()) {
            return Ok(());
        }
        let count = listed.len();
        let rules = running.rules().with_tenants(listed);
        attached::before(shared, &rules).await?;
        let generation = shared.generations.install(rules);
        let generation = generation.map_err(RulesError::from)?;
        tracing::info!(generation, count, "the tenants have changed");
        Ok(())
    }
}
