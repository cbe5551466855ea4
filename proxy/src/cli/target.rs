//! What the operator's commands have in common: which rules, which database.

use anyhow::{Context, bail};
use rewrite_rules::RuleSet;

use crate::config::{Config, Flags, Gates};
use crate::control::{connect, epochs, tenants};
use crate::rules_dir;
use crate::served::Served;
use crate::sources::{self, Sources};

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

/// Which rules a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Those in force.
    InForce,
    /// Those that the rule files say, in the phases in force.
    Files,
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
        let config = Config::load(flags)?;
        let directory = config.rules.as_deref();
        let url = control_url(&config)?;
        let client = connect(&url, "rules").await?;
        let rows = epochs::in_force(&client).await?;
        let files = match directory {
            Some(directory) => rules_dir::read(directory)?,
            None if rows.is_empty() => {
                bail!("no rules: expected --rules DIR, or `rules` in the file given by --config")
            }
            None => Vec::new(),
        };
        let sources = Sources::in_force(&rows, directory, &files);
        let sources = match wanted {
            Wanted::InForce => {
                for (_, difference) in sources::differences(&files, &rows) {
                    say(&difference);
                }
                sources
            }
            Wanted::Files => sources.with(&rows, &files),
        };
        let rules = sources.compile().with_context(|| match directory {
            Some(directory) => format!("the rules in {}", directory.display()),
            None => "the rules in force".to_owned(),
        })?;
        if rules.migrations().is_empty() {
            match directory {
                Some(directory) => bail!("{} holds no rule file (*.toml)", directory.display()),
                None => bail!("no migration is in force"),
            }
        }
        Served::of(&rules, Some(&url))?;
        let rules = match rules.has_tenants() {
            true => tenants::known(&client, rules).await?,
            false => rules,
        };
        Ok(CommandTarget {
            rules,
            url,
            gates: config.gates,
        })
    }
}

/// Where a command finds the application's database.
pub fn control_url(config: &Config) -> anyhow::Result<String> {
    let url = config.control.url.clone();
    url.context(
        "no connection to the application's database: expected --control URL, CROSSFADE_CONTROL_URL, or `url` in \
         [control] of the file given by --config",
    )
}

/// Lines about what is going on go to stderr; stdout is for the answer.
pub fn say(line: &str) {
    for line in line.lines() {
        eprintln!("  {line}");
    }
}
