//! The rights that the control connection's role needs, as statements for somebody who may give
//! them. It gives none itself.

use rewrite_rules::RuleSet;
use tokio_postgres::Client;

use super::error::ControlError;

/// A right, as the statement that gives it.
#[derive(Clone, Debug)]
pub struct Grant {
    pub statement: String,
    pub held: bool,
}

/// In this order: the creation of schemas (`crossfade`, and each epoch's), the tables that rules name with what inserts into them
/// need (sequences are drawn from, and looked at before a step), triggers of tables whose columns move in place, the rule files' own DDL, and to see what
/// other roles' sessions do. Rows that a policy hides from the role would be lost without a word.
const GRANTS: &str = "\
WITH r AS (SELECT $1::text), t AS (SELECT DISTINCT c.oid, c.relname, c.relowner, c.relrowsecurity \
        AND NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND g.tgfoid = to_regprocedure('crossfade.stand_in()')) \
        AS relrowsecurity, n.oid AS schema, n.nspname \
    FROM unnest($2::text[]) AS named JOIN pg_class AS c ON c.oid = to_regclass(named) \
    JOIN pg_namespace AS n ON n.oid = c.relnamespace), \
p (privilege) AS (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) \
SELECT statement, held FROM ( \
    SELECT 1 AS at, format('GRANT CREATE ON DATABASE %I TO %I;', current_database(), $1) AS statement, \
        has_database_privilege($1, current_database(), 'CREATE') AS held \
    UNION ALL SELECT DISTINCT 2, format('GRANT USAGE ON SCHEMA %I TO %I;', t.nspname, $1), \
        has_schema_privilege($1, t.schema, 'USAGE') FROM t \
    UNION ALL SELECT 3, format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO %I;', \
        t.nspname, t.relname, $1), \
        (SELECT bool_and(has_table_privilege($1, t.oid, p.privilege)) FROM p) FROM t \
    UNION ALL SELECT DISTINCT 4, format('GRANT USAGE, SELECT ON SEQUENCE %I.%I TO %I;', n.nspname, s.relname, $1), \
        has_sequence_privilege($1, s.oid, 'USAGE') AND has_sequence_privilege($1, s.oid, 'SELECT') \
        FROM (SELECT d.refobjid AS oid FROM t JOIN pg_attrdef AS f ON f.adrelid = t.oid \
            JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid \
            AND d.refclassid = 'pg_class'::regclass \
            UNION SELECT d.objid FROM t JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass \
            AND d.refobjid = t.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) AS u \
        JOIN pg_class AS s ON s.oid = u.oid AND s.relkind = 'S' \
        JOIN pg_namespace AS n ON n.oid = s.relnamespace \
    UNION ALL SELECT 5, format('GRANT TRIGGER ON %I.%I TO %I;', t.nspname, t.relname, $1), \
        has_table_privilege($1, t.oid, 'TRIGGER') FROM t \
        WHERE t.oid IN (SELECT to_regclass(named) FROM unnest($3::text[]) AS named) \
    UNION ALL SELECT DISTINCT 6, format('GRANT CREATE ON SCHEMA %I TO %I;', t.nspname, $1), \
        has_schema_privilege($1, t.schema, 'CREATE') FROM t WHERE $4 \
    UNION ALL SELECT 7, format('ALTER ROLE %I BYPASSRLS;', $1), r.rolbypassrls OR r.rolsuper \
        FROM pg_roles AS r WHERE r.rolname = $1 AND EXISTS (SELECT FROM t WHERE t.relrowsecurity \
        AND NOT pg_has_role($1, t.relowner, 'USAGE')) \
    UNION ALL SELECT 8, format('GRANT pg_monitor TO %I;', $1), pg_has_role($1, 'pg_monitor', 'USAGE') \
) AS g ORDER BY at, statement";

/// What a role needs to prepare, copy, compare and step. To retire a table it must own it as well.
pub async fn grants(
    client: &Client,
    rules: &RuleSet,
    role: &str,
) -> Result<Vec<Grant>, ControlError> {
    let mut tables: Vec<String> = Vec::new();
    let mut in_place: Vec<String> = Vec::new();
    for lens in rules.migrations().iter().flat_map(|m| &m.tables) {
        let unified = lens.unified_side();
        tables.extend(
            std::iter::once(&lens.legacy)
                .chain(unified)
                .map(|t| t.sql()),
        );
        if lens.is_one_table() {
            in_place.push(lens.legacy.sql());
        }
    }
    let ddl = rules.migrations().iter().any(|m| m.prepare.is_some());
    let rows = client
        .query(GRANTS, &[&role, &tables, &in_place, &ddl])
        .await
        .map_err(ControlError::sql("look at the rights of a role"))?;
    let grant = |row: &tokio_postgres::Row| Grant {
        statement: row.get(0),
        held: row.get::<_, Option<bool>>(1).unwrap_or(false),
    };
    Ok(rows.iter().map(grant).collect())
}

/// What the connection's own role lacks.
pub async fn lacking(client: &Client, rules: &RuleSet) -> Result<Vec<String>, ControlError> {
    let row = client
        .query_one("SELECT current_user::text", &[])
        .await
        .map_err(ControlError::sql("look at the rights of a role"))?;
    let role: String = row.get(0);
    let all = grants(client, rules, &role).await?;
    let lacking = all.into_iter().filter(|grant| !grant.held);
    Ok(lacking.map(|grant| grant.statement).collect())
}
