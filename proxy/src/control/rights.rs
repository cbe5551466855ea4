//! Whether the application's roles may do on the unified table what they may do on the legacy one.
//!
//! Statements run as the client's own role, so a right that is missing is an outage for that role
//! the moment the unified table is read; and row level security that only legacy has would no
//! longer hide anything.

use rewrite_rules::Migration;
use tokio_postgres::Client;

use super::error::ControlError;
use super::gates::Gate;

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
SELECT CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.name) END, n.side, string_agg(DISTINCT n.needed, ', ') \
FROM role AS r JOIN needs AS n USING (may) \
WHERE NOT has_table_privilege(r.name, n.side, n.needed) \
GROUP BY r.grantee, r.name, n.side ORDER BY 1, 2";

const ROW_SECURITY: &str = "\
SELECT l.relrowsecurity AND NOT u.relrowsecurity FROM pg_class AS l, pg_class AS u \
WHERE l.oid = to_regclass($1) AND u.oid = to_regclass($2)";

/// Each legacy table with each table that its lens writes.
fn sides(migration: &Migration) -> Vec<(String, String)> {
    let mut sides = Vec::new();
    for lens in &migration.tables {
        let crosswalk = lens.written.iter().flat_map(|written| &written.crosswalk);
        let unified = lens.unified_tables().into_iter().chain(crosswalk);
        sides.extend(unified.map(|table| (lens.legacy.sql(), table.sql())));
    }
    sides
}

/// Every role that may use a legacy table may use its unified one likewise.
pub(super) async fn rights(client: &Client, migration: &Migration) -> Result<Gate, ControlError> {
    let sql = || ControlError::sql("look at the rights");
    let mut found = Vec::new();
    let mut settle = Vec::new();
    for (legacy, unified) in sides(migration) {
        for row in client
            .query(MISSING, &[&legacy, &unified])
            .await
            .map_err(sql())?
        {
            let (role, side, needed): (String, String, String) =
                (row.get(0), row.get(1), row.get(2));
            let side = super::shown(&side);
            found.push(format!("{role} lacks {needed} on {side}"));
            settle.push(format!("GRANT {needed} ON {side} TO {role};"));
        }
        let open = client
            .query_opt(ROW_SECURITY, &[&legacy, &unified])
            .await
            .map_err(sql())?;
        if open.is_some_and(|row| row.get(0)) {
            let (legacy, unified) = (super::shown(&legacy), super::shown(&unified));
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
