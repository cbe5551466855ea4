//! Where an operator works: the database that decides, and the directory of rule files beside it. Both are read anew for
//! each step, for somebody may have applied rules meanwhile.

use std::path::{Path, PathBuf};

use rewrite_rules::{RuleErrors, RuleSet};

use crate::config::{Config, Gates};
use crate::control::error::ControlError;
use crate::control::{connect, epochs, tenants};
use crate::rules_dir::{self, RulesError};
use crate::served::{Served, ServedError};
use crate::sources::{self, Sources};

/// Where the rules are and where the control connection goes.
#[derive(Clone, Debug)]
pub struct Site {
    pub url: String,
    /// Rule files, for migrations that the database does not know yet.
    pub directory: Option<PathBuf>,
    /// What steps ask of time.
    pub gates: Gates,
}

/// Which rules are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those in force, and the rule files of migrations that the database does not know yet.
    InForce,
    /// What the rule files say, in the phases in force.
    Files,
}

#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    #[error(
        "no connection to the application's database: expected --control URL, CROSSFADE_CONTROL_URL, or `url` in \
         [control] of the file given by --config"
    )]
    NoControl,
    #[error("no rules: expected --rules DIR, or `rules` in the file given by --config")]
    NoRules,
    #[error("{} holds no rule file (*.toml)", .0.display())]
    NoFile(PathBuf),
    #[error("no migration is in force")]
    NothingInForce,
    #[error("{place}: {error}")]
    Compile { place: String, error: RuleErrors },
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Served(#[from] ServedError),
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl Site {
    pub fn of(config: &Config) -> Result<Site, SiteError> {
        Ok(Site {
            url: control_url(config)?,
            directory: config.rules.clone(),
            gates: config.gates,
        })
    }

    /// The rules that are meant; `tell` hears where files say otherwise than what is in force.
    pub async fn rules(
        &self,
        wanted: Wanted,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<RuleSet, SiteError> {
        let directory = self.directory.as_deref();
        let client = connect(&self.url, "rules").await?;
        let rows = epochs::in_force(&client).await?;
        let files = match directory {
            Some(directory) => rules_dir::read(directory)?,
            None if rows.is_empty() => return Err(SiteError::NoRules),
            None => Vec::new(),
        };
        let sources = Sources::in_force(&rows, directory, &files);
        let sources = match wanted {
            Wanted::InForce => {
                for (_, difference) in sources::differences(&files, &rows) {
                    tell(&difference);
                }
                sources
            }
            Wanted::Files => sources.with(&rows, &files),
        };
        let rules = sources.compile().map_err(|error| SiteError::Compile {
            place: place(directory),
            error,
        })?;
        if rules.migrations().is_empty() {
            return Err(match directory {
                Some(directory) => SiteError::NoFile(directory.to_owned()),
                None => SiteError::NothingInForce,
            });
        }
        Served::of(&rules, Some(&self.url))?;
        match rules.has_tenants() {
            true => Ok(tenants::known(&client, rules).await?),
            false => Ok(rules),
        }
    }
}

/// Where an operator finds the application's database.
pub fn control_url(config: &Config) -> Result<String, SiteError> {
    config.control.url.clone().ok_or(SiteError::NoControl)
}

fn place(directory: Option<&Path>) -> String {
    match directory {
        Some(directory) => format!("the rules in {}", directory.display()),
        None => "the rules in force".to_owned(),
    }
}
