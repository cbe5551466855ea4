//! What a step back shows again: legacy's own values in columns that the rule calls lossy, which nobody
//! compares and no reverse backfill puts.

use rewrite_rules::lens::KeyRange;
use rewrite_rules::{Lens, Migration, Phase};
use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::{connected, ranges};
use crate::backfill::state::{self, CopyDirection};
use crate::config;
use crate::control::error::ControlError;
use crate::control::gate::Gate;
use crate::control::shown;

/// Rows named, of each table.
const SHOWN_MAX: usize = 3;

/// What is told before a step back: how many rows differ in lossy columns. `None`: no column is lossy,
/// or the legacy tables may be gone.
pub async fn lossy(
    url: &str,
    migration: &Migration,
    from: Phase,
    limits: &config::Gates,
) -> Result<Option<Gate>, ControlError> {
    let mut lossy = migration
        .tables
        .iter()
        .map(|lens| lens.lossy_differences(KeyRange::All));
    if from == Phase::Retired || !lossy.any(|sql| sql.is_some()) {
        return Ok(None);
    }
    let found = match all(url, migration, i64::from(limits.rehearsal_rows_max)).await {
        Ok(lines) if lines.is_empty() => "both sides agree in them as well".to_owned(),
        Ok(lines) => lines.join("; "),
        // No way back is barred.
        Err(error @ (ControlError::Sql { .. } | ControlError::Refused(_))) => {
            format!("NOT COMPARED: {error}")
        }
        Err(other) => return Err(other),
    };
    Ok(Some(Gate {
        name: "lossy columns",
        met: true,
        found,
        settle: String::new(),
    }))
}

async fn all(url: &str, migration: &Migration, rows_max: i64) -> Result<Vec<String>, ControlError> {
    let client = connected(url).await?;
    let mut lines = Vec::new();
    for lens in &migration.tables {
        lines.extend(line(&client, lens, rows_max).await?);
    }
    Ok(lines)
}

/// How many rows of a table differ in columns that the rule calls lossy, and some of them; `None`: none.
pub(super) async fn line(
    client: &Client,
    lens: &Lens,
    rows_max: i64,
) -> Result<Option<String>, ControlError> {
    if lens.lossy_differences(KeyRange::All).is_none() {
        return Ok(None);
    }
    let rows = state::estimate(client, lens, CopyDirection::UnifiedToLegacy).await?;
    let mut found = LossyFound::default();
    let of = if rows <= rows_max {
        found
            .look(client, lens, (KeyRange::All, Vec::new()))
            .await?;
        String::new()
    } else {
        for bounds in ranges::spread(client, lens, rows, rows_max).await? {
            let range = (bounds.range(), bounds.parameters());
            found.look(client, lens, range).await?;
        }
        format!(" of about {rows_max} that were looked at")
    };
    Ok((found.count > 0).then(|| {
        format!(
            "{} rows of {}{of} differ in columns that the rule calls lossy, as {}: back there legacy has its own values",
            found.count,
            shown(&lens.legacy.sql()),
            found.shown.join(", ")
        )
    }))
}

#[derive(Default)]
struct LossyFound {
    count: i64,
    shown: Vec<String>,
}

impl LossyFound {
    async fn look(
        &mut self,
        client: &Client,
        lens: &Lens,
        (range, mut parameters): (KeyRange, Vec<&(dyn ToSql + Sync)>),
    ) -> Result<(), ControlError> {
        let Some(sql) = lens.lossy_differences(range) else {
            return Ok(());
        };
        let left = i64::try_from(SHOWN_MAX.saturating_sub(self.shown.len())).unwrap_or_default();
        parameters.push(&left);
        let row = client
            .query_one(&sql, &parameters)
            .await
            .map_err(ControlError::sql("comparison of lossy columns"))?;
        self.count += row.get::<_, i64>(0);
        let some: Value = row.get(1);
        let some = some.as_array().into_iter().flatten();
        self.shown.extend(some.map(|row| {
            let of = |list: &Value| {
                let all = list.as_array().into_iter().flatten();
                let all: Vec<&str> = all.filter_map(Value::as_str).collect();
                all.join(", ")
            };
            format!("{} ({})", of(&row[0]), of(&row[1]))
        }));
        Ok(())
    }
}
