//! Functions of other roles that run with the control connection's rights when it writes to the tables:
//! called by triggers, defaults, constraints, policies and indexes, as for anybody who writes there.

use rewrite_rules::Lens;
use tokio_postgres::Client;

use super::Findings;
use crate::control::ControlError;

/// Names shown; the rest is counted.
const SHOWN_MAX: usize = 5;

/// The functions, each with its owner, where that one could not act as this role anyway.
const FUNCTIONS: &str = "\
WITH tables AS (SELECT to_regclass(t)::oid AS oid FROM unnest($1::text[]) AS t), \
objects AS (SELECT 'pg_class'::regclass AS class, oid FROM tables \
    UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index AS i JOIN tables AS t ON t.oid = i.indrelid \
    UNION ALL SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint AS c JOIN tables AS t ON t.oid = c.conrelid \
    UNION ALL SELECT 'pg_attrdef'::regclass, f.oid FROM pg_attrdef AS f JOIN tables AS t ON t.oid = f.adrelid \
    UNION ALL SELECT 'pg_policy'::regclass, y.oid FROM pg_policy AS y JOIN tables AS t ON t.oid = y.polrelid \
    UNION ALL SELECT 'pg_trigger'::regclass, g.oid FROM pg_trigger AS g JOIN tables AS t ON t.oid = g.tgrelid \
        WHERE NOT g.tgisinternal) \
SELECT DISTINCT p.oid::regprocedure::text, o.rolname::text FROM objects AS x \
JOIN pg_depend AS d ON d.classid = x.class AND d.objid = x.oid AND d.refclassid = 'pg_proc'::regclass \
JOIN pg_proc AS p ON p.oid = d.refobjid AND NOT p.prosecdef AND p.pronamespace <> 'pg_catalog'::regnamespace \
JOIN pg_roles AS o ON o.oid = p.proowner JOIN pg_roles AS me ON me.rolname = current_user \
WHERE NOT o.rolsuper AND NOT pg_has_role(o.oid, me.oid, 'MEMBER') ORDER BY 1";

pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let unified = lens.unified_tables().into_iter();
    let tables: Vec<String> = unified
        .chain([&lens.legacy])
        .map(|table| table.sql())
        .collect();
    let rows = client
        .query(FUNCTIONS, &[&tables])
        .await
        .map_err(ControlError::sql("look at functions of other roles"))?;
    if rows.is_empty() {
        return Ok(());
    }
    let shown = rows.iter().take(SHOWN_MAX).map(|row| {
        let (function, owner): (String, String) = (row.get(0), row.get(1));
        format!("{function} of {owner}")
    });
    let mut said = shown.collect::<Vec<_>>().join(", ");
    if rows.len() > SHOWN_MAX {
        said += &format!(" and {} more", rows.len() - SHOWN_MAX);
    }
    findings.note(format!(
        "backfill, repair and this check run code of other roles with the rights of the control connection's role, \
         which should have no more than `prepare --grants-for` prints: {said}"
    ));
    Ok(())
}
