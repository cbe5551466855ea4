//! Retiring a legacy table: probation, evidence that nobody needs it, a last verify, and then the
//! words that drop it, for the operator to say. Nothing is dropped here, ever.
//!
//! On probation the table has another name and no rights, so that whoever still uses it fails at
//! once and is heard; `--undo` gives both back in one transaction. An empty stand-in bears its name from then on, for
//! whoever looks it up in the catalog, and goes on to do so when the table is dropped.

mod aside;
mod evidence;
mod leaning;
mod sequences;
mod stand_in;
mod statement;

use std::collections::BTreeSet;

use rewrite_rules::{Lens, Migration, Phase, RuleSet};
use serde::Serialize;
use serde_json::json;
use tokio_postgres::Client;

use crate::control::stand_in::legacy_there;
use crate::control::{ControlError, alone, connect, drain, epochs, events, named, schema, shown};
use crate::verify::{self, report::VerifyReport};
pub use aside::{Aside, read};
pub use evidence::Evidence;
pub use leaning::Leaning;

/// Tables that are put aside in one transaction: each takes some ten locks, and the server has room for thousands. Those of one
/// schema are never apart, for they refer to each other.
const TABLES_AT_ONCE: usize = 100;

/// Schemas whose words are told at once; those of the others come when these are dropped.
const SCHEMAS_TOLD: usize = 20;

#[derive(Clone, Copy, Debug)]
pub struct RetireOptions {
    /// Give the tables back their names and rights.
    pub undo: bool,
    /// Leave an empty stand-in in the catalog for each table that is put aside.
    pub stand_ins: bool,
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
    PutAside(Moved),
    /// They have their names and rights back.
    Back(Moved),
    /// They were looked at.
    Judged(DropEvidence),
    /// The operator has dropped them.
    Gone(Vec<Remains>),
}

/// Tables that were put aside or brought back.
#[derive(Debug)]
pub struct Moved {
    pub tables: Vec<Aside>,
    /// What the server refused of it, and why.
    pub left_out: Vec<String>,
}

/// What is left of a table that is dropped.
#[derive(Debug)]
pub struct Remains {
    pub table: Aside,
    /// What takes its stand-in away, once nobody looks it up any more; nothing where there is none.
    pub words: Vec<String>,
}

/// The evidence for a drop.
#[derive(Debug, Serialize)]
pub struct DropEvidence {
    pub tables: Vec<Evidence>,
    /// What legacy has that unified lacks, or has otherwise by now. Not a gate: an application
    /// deletes and changes rows, and only the operator knows which.
    pub last_verify: VerifyReport,
    /// What would stop the drop, in the order in which it has to be changed or to go; looked for once the evidence is enough.
    pub leaning: Vec<Leaning>,
    /// What drops them, once the evidence is enough.
    pub drop: Vec<String>,
    /// Schemas whose tables are not among it yet.
    pub schemas_untold: usize,
}

impl DropEvidence {
    /// Whether nobody has missed the tables.
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
    let remaining = remaining(&client, migration, &asides).await?;
    if !remaining.is_empty() {
        return put_aside(&mut client, migration, &remaining, options).await;
    }
    let (there, gone): (Vec<Aside>, Vec<Aside>) = asides.into_iter().partition(Aside::is_there);
    if there.is_empty() {
        return remains(&client, migration, gone).await;
    }
    judge(url, &mut client, migration, there, options).await
}

/// The tables that are still to be put aside: all of them, or those of tenants that came later, or that a command which was
/// killed did not come to. A table that bears the name of one that was put aside before is not Crossfade's to judge.
async fn remaining<'a>(
    client: &Client,
    migration: &'a Migration,
    asides: &[Aside],
) -> Result<Vec<&'a Lens>, ControlError> {
    let known: BTreeSet<&str> = asides.iter().map(|a| a.legacy_table.as_str()).collect();
    let tables = migration.left_behind().map(|lens| lens.legacy.sql());
    let unknown = tables.filter(|table| !known.contains(table.as_str()));
    let there = legacy_there(client, &unknown.collect::<Vec<_>>()).await?;
    let there: BTreeSet<String> = there.into_iter().collect();
    let lenses = migration.left_behind();
    let mut remaining: Vec<&Lens> = lenses
        .filter(|lens| there.contains(&lens.legacy.sql()))
        .collect();
    remaining.sort_by(|one, other| one.legacy.schema.cmp(&other.legacy.schema));
    Ok(remaining)
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
    let there: Vec<Aside> = asides.into_iter().filter(Aside::is_there).collect();
    if there.is_empty() {
        return Err(ControlError::Refused(format!(
            "the legacy tables of {name} are dropped: only a backup has them"
        )));
    }
    if options.dry_run {
        return Ok(RetireOutcome::WouldRun(aside::undo_statements(&there)));
    }
    let left_out = aside::undo(client, name, &there).await?;
    let tables: Vec<&String> = there.iter().map(|aside| &aside.legacy_table).collect();
    let details = json!({ "tables": tables, "left_out": left_out });
    events::note(client, name, "retire --undo", &details).await?;
    Ok(RetireOutcome::Back(Moved {
        tables: there,
        left_out,
    }))
}

async fn put_aside(
    client: &mut Client,
    migration: &Migration,
    lenses: &[&Lens],
    options: &RetireOptions,
) -> Result<RetireOutcome, ControlError> {
    let name = migration.name.as_str();
    if options.dry_run {
        let plan = aside::preview(client, (name, lenses), options.stand_ins).await?;
        let statements = plan.statements().cloned().collect();
        return Ok(RetireOutcome::WouldRun(statements));
    }
    must_be_drained(client, migration).await?;
    let mut moved = Moved {
        tables: Vec::new(),
        left_out: Vec::new(),
    };
    for batch in batches(lenses) {
        let (asides, mut left_out) = aside::apply(client, (name, batch), options.stand_ins).await?;
        let tables: Vec<_> = asides
            .iter()
            .map(|aside| json!({ "table": aside.legacy_table, "as": aside.put_aside_as, "stand_in": aside.has_stand_in }))
            .collect();
        let details = json!({ "tables": tables, "left_out": left_out });
        events::note(client, name, "retire", &details).await?;
        for aside in &asides {
            evidence::begin(client, name, aside).await?;
        }
        moved.tables.extend(asides);
        moved.left_out.append(&mut left_out);
    }
    Ok(RetireOutcome::PutAside(moved))
}

/// Tables in the order of their schemas, so many at a time, and none of a schema apart from the others.
fn batches<'a, 'b>(lenses: &'b [&'a Lens]) -> Vec<&'b [&'a Lens]> {
    let mut batches = Vec::new();
    let mut begin = 0;
    let by_schema = lenses.chunk_by(|one, other| one.legacy.schema == other.legacy.schema);
    let mut end = 0;
    for schema in by_schema {
        if end > begin && end + schema.len() - begin > TABLES_AT_ONCE {
            batches.push(&lenses[begin..end]);
            begin = end;
        }
        end += schema.len();
    }
    if end > begin {
        batches.push(&lenses[begin..end]);
    }
    batches
}

/// What is left when the tables are dropped.
async fn remains(
    client: &Client,
    migration: &Migration,
    gone: Vec<Aside>,
) -> Result<RetireOutcome, ControlError> {
    let mut all = Vec::new();
    for table in gone {
        let mut words = Vec::new();
        if table.has_stand_in {
            words = sequences::kept(client, migration, &[&table.legacy_table]).await?;
            words.push(format!("DROP TABLE {};", shown(&table.legacy_table)));
        }
        all.push(Remains { table, words });
    }
    Ok(RetireOutcome::Gone(all))
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
        leaning: Vec::new(),
        drop: Vec::new(),
        schemas_untold: 0,
    };
    if judged.is_enough() {
        let schemas: BTreeSet<&str> = asides.iter().map(|a| a.schema.as_str()).collect();
        let told: BTreeSet<&str> = schemas.iter().copied().take(SCHEMAS_TOLD).collect();
        judged.schemas_untold = schemas.len() - told.len();
        let told = asides.iter().filter(|a| told.contains(a.schema.as_str()));
        let told: Vec<Aside> = told.cloned().collect();
        judged.leaning = leaning::on(client, &told).await?;
        judged.drop = words(client, migration, &told).await?;
    }
    if !options.dry_run {
        let details = json!({
            "evidence": judged.tables,
            "enough": judged.is_enough(),
            "leaning": judged.leaning,
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
    let aside: Vec<&str> = now.iter().map(String::as_str).collect();
    words.extend(sequences::kept(client, migration, &aside).await?);
    let tables: Vec<String> = asides.iter().map(|a| shown(&a.put_aside_as)).collect();
    words.push(format!("DROP TABLE {};", tables.join(", ")));
    // By then it is known that nobody reads it, and a dump of the database by its owner would end with an error.
    for table in stand_in::forced(client, asides).await? {
        words.push(format!(
            "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY;",
            shown(table)
        ));
    }
    Ok(words)
}
