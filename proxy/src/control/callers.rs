//! Who may do what in schema `crossfade`. Its functions may be executed by the roles that hold the matching right on the
//! tables of a lens; its tables are its owner's. `prepare` brings it about, `check` says what is off.
//!
//! Rights follow the tables' own lists: a right that a group has, or PUBLIC, is given to the group, or to
//! PUBLIC. USAGE of the schema stays PUBLIC's, for a role without rights is to be told that it has none on
//! the table that it named; and so does INSERT into tables of which CHECK (false) lets no row in.

use std::collections::{BTreeMap, BTreeSet};

use rewrite_rules::RuleSet;
use rewrite_rules::lens::Callers;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::ControlError;

/// Functions that belong to no lens: for whoever may read, or write, a table of any.
const READERS: &str = "crossfade.fell_back(text,text)";
const WRITERS: &str = "crossfade.truncate(text[])";
/// It does nothing but fail, for whoever reads a stand-in.
const ANYBODY: &str = "crossfade.stand_in_is_read(text,text)";

/// Grantees in `pg_proc` and in the tables' lists; PUBLIC is none of the roles.
const PUBLIC: &str = "PUBLIC";

/// A right in schema `crossfade` that a role lacks, or has too much.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Off {
    /// As SQL.
    pub role: String,
    /// `EXECUTE`, or what else may be granted.
    pub right: String,
    /// `FUNCTION name(types)`, `TABLE name`, `SCHEMA name`.
    pub on: String,
    /// It lacks the right; else it has one too many.
    pub lacks: bool,
    /// Whether the connection's role may mend it.
    mine: bool,
}

impl Off {
    fn statement(&self) -> String {
        let Off {
            role, right, on, ..
        } = self;
        if self.lacks {
            format!("GRANT {right} ON {on} TO {role}")
        } else {
            format!("REVOKE {right} ON {on} FROM {role}")
        }
    }
}

/// Roles by what they hold on the tables of a lens.
#[derive(Debug, Default)]
struct Holders {
    readers: BTreeSet<String>,
    writers: BTreeSet<String>,
    deleters: BTreeSet<String>,
}

/// Gives and takes what is off. Functions that are another role's are left to it.
pub(super) async fn settle(client: &Client, rules: &RuleSet) -> Result<(), ControlError> {
    let statements: Vec<String> = off(client, rules)
        .await?
        .iter()
        .filter(|off| off.mine)
        .map(Off::statement)
        .collect();
    if statements.is_empty() {
        return Ok(());
    }
    client
        .batch_execute(&statements.join(";\n"))
        .await
        .map_err(ControlError::sql("grant of the functions"))
}

/// What is off, of every function in the schema. Those of a lens that the rules at hand do not speak of
/// keep the callers that they have, PUBLIC excepted: others may serve it. So do those that are of no lens, as long as
/// there is such a lens: its callers may be theirs.
pub(crate) async fn off(client: &Client, rules: &RuleSet) -> Result<Vec<Off>, ControlError> {
    let wanted = wanted(client, rules).await?;
    let mut all = Vec::new();
    let functions = functions(client).await?;
    let speaks_of_all = functions.iter().all(|function| match &function.callers {
        FunctionOf::Lens(table, _) => wanted.contains_key(table),
        FunctionOf::Readers | FunctionOf::Writers | FunctionOf::Anybody | FunctionOf::Nobody => {
            true
        }
    });
    for function in functions {
        let nobody = BTreeSet::new();
        let anybody = BTreeSet::from([PUBLIC.to_owned()]);
        let should = match &function.callers {
            FunctionOf::Lens(table, callers) => match (wanted.get(table), callers) {
                (Some(holders), Callers::Writers) => &holders.writers,
                (Some(holders), Callers::Deleters) => &holders.deleters,
                (_, Callers::Nobody) => &nobody,
                (None, Callers::Writers | Callers::Deleters) => {
                    let public = function.granted.iter().filter(|role| *role == PUBLIC);
                    all.extend(public.map(|role| function.off(role, false)));
                    continue;
                }
            },
            FunctionOf::Readers => &union(&wanted, |holders| &holders.readers),
            FunctionOf::Writers => &union(&wanted, |holders| &holders.writers),
            FunctionOf::Anybody => &anybody,
            FunctionOf::Nobody => &nobody,
        };
        let should: BTreeSet<String> = should
            .iter()
            .filter(|r| **r != function.owner)
            .cloned()
            .collect();
        let lacks = should.difference(&function.granted);
        all.extend(lacks.map(|role| function.off(role, true)));
        let is_open = match &function.callers {
            FunctionOf::Readers | FunctionOf::Writers => !speaks_of_all,
            FunctionOf::Lens(..) | FunctionOf::Anybody | FunctionOf::Nobody => false,
        };
        let too_much = function.granted.difference(&should);
        let too_much = too_much.filter(|role| !is_open || *role == PUBLIC);
        all.extend(too_much.map(|role| function.off(role, false)));
    }
    all.append(&mut too_much(client).await?);
    all.sort();
    Ok(all)
}

/// What anybody but the owner may do with the schema and its tables beyond what is meant: names in it
/// may be looked up, rows be read by whom the operator lets, and only tables without rows be written.
const TOO_MUCH: &str = "\
SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
    a.privilege_type, o.name, pg_has_role(o.owner, 'USAGE') \
FROM (SELECT 'SCHEMA crossfade' AS name, nspowner AS owner, false AS stays_empty, \
        coalesce(nspacl, acldefault('n', nspowner)) AS acl FROM pg_namespace WHERE nspname = 'crossfade' \
    UNION ALL SELECT format('TABLE %I.%I', 'crossfade', c.relname), c.relowner, \
        EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'c' \
            AND pg_get_expr(k.conbin, k.conrelid) = 'false'), \
        coalesce(c.relacl, acldefault('r', c.relowner)) FROM pg_class AS c \
        WHERE c.relnamespace = to_regnamespace('crossfade') AND c.relkind IN ('r', 'p', 'v', 'm')) AS o, \
    aclexplode(o.acl) AS a \
WHERE a.grantee <> o.owner AND a.privilege_type <> 'USAGE' \
    AND NOT (o.stays_empty AND a.privilege_type IN ('SELECT', 'INSERT')) \
    AND NOT (a.grantee <> 0 AND a.privilege_type = 'SELECT')";

async fn too_much(client: &Client) -> Result<Vec<Off>, ControlError> {
    let rows = client
        .query_typed(TOO_MUCH, &[])
        .await
        .map_err(ControlError::sql("look at the rights on schema crossfade"))?;
    Ok(rows
        .iter()
        .map(|row| Off {
            role: row.get(0),
            right: row.get(1),
            on: row.get(2),
            lacks: false,
            mine: row.get(3),
        })
        .collect())
}

fn union(
    wanted: &BTreeMap<(String, String), Holders>,
    of: impl Fn(&Holders) -> &BTreeSet<String>,
) -> BTreeSet<String> {
    wanted
        .values()
        .flat_map(|h| of(h).iter().cloned())
        .collect()
}

/// Whose rights decide about a function.
#[derive(Debug)]
enum FunctionOf {
    /// A migration and the legacy table of a lens.
    Lens((String, String), Callers),
    Readers,
    Writers,
    Anybody,
    Nobody,
}

#[derive(Debug)]
struct CalledFunction {
    /// With the types of its parameters, as SQL.
    name: String,
    callers: FunctionOf,
    granted: BTreeSet<String>,
    owner: String,
    mine: bool,
}

impl CalledFunction {
    fn off(&self, role: &str, lacks: bool) -> Off {
        Off {
            role: role.to_owned(),
            right: "EXECUTE".to_owned(),
            on: format!("FUNCTION {}", self.name),
            lacks,
            mine: self.mine,
        }
    }
}

/// Every function in the schema; the types of parameters are written as this session finds them.
const FUNCTIONS: &str = "\
SELECT format('%I.%I(%s)', 'crossfade', p.proname, pg_get_function_identity_arguments(p.oid)), \
    f.migration, f.legacy_table, f.callers, pg_has_role(p.proowner, 'USAGE'), \
    ARRAY(SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END \
        FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a \
        WHERE a.grantee <> p.proowner), \
    p.oid IN (to_regprocedure($1), to_regprocedure($2)), p.oid = to_regprocedure($1), p.prorettype = 'trigger'::regtype, \
    quote_ident(pg_get_userbyid(p.proowner)), p.oid IS NOT DISTINCT FROM to_regprocedure($3) \
FROM pg_proc AS p LEFT JOIN crossfade.lens_functions AS f ON to_regproc(f.name) = p.oid \
WHERE p.pronamespace = to_regnamespace('crossfade') ORDER BY p.oid";

async fn functions(client: &Client) -> Result<Vec<CalledFunction>, ControlError> {
    let rows = client
        .query_typed(
            FUNCTIONS,
            &[
                (&READERS, Type::TEXT),
                (&WRITERS, Type::TEXT),
                (&ANYBODY, Type::TEXT),
            ],
        )
        .await
        .map_err(ControlError::sql("look at the functions' callers"))?;
    Ok(rows
        .iter()
        .map(|row| {
            let (fixed, reads, is_trigger): (Option<bool>, Option<bool>, bool) =
                (row.get(6), row.get(7), row.get(8));
            let (fixed, reads) = (fixed == Some(true), reads == Some(true));
            let callers = match (row.get(1), row.get(2)) {
                (Some(migration), Some(table)) => {
                    let callers = match row.get::<_, Option<&str>>(3) {
                        Some("deleters") => Callers::Deleters,
                        Some("nobody") => Callers::Nobody,
                        _made_by_an_older_version if is_trigger => Callers::Nobody,
                        _made_by_an_older_version => Callers::Writers,
                    };
                    FunctionOf::Lens((migration, table), callers)
                }
                _ if fixed && reads => FunctionOf::Readers,
                _ if fixed => FunctionOf::Writers,
                _ if row.get(10) => FunctionOf::Anybody,
                _ => FunctionOf::Nobody,
            };
            CalledFunction {
                name: row.get(0),
                callers,
                granted: row.get::<_, Vec<String>>(5).into_iter().collect(),
                owner: row.get(9),
                mine: row.get(4),
            }
        })
        .collect())
}

pub(super) fn name_of(callers: Callers) -> &'static str {
    match callers {
        Callers::Nobody => "nobody",
        Callers::Writers => "writers",
        Callers::Deleters => "deleters",
    }
}

/// Who is on the tables' lists, of each lens. Roles that PostgreSQL makes hold a right on every table without
/// being there. A role may have the rights that a deleter needs from several groups, so roles are
/// asked one by one; superusers need no grant. A table that is gone has no holders.
const HOLDERS: &str = "\
WITH t AS MATERIALIZED (SELECT lens, to_regclass(name) AS oid, is_legacy \
    FROM unnest($1::bigint[], $2::text[], $3::boolean[]) AS t (lens, name, is_legacy)), \
lenses AS (SELECT DISTINCT lens FROM t), \
acl AS (SELECT t.lens, t.is_legacy, a.grantee, a.privilege_type AS may \
    FROM t JOIN pg_class AS c ON c.oid = t.oid, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a \
    UNION ALL SELECT t.lens, t.is_legacy, a.grantee, a.privilege_type FROM t JOIN pg_attribute AS c \
    ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped, aclexplode(c.attacl) AS a), \
named AS (SELECT 0 AS oid, 'public' AS name, 'PUBLIC' AS sql, false AS is_super \
    UNION ALL SELECT oid::bigint, rolname, quote_ident(rolname), rolsuper FROM pg_roles), \
holds (lens, class, oid) AS ( \
    SELECT lens, 'readers', grantee::bigint FROM acl WHERE is_legacy AND may = 'SELECT' \
    UNION SELECT lens, 'readers', oid::bigint FROM lenses, pg_roles WHERE rolname = 'pg_read_all_data' \
    UNION SELECT lens, 'writers', grantee::bigint FROM acl WHERE may IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') \
    UNION SELECT lens, 'writers', oid::bigint FROM lenses, pg_roles WHERE rolname = 'pg_write_all_data' \
    UNION SELECT t.lens, 'deleters', n.oid FROM named AS n, t WHERE NOT n.is_super AND t.oid IS NOT NULL \
    GROUP BY t.lens, n.oid, n.name HAVING bool_and(has_table_privilege(n.name, t.oid, 'DELETE') \
        OR t.is_legacy AND has_any_column_privilege(n.name, t.oid, 'UPDATE'))) \
SELECT h.lens, h.class, n.sql FROM holds AS h JOIN named AS n USING (oid) WHERE NOT n.is_super";

/// In one round trip, however many tables each of however many tenants has.
async fn wanted(
    client: &Client,
    rules: &RuleSet,
) -> Result<BTreeMap<(String, String), Holders>, ControlError> {
    let lenses = rules.migrations().iter().flat_map(|m| &m.tables);
    let mut holders: Vec<((String, String), Holders)> = Vec::new();
    let (mut of, mut tables, mut is_legacy) = (Vec::<i64>::new(), Vec::new(), Vec::new());
    for (at, lens) in (0..).zip(lenses) {
        let legacy = lens.legacy.sql();
        let unified = lens.unified_side().into_iter();
        for (table, legacy) in
            std::iter::once((legacy.clone(), true)).chain(unified.map(|table| (table.sql(), false)))
        {
            of.push(at);
            tables.push(table);
            is_legacy.push(legacy);
        }
        holders.push(((lens.migration.clone(), legacy), Holders::default()));
    }
    let rows = client
        .query_typed(
            HOLDERS,
            &[
                (&of, Type::INT8_ARRAY),
                (&tables, Type::TEXT_ARRAY),
                (&is_legacy, Type::BOOL_ARRAY),
            ],
        )
        .await
        .map_err(ControlError::sql("look at who may use the tables"))?;
    for row in rows {
        let at: i64 = row.get(0);
        let Some((_, holders)) = usize::try_from(at).ok().and_then(|at| holders.get_mut(at)) else {
            continue;
        };
        let class = match row.get(1) {
            "readers" => &mut holders.readers,
            "writers" => &mut holders.writers,
            _deleters => &mut holders.deleters,
        };
        class.insert(row.get(2));
    }
    Ok(holders.into_iter().collect())
}
