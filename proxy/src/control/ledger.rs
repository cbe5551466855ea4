//! The divergence ledger and the tombstones: keys that somebody must look after.
//!
//! The statements that add to them are the database functions of `schema.sql`; a chunk that puts a
//! row takes its key out again in its own statement.

use std::time::SystemTime;

use rewrite_rules::{Lens, Migration};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::{Client, GenericClient};

use super::error::ControlError;
use super::{schema, stand_in};

/// Keys looked after in one statement or one transaction: as many as a first chunk has rows.
pub const KEYS_MAX: i64 = 500;

#[derive(Clone, Debug, Serialize)]
pub struct LedgerEntry {
    pub legacy_table: String,
    pub key: Value,
    pub reason: String,
    pub sqlstate: String,
    pub times: i64,
    #[serde(skip)]
    pub first_at: SystemTime,
    #[serde(skip)]
    pub last_at: SystemTime,
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
) -> Result<Vec<LedgerEntry>, ControlError> {
    let rows = client
        .query(
            "SELECT legacy_table, key, reason, sqlstate, times, first_at, last_at FROM crossfade.divergence \
             WHERE migration = $1 ORDER BY first_at LIMIT $2",
            &[&migration, &limit],
        )
        .await
        .map_err(ControlError::sql("look at the ledger"))?;
    Ok(rows
        .iter()
        .map(|row| LedgerEntry {
            legacy_table: row.get(0),
            key: row.get(1),
            reason: row.get(2),
            sqlstate: row.get(3),
            times: row.get(4),
            first_at: row.get(5),
            last_at: row.get(6),
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

/// Whether a key is in the ledger because what it refers to was not there.
pub async fn has_absent(client: &Client, lens: &Lens) -> Result<bool, ControlError> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM crossfade.divergence WHERE migration = $1 AND legacy_table = $2 \
             AND sqlstate = '23503')",
            &[&lens.migration, &lens.legacy.sql()],
        )
        .await
        .map_err(ControlError::sql("look at the ledger"))?;
    Ok(row.get(0))
}

/// How many of the keys in the ledger both sides disagree about now. An entry says that a key was to be
/// looked at; whoever may write the table may add some, so none is believed. Where one of the sides
/// is gone, every entry counts.
pub async fn differing(client: &Client, migration: &Migration) -> Result<i64, ControlError> {
    let mut differing = 0;
    for lens in &migration.tables {
        if !both_there(client, lens).await? {
            return count(client, &migration.name).await;
        }
        let statement = lens.count_disagreeing_keys();
        let mut after: Option<Value> = None;
        loop {
            let keys = keys_after(client, lens, after.as_ref(), None).await?;
            let Some(last) = keys.last().cloned() else {
                break;
            };
            let keys = Value::Array(readable(client, lens, keys).await?);
            let row = client
                .query_one(&statement, &[&keys])
                .await
                .map_err(ControlError::sql("look at the keys of the ledger"))?;
            differing += row.get::<_, i64>(0);
            after = Some(last);
        }
    }
    Ok(differing)
}

async fn both_there(client: &Client, lens: &Lens) -> Result<bool, ControlError> {
    if !stand_in::is_legacy_there(client, &lens.legacy.sql()).await? {
        return Ok(false);
    }
    for table in lens.unified_tables() {
        if !schema::table_exists(client, &table.sql()).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Those of some keys that are keys of the table. What is none, a row that somebody put there by hand or
/// that an older version let in, must not stop whoever reads the others.
async fn readable(
    client: &Client,
    lens: &Lens,
    keys: Vec<Value>,
) -> Result<Vec<Value>, ControlError> {
    let statement = lens.readable_keys();
    let those = async |keys: Vec<Value>| -> Result<Option<Vec<Value>>, ControlError> {
        match client.query(&statement, &[&Value::Array(keys)]).await {
            Ok(rows) => Ok(Some(rows.iter().map(|row| row.get(0)).collect())),
            Err(error) => match error.code().map(|state| state.code().get(..2)) {
                Some(Some("22" | "23")) => Ok(None),
                _of_no_key => Err(ControlError::sql("look at keys")(error)),
            },
        }
    };
    if let Some(all) = those(keys.clone()).await? {
        return Ok(all);
    }
    let mut some = Vec::with_capacity(keys.len());
    for key in keys {
        some.extend(those(vec![key]).await?.unwrap_or_default());
    }
    Ok(some)
}

/// Tables of Crossfade's whose rows are about one key each.
const KEYED: [&str; 2] = ["crossfade.divergence", "crossfade.tombstones"];

/// Removes what is no key of the table, before anybody reads the others; `tell` hears how much it was.
pub async fn drop_unreadable(
    client: &Client,
    lens: &Lens,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    for table in KEYED {
        let sql = || ControlError::sql("look for what is no key");
        let next = format!(
            "SELECT DISTINCT key FROM {table} WHERE migration = $1 AND legacy_table = $2 \
             AND ($3::jsonb IS NULL OR key > $3) ORDER BY key LIMIT $4"
        );
        let remove = format!(
            "DELETE FROM {table} WHERE migration = $1 AND legacy_table = $2 AND key = ANY ($3)"
        );
        let legacy = lens.legacy.sql();
        let mut after: Option<Value> = None;
        let mut removed = 0;
        loop {
            let rows = client
                .query(&next, &[&lens.migration, &legacy, &after, &KEYS_MAX])
                .await
                .map_err(sql())?;
            let keys: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
            let Some(last) = keys.last().cloned() else {
                break;
            };
            after = Some(last);
            let good = readable(client, lens, keys.clone()).await?;
            let bad: Vec<&Value> = keys.iter().filter(|key| !good.contains(key)).collect();
            if !bad.is_empty() {
                removed += client
                    .execute(&remove, &[&lens.migration, &legacy, &bad])
                    .await
                    .map_err(sql())?;
            }
        }
        if removed > 0 {
            tell(&format!(
                "{removed} rows of {table} named no key of {} and were removed",
                super::shown(&legacy)
            ));
        }
    }
    Ok(())
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
