//! The way back, rehearsed before a step: what unified has that legacy could no longer hold.
//!
//! Until unified decides, legacy has every row, and there is nothing to rehearse. From then on two
//! things can be in the way: values for which legacy has no word, and rows that legacy refuses (too
//! long, a CHECK, a unique value). The first are counted, the second tried, in a transaction that is
//! rolled back. It is told, not judged: what legacy cannot hold may be what the migration is for.

mod lossy;
mod ranges;

pub(super) use lossy::lossy;

use std::time::Duration;

use rewrite_rules::lens::{Disagreement, quote_ident, quote_literal};
use rewrite_rules::{Lens, Migration, Phase};
use serde_json::Value;
use tokio_postgres::Client;

use crate::backfill::chunk::Chunks;
use crate::backfill::state::{self, CopyDirection};
use crate::control::connection::{Control, connect};
use crate::control::error::ControlError;
use crate::control::gate::Gate;
use crate::control::shown;
use crate::{config, verify};

/// No statement of it takes longer, whatever the rows are like.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Rows that are tried: enough to see what kind of row is refused, few enough to lock for a moment.
const TRIED_MAX: u32 = 200;
/// Reasons shown.
const REASONS_MAX: usize = 3;

/// What would be lost, or stand in the way, if this step were taken back later.
pub async fn rehearse(
    url: &str,
    migration: &Migration,
    to: Phase,
    limits: &config::Gates,
) -> Result<Gate, ControlError> {
    let found = match to {
        Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => {
            let rows_max = i64::from(limits.rehearsal_rows_max);
            match look(url, migration, rows_max).await {
                Ok(lines) if lines.is_empty() => "legacy can hold every unified row".to_owned(),
                Ok(lines) => lines.join("; "),
                // Neither a slow comparison nor a busy row is a reason to stay.
                Err(error @ (ControlError::Sql { .. } | ControlError::Refused(_))) => {
                    format!("NOT REHEARSED: {error}")
                }
                Err(other) => return Err(other),
            }
        }
        Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {
            "legacy decides and has every row".to_owned()
        }
    };
    Ok(Gate {
        name: "way back",
        met: true,
        found,
        settle: String::new(),
    })
}

/// What was found of a table, with the keys of rows to try.
#[derive(Default)]
struct TableFound {
    extra: i64,
    different: i64,
    /// Rows that unified has no more.
    gone: Vec<Value>,
    /// Rows that legacy lacks or has otherwise.
    keys: Vec<Value>,
}

async fn look(
    url: &str,
    migration: &Migration,
    rows_max: i64,
) -> Result<Vec<String>, ControlError> {
    let mut client = connected(url).await?;
    let mut lines = Vec::new();
    for lens in &migration.tables {
        let rows = state::estimate(&client, lens, CopyDirection::UnifiedToLegacy).await?;
        let found = if rows <= rows_max {
            lines.append(&mut without_a_word(&client, lens, None).await?);
            whole(url, &mut client, migration, lens).await?
        } else {
            let percent = 100.0 * rows_max as f64 / rows as f64;
            let mut worded = without_a_word(&client, lens, Some(percent)).await?;
            let (looked, found) = ranges::look(&client, lens, rows, rows_max).await?;
            lines.push(format!(
                "{}: {} of about {rows} rows were looked at, in {} ranges of the key \
                 (rehearsal_rows_max)",
                shown(&lens.legacy.sql()),
                looked.rows,
                looked.ranges
            ));
            lines.append(&mut worded);
            found
        };
        lines.append(&mut tried(&mut client, lens, found).await?);
        lines.extend(lossy::line(&client, lens, rows_max).await?);
    }
    Ok(lines)
}

async fn connected(url: &str) -> Result<Control, ControlError> {
    let client = connect(url, "rehearse").await?;
    client
        .batch_execute(&format!("SET statement_timeout = {}", TIME_MAX.as_millis()))
        .await
        .map_err(ControlError::sql("rehearsal of the way back"))?;
    Ok(client)
}

/// All rows of a table.
async fn whole(
    url: &str,
    client: &mut Client,
    migration: &Migration,
    lens: &Lens,
) -> Result<TableFound, ControlError> {
    let options = verify::VerifyOptions {
        samples_max: TRIED_MAX,
        record: false,
        statement_timeout: Some(TIME_MAX),
        ..verify::VerifyOptions::default()
    };
    let mut alone = migration.clone();
    alone.tables = vec![lens.clone()];
    let report = verify::compare(url, client, &alone, &options).await?;
    let mut found = TableFound {
        extra: report.extra,
        different: report.different,
        ..TableFound::default()
    };
    for sample in report.tables.into_iter().flat_map(|table| table.samples) {
        if sample.kind == Disagreement::Missing.name() {
            found.gone.push(sample.key);
        } else {
            found.keys.push(sample.key);
        }
    }
    Ok(found)
}

/// Puts what was found into legacy, and takes it back.
async fn tried(
    client: &mut Client,
    lens: &Lens,
    found: TableFound,
) -> Result<Vec<String>, ControlError> {
    if found.extra + found.different == 0 {
        return Ok(Vec::new());
    }
    let legacy = shown(&lens.legacy.sql());
    let mut lines = vec![format!(
        "{legacy} lacks {} rows and has {} otherwise, which a reverse backfill would put",
        found.extra, found.different
    )];
    let chunks = Chunks::prepare(client, lens, CopyDirection::UnifiedToLegacy, None).await?;
    let refused = chunks.refused(client, found.gone, &found.keys).await?;
    let count = found.keys.len();
    if refused.is_empty() {
        lines.push(format!("{count} of these were tried, and none is refused"));
    } else {
        let reasons: Vec<String> = refused
            .iter()
            .take(REASONS_MAX)
            .map(|(key, reason)| format!("{key}: {reason}"))
            .collect();
        lines.push(format!(
            "of {count} of these that were tried {legacy} refuses {}: {}",
            refused.len(),
            reasons.join(", ")
        ));
    }
    Ok(lines)
}

/// Unified rows that legacy readers should see and cannot, by the value that has no legacy word; of
/// so many percent of the table's pages, or of all.
async fn without_a_word(
    client: &Client,
    lens: &Lens,
    percent: Option<f64>,
) -> Result<Vec<String>, ControlError> {
    if !lens.is_row_for_row() {
        return Ok(Vec::new());
    }
    let sample = percent.map(|percent| format!("TABLESAMPLE SYSTEM ({percent})"));
    let sample = sample.unwrap_or_default();
    let looked = if percent.is_some() {
        ", of those looked at,"
    } else {
        ""
    };
    let mut lines = Vec::new();
    for column in lens.columns.iter() {
        let Some(count) = lens.count_unheld(column, &sample) else {
            continue;
        };
        let row = client.query_one(&count, &[]).await;
        let count: i64 = row
            .map_err(ControlError::sql("rehearsal of the way back"))?
            .get(0);
        if count > 0 {
            lines.push(format!(
                "{count} rows of {}{looked} have a value in {} that {} cannot hold: it never shows them",
                shown(&lens.unified.sql()),
                column.unified,
                shown(&lens.legacy.sql()),
            ));
        }
    }
    for column in lens.columns.iter().filter(|c| !c.values.is_empty()) {
        let words = column.values.iter();
        let words: Vec<String> = words.map(|(_, unified)| quote_literal(unified)).collect();
        let visible = lens.visible();
        let visible = visible.map_or("true".to_owned(), |visible| visible.over(Lens::ROW));
        let rows = client
            .query(
                &format!(
                    "SELECT {name}::text, count(*) FROM {table} AS {row} {sample} WHERE ({visible}) \
                     AND {name}::text NOT IN ({}) GROUP BY 1 ORDER BY 1",
                    words.join(", "),
                    name = format_args!("{}.{}", Lens::ROW, quote_ident(&column.unified)),
                    table = lens.unified,
                    row = Lens::ROW,
                ),
                &[],
            )
            .await
            .map_err(ControlError::sql("rehearsal of the way back"))?;
        for row in rows {
            let (value, count): (String, i64) = (row.get(0), row.get(1));
            lines.push(format!(
                "{count} rows of {}{looked} have {} = '{value}', for which {} has no word: it never shows them",
                shown(&lens.unified.sql()),
                column.unified,
                shown(&lens.legacy.sql()),
            ));
        }
    }
    Ok(lines)
}
