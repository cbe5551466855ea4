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
    /// Of an identity column what fills it, as a default would say it.
    pub identity: Option<String>,
}

/// The columns of a table (as SQL) in its order; none of one that does not exist.
pub(crate) async fn columns(client: &Client, table: &str) -> Result<Vec<Column>, ControlError> {
    let rows = client
        .query(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
                    pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '' OR a.attgenerated <> '', \
                    CASE WHEN a.attidentity <> '' THEN format('nextval(%L)', \
                    pg_get_serial_sequence($1, a.attname::text)) END \
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
            identity: row.get(5),
        })
        .collect())
}

/// What a BEFORE UPDATE trigger does for a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetBy {
    /// It assigns it, or may: what is not written in PL/pgSQL cannot be looked into.
    Trigger,
    /// There are such triggers, and none names the column.
    Perhaps,
    Nobody,
}

/// What the triggers of a table (as SQL) do for one of its columns.
pub(crate) async fn set_by(
    client: &Client,
    table: &str,
    column: &str,
) -> Result<SetBy, ControlError> {
    let row = client
        .query_one(
            "SELECT count(*) > 0, coalesce(bool_or(l.lanname <> 'plpgsql' OR p.prosrc ~* ('\\mnew\\.\"?' \
                    || regexp_replace($2, '[^[:alnum:]_]', '.', 'g') || '\"?\\s*:?=')), false) \
             FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang \
             WHERE t.tgrelid = to_regclass($1) AND NOT t.tgisinternal AND t.tgenabled <> 'D' \
             AND t.tgtype & 1 = 1 AND t.tgtype & 2 = 2 AND t.tgtype & 16 = 16",
            &[&table, &column],
        )
        .await
        .map_err(ControlError::sql("look-up of triggers"))?;
    Ok(match (row.get(0), row.get(1)) {
        (_, true) => SetBy::Trigger,
        (true, false) => SetBy::Perhaps,
        (false, false) => SetBy::Nobody,
    })
}

/// The sequences that a default draws from, as SQL names them; nothing of those that are not there.
pub(crate) async fn drawn_from(
    client: &Client,
    default: &str,
) -> Result<Vec<String>, ControlError> {
    let rows = client
        .query(
            "SELECT DISTINCT format('%I.%I', n.nspname, s.relname) \
             FROM regexp_matches($1, 'nextval\\s*\\(\\s*''([^'']+)''', 'gi') AS m \
             JOIN pg_class s ON s.oid = to_regclass(m[1]) AND s.relkind = 'S' \
             JOIN pg_namespace n ON n.oid = s.relnamespace ORDER BY 1",
            &[&default],
        )
        .await
        .map_err(ControlError::sql("look-up of sequences"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The columns of a table (as SQL) that BEFORE triggers in PL/pgSQL assign, in its order.
pub(crate) async fn assigned(client: &Client, table: &str) -> Result<Vec<String>, ControlError> {
    let rows = client
        .query(
            "SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 \
             AND NOT a.attisdropped AND EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
             JOIN pg_language l ON l.oid = p.prolang WHERE t.tgrelid = a.attrelid AND NOT t.tgisinternal \
             AND t.tgenabled <> 'D' AND t.tgtype & 1 = 1 AND t.tgtype & 2 = 2 AND t.tgtype & 20 <> 0 \
             AND l.lanname = 'plpgsql' AND p.prosrc ~* ('\\mnew\\.\"?' \
             || regexp_replace(a.attname, '[^[:alnum:]_]', '.', 'g') || '\"?\\s*:?=')) ORDER BY a.attnum",
            &[&table],
        )
        .await
        .map_err(ControlError::sql("look-up of triggers"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
