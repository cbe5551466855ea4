//! The rehearsal of a table that is too large to be compared before each step: ranges spread over
//! its key, so many rows in all.

use rewrite_rules::Lens;
use rewrite_rules::lens::{Disagreement, KeyRange};
use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::{TRIED_MAX, TableFound};
use crate::control::error::ControlError;
use crate::verify::ranges::must_be_in_one_order;

/// Ranges: what is wrong with rows is often wrong with those of one time.
const RANGES: i64 = 20;
/// Rows sampled for each range that begins among them.
const SAMPLED_PER_RANGE: f64 = 100.0;

pub(super) struct Looked {
    pub rows: i64,
    pub ranges: usize,
}

/// A range of the key, above its start and through its end.
pub(super) struct Bounds {
    start: Option<Value>,
    end: Value,
}

impl Bounds {
    pub fn range(&self) -> KeyRange {
        match self.start {
            None => KeyRange::Through,
            Some(_) => KeyRange::AfterThrough,
        }
    }

    /// The range's parameters.
    pub fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        let keys = self.start.iter().chain([&self.end]);
        keys.map(|key| key as &(dyn ToSql + Sync)).collect()
    }
}

/// Ranges of about `rows_max` unified rows of about `rows`, spread over the key.
pub(super) async fn spread(
    client: &Client,
    lens: &Lens,
    rows: i64,
    rows_max: i64,
) -> Result<Vec<Bounds>, ControlError> {
    must_be_in_one_order(client, lens).await?;
    let starts = starts(client, lens, rows).await?;
    let in_each = rows_max / i64::try_from(starts.len()).unwrap_or(1);
    let mut all = Vec::new();
    for start in starts {
        let end = end(client, lens, start.as_ref(), in_each.max(1)).await?;
        all.extend(end.map(|end| Bounds { start, end }));
    }
    Ok(all)
}

/// Looks at about `rows_max` of about `rows` rows.
pub(super) async fn look(
    client: &Client,
    lens: &Lens,
    rows: i64,
    rows_max: i64,
) -> Result<(Looked, TableFound), ControlError> {
    let mut looked = Looked { rows: 0, ranges: 0 };
    let mut found = TableFound::default();
    for bounds in spread(client, lens, rows, rows_max).await? {
        looked.rows += range(client, lens, &bounds, &mut found).await?;
        looked.ranges += 1;
    }
    Ok((looked, found))
}

/// Keys above which a range begins: the lowest, some of legacy's, and the highest of legacy's, above
/// which is what unified alone took.
async fn starts(
    client: &Client,
    lens: &Lens,
    rows: i64,
) -> Result<Vec<Option<Value>>, ControlError> {
    let sql = || ControlError::sql("rehearsal of the way back");
    let percent = 100.0 * SAMPLED_PER_RANGE * RANGES as f64 / rows as f64;
    let split = lens.split(percent.clamp(0.0001, 100.0));
    let within = client.query(&split, &[&RANGES]).await.map_err(sql())?;
    let highest = client
        .query_opt(&lens.highest_key(), &[])
        .await
        .map_err(sql())?;
    let keys = within.iter().chain(&highest).map(|row| Some(row.get(0)));
    Ok(std::iter::once(None).chain(keys).collect())
}

/// Where so many unified rows above a key end; `None`: there are none.
async fn end(
    client: &Client,
    lens: &Lens,
    start: Option<&Value>,
    rows: i64,
) -> Result<Option<Value>, ControlError> {
    let rest = match start {
        None => KeyRange::All,
        Some(_) => KeyRange::After,
    };
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    parameters.extend(start.map(|start| start as &(dyn ToSql + Sync)));
    parameters.push(&rows);
    let end = client
        .query_opt(&lens.unified_chunk_end(rest), &parameters)
        .await
        .map_err(ControlError::sql("rehearsal of the way back"))?;
    Ok(end.map(|row| row.get(0)))
}

/// The unified rows of a range, with the legacy rows among them.
async fn range(
    client: &Client,
    lens: &Lens,
    bounds: &Bounds,
    found: &mut TableFound,
) -> Result<i64, ControlError> {
    let sql = || ControlError::sql("rehearsal of the way back");
    let (range, parameters) = (bounds.range(), bounds.parameters());
    let counts = client
        .query_one(&lens.count_disagreements_in(range), &parameters)
        .await
        .map_err(sql())?;
    found.extra += counts.get::<_, i64>(3);
    found.different += counts.get::<_, i64>(4);
    for (kind, at) in Disagreement::ALL.into_iter().zip(2..) {
        let keys = match kind {
            Disagreement::Missing => &mut found.gone,
            Disagreement::Extra | Disagreement::Different => &mut found.keys,
        };
        let left = i64::from(TRIED_MAX) - i64::try_from(keys.len()).unwrap_or(i64::MAX);
        if left <= 0 || counts.get::<_, i64>(at) == 0 {
            continue;
        }
        let mut parameters = parameters.clone();
        parameters.push(&left);
        let samples = client
            .query(&lens.sample_disagreements_in(kind, range), &parameters)
            .await
            .map_err(sql())?;
        keys.extend(samples.iter().map(|row| row.get::<_, Value>(0)));
    }
    Ok(counts.get(1))
}
