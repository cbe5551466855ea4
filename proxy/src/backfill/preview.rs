//! What a backfill would do, without doing it: both sides compared, and some of the rows that it
//! would put tried in a transaction that is rolled back.

use rewrite_rules::RuleSet;
use rewrite_rules::lens::Disagreement;
use serde::Serialize;
use serde_json::Value;

use super::chunk::Chunks;
use super::state::CopyDirection;
use crate::control::{ControlError, connect, named, schema};
use crate::verify::{self, report::VerifyReport};

/// Rows that are tried, of each table: enough to see what kind of row fails, few enough to lock for
/// a moment.
const TRIED_MAX: u32 = 200;

/// How many rows of each outcome there would be.
#[derive(Debug, Serialize)]
pub struct Preview {
    pub inserted: i64,
    pub changed: i64,
    pub unchanged: i64,
    /// Rows that only the other side has: a reverse backfill removes them, another leaves them.
    pub others: i64,
    /// Of the first two kinds so many were tried.
    pub tried: usize,
    pub set_aside: Vec<SetAside>,
    pub report: VerifyReport,
}

/// A row that could not be put.
#[derive(Debug, Serialize)]
pub struct SetAside {
    pub key: Value,
    pub reason: String,
}

/// Looks, and tries. Nothing stays written.
pub async fn run(
    url: &str,
    rules: &RuleSet,
    name: &str,
    direction: CopyDirection,
) -> Result<Preview, ControlError> {
    let migration = named::find(rules, name)?;
    let mut client = connect(url, "preview").await?;
    let options = verify::VerifyOptions {
        samples_max: TRIED_MAX,
        record: false,
        ..verify::VerifyOptions::default()
    };
    let report = verify::compare(url, &mut client, migration, &options).await?;
    let reverse = direction.is_reverse();
    let rows: i64 = report
        .tables
        .iter()
        .map(|table| {
            if reverse {
                table.unified_rows
            } else {
                table.legacy_rows
            }
        })
        .sum();
    let (inserted, others) = if reverse {
        (report.extra, report.missing)
    } else {
        (report.missing, report.extra)
    };
    let mut preview = Preview {
        inserted,
        changed: report.different,
        unchanged: rows - inserted - report.different,
        others,
        tried: 0,
        set_aside: Vec::new(),
        report,
    };
    // A chunk looks into the ledger, and may call a lens's functions.
    if !schema::is_prepared(&client).await? {
        return Ok(preview);
    }
    for (lens, table) in migration.tables.iter().zip(&preview.report.tables) {
        let (mut gone, mut keys) = (Vec::new(), Vec::new());
        for sample in &table.samples {
            let puts = if reverse {
                sample.kind != Disagreement::Missing.name()
            } else {
                sample.kind != Disagreement::Extra.name()
            };
            if puts {
                keys.push(sample.key.clone());
            } else if reverse {
                gone.push(sample.key.clone());
            }
        }
        let chunks = Chunks::prepare(&client, lens, direction, None).await?;
        let refused = chunks.refused(&mut client, gone, &keys).await?;
        preview.tried += keys.len();
        let set_aside = |(key, reason)| SetAside { key, reason };
        preview.set_aside.extend(refused.into_iter().map(set_aside));
    }
    Ok(preview)
}
