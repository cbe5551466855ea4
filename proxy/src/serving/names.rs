//! What the database says of names beside the rule files, followed while a proxy serves: the tenants, of whom whoever is new
//! is known a moment later, without a reload; and functions that bear names of PostgreSQL's own.
//!
//! What has changed is a new generation, so that a transaction keeps what it began with, and names are asked for
//! again.

use std::time::{Duration, Instant};

use crate::control::connection::{Control, connect};
use crate::control::{ControlError, functions, tenants};
use crate::rules_dir::RulesError;
use crate::shared::Shared;

use super::attached;

use rewrite_rules::{Namesakes, Phase, RuleSet};

/// Functions come and go seldom, and each look reads the names of all.
const FUNCTIONS_EVERY: Duration = Duration::from_secs(10);
/// Nobody is served before the first look has ended, and no rules are followed while one lasts.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks for what has come or gone, by a connection that is kept.
#[derive(Debug, Default)]
pub(super) struct Following {
    connection: Option<Control>,
    functions_at: Option<Instant>,
    told: String,
}

#[derive(Debug, thiserror::Error)]
enum NamesError {
    #[error(transparent)]
    Database(#[from] ControlError),
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// Whether anything is read by these rules that the database has to say more of.
fn ask(rules: &RuleSet) -> bool {
    rules.has_tenants()
        || rules
            .migrations()
            .iter()
            .any(|m| m.phase != Phase::LegacyOnly)
}

/// Rules with what the database says now. Without a control connection nobody says it.
pub(super) async fn known(shared: &Shared, rules: RuleSet) -> Result<RuleSet, ControlError> {
    match &shared.config.control.url {
        Some(url) if ask(&rules) => {
            let client = connect(url, "names").await?;
            let rules = tenants::known(&client, rules).await?;
            Ok(rules.with_namesakes(functions::namesakes(&client).await?))
        }
        Some(_) | None => Ok(rules),
    }
}

/// The same for the first rules, before anybody is served. As long as nothing is known, statements on the tables of
/// tenants are refused, and every name of a function may be somebody's.
pub(super) async fn begin(shared: &Shared) {
    let mut following = Following::default();
    if following.look(shared).await.is_err() {
        let running = shared.generations.current();
        let rules = running.rules().with_namesakes(Namesakes::Unknown);
        // Of the same phases, so there is no step that could be refused.
        if let Err(error) = shared.generations.install(rules) {
            tracing::error!("the rules are those of before: {error}");
        }
    }
}

/// Nothing is known anew; the reason has been told.
#[derive(Debug)]
pub(super) struct NotFollowed;

impl Following {
    /// Puts in force what the database says now. What stands against it is told once.
    pub async fn look(&mut self, shared: &Shared) -> Result<(), NotFollowed> {
        let looked = tokio::time::timeout(LOOK_TIMEOUT, self.followed(shared)).await;
        let timed_out = || ControlError::TimedOut {
            waited_seconds: LOOK_TIMEOUT.as_secs(),
            waiting_for: "the database to say what it has of tenants and functions".to_owned(),
        };
        match looked.unwrap_or_else(|_| Err(timed_out().into())) {
            Ok(()) => {
                self.told.clear();
                Ok(())
            }
            Err(error) => {
                // Whatever was wrong, the next look begins anew.
                self.connection = None;
                let error = error.to_string();
                if self.told != error {
                    tracing::error!("tenants and functions are those of before: {error}");
                }
                self.told = error;
                Err(NotFollowed)
            }
        }
    }

    async fn followed(&mut self, shared: &Shared) -> Result<(), NamesError> {
        let running = shared.generations.current();
        let rules = running.rules();
        let (true, Some(url)) = (ask(rules), &shared.config.control.url) else {
            *self = Following::default();
            return Ok(());
        };
        let due = self
            .functions_at
            .is_none_or(|at| at.elapsed() >= FUNCTIONS_EVERY);
        if !due && !rules.has_tenants() {
            return Ok(());
        }
        let client = match &mut self.connection {
            Some(client) => client,
            none @ None => none.insert(connect(url, "names").await?),
        };
        let mut next = None;
        if due {
            let namesakes = functions::namesakes(client).await?;
            self.functions_at = Some(Instant::now());
            if !namesakes.says_the_same(rules.namesakes()) {
                tracing::info!("functions that bear names of PostgreSQL's have come or gone");
                next = Some(rules.with_namesakes(namesakes));
            }
        }
        if let Some(listed) = tenants::listed(client, rules).await?
            && rules.tenants() != Some(listed.as_slice())
        {
            tracing::info!(count = listed.len(), "the tenants have changed");
            let with_tenants = next.as_ref().unwrap_or(rules).with_tenants(listed);
            attached::before(shared, &with_tenants).await?;
            next = Some(with_tenants);
        }
        if let Some(rules) = next {
            let generation = shared.generations.install(rules);
            let generation = generation.map_err(RulesError::from)?;
            tracing::info!(generation, "rules with what the database says of names");
        }
        Ok(())
    }
}
