//! `crossfade apply`: puts rule files into force, if the database does not say otherwise.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use rewrite_rules::{Migration, Phase, RuleSet, SourceFile};

use super::target::{control_url, say};
use crate::config::{Config, Flags};
use crate::control::epochs::{self, InForce, NewEpoch};
use crate::control::{
    Control, connect, coverage, drain, events, phase_file, schema, seal, statements, tenants,
};
use crate::rules_dir;
use crate::served::Served;
use crate::serving::admission;
use crate::sources::{self, Sources};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A rule file or a directory of them; the configured directory when left out
    pub path: Option<PathBuf>,
    #[command(flatten)]
    pub flags: Flags,
    /// End the rules of a migration, in legacy_only or retired, once no host has its file any more
    #[arg(long, value_name = "MIGRATION", conflicts_with = "path")]
    pub remove: Option<String>,
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
    let url = control_url(&config)?;
    if let Some(name) = &args.remove {
        return remove(&url, name, &args).await;
    }
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
    let (texts, wanted) = (running.texts(&running_rules), next.texts(&rules));
    let changed = changed(&files, &rows);
    for line in by_hand(&files, &rows) {
        say(&line);
    }
    if changed.is_empty() {
        println!("nothing changes: the rules that the files say are in force");
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
    let of = |file: &SourceFile| rules.migrations().iter().find(|m| m.file == file.path);
    let changed: Vec<&Migration> = changed.into_iter().filter_map(of).collect();
    let new = changed.iter().filter_map(|migration| {
        let row = rows.iter().find(|row| row.migration == migration.name)?;
        let new = NewEpoch::of(migration, row.phase, "apply");
        (!row.rules.is_empty()).then_some((new, Some(row.epoch)))
    });
    let new: Vec<_> = new.collect();
    let opened = epochs::open_all(&client, &new).await?.is_some();
    // A proxy that watches these files may have been quicker.
    if !opened && !self::changed(&files, &epochs::in_force(&client).await?).is_empty() {
        bail!("what is in force has changed since this command began: run it again");
    }
    for migration in changed {
        let name = &migration.name;
        let epoch = epochs::newest(&client, name).await?;
        if opened {
            let details = serde_json::json!({ "epoch": epoch.0, "file": migration.file });
            events::note(&client, name, "apply", &details).await?;
        }
        say(&format!("{name}: epoch {epoch}; waiting for the drain"));
        let timeout = Duration::from_secs(args.drain_timeout_seconds);
        let mut tell = say;
        let drained =
            drain::wait_for_instances(&client, migration, epoch, timeout, &mut tell).await?;
        let open = seal::settle(&client, migration, migration.phase, timeout, &mut tell).await?;
        if let Some(told) = seal::told_of(&open) {
            say(&told);
        }
        epochs::close(&client, name, timeout, &mut tell).await?;
        println!(
            "{name}: in force as epoch {epoch}, in {} ({} serving)",
            migration.phase, drained.instances
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Clients are told the same without rules as in these two phases.
const REMOVABLE: [Phase; 2] = [Phase::LegacyOnly, Phase::Retired];

async fn remove(url: &str, name: &str, args: &Args) -> anyhow::Result<ExitCode> {
    let client = connect(url, "apply").await?;
    schema::must_be_prepared(&client).await?;
    let row = epochs::of(&client, name).await?;
    let Some(row) = row.filter(|row| !row.rules.is_empty()) else {
        bail!("no rules of {name} are in force; `crossfade rules` lists those that are");
    };
    if !REMOVABLE.contains(&row.phase) {
        bail!(
            "{name} is in {}: without rules its statements would reach the legacy tables alone. They end in legacy_only or \
             retired",
            row.phase
        );
    }
    if args.dry_run {
        println!("the rules of {name} would end; nothing was changed (--dry-run)");
        return Ok(ExitCode::SUCCESS);
    }
    let new = NewEpoch {
        migration: name,
        phase: row.phase,
        rules: "",
        file: &row.file,
        why: "apply --remove",
        by: events::Actor::of_process(),
    };
    let Some(epoch) = epochs::open(&client, new, Some(row.epoch)).await? else {
        bail!("{name} has changed since this command began: run it again");
    };
    let details = serde_json::json!({ "epoch": epoch.0 });
    events::note(&client, name, "remove", &details).await?;
    let timeout = Duration::from_secs(args.drain_timeout_seconds);
    let mut tell = say;
    epochs::close(&client, name, timeout, &mut tell).await?;
    println!(
        "the rules of {name} have ended (epoch {epoch}); a proxy that still has their file would put them in force again"
    );
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

/// Files that say another phase than the one in force.
fn by_hand(files: &[SourceFile], rows: &[InForce]) -> Vec<String> {
    let told = files.iter().filter_map(|file| {
        let row = rows.iter().find(|row| sources::is_of(file, row))?;
        let said = phase_file::says(&file.text)?.1;
        (said != row.phase).then(|| sources::another_phase(file, said, row))
    });
    told.collect()
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
