//! What stands around the tables and no proxy can see: it acts inside the server, on the legacy
//! table alone.

use rewrite_rules::Lens;
use tokio_postgres::Client;

use super::Findings;
use crate::control::ControlError;

/// What to list, with what it means. Each query takes the legacy table's name and gives one text.
const LISTS: [(&str, &str, &str); 5] = [
    (
        "foreign key",
        "point it to the unified table before unified_only: new rows no longer reach the legacy one then",
        "SELECT format('%s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid)) \
         FROM pg_constraint WHERE contype = 'f' AND confrelid = to_regclass($1) AND conrelid <> confrelid ORDER BY 1",
    ),
    (
        "view",
        "define it over the unified table before unified_only",
        "SELECT DISTINCT format('%s: %s', r.ev_class::regclass, pg_get_viewdef(r.ev_class)) \
         FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass \
         WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass($1) AND r.ev_class <> d.refobjid ORDER BY 1",
    ),
    (
        "function",
        "its statements never pass the proxy: give it a counterpart over the unified table",
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
         JOIN pg_class c ON c.oid = to_regclass($1) \
         WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'crossfade') \
         AND p.prosrc ~ ('\\m' || regexp_replace(c.relname, '(\\W)', '\\\\\\1', 'g') || '\\M') ORDER BY 1",
    ),
    (
        "partition or child table",
        "writers that name it directly are not seen",
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass($1) ORDER BY 1",
    ),
    (
        "trigger",
        "its effect on the row is in the row image; what it does elsewhere it does in the dual phases only",
        "SELECT format('%s: %s', tgname, pg_get_triggerdef(oid)) FROM pg_trigger \
         WHERE tgrelid = to_regclass($1) AND NOT tgisinternal ORDER BY 1",
    ),
];

/// Roles that may write the legacy table and lack what a dual write needs.
const ROLES: &str = "SELECT r.rolname::text, concat_ws(', ', \
        CASE WHEN NOT has_table_privilege(r.oid, $1, 'SELECT') THEN 'SELECT on ' || $1 END, \
        CASE WHEN NOT has_table_privilege(r.oid, $2, 'SELECT') THEN 'SELECT on ' || $2 END, \
        CASE WHEN NOT has_table_privilege(r.oid, $2, 'INSERT') THEN 'INSERT on ' || $2 END, \
        CASE WHEN NOT has_table_privilege(r.oid, $2, 'UPDATE') THEN 'UPDATE on ' || $2 END, \
        CASE WHEN has_table_privilege(r.oid, $1, 'DELETE') AND NOT has_table_privilege(r.oid, $2, 'DELETE') \
             THEN 'DELETE on ' || $2 END) \
    FROM pg_roles r WHERE r.rolname !~ '^pg_' AND NOT r.rolsuper \
    AND has_table_privilege(r.oid, $1, 'INSERT, UPDATE, DELETE') ORDER BY 1";

const ROW_SECURITY: &str = "SELECT c.oid::regclass::text FROM pg_class c \
    WHERE c.oid IN (to_regclass($1), to_regclass($2)) AND c.relrowsecurity ORDER BY 1";

pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let legacy = lens.legacy.sql();
    // Nothing that names a table which stays means another one.
    let lists = if lens.in_place.is_some() {
        &[][..]
    } else {
        &LISTS
    };
    for &(what, settle, sql) in lists {
        let rows = client
            .query(sql, &[&legacy])
            .await
            .map_err(ControlError::sql("look-up of what depends on a table"))?;
        for row in rows {
            let text: String = row.get(0);
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if what == "trigger" {
                findings.note(format!("{what} {text} ({settle})"));
            } else {
                findings.warning(format!("{what} {text}"), settle);
            }
        }
    }
    for unified in written_tables(lens) {
        rights(client, (&legacy, &unified), findings).await?;
    }
    Ok(())
}

/// The tables that a write to the legacy one reaches.
fn written_tables(lens: &Lens) -> Vec<String> {
    let crosswalk = lens.written.iter().flat_map(|written| &written.crosswalk);
    let unified = lens.unified_tables().into_iter().chain(crosswalk);
    unified.map(rewrite_rules::TableName::sql).collect()
}

async fn rights(
    client: &Client,
    (legacy, unified): (&String, &String),
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let exist: bool = client
        .query_one(
            "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL",
            &[legacy, unified],
        )
        .await
        .map_err(ControlError::sql("look-up of tables"))?
        .get(0);
    if !exist {
        return Ok(());
    }
    for row in client
        .query(ROLES, &[legacy, unified])
        .await
        .map_err(ControlError::sql("look-up of privileges"))?
    {
        let (role, lacks): (String, String) = (row.get(0), row.get(1));
        if !lacks.is_empty() {
            findings.error(
                format!("role {role} may write the legacy table but lacks {lacks}"),
                "grant it: a dual write reads its row image back and writes both tables as the client's role",
            );
        }
    }
    for row in client
        .query(ROW_SECURITY, &[legacy, unified])
        .await
        .map_err(ControlError::sql("look-up of policies"))?
    {
        let table: String = row.get(0);
        findings.warning(
            format!("row-level security is on for {table}"),
            "see that its policies let a role read back what it writes, on both tables alike",
        );
    }
    Ok(())
}
