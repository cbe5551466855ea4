//! The way back, rehearsed before a step: what unified has that legacy could no longer hold.
//!
//! Until unified decides, legacy has every row, and there is nothing to rehearse. From then on two
//! things can be in the way: values for which legacy has no word, and rows that legacy refuses (too
//! long, a CHECK, a unique value). The first are counted, the second tried, in a transaction that is
//! rolled back. It is told, not judged: what legacy cannot hold may be what the migration is for.

use std::time::Duration;

use rewrite_rules::lens::{Disagreement, quote_ident, quote_literal};
use rewrite_rules::{Lens, Migration, Phase};
use tokio_postgres::Client;

use super::connection::connect;
use super::error::ControlError;
use super::gates::Gate;
use super::shown;
use crate::backfill::chunk::Chunks;
use crate::backfill::state::Direction;
use crate::verify;

/// A table that takes longer to compare is rehearsed by its operator, with `verify`.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Rows that are tried: enough to see what kind of row is refused, few enough to lock for a moment.
const TRIED_MAX: u32 = 200;
/// Reasons shown.
const REASONS_MAX: usize = 3;

/// What would be lost, or stand in the way, if this step were taken back later.
pub async fn rehearse(url: &str, migration: &Migration, to: Phase) -> Result<Gate, ControlError> {
    let found = match to {
        Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => {
            match look(url, migration).await {
                Ok(lines) if lines.is_empty() => "legacy can hold every unified row".to_owned(),
                Ok(lines) => lines.join("; "),
                // Neither a slow comparison nor a busy row is a reason to stay.
                Err(error @ ControlError::Sql { .. }) => format!("not rehearsed: {error}"),
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

async fn look(url: &str, migration: &Migration) -> Result<Vec<String>, ControlError> {
    let mut client = connect(url, "rehearse").await?;
    client
        .batch_execute(&format!("SET statement_timeout = {}", TIME_MAX.as_millis()))
        .await
        .map_err(ControlError::sql("rehearsal of the way back"))?;
    let mut lines = Vec::new();
    for lens in &migration.tables {
        lines.append(&mut without_a_word(&client, lens).await?);
    }
    let options = verify::Options {
        samples_max: TRIED_MAX,
        record: false,
        statement_timeout: Some(TIME_MAX),
        ..verify::Options::default()
    };
    let report = verify::compare(url, &mut client, migration, &options).await?;
    for (lens, table) in migration.tables.iter().zip(&report.tables) {
        if table.extra + table.different == 0 {
            continue;
        }
        let legacy = shown(&lens.legacy.sql());
        lines.push(format!(
            "{legacy} lacks {} rows and has {} otherwise, which a reverse backfill would put",
            table.extra, table.different
        ));
        let (mut gone, mut keys) = (Vec::new(), Vec::new());
        for sample in &table.samples {
            if sample.kind == Disagreement::Missing.name() {
                gone.push(sample.key.clone());
            } else {
                keys.push(sample.key.clone());
            }
        }
        let chunks = Chunks::prepare(&client, lens, Direction::UnifiedToLegacy).await?;
        let refused = chunks.refused(&mut client, gone, &keys).await?;
        if refused.is_empty() {
            lines.push(format!(
                "{} of these were tried, and none is refused",
                keys.len()
            ));
        } else {
            let mut reasons: Vec<String> = refused
                .iter()
                .map(|(key, reason)| format!("{key}: {reason}"))
                .collect();
            reasons.truncate(REASONS_MAX);
            lines.push(format!(
                "of {} of these that were tried {legacy} refuses {}: {}",
                keys.len(),
                refused.len(),
                reasons.join(", ")
            ));
        }
    }
    Ok(lines)
}

/// Unified rows that legacy readers should see and cannot, by the value that has no legacy word.
async fn without_a_word(client: &Client, lens: &Lens) -> Result<Vec<String>, ControlError> {
    if lens.written.is_some() {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    for column in lens.columns.iter().filter(|c| !c.values.is_empty()) {
        let words = column.values.iter();
        let words: Vec<String> = words.map(|(_, unified)| quote_literal(unified)).collect();
        let visible = lens.visible.as_ref();
        let visible = visible.map_or("true".to_owned(), |visible| visible.over(Lens::ROW));
        let rows = client
            .query(
                &format!(
                    "SELECT {name}::text, count(*) FROM {table} AS {row} WHERE ({visible}) \
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
                "{count} rows of {} have {} = '{value}', for which {} has no word: it never shows them",
                shown(&lens.unified.sql()),
                column.unified,
                shown(&lens.legacy.sql()),
            ));
        }
    }
    Ok(lines)
}
