//! `crossfade infer`: a first draft of a rule file from two tables of a live database.
//!
//! Here the catalog is read; what is made of it, without a database, is in `draft`.

mod draft;

use tokio_postgres::Client;

use crate::control::catalog::SetBy;
use crate::control::{ControlError, catalog, connect};

/// Rows that are looked at to see which labels of an enum are in use.
const SAMPLED_ROWS: u32 = 100_000;

#[derive(Clone, Debug, Default)]
struct DraftTable {
    schema: String,
    name: String,
    columns: Vec<DraftColumn>,
    constraints: Vec<Constraint>,
    /// Unique indexes, as lists of column names.
    unique: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Default)]
struct DraftColumn {
    column: catalog::Column,
    /// Of an enum, in its order.
    labels: Vec<String>,
    /// Those of them that the sampled rows hold.
    used: Vec<String>,
    /// A BEFORE UPDATE trigger assigns it.
    set_by_trigger: bool,
    /// Of a domain: the type below it, and what it says of its VALUE.
    domain: Option<(String, Vec<String>)>,
}

impl std::ops::Deref for DraftColumn {
    type Target = catalog::Column;

    fn deref(&self) -> &catalog::Column {
        &self.column
    }
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

async fn table(client: &Client, named: &str) -> Result<DraftTable, InferError> {
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
    let mut found = DraftTable {
        schema: row.get(0),
        name: row.get(1),
        columns: Vec::new(),
        constraints: constraints(client, oid).await?,
        unique: unique(client, oid).await?,
    };
    found.columns = columns(client, oid, &draft::sql_name(&found)).await?;
    client
        .batch_execute("RESET search_path")
        .await
        .map_err(ControlError::sql("RESET"))?;
    Ok(found)
}

async fn columns(client: &Client, oid: u32, table: &str) -> Result<Vec<DraftColumn>, ControlError> {
    let more = client
        .query(
            "SELECT ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = a.atttypid \
                          ORDER BY e.enumsortorder), \
                    (SELECT format_type(t.typbasetype, t.typtypmod) FROM pg_type t \
                      WHERE t.oid = a.atttypid AND t.typtype = 'd'), \
                    ARRAY(SELECT pg_get_expr(k.conbin, 0) FROM pg_constraint k \
                          WHERE k.contypid = a.atttypid AND k.contype = 'c' ORDER BY k.conname) \
             FROM pg_attribute a \
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            &[&oid],
        )
        .await
        .map_err(ControlError::sql("look-up of columns"))?;
    let columns = catalog::columns(client, table).await?;
    let mut all = Vec::new();
    for (column, more) in columns.into_iter().zip(&more) {
        let set_by = catalog::set_by(client, table, &column.name).await?;
        all.push(DraftColumn {
            column,
            labels: more.get(0),
            used: Vec::new(),
            set_by_trigger: set_by == SetBy::Trigger,
            domain: more
                .get::<_, Option<String>>(1)
                .map(|below| (below, more.get(2))),
        });
    }
    Ok(all)
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
            "SELECT ARRAY(SELECT a.attname::text FROM unnest((i.indkey[0:i.indnkeyatts - 1])::int2[]) WITH ORDINALITY k(num, at) \
                          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num ORDER BY k.at) \
             FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL",
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
