//! What the operator's commands have in common: which rules, which database.

use rewrite_rules::RuleSet;

use crate::config::{Config, Flags, Gates};
use crate::steps::site::{Site, Wanted};

/// The arguments of every command about one migration.
#[derive(Debug, clap::Args)]
pub struct MigrationArgs {
    /// The migration's name
    pub migration: String,
    #[command(flatten)]
    pub flags: Flags,
}

/// Where the rules are and where the control connection goes.
#[derive(Debug)]
pub struct CommandTarget {
    pub rules: RuleSet,
    pub url: String,
    pub gates: Gates,
}

impl CommandTarget {
    /// What is in force, and the rule files of migrations that the database does not know yet.
    pub async fn load(flags: &Flags) -> anyhow::Result<CommandTarget> {
        Self::of(flags, Wanted::InForce).await
    }

    /// What the rule files say, in the phases in force.
    pub async fn of_files(flags: &Flags) -> anyhow::Result<CommandTarget> {
        Self::of(flags, Wanted::Files).await
    }

    async fn of(flags: &Flags, wanted: Wanted) -> anyhow::Result<CommandTarget> {
        let site = Site::of(&Config::load(flags)?)?;
        let rules = site.rules(wanted, &mut say).await?;
        Ok(CommandTarget {
            rules,
            url: site.url,
            gates: site.gates,
        })
    }
}

/// Where a command finds the application's database.
pub fn control_url(config: &Config) -> anyhow::Result<String> {
    Ok(crate::steps::site::control_url(config)?)
}

/// Lines about what is going on go to stderr; stdout is for the answer.
pub fn say(line: &str) {
    for line in line.lines() {
        eprintln!("  {line}");
    }
}
