//! What would stop the drop of a table on probation: views, functions, policies, rules, foreign keys and whatever else the
//! server's catalog says leans on it, in the order in which it has to go or be changed.
//!
//! What goes with the table (its indexes, triggers, own policies) is none of it, nor are sequences, for which
//! `retire/sequences.rs` has words, nor Crossfade's own functions, which are dropped with it.

use serde::Serialize;
use tokio_postgres::Client;

use super::Aside;
use crate::control::ControlError;

/// Something that leans on one of the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leaning {
    /// As the server describes it.
    pub what: String,
    /// What takes it away; a comment where that is the operator's to find.
    pub sql: String,
}

/// More than these are told when these are gone.
const LEANING_MAX: i64 = 100;

/// The walk follows `pg_depend` as DROP … RESTRICT does, without its locks: what goes by itself is passed through, a rule that
/// is a view's stands for the view. What leans on what leans comes first; deeper than twenty nobody nests.
const LEANING: &str = "\
WITH RECURSIVE edges (refclassid, refobjid, classid, objid, subid, stops) AS ( \
    SELECT d.refclassid, d.refobjid, CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END, \
        coalesce(r.ev_class, d.objid), CASE WHEN r.oid IS NULL THEN d.objsubid ELSE 0 END, d.deptype = 'n' \
    FROM pg_depend AS d \
    LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN' \
    WHERE d.deptype IN ('n', 'a', 'i') AND NOT (d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_class AS s \
        WHERE s.oid = d.objid AND s.relkind = 'S')) \
), part (classid, objid) AS ( \
    SELECT 'pg_class'::regclass::oid, to_regclass(n)::oid FROM unnest($1::text[]) AS n \
    UNION \
    SELECT e.classid, e.objid FROM part AS p JOIN edges AS e ON e.refclassid = p.classid AND e.refobjid = p.objid \
    WHERE NOT e.stops \
), lean (classid, objid, subid, depth, stops) AS ( \
    SELECT e.classid, e.objid, e.subid, 1, true \
    FROM part AS p JOIN edges AS e ON e.refclassid = p.classid AND e.refobjid = p.objid AND e.stops \
    WHERE NOT EXISTS (SELECT FROM part AS q WHERE (q.classid, q.objid) = (e.classid, e.objid)) \
    UNION \
    SELECT e.classid, e.objid, e.subid, l.depth + 1, e.stops \
    FROM lean AS l JOIN edges AS e ON e.refclassid = l.classid AND e.refobjid = l.objid \
    WHERE l.subid = 0 AND l.depth < 20 AND (e.classid, e.objid) <> (l.classid, l.objid) \
    AND NOT EXISTS (SELECT FROM pg_class AS c WHERE l.classid = 'pg_class'::regclass AND c.oid = l.objid AND c.relkind IN ('r', 'p', 'f')) \
), last AS ( \
    SELECT classid, objid, subid, max(depth) AS depth FROM lean AS l WHERE stops \
    AND NOT EXISTS (SELECT FROM part AS q WHERE (q.classid, q.objid) = (l.classid, l.objid)) GROUP BY 1, 2, 3 \
), said AS ( \
    SELECT l.depth, pg_describe_object(l.classid, l.objid, l.subid) AS what, CASE l.classid \
        WHEN 'pg_class'::regclass THEN (SELECT CASE \
            WHEN l.subid > 0 THEN format('ALTER TABLE %s DROP COLUMN %I;', c.oid::regclass, \
                (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = l.subid)) \
            WHEN c.relkind = 'v' THEN format('DROP VIEW %s;', c.oid::regclass) \
            WHEN c.relkind = 'm' THEN format('DROP MATERIALIZED VIEW %s;', c.oid::regclass) \
            WHEN c.relkind IN ('i', 'I') THEN format('DROP INDEX %s;', c.oid::regclass) \
            ELSE (SELECT string_agg(format('ALTER TABLE %s NO INHERIT %s;', c.oid::regclass, i.inhparent::regclass), ' ') \
                FROM pg_inherits AS i WHERE i.inhrelid = c.oid) END FROM pg_class AS c WHERE c.oid = l.objid) \
        WHEN 'pg_proc'::regclass THEN (SELECT format('DROP ROUTINE %s;', p.oid::regprocedure) FROM pg_proc AS p \
            WHERE p.oid = l.objid AND p.pronamespace IS DISTINCT FROM to_regnamespace('crossfade')) \
        WHEN 'pg_policy'::regclass THEN (SELECT format('DROP POLICY %I ON %s;', p.polname, p.polrelid::regclass) \
            FROM pg_policy AS p WHERE p.oid = l.objid) \
        WHEN 'pg_constraint'::regclass THEN (SELECT format('ALTER TABLE %s DROP CONSTRAINT %I;', k.conrelid::regclass, k.conname) \
            FROM pg_constraint AS k WHERE k.oid = l.objid AND k.conrelid <> 0) \
        WHEN 'pg_trigger'::regclass THEN (SELECT format('DROP TRIGGER %I ON %s;', t.tgname, t.tgrelid::regclass) \
            FROM pg_trigger AS t WHERE t.oid = l.objid AND NOT t.tgisinternal) \
        WHEN 'pg_rewrite'::regclass THEN (SELECT format('DROP RULE %I ON %s;', r.rulename, r.ev_class::regclass) \
            FROM pg_rewrite AS r WHERE r.oid = l.objid) \
        WHEN 'pg_attrdef'::regclass THEN (SELECT format('ALTER TABLE %s ALTER %I DROP DEFAULT;', f.adrelid::regclass, a.attname) \
            FROM pg_attrdef AS f JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum WHERE f.oid = l.objid) \
        ELSE '-- ' || pg_describe_object(l.classid, l.objid, l.subid) END AS sql \
    FROM last AS l \
) SELECT what, sql FROM said WHERE sql IS NOT NULL ORDER BY depth DESC, what LIMIT $2";

/// What leans on any of the tables, as they are called now.
pub(super) async fn on(
    client: &mut Client,
    asides: &[Aside],
) -> Result<Vec<Leaning>, ControlError> {
    let sql = || ControlError::sql("look at what leans on a table on probation");
    let tables: Vec<&str> = asides
        .iter()
        .map(|aside| aside.put_aside_as.as_str())
        .collect();
    // Names are written with their schemas when none is searched.
    let transaction = client.transaction().await.map_err(sql())?;
    let searched = "SET LOCAL search_path = ''";
    transaction.batch_execute(searched).await.map_err(sql())?;
    let rows = transaction.query(LEANING, &[&tables, &LEANING_MAX]).await;
    let rows = rows.map_err(sql())?;
    transaction.commit().await.map_err(sql())?;
    let leaning = |row: &tokio_postgres::Row| Leaning {
        what: row.get(0),
        sql: row.get(1),
    };
    Ok(rows.iter().map(leaning).collect())
}
