//! What a repair is about to do, told before its first write: which side it believes, and what it takes
//! away from whoever wrote the other one around the proxies.

use rewrite_rules::Migration;
use rewrite_rules::lens::Disagreement;
use serde_json::Value;
use tokio_postgres::Client;

use super::differing;
use crate::backfill::state::CopyDirection;
use crate::control::{ControlError, direct};
use crate::verify::report::VerifyReport;

pub(super) async fn lines(
    client: &Client,
    migration: &Migration,
    direction: CopyDirection,
    report: &VerifyReport,
) -> Result<Vec<String>, ControlError> {
    let (decides, other) = match direction {
        CopyDirection::LegacyToUnified => ("legacy", "unified"),
        CopyDirection::UnifiedToLegacy => ("unified", "legacy"),
    };
    let (put, removed) = match direction {
        CopyDirection::LegacyToUnified => (report.missing, report.extra),
        CopyDirection::UnifiedToLegacy => (report.extra, report.missing),
    };
    let different = report.different;
    let mut lines = vec![format!(
        "{decides} decides in {}, and is believed: {put} rows that {other} lacks are put there, \
         {removed} that only {other} has are removed, {different} that differ are overwritten in {other}",
        migration.phase
    )];
    if different > 0 {
        lines.push(around(client, migration, direction, other).await?);
    }
    let told = direct::written(client, &migration.name).await?;
    lines.extend(told.iter().map(ToString::to_string));
    let seen = direct::read(client, &migration.name).await?;
    lines.extend(seen.iter().map(ToString::to_string));
    Ok(lines)
}

/// How many of the rows that are to be overwritten hold what somebody wrote there alone.
async fn around(
    client: &Client,
    migration: &Migration,
    direction: CopyDirection,
    other: &str,
) -> Result<String, ControlError> {
    let mut rows = 0;
    for lens in &migration.tables {
        let Some(count) = lens.count_written_last() else {
            return Ok(format!(
                "how many of them were written around the proxies in {other} cannot be told: each is read \
                 from several rows"
            ));
        };
        let keys = Value::Array(differing(client, lens, Disagreement::Different).await?);
        let row = client
            .query_one(&count, &[&keys])
            .await
            .map_err(ControlError::sql("look at who wrote last"))?;
        rows += row.get::<_, i64>(match direction {
            CopyDirection::LegacyToUnified => 1,
            CopyDirection::UnifiedToLegacy => 0,
        });
    }
    Ok(format!(
        "of these, {rows} were written last in {other} alone, around the proxies: what was written there is lost"
    ))
}
