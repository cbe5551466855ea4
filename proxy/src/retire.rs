//! Retiring a legacy table: probation, evidence that nobody needs it, a last verify, and then the
//! words that drop it, for the operator to say. Nothing is dropped here, ever.
//!
//! On probation the table has another name and no rights, so that whoever still uses it fails at
//! once and is heard; `--undo` gives both back in one transaction.

mod aside;
mod evidence;
mod sequences;

use rewrite_rules::{Lens, Migration, Phase, RuleSet};
use serde::Serialize;
use serde_json::json;
use tokio_postgres::Client;

use crate::control::{ControlError, alone, connect, drain, epochs, events, named, schema, shown};
use crate::verify::{self, report::VerifyReport};
pub use aside::{Aside, read};
pub use evidence::Evidence;

#[derive(Clone, Copy, Debug)]
pub struct RetireOptions {
    /// Give the tables back their names and rights.
    pub undo: bool,
    /// Show what would be done.
    pub dry_run: bool,
    /// How long nobody may have touched a table that is to be dropped.
    pub untouched_days: f64,
    /// Rows of the last verify that are shown.
    pub samples_max: u32,
}

/// How far a migration's retirement is.
#[derive(Debug)]
pub enum RetireOutcome {
    /// Nothing was done; these would be.
    WouldRun(Vec<String>),
    /// The tables are on probation from now on.
    PutAside(Vec<Aside>),
    /// They have their names and rights back.
    Back(Vec<Aside>),
    /// They were looked at.
    Judged(DropEvidence),
    /// The operator has dropped them.
    Gone,
}

/// The evidence for a drop.
#[derive(Debug, Serialize)]
pub struct DropEvidence {
    pub tables: Vec<Evidence>,
    /// What legacy has that unified lacks, or has otherwise by now. Not a gate: an application
    /// deletes and changes rows, and only the operator knows which.
    pub last_verify: VerifyReport,
    /// What drops them, once the evidence is enough.
    pub drop: Vec<String>,
}

impl DropEvidence {
    /// Whether nothing speaks against the drop.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.tables.iter().all(Evidence::is_enough)
    }
}

/// Takes the next step of a retirement: into probation, then a judgement as often as it is asked.
pub async fn run(
    url: &str,
    rules: &RuleSet,
    name: &str,
    options: &RetireOptions,
) -> Result<RetireOutcome, ControlError> {
    let migration = named::find(rules, name)?;
    let mut client = connect(url, "retire").await?;
    schema::must_be_prepared(&client).await?;
    // A step at the same time could need the tables.
    alone(&client, "step", name).await?;
    if !options.dry_run {
        schema::prepare(&client, rules, schema::Ddl::OfNone).await?;
    }
    if migration.left_behind().next().is_none() {
        return Err(ControlError::Refused(format!(
            "no table of {name} is left behind. When nothing names the legacy columns any more, run \
             past the proxy:\n{}",
            moved_columns(migration).join("\n")
        )));
    }
    let asides = read(&client, name).await?;
    if options.undo {
        return back(&mut client, name, asides, options).await;
    }
    let phase = epochs::phase(&client, migration).await?;
    if phase != Phase::Retired {
        return Err(ControlError::Refused(format!(
            "{name} is in {phase}: legacy tables are retired in the phase retired, when no proxy \
             needs them; `crossfade advance {name}` goes on"
        )));
    }
    if asides.is_empty() {
        return put_aside(&mut client, migration, options).await;
    }
    let mut there = Vec::new();
    for aside in asides {
        if schema::table_exists(&client, &aside.put_aside_as).await? {
            there.push(aside);
        }
    }
    if there.is_empty() {
        return Ok(RetireOutcome::Gone);
    }
    judge(url, &mut client, migration, there, options).await
}

async fn back(
    client: &mut Client,
    name: &str,
    asides: Vec<Aside>,
    options: &RetireOptions,
) -> Result<RetireOutcome, ControlError> {
    if asides.is_empty() {
        return Err(ControlError::Refused(format!(
            "no table of {name} is on probation: there is nothing to undo"
        )));
    }
    if options.dry_run {
        let statements = asides.iter().flat_map(Aside::undo).collect();
        return Ok(RetireOutcome::WouldRun(statements));
    }
    aside::undo(client, name, &asides).await?;
    let tables: Vec<&String> = asides.iter().map(|aside| &aside.legacy_table).collect();
    events::note(client, name, "retire --undo", &json!({ "tables": tables })).await?;
    Ok(RetireOutcome::Back(asides))
}

async fn put_aside(
    client: &mut Client,
    migration: &Migration,
    options: &RetireOptions,
) -> Result<RetireOutcome, ControlError> {
    let mut asides = Vec::new();
    for lens in migration.left_behind() {
        if schema::table_exists(client, &lens.legacy.sql()).await? {
            asides.push(aside::plan(client, lens).await?);
        }
    }
    if asides.is_empty() {
        return Ok(RetireOutcome::Gone);
    }
    if options.dry_run {
        let statements = asides.iter().flat_map(Aside::apply).collect();
        return Ok(RetireOutcome::WouldRun(statements));
    }
    must_be_drained(client, migration).await?;
    aside::apply(client, &migration.name, &asides).await?;
    let tables: Vec<_> = asides
        .iter()
        .map(|aside| json!({ "table": aside.legacy_table, "as": aside.put_aside_as }))
        .collect();
    events::note(
        client,
        &migration.name,
        "retire",
        &json!({ "tables": tables }),
    )
    .await?;
    for aside in &asides {
        evidence::begin(client, &migration.name, aside).await?;
    }
    Ok(RetireOutcome::PutAside(asides))
}

/// A proxy that still serves `unified_only` would fail at its next step back only, but one that is
/// further behind writes the tables.
async fn must_be_drained(client: &Client, migration: &Migration) -> Result<(), ControlError> {
    let at_once = std::time::Duration::ZERO;
    let epoch = epochs::newest(client, &migration.name).await?;
    drain::wait_for_instances(client, migration, epoch, at_once, &mut |_| {}).await?;
    epochs::close(client, &migration.name, at_once, &mut |_| {}).await
}

async fn judge(
    url: &str,
    client: &mut Client,
    migration: &Migration,
    asides: Vec<Aside>,
    options: &RetireOptions,
) -> Result<RetireOutcome, ControlError> {
    let mut tables = Vec::new();
    let mut lenses: Vec<Lens> = Vec::new();
    for aside in &asides {
        let mut evidence = evidence::look(client, &migration.name, aside).await?;
        evidence.untouched_days_min = options.untouched_days;
        tables.push(evidence);
        let known = migration.tables.iter();
        for lens in known.filter(|lens| lens.legacy.sql() == aside.legacy_table) {
            // The same rows under another name.
            let mut lens = lens.clone();
            lens.legacy.name.clone_from(&aside.name);
            lenses.push(lens);
        }
    }
    let mut aside_now = migration.clone();
    aside_now.tables = lenses;
    let look = verify::VerifyOptions {
        samples_max: options.samples_max,
        record: false,
        ..verify::VerifyOptions::default()
    };
    let last_verify = verify::compare(url, client, &aside_now, &look).await?;
    for aside in &asides {
        // What this very look has scanned.
        evidence::count_anew(client, &migration.name, aside).await?;
    }
    let mut judged = DropEvidence {
        tables,
        last_verify,
        drop: Vec::new(),
    };
    if judged.is_enough() {
        judged.drop = words(client, migration, &asides).await?;
    }
    if !options.dry_run {
        let details = json!({
            "evidence": judged.tables,
            "enough": judged.is_enough(),
            "verify": verify::record::summary(&judged.last_verify),
        });
        events::note(client, &migration.name, "retire", &details).await?;
    }
    Ok(RetireOutcome::Judged(judged))
}

/// What removes the columns that have moved within their tables.
fn moved_columns(migration: &Migration) -> Vec<String> {
    let tables = migration.tables.iter();
    tables.filter_map(Lens::drop_moved_columns).collect()
}

/// What the operator runs, in this order.
async fn words(
    client: &Client,
    migration: &Migration,
    asides: &[Aside],
) -> Result<Vec<String>, ControlError> {
    let mut words = moved_columns(migration);
    let now: Vec<String> = asides.iter().map(|a| a.put_aside_as.clone()).collect();
    let functions = schema::functions_over(client, &migration.name, &now).await?;
    let functions = functions.iter();
    words.extend(functions.map(|function| format!("DROP FUNCTION {function};")));
    words.extend(sequences::kept(client, migration, asides).await?);
    let tables: Vec<String> = asides.iter().map(|a| shown(&a.put_aside_as)).collect();
    words.push(format!("DROP TABLE {};", tables.join(", ")));
    Ok(words)
}
