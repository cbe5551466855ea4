//! What the operator's commands have in common: which rules, which database.

use anyhow::{Context, bail};
use rewrite_rules::RuleSet;

use crate::config::{Config, Flags, Gates};
use crate::control::{connect, tenants};
use crate::rules_dir;
use crate::served::Served;

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
    pub async fn load(flags: &Flags) -> anyhow::Result<CommandTarget> {
        let config = Config::load(flags)?;
        let Some(directory) = &config.rules else {
            bail!("no rules: expected --rules DIR, or `rules` in the file given by --config");
        };
        let rules = rules_dir::load(directory)
            .with_context(|| format!("the rules in {}", directory.display()))?;
        if rules.migrations().is_empty() {
            bail!("{} holds no rule file (*.toml)", directory.display());
        }
        let Some(url) = config.control.url else {
            bail!(
                "no connection to the application's database: expected --control URL, \
                 CROSSFADE_CONTROL_URL, or `url` in [control] of the file given by --config"
            );
        };
        Served::of(&rules, Some(&url))?;
        let rules = match rules.has_tenants() {
            true => tenants::known(&*connect(&url, "tenants").await?, rules).await?,
            false => rules,
        };
        Ok(CommandTarget {
            rules,
            url,
            gates: config.gates,
        })
    }
}

/// Lines about what is going on go to stderr; stdout is for the answer.
pub fn say(line: &str) {
    for line in line.lines() {
        eprintln!("  {line}");
    }
}
