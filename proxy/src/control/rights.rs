//! Whether the application's roles may do on the unified table what they may do on the legacy one.
//!
//! Statements run as the client's own role, so a right that is missing is an outage for that role
//! the moment the unified table is read; and row level security that only legacy has would no
//! longer hide anything.

use rewrite_rules::{Lens, Migration, Phase};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::catalog;
use super::error::ControlError;
use super::gate::Gate;
use super::schema;

/// What who may do something on legacy needs on both sides. A read names every column of unified; a write
/// reads its row image back on the side that is written first, and puts it on the other, which is an upsert,
/// or steps of which some delete (`$3`); a delete locks its rows first; TRUNCATE deletes the unified rows that
/// legacy readers see. Rights to some columns are none to the others.
const MISSING: &str = "\
WITH has AS (SELECT a.grantee, a.privilege_type AS may \
    FROM pg_class AS c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a \
    WHERE c.oid = to_regclass($1) \
    UNION SELECT a.grantee, a.privilege_type FROM pg_attribute AS t, aclexplode(t.attacl) AS a \
    WHERE t.attrelid = to_regclass($1) AND t.attnum > 0 AND NOT t.attisdropped), \
role AS (SELECT h.grantee, h.may, CASE h.grantee WHEN 0 THEN 'public' \
    ELSE pg_get_userbyid(h.grantee) END AS name FROM has AS h), \
needs AS (SELECT n.may, s.side, x.needed FROM (VALUES ('SELECT', ARRAY['SELECT']), \
        ('INSERT', ARRAY['SELECT', 'INSERT', 'UPDATE']), ('UPDATE', ARRAY['SELECT', 'INSERT', 'UPDATE']), \
        ('DELETE', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']), \
        ('TRUNCATE', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'])) AS n (may, needed), \
    unnest(ARRAY[$1, $2]) AS s (side), unnest(n.needed || CASE WHEN $3 AND s.side = $2 AND n.may IN ('INSERT', 'UPDATE') \
    THEN ARRAY['DELETE'] ELSE '{}' END) AS x (needed)), \
lacks AS (SELECT r.grantee, r.name, n.side AS object, n.needed, r.may FROM role AS r JOIN needs AS n USING (may) \
    WHERE NOT has_table_privilege(r.name, n.side, n.needed) AND (n.needed IN ('DELETE', 'TRUNCATE') OR EXISTS ( \
        SELECT FROM pg_attribute AS t WHERE t.attrelid = to_regclass(n.side) AND t.attnum > 0 \
        AND NOT t.attisdropped AND NOT has_column_privilege(r.name, n.side, t.attname::text, n.needed))) \
    UNION ALL SELECT r.grantee, r.name, format('SCHEMA %I', s.nspname), 'USAGE', r.may \
    FROM role AS r, pg_class AS c JOIN pg_namespace AS s ON s.oid = c.relnamespace \
    WHERE c.oid = to_regclass($2) AND r.may IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') \
    AND NOT has_schema_privilege(r.name, s.oid, 'USAGE')) \
SELECT CASE l.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(l.name) END, l.object, \
    string_agg(DISTINCT l.needed, ', '), bool_or(l.may <> 'SELECT') \
FROM lacks AS l GROUP BY l.grantee, l.name, l.object ORDER BY 1, 2";

/// A stand-in's own is nobody's.
const ROW_SECURITY: &str = "\
SELECT l.relrowsecurity AND NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = l.oid \
    AND g.tgfoid = to_regprocedure('crossfade.stand_in()')), u.relrowsecurity FROM pg_class AS l, pg_class AS u \
WHERE l.oid = to_regclass($1) AND u.oid = to_regclass($2)";

/// A legacy table, and one that its lens writes.
pub(crate) struct WrittenPair {
    pub legacy: String,
    pub unified: String,
    /// Whether rows go from it that are put otherwise.
    pub puts_delete: bool,
}

/// A right that a role lacks to do through Crossfade what it may do on the legacy table.
pub(crate) struct Missing {
    pub role: String,
    /// The table, or the schema that it is in, as SQL.
    pub on: String,
    pub needed: String,
    /// It may write the legacy table; else only read it.
    pub writes: bool,
}

/// A legacy table with each table that its lens writes.
pub(crate) fn sides(lens: &Lens) -> Vec<WrittenPair> {
    let unified = lens.unified_side();
    unified
        .into_iter()
        .map(|table| WrittenPair {
            legacy: lens.legacy.sql(),
            unified: table.sql(),
            puts_delete: lens.puts_by_deleting(table),
        })
        .collect()
}

/// What roles lack; nothing of tables that do not exist.
pub(crate) async fn missing(
    client: &Client,
    sides: &WrittenPair,
) -> Result<Vec<Missing>, ControlError> {
    // `has_table_privilege` fails for a table that does not exist.
    for table in [&sides.legacy, &sides.unified] {
        if !schema::table_exists(client, table).await? {
            return Ok(Vec::new());
        }
    }
    let rows = client
        .query_typed(
            MISSING,
            &[
                (&sides.legacy, Type::TEXT),
                (&sides.unified, Type::TEXT),
                (&sides.puts_delete, Type::BOOL),
            ],
        )
        .await
        .map_err(ControlError::sql("look at the rights"))?;
    Ok(rows
        .iter()
        .map(|row| Missing {
            role: row.get(0),
            on: row.get(1),
            needed: row.get(2),
            writes: row.get(3),
        })
        .collect())
}

/// Who may insert into the legacy table, and lacks what its declared defaults draw from: an identity
/// column asks nobody for that right.
const NOT_DRAWN: &str = "\
SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.name) END FROM pg_class AS c, \
    LATERAL (SELECT grantee FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) WHERE privilege_type = 'INSERT' \
    UNION SELECT x.grantee FROM pg_attribute AS t, aclexplode(t.attacl) AS x WHERE t.attrelid = c.oid \
    AND x.privilege_type = 'INSERT') AS a, \
    LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END AS name) AS r \
WHERE c.oid = to_regclass($1) AND NOT has_sequence_privilege(r.name, $2::text, 'USAGE') \
AND NOT has_sequence_privilege(r.name, $2::text, 'UPDATE') ORDER BY 1";

/// What roles lack to draw the values that a lens's defaults draw.
pub(crate) async fn missing_sequences(
    client: &Client,
    lens: &Lens,
) -> Result<Vec<Missing>, ControlError> {
    let mut all = Vec::new();
    for default in lens
        .columns
        .iter()
        .filter_map(|column| column.default.as_ref())
    {
        for sequence in catalog::drawn_from(client, default).await? {
            let rows = client
                .query(NOT_DRAWN, &[&lens.legacy.sql(), &sequence])
                .await
                .map_err(ControlError::sql("look at the rights"))?;
            all.extend(rows.iter().map(|row| Missing {
                role: row.get(0),
                on: format!("SEQUENCE {sequence}"),
                needed: "USAGE".to_owned(),
                writes: true,
            }));
        }
    }
    Ok(all)
}

/// Whether row level security is on, for legacy and for unified.
pub(crate) async fn row_security(
    client: &Client,
    sides: &WrittenPair,
) -> Result<(bool, bool), ControlError> {
    let row = client
        .query_opt(ROW_SECURITY, &[&sides.legacy, &sides.unified])
        .await
        .map_err(ControlError::sql("look at the row level security"))?;
    Ok(row.map_or((false, false), |row| (row.get(0), row.get(1))))
}

/// Every role that may use a legacy table may use its unified one likewise; and rows that policies hide
/// are hidden on, once they are read there.
pub(crate) async fn rights(
    client: &Client,
    migration: &Migration,
    to: Phase,
) -> Result<Gate, ControlError> {
    let mut found = Vec::new();
    let mut settle = Vec::new();
    let mut lacking = Vec::new();
    for lens in &migration.tables {
        for sides in sides(lens) {
            lacking.append(&mut missing(client, &sides).await?);
        }
        lacking.append(&mut missing_sequences(client, lens).await?);
    }
    for Missing {
        role, on, needed, ..
    } in lacking
    {
        let on = super::shown(&on);
        let grant = format!("GRANT {needed} ON {on} TO {role};");
        // Several tables may be in one schema.
        if !settle.contains(&grant) {
            found.push(format!("{role} lacks {needed} on {on}"));
            settle.push(grant);
        }
    }
    for sides in migration.tables.iter().flat_map(sides) {
        if to.reads_unified() && row_security(client, &sides).await? == (true, false) {
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
