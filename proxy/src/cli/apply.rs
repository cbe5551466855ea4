//! `crossfade apply`: puts rule files into force, if the database does not say otherwise.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use rewrite_rules::{RuleSet, SourceFile};

use super::target::say;
use crate::config::{Config, Flags};
use crate::control::epochs::{self, InForce, NewEpoch};
use crate::control::{Control, connect, coverage, drain, events, schema, statements, tenants};
use crate::rules_dir;
use crate::served::Served;
use crate::serving::admission::{self, Texts};
use crate::sources::{self, Sources};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A rule file or a directory of them; the configured directory when left out
    pub path: Option<PathBuf>,
    #[command(flatten)]
    pub flags: Flags,
    /// Show what would change, also for the statements seen so far, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The longest wait for earlier transactions to end
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub drain_timeout_seconds: u64,
}

/// Statements that are shown of those that are rewritten otherwise.
const SHOWN: usize = 10;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.flags)?;
    let Some(url) = config.control.url else {
        bail!("no connection to the application's database: expected --control URL");
    };
    let Some(path) = args.path.as_deref().or(config.rules.as_deref()) else {
        bail!("no rule files: expected a file or a directory");
    };
    let files = read(path)?;
    if files.is_empty() {
        bail!("{} holds no rule file (*.toml)", path.display());
    }
    let client = connect(&url, "apply").await?;
    schema::prepare(&client, &RuleSet::empty(), schema::Ddl::OfNone).await?;
    let rows = epochs::in_force(&client).await?;
    let running = Sources::in_force(&rows, None, &[]);
    let next = running.clone().with(&rows, &files);
    let running_rules = compiled(&client, &running).await?;
    let rules = compiled(&client, &next)
        .await
        .with_context(|| format!("the rules in {}", path.display()))?;
    Served::of(&rules, Some(&url))?;
    let texts = Texts {
        rules: &running_rules,
        files: &running.files,
    };
    let wanted = Texts {
        rules: &rules,
        files: &next.files,
    };
    let changed = changed(&files, &rows);
    if changed.is_empty() {
        println!("nothing changes: what the files say is in force");
        return Ok(ExitCode::SUCCESS);
    }
    let admission = admission::following(&url, texts, wanted).await?;
    for (migration, reason) in &admission.refused {
        eprintln!("{migration} does not fit the database: {reason}");
    }
    for file in &changed {
        let Some(migration) = rules.migrations().iter().find(|m| m.file == file.path) else {
            continue;
        };
        println!("{}: {}", migration.name, what(file, &rows));
        differences(&client, (&running_rules, &rules), &migration.name).await?;
    }
    if !admission.refused.is_empty() {
        bail!("nothing was changed");
    }
    if args.dry_run {
        println!("nothing was changed (--dry-run)");
        return Ok(ExitCode::SUCCESS);
    }
    // Functions must be there before the first statement that calls them.
    schema::prepare(&client, &rules, schema::Ddl::OfNone).await?;
    for file in &changed {
        let Some(migration) = rules.migrations().iter().find(|m| m.file == file.path) else {
            continue;
        };
        let name = &migration.name;
        let row = rows.iter().find(|row| row.migration == *name);
        if let Some(row) = row.filter(|row| !row.rules.is_empty()) {
            let new = NewEpoch::of(migration, row.phase, "apply");
            if epochs::open(&client, new, Some(row.epoch)).await?.is_none() {
                bail!("{name} has changed since this command began: run it again");
            }
        }
        let epoch = epochs::newest(&client, name).await?;
        let details = serde_json::json!({ "epoch": epoch.0, "file": file.path });
        events::note(&client, name, "apply", &details).await?;
        say(&format!("{name}: epoch {epoch}; waiting for the drain"));
        let timeout = Duration::from_secs(args.drain_timeout_seconds);
        let mut tell = say;
        let drained =
            drain::wait_for_instances(&client, migration, epoch, timeout, &mut tell).await?;
        epochs::close(&client, name, timeout, &mut tell).await?;
        println!(
            "{name}: in force as epoch {epoch}, in {} ({} serving)",
            migration.phase, drained.instances
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<Vec<SourceFile>> {
    if path.is_dir() {
        return Ok(rules_dir::read(path)?);
    }
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(vec![SourceFile {
        path: path.to_owned(),
        text,
    }])
}

async fn compiled(client: &Control, sources: &Sources) -> anyhow::Result<RuleSet> {
    let rules = sources.compile()?;
    Ok(match rules.has_tenants() {
        true => tenants::known(client, rules).await?,
        false => rules,
    })
}

/// The files that say something else than what is in force.
fn changed<'f>(files: &'f [SourceFile], rows: &[InForce]) -> Vec<&'f SourceFile> {
    let is_changed = |file: &&SourceFile| {
        let row = rows.iter().find(|row| sources::is_of(file, row));
        row.is_none_or(|row| !sources::says_the_same(file, row))
    };
    files.iter().filter(is_changed).collect()
}

fn what(file: &SourceFile, rows: &[InForce]) -> String {
    match rows.iter().find(|row| sources::is_of(file, row)) {
        None => "new".to_owned(),
        Some(row) => format!(
            "other rules than those of epoch {}, in {}",
            row.epoch, row.phase
        ),
    }
}

/// What becomes of the statements that were seen.
async fn differences(
    client: &Control,
    (before, after): (&RuleSet, &RuleSet),
    migration: &str,
) -> anyhow::Result<()> {
    if before.migration(migration).is_none() {
        return Ok(());
    }
    let seen = statements::read(client).await?;
    let count = seen.len();
    let otherwise = coverage::rewritten_otherwise((before, after), &seen);
    println!(
        "  {} of {count} statements seen would be rewritten otherwise",
        otherwise.len()
    );
    for statement in otherwise.iter().take(SHOWN) {
        println!("    {statement}");
    }
    for (statement, problem) in coverage::lost((before, after), seen, client).await {
        println!("    REFUSED from now on: {statement}: {problem}");
    }
    Ok(())
}
