//! `crossfade.verifications`: what was found when, for the gates and for `status`.

use rewrite_rules::lens::KeyRange;
use rewrite_rules::{Lens, Migration};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::report::VerifyReport;
use crate::control::ControlError;

/// The latest verify of a migration.
#[derive(Clone, Debug, Serialize)]
pub struct Last {
    pub clean: bool,
    pub missing: i64,
    pub extra: i64,
    pub different: i64,
    /// Its snapshot is later than the end of every table's backfill.
    pub after_backfill: bool,
    /// It compared what the rules say now.
    pub of_these_rules: bool,
    pub age_seconds: f64,
    /// Columns that it did not know.
    pub undeclared_columns: Vec<String>,
}

/// What is compared with what: the rules of a table, as far as a verify goes by them. Its hash is
/// kept, and tells whether they are still the same.
#[must_use]
pub fn compared(lens: &Lens) -> String {
    lens.count_disagreements_in(KeyRange::All)
}

fn all_compared(migration: &Migration) -> String {
    let tables: Vec<String> = migration.tables.iter().map(compared).collect();
    tables.join("\n")
}

pub async fn add(
    client: &Client,
    migration: &Migration,
    report: &VerifyReport,
) -> Result<(), ControlError> {
    client
        .execute(
            "INSERT INTO crossfade.verifications \
             (migration, started_at, clean, missing, extra, different, report, rules_hash, snapshot) \
             VALUES ($1, $2::text::timestamptz, $3, $4, $5, $6, $7, md5($8), coalesce($9::text::pg_snapshot, \
             (SELECT p.snapshot FROM crossfade.verify_progress AS p WHERE p.migration = $1 ORDER BY p.started_at LIMIT 1)))",
            &[
                &report.migration,
                &report.snapshot_at,
                &report.clean,
                &report.missing,
                &report.extra,
                &report.different,
                &serde_json::to_value(report).unwrap_or_default(),
                &all_compared(migration),
                &report.snapshot,
            ],
        )
        .await
        .map_err(ControlError::sql("record of the verify"))?;
    Ok(())
}

/// For the event: the counts, without the samples, which may hold personal data.
#[must_use]
pub fn summary(report: &VerifyReport) -> Value {
    json!({
        "clean": report.clean,
        "missing": report.missing,
        "extra": report.extra,
        "different": report.different,
    })
}

pub async fn last(client: &Client, migration: &Migration) -> Result<Option<Last>, ControlError> {
    let row = client
        .query_opt(
            "SELECT v.clean, v.missing, v.extra, v.different, \
             NOT EXISTS (SELECT FROM crossfade.backfill AS b WHERE b.migration = v.migration \
             AND (b.finished_at IS NULL OR b.finished_at > v.started_at)), \
             extract(epoch FROM clock_timestamp() - v.started_at)::float8, \
             v.rules_hash IS NOT DISTINCT FROM md5($2), \
             ARRAY(SELECT jsonb_array_elements_text(jsonb_path_query_array(v.report, \
             '$.tables[*].undeclared_columns[*]'))) \
             FROM crossfade.verifications AS v WHERE v.migration = $1 ORDER BY v.id DESC LIMIT 1",
            &[&migration.name, &all_compared(migration)],
        )
        .await
        .map_err(ControlError::sql("look at the last verify"))?;
    Ok(row.map(|row| Last {
        clean: row.get(0),
        missing: row.get(1),
        extra: row.get(2),
        different: row.get(3),
        after_backfill: row.get(4),
        age_seconds: row.get(5),
        of_these_rules: row.get(6),
        undeclared_columns: row.get(7),
    }))
}

/// What the last verify found, with its samples, as it was written down.
pub async fn last_report(client: &Client, migration: &str) -> Result<Option<Value>, ControlError> {
    let row = client
        .query_opt(
            "SELECT report FROM crossfade.verifications WHERE migration = $1 ORDER BY id DESC LIMIT 1",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql("look at the last verify"))?;
    Ok(row.map(|row| row.get(0)))
}
