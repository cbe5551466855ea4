//! What else in the database leans on a legacy table: foreign keys, triggers, views, functions.
//!
//! The proxy reads what clients send and nothing of what the database does by itself, so these go
//! on meaning the legacy table. A foreign key that does so stops inserts once legacy is no longer
//! written, hence a gate; the others are for the operator to judge.

use rewrite_rules::{Body, Lens, Migration, Phase};
use tokio_postgres::Client;

use super::error::ControlError;
use super::gate::Gate;

/// Foreign keys of tables that are not among those given, and no stand-ins, which have no rows; what each says, and the statements that
/// turn it to the unified table. What
/// follows the referenced columns (actions, deferral) is taken over as PostgreSQL prints it.
const FOREIGN_KEYS: &str = "\
SELECT c.conrelid::regclass::text, quote_ident(c.conname), \
    format('ALTER TABLE %s ADD CONSTRAINT %I FOREIGN KEY (%s) REFERENCES %s (%s)%s NOT VALID;', \
        c.conrelid::regclass, n.name, own.columns, $2::text, unified.columns, rest.said) || E'\\n' || \
    format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', c.conrelid::regclass, n.name) || E'\\n' || \
    format('ALTER TABLE %s DROP CONSTRAINT %I;', c.conrelid::regclass, c.conname), \
    pg_get_constraintdef(c.oid) \
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
    AND NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.conrelid \
        AND g.tgfoid = to_regprocedure('crossfade.stand_in()')) \
    AND c.conrelid NOT IN (SELECT to_regclass(name) FROM unnest($5::text[]) AS t (name) \
        WHERE to_regclass(name) IS NOT NULL) \
ORDER BY 1, 2";

/// A foreign key that looks for its rows in a legacy table.
pub(crate) struct ForeignKeyToLegacy {
    pub table: String,
    pub name: String,
    /// As PostgreSQL prints it.
    pub definition: String,
    /// What turns it to the unified table.
    turn: String,
}

/// The foreign keys to one legacy table, those of tables that are `left_behind` with it excepted.
pub(crate) async fn foreign_keys_to(
    client: &Client,
    lens: &Lens,
    left_behind: &[String],
) -> Result<Vec<ForeignKeyToLegacy>, ControlError> {
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
                &left_behind,
            ],
        )
        .await
        .map_err(ControlError::sql("look at the foreign keys"))?;
    let key = |row: &tokio_postgres::Row| {
        let (table, name): (String, String) = (row.get(0), row.get(1));
        let turn = match lens.is_row_for_row() {
            true => row.get(2),
            false => format!(
                "-- {name} of {table}: refer to one of {} instead, or drop it",
                tables(lens)
            ),
        };
        ForeignKeyToLegacy {
            table,
            name,
            definition: row.get(3),
            turn,
        }
    };
    Ok(rows.iter().map(key).collect())
}

/// No foreign key of another table refers to a legacy table.
pub(crate) async fn foreign_keys(
    client: &Client,
    migration: &Migration,
) -> Result<Gate, ControlError> {
    let mut found = Vec::new();
    let mut settle = Vec::new();
    // A table that is left behind in the same step looks for nothing any more.
    let legacy = migration.left_behind().map(|lens| lens.legacy.sql());
    let legacy: Vec<String> = legacy.collect();
    for lens in migration.left_behind() {
        for key in foreign_keys_to(client, lens, &legacy).await? {
            found.push(format!("{} of {}", key.name, key.table));
            settle.push(key.turn);
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

/// What leans on the legacy table in another way, as the catalog knows: its kind, its name, what it says.
const OTHERS: &str = "\
SELECT kind, name, max(said) FROM ( \
    SELECT CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'rule' END AS kind, \
        CASE WHEN c.relkind IN ('v', 'm') THEN c.oid::regclass::text \
            ELSE r.rulename || ' of ' || c.oid::regclass END AS name, \
        CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) \
            ELSE pg_get_ruledef(r.oid) END AS said \
    FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid JOIN pg_class AS c ON c.oid = r.ev_class \
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass \
        AND d.refobjid = to_regclass($1) AND (r.ev_class <> d.refobjid OR c.relkind NOT IN ('v', 'm')) \
    UNION ALL \
    SELECT 'policy', p.polname || ' of ' || p.polrelid::regclass, \
        concat_ws('; ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) \
    FROM pg_depend AS d JOIN pg_policy AS p ON p.oid = d.objid \
    WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass \
        AND d.refobjid = to_regclass($1) AND p.polrelid <> d.refobjid \
    UNION ALL \
    SELECT 'function', p.oid::regprocedure::text, NULL \
    FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid AND p.pronamespace IS DISTINCT FROM to_regnamespace('crossfade') \
    LEFT JOIN pg_type AS t ON t.oid = d.refobjid AND d.refclassid = 'pg_type'::regclass \
    LEFT JOIN pg_type AS e ON e.oid = t.typelem \
    WHERE d.classid = 'pg_proc'::regclass AND to_regclass($1) IN ( \
        CASE WHEN d.refclassid = 'pg_class'::regclass THEN d.refobjid END, t.typrelid, e.typrelid) \
    UNION ALL \
    SELECT 'trigger', t.tgname || ' of ' || t.tgrelid::regclass, pg_get_triggerdef(t.oid) \
    FROM pg_trigger AS t WHERE t.tgrelid = to_regclass($1) AND NOT t.tgisinternal \
        AND t.tgfoid IS DISTINCT FROM to_regprocedure('crossfade.seal()') \
        AND t.tgfoid IS DISTINCT FROM to_regprocedure('crossfade.stand_in()') \
    UNION ALL \
    SELECT 'partition or child table', inhrelid::regclass::text, NULL \
    FROM pg_inherits WHERE inhparent = to_regclass($1) \
) AS o GROUP BY kind, name ORDER BY 1, 2";

/// The bodies of all functions that are not PostgreSQL's, Crossfade's or a session's own.
const BODIES: &str = "\
SELECT p.oid::regprocedure::text, l.lanname::text, p.prosrc \
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang \
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'crossfade') AND n.nspname !~ '^pg_(temp|toast)' \
    AND l.lanname NOT IN ('c', 'internal') ORDER BY 1";

/// What a dependent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DependentKind {
    View,
    Rule,
    Policy,
    Function,
    Trigger,
    Child,
}

impl DependentKind {
    const ALL: [DependentKind; 6] = [
        DependentKind::View,
        DependentKind::Rule,
        DependentKind::Policy,
        DependentKind::Function,
        DependentKind::Trigger,
        DependentKind::Child,
    ];

    /// As the query names it.
    pub fn name(self) -> &'static str {
        match self {
            DependentKind::View => "view",
            DependentKind::Rule => "rule",
            DependentKind::Policy => "policy",
            DependentKind::Function => "function",
            DependentKind::Trigger => "trigger",
            DependentKind::Child => "partition or child table",
        }
    }
}

/// Something that means the legacy table and is not a foreign key.
pub(crate) struct Dependent {
    pub kind: DependentKind,
    pub name: String,
    /// What it says, where that is short.
    pub definition: Option<String>,
}

pub(crate) async fn dependents(
    client: &Client,
    lens: &Lens,
) -> Result<Vec<Dependent>, ControlError> {
    let rows = client
        .query(OTHERS, &[&lens.legacy.sql()])
        .await
        .map_err(ControlError::sql("look at what names the legacy table"))?;
    let dependent = |row: &tokio_postgres::Row| {
        let kind: &str = row.get(0);
        let kind = DependentKind::ALL
            .into_iter()
            .find(|known| known.name() == kind)?;
        Some(Dependent {
            kind,
            name: row.get(1),
            definition: row.get(2),
        })
    };
    let mut dependents: Vec<Dependent> = rows.iter().filter_map(dependent).collect();
    for (name, says) in bodies(client, lens).await? {
        let known = |found: &Dependent| found.kind == DependentKind::Function && found.name == name;
        if says == Body::Names && !dependents.iter().any(known) {
            dependents.push(Dependent {
                kind: DependentKind::Function,
                name,
                definition: None,
            });
        }
    }
    Ok(dependents)
}

/// The functions that put SQL together: whether that names the table nobody can tell.
pub(crate) async fn computing(client: &Client, lens: &Lens) -> Result<Vec<String>, ControlError> {
    let bodies = bodies(client, lens).await?.into_iter();
    let computing = bodies.filter(|(_, says)| *says == Body::Computes);
    Ok(computing.map(|(name, _)| name).collect())
}

/// What the body of each function of the database says of a legacy table.
async fn bodies(client: &Client, lens: &Lens) -> Result<Vec<(String, Body)>, ControlError> {
    let rows = client
        .query(BODIES, &[])
        .await
        .map_err(ControlError::sql("look at the bodies of functions"))?;
    let body = |row: &tokio_postgres::Row| {
        let says = Body::of(row.get(1), row.get(2), &lens.legacy);
        (row.get(0), says)
    };
    Ok(rows.iter().map(body).collect())
}

/// What the operator should know before a step, one line each; the step is not refused for it.
pub(crate) async fn warnings(
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
    for lens in migration.left_behind() {
        for dependent in dependents(client, lens).await? {
            let told = match dependent.kind {
                DependentKind::View
                | DependentKind::Rule
                | DependentKind::Policy
                | DependentKind::Function => true,
                DependentKind::Trigger => triggers,
                // Its rows are the parent's: `check` tells of writers that name it.
                DependentKind::Child => false,
            };
            if told {
                let (kind, name) = (dependent.kind.name(), dependent.name);
                lines.push(format!("warning: {kind} {name} {}", why(lens)));
            }
        }
    }
    Ok(lines)
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
