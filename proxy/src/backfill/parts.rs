//! The ranges of the key that a run is divided into: each has a cursor of its own, so that several
//! workers walk at once and any number of them takes up an interrupted run.

use rewrite_rules::Lens;
use serde_json::Value;
use tokio_postgres::Client;

use super::state::CopyProgress;
use crate::control::ControlError;

/// One range: above its cursor, through its highest key.
#[derive(Clone, Debug)]
pub struct KeyPart {
    pub number: i32,
    pub last_key: Option<Value>,
    pub highest_key: Value,
}

/// Fewer rows than this are not worth dividing.
const PART_ROWS_MIN: i64 = 20_000;
/// More than workers, for ranges are only about as long as each other.
const PARTS_MAX: i64 = 64;
/// Rows looked at to divide the key evenly.
const SAMPLE_ROWS: f64 = 10_000.0;

/// Divides a run that has just begun; one that is divided stays as it is. In one statement, so
/// that a kill leaves all of the ranges or none.
pub async fn divide(
    client: &Client,
    lens: &Lens,
    progress: &CopyProgress,
    highest_key: &Value,
) -> Result<(), ControlError> {
    let sql = || ControlError::sql("division of the backfill");
    let (run, rows_estimated) = (&progress.run, progress.rows_estimated);
    let known = client
        .query_opt(
            "SELECT FROM crossfade.backfill_parts WHERE run = $1::text::uuid LIMIT 1",
            &[run],
        )
        .await
        .map_err(sql())?;
    if known.is_some() {
        return Ok(());
    }
    let parts = (rows_estimated / PART_ROWS_MIN).clamp(1, PARTS_MAX);
    let mut ends: Vec<Value> = Vec::new();
    if parts > 1 && is_table(client, lens).await? {
        let percent = (100.0 * SAMPLE_ROWS / rows_estimated as f64).clamp(0.0001, 100.0);
        let rows = client
            .query(&lens.split(percent), &[&parts])
            .await
            .map_err(sql())?;
        ends = rows.iter().map(|row| row.get(0)).collect();
    }
    ends.push(highest_key.clone());
    let afters: Vec<Value> = std::iter::once(Value::Null)
        .chain(ends.iter().cloned())
        .take(ends.len())
        .collect();
    client
        .execute(
            "INSERT INTO crossfade.backfill_parts (run, part, last_key, highest_key) \
             SELECT $1::text::uuid, e.part, nullif(a.key, 'null'::jsonb), e.key \
             FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS a (key, part) \
             JOIN jsonb_array_elements($3::jsonb) WITH ORDINALITY AS e (key, part) USING (part)",
            &[run, &Value::Array(afters), &Value::Array(ends)],
        )
        .await
        .map_err(sql())?;
    // Those of runs that were started anew.
    client
        .execute(
            "DELETE FROM crossfade.backfill_parts AS p WHERE NOT EXISTS \
             (SELECT FROM crossfade.backfill AS b WHERE b.run = p.run)",
            &[],
        )
        .await
        .map_err(sql())?;
    Ok(())
}

/// A sample can be taken of tables only.
async fn is_table(client: &Client, lens: &Lens) -> Result<bool, ControlError> {
    let row = client
        .query_one(
            "SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = $1::text::regclass",
            &[&lens.legacy.sql()],
        )
        .await
        .map_err(ControlError::sql("look at the legacy table"))?;
    Ok(row.get(0))
}

/// The ranges that are not finished, in the key's order.
pub async fn unfinished(client: &Client, run: &str) -> Result<Vec<KeyPart>, ControlError> {
    let rows = client
        .query(
            "SELECT part, last_key, highest_key FROM crossfade.backfill_parts \
             WHERE run = $1::text::uuid AND NOT done ORDER BY part",
            &[&run],
        )
        .await
        .map_err(ControlError::sql("look at the backfill's ranges"))?;
    Ok(rows
        .iter()
        .map(|row| KeyPart {
            number: row.get(0),
            last_key: row.get(1),
            highest_key: row.get(2),
        })
        .collect())
}

/// A range in which no row is left.
pub async fn finish(client: &Client, run: &str, part: i32) -> Result<(), ControlError> {
    client
        .execute(
            "UPDATE crossfade.backfill_parts SET done = true \
             WHERE run = $1::text::uuid AND part = $2",
            &[&run, &part],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of a finished range"))
}
