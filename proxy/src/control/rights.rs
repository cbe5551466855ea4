//! Whether the application's roles may do on the unified table what they may do on the legacy one.
//!
//! Statements run as the client's own role, so a right that is missing is an outage for that role
//! the moment the unified table is read; and row level security that only legacy has would no
//! longer hide anything.

use rewrite_rules::{Lens, Migration};
use tokio_postgres::Client;

use super::error::ControlError;
use super::gates::Gate;
use super::schema;

/// A write puts a row image, which is an upsert; and images are read back on the side that is
/// written first.
const MISSING: &str = "\
WITH has AS (SELECT a.grantee, a.privilege_type AS may \
    FROM pg_class AS c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a \
    WHERE c.oid = to_regclass($1)), \
role AS (SELECT h.grantee, h.may, CASE h.grantee WHEN 0 THEN 'public' \
    ELSE pg_get_userbyid(h.grantee) END AS name FROM has AS h), \
needs (may, side, needed) AS (VALUES ('SELECT', $2, 'SELECT'), \
    ('INSERT', $2, 'SELECT'), ('INSERT', $2, 'INSERT'), ('INSERT', $2, 'UPDATE'), \
    ('UPDATE', $2, 'SELECT'), ('UPDATE', $2, 'INSERT'), ('UPDATE', $2, 'UPDATE'), \
    ('DELETE', $2, 'SELECT'), ('DELETE', $2, 'DELETE'), \
    ('INSERT', $1, 'SELECT'), ('UPDATE', $1, 'SELECT'), ('DELETE', $1, 'SELECT')) \
SELECT CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.name) END, n.side, string_agg(DISTINCT n.needed, ', '), \
    bool_or(r.may <> 'SELECT') \
FROM role AS r JOIN needs AS n USING (may) \
WHERE NOT has_table_privilege(r.name, n.side, n.needed) \
GROUP BY r.grantee, r.name, n.side ORDER BY 1, 2";

const ROW_SECURITY: &str = "\
SELECT l.relrowsecurity, u.relrowsecurity FROM pg_class AS l, pg_class AS u \
WHERE l.oid = to_regclass($1) AND u.oid = to_regclass($2)";

/// A legacy table, and one that its lens writes.
pub(crate) struct Sides {
    pub legacy: String,
    pub unified: String,
}

/// A right that a role lacks to do through Crossfade what it may do on the legacy table.
pub(crate) struct Missing {
    pub role: String,
    /// As SQL.
    pub table: String,
    pub needed: String,
    /// It may write the legacy table; else only read it.
    pub writes: bool,
}

/// A legacy table with each table that its lens writes.
pub(crate) fn sides(lens: &Lens) -> Vec<Sides> {
    let crosswalk = lens.written.iter().flat_map(|written| &written.crosswalk);
    let unified = lens.unified_tables().into_iter().chain(crosswalk);
    unified
        .map(|table| Sides {
            legacy: lens.legacy.sql(),
            unified: table.sql(),
        })
        .collect()
}

/// What roles lack; nothing of tables that do not exist.
pub(crate) async fn missing(client: &Client, sides: &Sides) -> Result<Vec<Missing>, ControlError> {
    // `has_table_privilege` fails for a table that does not exist.
    for table in [&sides.legacy, &sides.unified] {
        if !schema::table_exists(client, table).await? {
            return Ok(Vec::new());
        }
    }
    let rows = client
        .query(MISSING, &[&sides.legacy, &sides.unified])
        .await
        .map_err(ControlError::sql("look at the rights"))?;
    Ok(rows
        .iter()
        .map(|row| Missing {
            role: row.get(0),
            table: row.get(1),
            needed: row.get(2),
            writes: row.get(3),
        })
        .collect())
}

/// Whether row level security is on, for legacy and for unified.
pub(crate) async fn row_security(
    client: &Client,
    sides: &Sides,
) -> Result<(bool, bool), ControlError> {
    let row = client
        .query_opt(ROW_SECURITY, &[&sides.legacy, &sides.unified])
        .await
        .map_err(ControlError::sql("look at the row level security"))?;
    Ok(row.map_or((false, false), |row| (row.get(0), row.get(1))))
}

/// Every role that may use a legacy table may use its unified one likewise.
pub(super) async fn rights(client: &Client, migration: &Migration) -> Result<Gate, ControlError> {
    let mut found = Vec::new();
    let mut settle = Vec::new();
    for sides in migration.tables.iter().flat_map(sides) {
        for Missing {
            role,
            table,
            needed,
            ..
        } in missing(client, &sides).await?
        {
            let table = super::shown(&table);
            found.push(format!("{role} lacks {needed} on {table}"));
            settle.push(format!("GRANT {needed} ON {table} TO {role};"));
        }
        if row_security(client, &sides).await? == (true, false) {
            let (legacy, unified) = (super::shown(&sides.legacy), super::shown(&sides.unified));
            found.push(format!(
                "row level security protects {legacy} but not {unified}"
            ));
            settle.push(format!(
                "ALTER TABLE {unified} ENABLE ROW LEVEL SECURITY; -- and policies like legacy's"
            ));
        }
    }
    Ok(Gate {
        name: "rights",
        met: found.is_empty(),
        found: if found.is_empty() {
            "whoever may use legacy may use unified".to_owned()
        } else {
            found.join("; ")
        },
        settle: settle.join("\n"),
    })
}
