//! Tables as the catalog has them.

use tokio_postgres::Client;

use super::error::ControlError;

/// A column, its type and default written as the session's `search_path` makes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub name: String,
    pub sql_type: String,
    pub not_null: bool,
    pub default: Option<String>,
    /// Identity or generated: it fills itself.
    pub fills_itself: bool,
}

/// The columns of a table (as SQL) in its order; none of one that does not exist.
pub(crate) async fn columns(client: &Client, table: &str) -> Result<Vec<Column>, ControlError> {
    let rows = client
        .query(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
                    pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '' OR a.attgenerated <> '' \
             FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
             WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            &[&table],
        )
        .await
        .map_err(ControlError::sql("look-up of columns"))?;
    Ok(rows
        .iter()
        .map(|row| Column {
            name: row.get(0),
            sql_type: row.get(1),
            not_null: row.get(2),
            default: row.get(3),
            fills_itself: row.get(4),
        })
        .collect())
}
