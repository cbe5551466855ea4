//! `crossfade infer`: a first draft of a rule file from two tables of a live database.
//!
//! Here the catalog is read; what is made of it, without a database, is in `draft`.

mod draft;

use tokio_postgres::Client;

use crate::control::{ControlError, connect};

/// Rows that are looked at to see which labels of an enum are in use.
const SAMPLED_ROWS: u32 = 100_000;

#[derive(Clone, Debug, Default)]
struct Table {
    schema: String,
    name: String,
    columns: Vec<Column>,
    constraints: Vec<Constraint>,
    /// Unique indexes, as lists of column names.
    unique: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Default)]
struct Column {
    name: String,
    sql_type: String,
    not_null: bool,
    default: Option<String>,
    /// Identity or generated.
    fills_itself: bool,
    /// Of an enum, in its order.
    labels: Vec<String>,
    /// Those of them that the sampled rows hold.
    used: Vec<String>,
    /// A BEFORE UPDATE trigger assigns it.
    set_by_trigger: bool,
}

#[derive(Clone, Debug)]
struct Constraint {
    name: String,
    /// As `pg_constraint.contype`: p, u, f or c.
    kind: String,
    columns: Vec<String>,
    definition: String,
}

#[derive(Debug, thiserror::Error)]
pub enum InferError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(
        "there is no table {0}; expected schema.table as the control connection's role sees it"
    )]
    NoTable(String),
}

/// The draft of a rule file between two tables.
pub async fn run(url: &str, legacy: &str, unified: &str) -> Result<String, InferError> {
    let client = connect(url, "infer").await?;
    let mut legacy = table(&client, legacy).await?;
    let unified = table(&client, unified).await?;
    let name = draft::sql_name(&legacy);
    for column in &mut legacy.columns {
        if !column.labels.is_empty() {
            column.used = used(&client, &name, &column.name).await?;
        }
    }
    Ok(draft::draft(&legacy, &unified))
}

async fn table(client: &Client, named: &str) -> Result<Table, InferError> {
    let rows = client
        .query(
            "SELECT n.nspname::text, c.relname::text, c.oid FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p')",
            &[&named],
        )
        .await
        .map_err(ControlError::sql("look-up of a table"))?;
    let Some(row) = rows.first() else {
        return Err(InferError::NoTable(named.to_owned()));
    };
    let oid: u32 = row.get(2);
    // Types and defaults are written with their schemas, as a rule file must have them.
    client
        .batch_execute("SET search_path = ''")
        .await
        .map_err(ControlError::sql("SET"))?;
    let found = Table {
        schema: row.get(0),
        name: row.get(1),
        columns: columns(client, oid).await?,
        constraints: constraints(client, oid).await?,
        unique: unique(client, oid).await?,
    };
    client
        .batch_execute("RESET search_path")
        .await
        .map_err(ControlError::sql("RESET"))?;
    Ok(found)
}

async fn columns(client: &Client, oid: u32) -> Result<Vec<Column>, ControlError> {
    let rows = client
        .query(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
                    pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '' OR a.attgenerated <> '', \
                    ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = a.atttypid \
                          ORDER BY e.enumsortorder), \
                    EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
                             WHERE t.tgrelid = a.attrelid AND NOT t.tgisinternal \
                               AND t.tgtype & 1 = 1 AND t.tgtype & 2 = 2 AND t.tgtype & 16 = 16 \
                               AND p.prosrc ~* ('\\mnew\\.\"?' || a.attname || '\"?\\s*:?=')) \
             FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            &[&oid],
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
            labels: row.get(5),
            used: Vec::new(),
            set_by_trigger: row.get(6),
        })
        .collect())
}

async fn constraints(client: &Client, oid: u32) -> Result<Vec<Constraint>, ControlError> {
    let rows = client
        .query(
            "SELECT c.conname::text, c.contype::text, \
                    ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(num, at) \
                          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num ORDER BY k.at), \
                    pg_get_constraintdef(c.oid) \
             FROM pg_constraint c WHERE c.conrelid = $1 AND c.contype IN ('p', 'u', 'f', 'c') \
             ORDER BY array_position(ARRAY['p', 'u', 'f', 'c'], c.contype::text), c.conname",
            &[&oid],
        )
        .await
        .map_err(ControlError::sql("look-up of constraints"))?;
    Ok(rows
        .iter()
        .map(|row| Constraint {
            name: row.get(0),
            kind: row.get(1),
            columns: row.get(2),
            definition: row.get(3),
        })
        .collect())
}

async fn unique(client: &Client, oid: u32) -> Result<Vec<Vec<String>>, ControlError> {
    let rows = client
        .query(
            "SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(num, at) \
                          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num ORDER BY k.at) \
             FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL",
            &[&oid],
        )
        .await
        .map_err(ControlError::sql("look-up of indexes"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn used(client: &Client, table: &str, column: &str) -> Result<Vec<String>, ControlError> {
    let column = rewrite_rules::lens::quote_ident(column);
    let rows = client
        .query(
            &format!(
                "SELECT DISTINCT v::text FROM (SELECT {column} FROM {table} LIMIT {SAMPLED_ROWS}) AS t(v) \
                 WHERE v IS NOT NULL ORDER BY 1"
            ),
            &[],
        )
        .await
        .map_err(ControlError::sql("look-up of values"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
