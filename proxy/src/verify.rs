//! Verify: the legacy tables against what unified says they are, in one snapshot.
//!
//! The server hashes both sides at once, by groups of keys; where the hashes of a group differ, it
//! joins the group's rows and counts. Only hashes, counts and a few samples travel. It judges
//! nothing that the lens does not name: columns with `verify = false` are not compared.

pub mod digest;
pub mod html;
pub mod ranges;
pub mod record;
pub mod report;

use std::time::Duration;

use rewrite_rules::lens::{DigestOf, Disagreement, Lossy};
use rewrite_rules::{Lens, Migration, RuleSet};
use tokio_postgres::{Client, Transaction};

use crate::control::{
    ControlError, around, catalog, connect, events, flush_counters, named, schema, snapshot,
};
use digest::digest;
use report::{ColumnCount, ColumnTotals, SampleRow, TableReport, VerifyReport};

#[derive(Clone, Copy, Debug)]
pub struct VerifyOptions {
    /// Rows shown of each kind.
    pub samples_max: u32,
    /// Server processes at work on each side.
    pub workers: u32,
    /// The gates are to know of it.
    pub record: bool,
    /// The longest that one of its statements may take.
    pub statement_timeout: Option<Duration>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        VerifyOptions {
            samples_max: 0,
            workers: 1,
            record: true,
            statement_timeout: None,
        }
    }
}

/// Compares a migration's tables, and records the outcome for the gates unless it is only a look.
pub async fn run(
    url: &str,
    rules: &RuleSet,
    name: &str,
    options: &VerifyOptions,
) -> Result<VerifyReport, ControlError> {
    let migration = named::find(rules, name)?;
    let mut client = connect(url, "verify").await?;
    if options.record {
        schema::must_be_prepared(&client).await?;
    }
    let report = compare(url, &mut client, migration, options).await?;
    if options.record {
        record::add(&client, migration, &report).await?;
        events::note(&client, name, "verify", &record::summary(&report)).await?;
    }
    Ok(report)
}

pub(crate) async fn compare(
    url: &str,
    client: &mut Client,
    migration: &Migration,
    options: &VerifyOptions,
) -> Result<VerifyReport, ControlError> {
    let sql = || ControlError::sql("comparison of both sides");
    // Both sides in one snapshot: a dual write is there on both or on none.
    let mut other = connect(url, "verify").await?;
    let transaction = begin(client, options).await?;
    // The first statement takes the snapshot; the time must not be later than it.
    let row = transaction
        .query_one(
            "SELECT clock_timestamp()::text, pg_export_snapshot(), pg_current_snapshot()::text",
            &[],
        )
        .await
        .map_err(sql())?;
    let snapshot: String = row.get(1);
    let beside = begin(&mut other, options).await?;
    // A name that the server has made up; the command takes no parameters.
    beside
        .batch_execute(&format!("SET TRANSACTION SNAPSHOT '{snapshot}'"))
        .await
        .map_err(sql())?;
    let mut report = VerifyReport::of(&migration.name, row.get(0));
    report.snapshot = row.get(2);
    for lens in &migration.tables {
        report.push(table(&transaction, &beside, lens, options.samples_max).await?);
    }
    // Whoever looks at the counters afterwards must be able to tell our scans from others'.
    let mut scans = Vec::new();
    for lens in &migration.tables {
        let table = lens.legacy.sql();
        let own = around::own_scans(&beside, &table).await?
            + around::own_scans(&transaction, &table).await?;
        scans.push((table, own));
    }
    flush_counters(&beside).await?;
    flush_counters(&transaction).await?;
    beside.commit().await.map_err(sql())?;
    transaction.commit().await.map_err(sql())?;
    if schema::is_prepared(client).await? {
        for (table, own) in scans {
            around::add_own(client, &migration.name, &table, own).await?;
        }
    }
    Ok(report)
}

async fn begin<'c>(
    client: &'c mut Client,
    options: &VerifyOptions,
) -> Result<Transaction<'c>, ControlError> {
    let doing = "begin of the comparison";
    let transaction = snapshot(client, doing).await?;
    // The server's own workers share the transaction's snapshot. The process itself is one.
    transaction
        .batch_execute(&format!(
            "SET TRANSACTION READ ONLY; SET LOCAL max_parallel_workers_per_gather = {}; \
             SET LOCAL statement_timeout = {}",
            options.workers.saturating_sub(1),
            options.statement_timeout.map_or(0, |time| time.as_millis()),
        ))
        .await
        .map_err(ControlError::sql(doing))?;
    Ok(transaction)
}

async fn table(
    transaction: &Transaction<'_>,
    beside: &Transaction<'_>,
    lens: &Lens,
    samples_max: u32,
) -> Result<TableReport, ControlError> {
    let (legacy, unified) = tokio::try_join!(
        digest(beside, lens, DigestOf::Legacy),
        digest(transaction, lens, DigestOf::Unified),
    )?;
    let mut table = TableReport {
        legacy_table: lens.legacy.sql(),
        unified_table: unified_tables(lens),
        legacy_rows: legacy.rows,
        unified_rows: unified.rows,
        missing: 0,
        extra: 0,
        different: 0,
        different_columns: Vec::new(),
        totals: lens
            .compared_columns()
            .enumerate()
            .map(|(i, column)| ColumnTotals {
                column: column.name.clone(),
                nulls: [legacy.nulls[i], unified.nulls[i]],
                totals: [legacy.totals[i].clone(), unified.totals[i].clone()],
            })
            .collect(),
        ignored_columns: ignored_columns(lens),
        undeclared_columns: undeclared(transaction.client(), lens).await?,
        samples: Vec::new(),
    };
    let groups = legacy.differing(&unified);
    if !groups.is_empty() {
        disagreements(transaction, lens, &groups, samples_max, &mut table).await?;
    }
    Ok(table)
}

/// Looks at the rows of some groups.
async fn disagreements(
    transaction: &Transaction<'_>,
    lens: &Lens,
    groups: &[i64],
    samples_max: u32,
    table: &mut TableReport,
) -> Result<(), ControlError> {
    let row = transaction
        .query_one(&lens.count_disagreements(), &[&Some(groups)])
        .await
        .map_err(ControlError::sql("comparison of both sides"))?;
    table.missing = row.get(2);
    table.extra = row.get(3);
    table.different = row.get(4);
    table.different_columns = lens
        .compared_columns()
        .enumerate()
        .map(|(i, column)| ColumnCount {
            column: column.name.clone(),
            different: row.get(5 + i),
            set_by_trigger: column.set_by_trigger,
        })
        .filter(|column| column.different > 0)
        .collect();
    for kind in Disagreement::ALL {
        let count = match kind {
            Disagreement::Missing => table.missing,
            Disagreement::Extra => table.extra,
            Disagreement::Different => table.different,
        };
        if count > 0 && samples_max > 0 {
            let more = samples(transaction, lens, kind, groups, samples_max).await?;
            table.samples.extend(more);
        }
    }
    Ok(())
}

async fn samples(
    transaction: &Transaction<'_>,
    lens: &Lens,
    kind: Disagreement,
    groups: &[i64],
    samples_max: u32,
) -> Result<Vec<SampleRow>, ControlError> {
    let rows = transaction
        .query(
            &lens.sample_disagreements(kind),
            &[&i64::from(samples_max), &Some(groups)],
        )
        .await
        .map_err(ControlError::sql("samples of what differs"))?;
    Ok(rows
        .iter()
        .map(|row| SampleRow {
            kind: kind.name(),
            key: row.get(0),
            columns: row.get(1),
        })
        .collect())
}

fn unified_tables(lens: &rewrite_rules::Lens) -> String {
    let tables = lens.unified_tables();
    let names: Vec<String> = tables.iter().map(|table| table.sql()).collect();
    names.join(", ")
}

async fn undeclared(client: &Client, lens: &Lens) -> Result<Vec<String>, ControlError> {
    let columns = catalog::columns(client, &lens.legacy.sql()).await?;
    Ok(catalog::undeclared(lens, &columns))
}

fn ignored_columns(lens: &Lens) -> Vec<String> {
    let columns = lens.columns.iter();
    columns
        .filter_map(|column| match column.lossy {
            _ if !column.verify => Some(column.name.clone()),
            Lossy::Never => None,
            Lossy::Always => Some(column.name.clone()),
            Lossy::When(_) => Some(format!("{} of some rows", column.name)),
        })
        .collect()
}
