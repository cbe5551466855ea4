//! Whether the sequences of unified have passed the ids that were copied in: the next row would get one that is taken.

use rewrite_rules::lens::{quote_ident, quote_literal};
use rewrite_rules::{Lens, Migration};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::control::error::ControlError;
use crate::control::gate::Gate;

pub(super) async fn ahead(client: &Client, migration: &Migration) -> Result<Gate, ControlError> {
    let sql = || ControlError::sql("look at the sequences");
    let mut behind = Vec::new();
    let mut settle = Vec::new();
    let mut ahead = 0;
    let mut looked: Vec<(String, String)> = Vec::new();
    for lens in &migration.tables {
        for (table, column) in filled_columns(client, lens).await? {
            // Several lenses may fill one table.
            if looked.contains(&(table.clone(), column.clone())) {
                continue;
            }
            looked.push((table.clone(), column.clone()));
            let quoted = quote_ident(&column);
            let row = client
                .query_one("SELECT pg_get_serial_sequence($1, $2)", &[&table, &column])
                .await
                .map_err(sql())?;
            let Some(sequence) = row.get::<_, Option<String>>(0) else {
                continue; // filled by the application or by a uuid: nothing to run into
            };
            let row = client
                .query_one(
                    &format!(
                        "SELECT coalesce((SELECT max({quoted}) FROM {table}), 0)::bigint \
                         > CASE WHEN is_called THEN last_value ELSE last_value - 1 END \
                         FROM {sequence}"
                    ),
                    &[],
                )
                .await;
            let row = match row {
                Ok(row) => row,
                Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                    behind.push(format!("this role must not look at {sequence}"));
                    settle.push(
                        "`crossfade prepare --grants-for ROLE` prints what it needs".to_owned(),
                    );
                    continue;
                }
                Err(error) => return Err(sql()(error)),
            };
            if row.get(0) {
                behind.push(format!("{sequence} is behind {table}.{quoted}"));
                settle.push(format!(
                    "SELECT setval({}, (SELECT max({quoted}) FROM {table}))",
                    quote_literal(&sequence)
                ));
            } else {
                ahead += 1;
            }
        }
    }
    Ok(Gate {
        name: "sequences",
        met: behind.is_empty(),
        found: match (behind.is_empty(), ahead) {
            (true, 0) => "no key column has one".to_owned(),
            (true, _) => "ahead of the ids in use".to_owned(),
            (false, _) => behind.join("; "),
        },
        settle: settle.join("; "),
    })
}

/// The unified columns that a lens fills with ids: the key of a derived one; a written one may
/// fill any column.
async fn filled_columns(
    client: &Client,
    lens: &Lens,
) -> Result<Vec<(String, String)>, ControlError> {
    if lens.is_row_for_row() {
        let table = lens.unified.sql();
        let keys = lens.key_columns();
        return Ok(keys.map(|c| (table.clone(), c.unified.clone())).collect());
    }
    let tables: Vec<String> = lens.unified_tables().iter().map(|t| t.sql()).collect();
    let rows = client
        .query(
            "SELECT t.name, a.attname::text FROM unnest($1::text[]) AS t (name) \
             JOIN pg_attribute AS a ON a.attrelid = to_regclass(t.name) \
             WHERE a.attnum > 0 AND NOT a.attisdropped \
             AND pg_get_serial_sequence(t.name, a.attname) IS NOT NULL ORDER BY 1, 2",
            &[&tables],
        )
        .await
        .map_err(ControlError::sql("look at the sequences"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
