//! Verify: the legacy tables against what unified says they are, row by row, in one snapshot.
//!
//! The server joins and counts; only counts and a few samples travel. It judges nothing that the
//! lens does not name: columns with `verify = false` are not compared.

pub mod record;
pub mod repair;
pub mod report;

use rewrite_rules::lens::Disagreement;
use rewrite_rules::{Lens, Migration, RuleSet};
use tokio_postgres::{IsolationLevel, Transaction};

use crate::control::{ControlError, connect, events, schema, step};
use report::{ColumnCount, Report, Sample, TableReport};

/// Compares a migration's tables and records the outcome for the gates.
pub async fn run(
    url: &str,
    rules: &RuleSet,
    name: &str,
    samples_max: u32,
) -> Result<Report, ControlError> {
    let migration = step::find(rules, name)?;
    let mut client = connect(url, "verify").await?;
    schema::must_be_prepared(&client).await?;
    let report = compare(&mut client, migration, samples_max).await?;
    record::add(&client, &report).await?;
    events::note(&client, name, "verify", &record::summary(&report)).await?;
    Ok(report)
}

/// The same without a record of it.
pub async fn look(
    url: &str,
    rules: &RuleSet,
    name: &str,
    samples_max: u32,
) -> Result<Report, ControlError> {
    let migration = step::find(rules, name)?;
    let mut client = connect(url, "verify").await?;
    compare(&mut client, migration, samples_max).await
}

pub(crate) async fn compare(
    client: &mut tokio_postgres::Client,
    migration: &Migration,
    samples_max: u32,
) -> Result<Report, ControlError> {
    let sql = || ControlError::sql("comparison of both sides");
    // Both sides in one snapshot: a dual write is there on both or on none.
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(sql())?;
    // The first statement takes the snapshot; the time must not be later than it.
    let row = transaction
        .query_one("SELECT clock_timestamp()::text", &[])
        .await
        .map_err(sql())?;
    let mut report = Report {
        migration: migration.name.clone(),
        snapshot_at: row.get(0),
        clean: true,
        missing: 0,
        extra: 0,
        different: 0,
        tables: Vec::new(),
    };
    for lens in &migration.tables {
        let table = table(&transaction, lens, samples_max).await?;
        report.missing += table.missing;
        report.extra += table.extra;
        report.different += table.different;
        report.tables.push(table);
    }
    report.clean = report.missing + report.extra + report.different == 0;
    transaction.commit().await.map_err(sql())?;
    Ok(report)
}

async fn table(
    transaction: &Transaction<'_>,
    lens: &Lens,
    samples_max: u32,
) -> Result<TableReport, ControlError> {
    let row = transaction
        .query_one(&lens.count_disagreements(), &[])
        .await
        .map_err(ControlError::sql("comparison of both sides"))?;
    let columns = lens
        .compared_columns()
        .enumerate()
        .map(|(i, column)| ColumnCount {
            column: column.name.clone(),
            different: row.get(5 + i),
            set_by_trigger: column.set_by_trigger,
        })
        .filter(|column| column.different > 0)
        .collect();
    let mut table = TableReport {
        legacy_table: lens.legacy.sql(),
        unified_table: unified_tables(lens),
        legacy_rows: row.get(0),
        unified_rows: row.get(1),
        missing: row.get(2),
        extra: row.get(3),
        different: row.get(4),
        different_columns: columns,
        ignored_columns: lens
            .columns
            .iter()
            .filter(|column| !column.verify || column.lossy)
            .map(|column| column.name.clone())
            .collect(),
        samples: Vec::new(),
    };
    for kind in Disagreement::ALL {
        let count = match kind {
            Disagreement::Missing => table.missing,
            Disagreement::Extra => table.extra,
            Disagreement::Different => table.different,
        };
        if count > 0 && samples_max > 0 {
            table
                .samples
                .extend(samples(transaction, lens, kind, samples_max).await?);
        }
    }
    Ok(table)
}

async fn samples(
    transaction: &Transaction<'_>,
    lens: &Lens,
    kind: Disagreement,
    samples_max: u32,
) -> Result<Vec<Sample>, ControlError> {
    let rows = transaction
        .query(&lens.sample_disagreements(kind), &[&i64::from(samples_max)])
        .await
        .map_err(ControlError::sql("samples of what differs"))?;
    Ok(rows
        .iter()
        .map(|row| Sample {
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
