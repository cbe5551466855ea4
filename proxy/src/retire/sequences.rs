//! Sequences that would go with a legacy table and are still drawn from: by the rule file's defaults, for
//! whoever inserts under the legacy name, or by a default of another table.

use rewrite_rules::Migration;
use rewrite_rules::lens::quote_literal;
use tokio_postgres::Client;

use crate::control::{ControlError, catalog, shown};

/// The sequences that go with a table: those that its columns own, and whether as identity columns,
/// which cannot give theirs away. And whether the default of another table draws from them.
const OWNED: &str = "\
SELECT format('%I.%I', n.nspname, s.relname), d.deptype = 'i', format_type(q.seqtypid, NULL), q.seqincrement, \
    EXISTS (SELECT FROM pg_depend AS u JOIN pg_attrdef AS f ON f.oid = u.objid \
        WHERE u.classid = 'pg_attrdef'::regclass AND u.refclassid = 'pg_class'::regclass \
        AND u.refobjid = s.oid AND f.adrelid <> d.refobjid) \
FROM pg_depend AS d JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S' \
JOIN pg_sequence AS q ON q.seqrelid = s.oid JOIN pg_namespace AS n ON n.oid = s.relnamespace \
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass \
    AND d.refobjid = to_regclass($1) AND d.deptype IN ('a', 'i') ORDER BY 1";

/// What keeps them, to be run before the tables, of these names as SQL, are dropped.
pub(super) async fn kept(
    client: &Client,
    migration: &Migration,
    tables: &[&str],
) -> Result<Vec<String>, ControlError> {
    let mut drawn = Vec::new();
    let columns = migration.tables.iter().flat_map(|lens| lens.columns.iter());
    for default in columns.filter_map(|column| column.default.as_ref()) {
        drawn.append(&mut catalog::drawn_from(client, default).await?);
    }
    let mut words = Vec::new();
    for table in tables {
        let rows = client
            .query(OWNED, &[table])
            .await
            .map_err(ControlError::sql("look-up of sequences"))?;
        for row in rows {
            let (sequence, is_identity): (String, bool) = (row.get(0), row.get(1));
            let by_others: bool = row.get(4);
            if !by_others && !drawn.contains(&sequence) {
                continue;
            }
            if is_identity {
                words.push(another(&sequence, row.get(2), row.get(3)));
            } else {
                words.push(format!(
                    "ALTER SEQUENCE {} OWNED BY NONE;",
                    shown(&sequence)
                ));
            }
        }
    }
    Ok(words)
}

/// One of the same name that goes on where the identity column's stopped; with its rights, and for the defaults of
/// other tables that draw from it.
fn another(sequence: &str, sql_type: &str, increment: i64) -> String {
    let literal = quote_literal(sequence);
    format!(
        "DO $$ DECLARE old text := {literal}; next bigint; owner text; rights aclitem[]; defaults text; BEGIN \
         EXECUTE format('LOCK TABLE %s', (SELECT d.refobjid::regclass FROM pg_depend AS d WHERE d.objid = old::regclass \
         AND d.classid = 'pg_class'::regclass AND d.deptype = 'i')); \
         next := nextval(old); \
         SELECT pg_get_userbyid(relowner), relacl INTO owner, rights FROM pg_class WHERE oid = old::regclass; \
         SELECT string_agg(format('ALTER TABLE %s ALTER %I SET DEFAULT %s', f.adrelid::regclass, a.attname, \
         pg_get_expr(f.adbin, f.adrelid)), '; ') INTO defaults FROM pg_depend AS u JOIN pg_attrdef AS f ON f.oid = u.objid \
         JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum \
         WHERE u.classid = 'pg_attrdef'::regclass AND u.refclassid = 'pg_class'::regclass AND u.refobjid = old::regclass; \
         EXECUTE format('ALTER SEQUENCE %s RENAME TO %I', old, left((SELECT relname FROM pg_class WHERE oid = old::regclass), 58) || '_gone'); \
         EXECUTE format('CREATE SEQUENCE %s AS {sql_type} INCREMENT {increment} START %s', old, next); \
         EXECUTE format('ALTER SEQUENCE %s OWNER TO %I', old, owner); \
         EXECUTE coalesce(defaults, 'SELECT 1'); \
         EXECUTE (SELECT coalesce(string_agg(format('GRANT %s ON SEQUENCE %s TO %s', a.privilege_type, old, \
         CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END), '; '), 'SELECT 1') FROM aclexplode(rights) AS a); \
         END $$;"
    )
}
