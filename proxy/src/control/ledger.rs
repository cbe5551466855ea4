//! The divergence ledger and the tombstones: keys that somebody must look after.
//!
//! The statements that add to them are the database functions of `schema.sql`; a chunk that puts a
//! row takes its key out again in its own statement.

use rewrite_rules::Lens;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::{Client, GenericClient};

use super::error::ControlError;

/// Keys looked after in one statement or one transaction: as many as a first chunk has rows.
pub const KEYS_MAX: i64 = 500;

#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub legacy_table: String,
    pub key: Value,
    pub reason: String,
    pub sqlstate: String,
    pub times: i64,
}

pub async fn count(client: &Client, migration: &str) -> Result<i64, ControlError> {
    let row = client
        .query_one(
            "SELECT count(*) FROM crossfade.divergence WHERE migration = $1",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql("count of the ledger"))?;
    Ok(row.get(0))
}

pub async fn tombstones(client: &Client, migration: &str) -> Result<i64, ControlError> {
    let row = client
        .query_one(
            "SELECT count(*) FROM crossfade.tombstones WHERE migration = $1",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql("count of the tombstones"))?;
    Ok(row.get(0))
}

/// The oldest entries, for the reader.
pub async fn entries(
    client: &Client,
    migration: &str,
    limit: i64,
) -> Result<Vec<Entry>, ControlError> {
    let rows = client
        .query(
            "SELECT legacy_table, key, reason, sqlstate, times FROM crossfade.divergence \
             WHERE migration = $1 ORDER BY first_at LIMIT $2",
            &[&migration, &limit],
        )
        .await
        .map_err(ControlError::sql("look at the ledger"))?;
    Ok(rows
        .iter()
        .map(|row| Entry {
            legacy_table: row.get(0),
            key: row.get(1),
            reason: row.get(2),
            sqlstate: row.get(3),
            times: row.get(4),
        })
        .collect())
}

/// Keys in the ledger for one table, in order, above `after`; with `before` only those that
/// nothing has added to since that time.
pub async fn keys_after(
    client: &impl GenericClient,
    lens: &Lens,
    after: Option<&Value>,
    before: Option<&str>,
) -> Result<Vec<Value>, ControlError> {
    let rows = client
        .query(
            "SELECT key FROM crossfade.divergence WHERE migration = $1 AND legacy_table = $2 \
             AND ($3::jsonb IS NULL OR key > $3) \
             AND ($4::text IS NULL OR last_at < $4::text::timestamptz) ORDER BY key LIMIT $5",
            &[
                &lens.migration,
                &lens.legacy.sql(),
                &after,
                &before,
                &KEYS_MAX,
            ],
        )
        .await
        .map_err(ControlError::sql("look at the ledger"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Sets a key aside: its unified half could not be put, for this reason.
pub async fn set_aside(
    client: &impl GenericClient,
    lens: &Lens,
    key: &Value,
    reason: &str,
    sqlstate: &str,
) -> Result<(), ControlError> {
    client
        .execute(
            "SELECT crossfade.record_divergence($1, $2, $3, $4, $5)",
            &[&lens.migration, &lens.legacy.sql(), key, &reason, &sqlstate],
        )
        .await
        .map_err(ControlError::sql("entry in the ledger"))?;
    Ok(())
}
