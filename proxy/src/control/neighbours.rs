//! What else in the database leans on a legacy table: foreign keys, triggers, views, functions.
//!
//! The proxy reads what clients send and nothing of what the database does by itself, so these go
//! on meaning the legacy table. A foreign key that does so stops inserts once legacy is no longer
//! written, hence a gate; the others are for the operator to judge.

use rewrite_rules::{Lens, Migration, Phase};
use tokio_postgres::Client;

use super::error::ControlError;
use super::gates::Gate;

/// Foreign keys of tables that are not among those given, with the statements that turn each to the unified table. What
/// follows the referenced columns (actions, deferral) is taken over as PostgreSQL prints it.
const FOREIGN_KEYS: &str = "\
SELECT c.conrelid::regclass::text, quote_ident(c.conname), \
    format('ALTER TABLE %s ADD CONSTRAINT %I FOREIGN KEY (%s) REFERENCES %s (%s)%s NOT VALID;', \
        c.conrelid::regclass, n.name, own.columns, $2::text, unified.columns, rest.said) || E'\\n' || \
    format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', c.conrelid::regclass, n.name) || E'\\n' || \
    format('ALTER TABLE %s DROP CONSTRAINT %I;', c.conrelid::regclass, c.conname) \
FROM pg_constraint AS c \
CROSS JOIN LATERAL (SELECT left(c.conname, 55) || '_unified' AS name) AS n \
CROSS JOIN LATERAL (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.at) AS columns \
    FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, at) \
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum) AS own \
CROSS JOIN LATERAL (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.at) AS legacy, \
        string_agg(quote_ident(coalesce(m.unified, a.attname)), ', ' ORDER BY k.at) AS columns \
    FROM unnest(c.confkey) WITH ORDINALITY AS k (attnum, at) \
    JOIN pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = k.attnum \
    LEFT JOIN unnest($3::text[], $4::text[]) AS m (legacy, unified) ON m.legacy = a.attname) \
    AS unified \
CROSS JOIN LATERAL (SELECT regexp_replace(substr(pg_get_constraintdef(c.oid), 1 + length(format( \
        'FOREIGN KEY (%s) REFERENCES %s(%s)', own.columns, c.confrelid::regclass, \
        unified.legacy))), ' NOT VALID$', '') AS said) AS rest \
WHERE c.contype = 'f' AND c.confrelid = to_regclass($1) AND c.conparentid = 0 \
    AND c.conrelid <> c.confrelid \
    AND c.conrelid NOT IN (SELECT to_regclass(name) FROM unnest($5::text[]) AS t (name) \
        WHERE to_regclass(name) IS NOT NULL) \
ORDER BY 1, 2";

/// No foreign key of another table refers to a legacy table.
pub(super) async fn foreign_keys(
    client: &Client,
    migration: &Migration,
) -> Result<Gate, ControlError> {
    let mut found = Vec::new();
    let mut settle = Vec::new();
    // A table that is left behind in the same step looks for nothing any more.
    let legacy: Vec<String> = left_behind(migration)
        .map(|lens| lens.legacy.sql())
        .collect();
    for lens in left_behind(migration) {
        let columns = |of: fn(&rewrite_rules::LegacyColumn) -> &str| -> Vec<&str> {
            lens.columns.iter().map(of).collect()
        };
        let rows = client
            .query(
                FOREIGN_KEYS,
                &[
                    &lens.legacy.sql(),
                    &super::shown(&lens.unified.sql()),
                    &columns(|column| &column.name),
                    &columns(|column| &column.unified),
                    &legacy,
                ],
            )
            .await
            .map_err(ControlError::sql("look at the foreign keys"))?;
        for row in rows {
            let (table, name): (String, String) = (row.get(0), row.get(1));
            found.push(format!("{name} of {table}"));
            settle.push(match lens.written {
                None => row.get::<_, String>(2),
                // Only who wrote the lens knows what stands for the row now.
                Some(_) => format!(
                    "-- {name} of {table}: refer to one of {} instead, or drop it",
                    tables(lens)
                ),
            });
        }
    }
    Ok(Gate {
        name: "foreign keys",
        met: found.is_empty(),
        found: if found.is_empty() {
            "none refers to a legacy table".to_owned()
        } else {
            format!(
                "rows that no longer reach the legacy table are still looked for there by {}",
                found.join(", ")
            )
        },
        settle: format!("past the proxy, in this order:\n{}", settle.join("\n")),
    })
}

/// Views, functions, policies of other tables, and triggers that mean the legacy table. Functions
/// whose body is text are found by the table's name in it.
const OTHERS: &str = "\
SELECT DISTINCT kind, name FROM ( \
    SELECT 'view ' AS kind, r.ev_class::regclass::text AS name \
    FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid \
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass \
        AND d.refobjid = to_regclass($1) AND r.ev_class <> d.refobjid \
    UNION ALL \
    SELECT 'policy ', p.polname || ' of ' || p.polrelid::regclass \
    FROM pg_depend AS d JOIN pg_policy AS p ON p.oid = d.objid \
    WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass \
        AND d.refobjid = to_regclass($1) AND p.polrelid <> d.refobjid \
    UNION ALL \
    SELECT 'function ', p.oid::regprocedure::text \
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace \
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'crossfade') \
        AND (p.prosrc ~ ('(^|[^[:alnum:]_$])' || regexp_replace($2, '[^[:alnum:]_]', '.', 'g') \
                || '($|[^[:alnum:]_$])') \
            OR EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass \
                AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass \
                AND d.refobjid = to_regclass($1))) \
    UNION ALL \
    SELECT 'trigger ', t.tgname || ' of ' || t.tgrelid::regclass \
    FROM pg_trigger AS t WHERE t.tgrelid = to_regclass($1) AND NOT t.tgisinternal AND $3 \
) AS o ORDER BY 1, 2";

/// What the operator should know before a step, one line each; the step is not refused for it.
pub(super) async fn warnings(
    client: &Client,
    migration: &Migration,
    from: Phase,
    to: Phase,
) -> Result<Vec<String>, ControlError> {
    let (triggers, why) = match (from, to) {
        (Phase::LegacyOnly, Phase::DualWrite) => (false, bypasses as fn(&Lens) -> String),
        (Phase::UnifiedRead, Phase::UnifiedOnly) => (true, goes_stale as fn(&Lens) -> String),
        _any_other_step => return Ok(Vec::new()),
    };
    let mut lines = Vec::new();
    for lens in left_behind(migration) {
        let rows = client
            .query(OTHERS, &[&lens.legacy.sql(), &lens.legacy.name, &triggers])
            .await
            .map_err(ControlError::sql("look at what names the legacy table"))?;
        for row in rows {
            let (kind, name): (String, String) = (row.get(0), row.get(1));
            lines.push(format!("warning: {kind}{name} {}", why(lens)));
        }
    }
    Ok(lines)
}

/// A table whose columns move in place is not left, and whoever writes it writes both columns.
fn left_behind(migration: &Migration) -> impl Iterator<Item = &Lens> {
    let tables = migration.tables.iter();
    tables.filter(|lens| lens.in_place.is_none())
}

fn bypasses(lens: &Lens) -> String {
    let legacy = super::shown(&lens.legacy.sql());
    let unified = tables(lens);
    format!("names {legacy}; what it writes there does not reach {unified}")
}

fn tables(lens: &Lens) -> String {
    let unified = lens.unified_tables().into_iter();
    let shown: Vec<String> = unified.map(|table| super::shown(&table.sql())).collect();
    shown.join(", ")
}

fn goes_stale(lens: &Lens) -> String {
    let legacy = super::shown(&lens.legacy.sql());
    format!("goes by {legacy}, which is no longer written")
}
