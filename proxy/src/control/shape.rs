//! Whether the rule file describes the tables that are there.
//!
//! The rules are read without a database, so a column that was forgotten is noticed here or never:
//! its values would stay behind, and old clients would miss it as soon as unified is read.

use rewrite_rules::{Lens, Migration};
use tokio_postgres::Client;

use super::error::ControlError;
use super::gates::Gate;

/// The columns of a table in their order; beside each what the rules say of its type: whether it
/// is the same type with the same modifier. NULL: they do not name the column.
const LEGACY: &str = "\
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), \
    to_regtype(r.type) = a.atttypid AND coalesce(substring(r.type FROM '\\(.*\\)'), '') = \
    coalesce(substring(format_type(a.atttypid, a.atttypmod) FROM '\\(.*\\)'), '') \
FROM pg_attribute AS a \
LEFT JOIN unnest($2::text[], $3::text[]) AS r (name, type) ON r.name = a.attname \
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

const ABSENT: &str = "\
SELECT r.name FROM unnest($2::text[]) WITH ORDINALITY AS r (name, at) \
WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = to_regclass($1) \
    AND a.attname = r.name AND a.attnum > 0 AND NOT a.attisdropped) ORDER BY r.at";

/// The rule file's columns are the tables'.
pub(super) async fn shape(client: &Client, migration: &Migration) -> Result<Gate, ControlError> {
    let mut wrong = Vec::new();
    for lens in &migration.tables {
        legacy(client, lens, &mut wrong).await?;
        unified(client, lens, &mut wrong).await?;
    }
    Ok(Gate {
        name: "rule file",
        met: wrong.is_empty(),
        found: if wrong.is_empty() {
            "its columns are the tables'".to_owned()
        } else {
            wrong.join("; ")
        },
        settle: format!("correct [table.columns] in {}", migration.file.display()),
    })
}

async fn legacy(client: &Client, lens: &Lens, wrong: &mut Vec<String>) -> Result<(), ControlError> {
    let table = lens.legacy.sql();
    let names: Vec<&str> = lens.columns.iter().map(|c| c.name.as_str()).collect();
    let types: Vec<&str> = lens.columns.iter().map(|c| c.sql_type.as_str()).collect();
    let rows = client
        .query(LEGACY, &[&table, &names, &types])
        .await
        .map_err(ControlError::sql("look at the legacy columns"))?;
    if rows.is_empty() {
        return Ok(()); // no such table: another gate's matter
    }
    let shown = super::shown(&table);
    let mut order = Vec::new();
    let before = wrong.len();
    for row in &rows {
        let (name, found): (String, String) = (row.get(0), row.get(1));
        let Some(column) = lens.column(&name) else {
            wrong.push(format!("{shown}.{name} ({found}) is not in it"));
            continue;
        };
        if row.get::<_, Option<bool>>(2) != Some(true) {
            let said = &column.sql_type;
            wrong.push(format!("{shown}.{name} is {found}, not {said}"));
        }
        order.push(name);
    }
    for name in names
        .iter()
        .filter(|name| !order.iter().any(|o| o == *name))
    {
        wrong.push(format!("{shown} has no column {name}"));
    }
    // `SELECT *` and INSERT without a column list go by it.
    if wrong.len() == before && order != names {
        wrong.push(format!("{shown} has its columns in another order"));
    }
    Ok(())
}

async fn unified(
    client: &Client,
    lens: &Lens,
    wrong: &mut Vec<String>,
) -> Result<(), ControlError> {
    let table = lens.unified.sql();
    let columns = lens.columns.iter().map(|column| column.unified.as_str());
    let constants = lens.constants.iter().map(|column| column.unified.as_str());
    let names: Vec<&str> = columns.chain(constants).collect();
    let rows = client
        .query(ABSENT, &[&table, &names])
        .await
        .map_err(ControlError::sql("look at the unified columns"))?;
    if rows.len() < names.len() {
        let shown = super::shown(&table);
        for row in rows {
            wrong.push(format!("{shown} has no column {}", row.get::<_, String>(0)));
        }
    }
    Ok(())
}
