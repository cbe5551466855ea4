//! TRUNCATE and LOCK of a managed table.
//!
//! ```text
//! TRUNCATE iso_agents                  SELECT crossfade.truncate_…(false, false)   (dual phases)
//! TRUNCATE iso_agents                  SELECT crossfade.empty_…(‹who may refer to it›)  (unified)
//! TRUNCATE iso_agents, t               SELECT crossfade.truncate(ARRAY['TRUNCATE …', …])
//! TRUNCATE iso_agents CASCADE          the same, and of each other table that it reaches the unified rows
//! LOCK TABLE iso_agents IN … MODE      LOCK TABLE iso_agents, "public"."users" IN … MODE
//! ```
//!
//! The unified table may hold rows that were never the legacy table's, so it is not truncated:
//! the rows that legacy readers see are deleted. Who may delete may not therefore truncate: the functions ask
//! for the right that the client's own statement needs, and for what refers to the table, as PostgreSQL does.

use super::{ManagedRef, Plan, Scope, read};
use crate::lens::{Lens, Work, list, quote_ident, quote_literal};
use crate::phase::Phase;
use crate::refuse;
use crate::rule_set::Side;
use crate::statement::{Answer, Refusal, TagVerb};
use crate::text::splice::Source;
use crate::text::tree::Tree;

/// DROP_CASCADE as pg_query numbers it; RESTRICT is 1.
const CASCADE: i64 = 2;

pub(super) fn truncate(scope: &Scope<'_>, refs: &[ManagedRef<'_>]) -> Result<Plan, Refusal> {
    let Some(found) = refs.first() else {
        return Ok(Plan::Unchanged);
    };
    if let Some(unified) = refs.iter().find(|found| is_followed(found)) {
        return Err(refuse::unsupported(
            "TRUNCATE of the unified table",
            &unified.table_name(),
            "DELETE the rows that are meant.",
        ));
    }
    if !refs.iter().any(is_moved_legacy) {
        return Ok(Plan::Unchanged);
    }
    let cascade = scope.statement.int("behavior") == CASCADE;
    let sql = if scope.statement.list("relations").len() > 1 || cascade {
        several(scope, refs, cascade)?
    } else {
        let lens = found.managed.lens;
        if is_left(found) {
            emptied(lens, &referring(scope, refs, found))
        } else {
            let restart = scope.statement.flag("restart_seqs");
            format!(
                "SELECT FROM {}({restart}, false)",
                lens.function_name(Work::Truncate)
            )
        }
    };
    let answer = Answer {
        tag: Some(TagVerb::Truncate),
        hide_rows: true,
        ..Answer::default()
    };
    Ok(Plan::Composed {
        output: sql.into(),
        answers: vec![answer],
    })
}

/// Whether it is a unified table with rows that legacy has as well.
fn is_followed(found: &ManagedRef<'_>) -> bool {
    found.managed.side == Side::Unified
        && !found.is_in_place()
        && found.managed.migration.phase.writes_both()
}

/// Whether it is a legacy table whose rows unified has.
fn is_moved_legacy(found: &ManagedRef<'_>) -> bool {
    found.managed.side == Side::Legacy && !found.is_in_place()
}

/// Whether it is one that nobody writes any more: nothing is to be truncated there.
fn is_left(found: &ManagedRef<'_>) -> bool {
    is_moved_legacy(found) && !found.managed.migration.phase.writes_both()
}

/// What removes every unified row that legacy readers see, unless one of some tables refers to them.
fn emptied(lens: &Lens, referring: &str) -> String {
    format!(
        "SELECT FROM {}({referring})",
        lens.function_name(Work::Empty)
    )
}

/// Nothing that refers to the table is in the way.
const CASCADES: &str = "NULL, NULL, NULL";

/// The migrated tables that may refer to one which the command empties, and are not emptied with it: those that do by
/// declaration alone, and of the others unified tables with their legacy names, of which the server knows.
fn referring(scope: &Scope<'_>, refs: &[ManagedRef<'_>], found: &ManagedRef<'_>) -> String {
    let named = |lens: &Lens| {
        let mut refs = refs.iter();
        refs.any(|found| found.managed.lens.legacy == lens.legacy)
    };
    let declared = found.managed.lens.referring_lenses();
    let declared = declared.filter(|lens| !named(lens));
    let declared: Vec<String> = declared
        .map(|lens| quote_literal(&lens.legacy.name))
        .collect();
    let migrations = scope.set.migrations().iter();
    let left = migrations.filter(|m| m.phase >= Phase::UnifiedOnly);
    let lenses = left.flat_map(|migration| &migration.tables);
    let lenses = lenses.filter(|lens| !lens.is_one_table() && !named(lens));
    let (mut tables, mut names) = (Vec::new(), Vec::new());
    for lens in lenses {
        for table in lens.unified_tables() {
            tables.push(quote_literal(&table.sql()));
            names.push(quote_literal(&lens.legacy.name));
        }
    }
    let array = |all: &[String]| format!("ARRAY[{}]::text[]", all.join(", "));
    [&declared, &tables, &names]
        .map(|all| array(all))
        .join(", ")
}

/// Several tables at once, which may refer to each other: the client's own TRUNCATE of those that
/// PostgreSQL has, then the unified rows of those that are migrated.
fn several(scope: &Scope<'_>, refs: &[ManagedRef<'_>], cascade: bool) -> Result<String, Refusal> {
    let unreadable = || {
        let table = refs.first().map(ManagedRef::table_name).unwrap_or_default();
        refuse::unsupported("this spelling of TRUNCATE", &table, "Write it plainly.")
    };
    let relations = scope.statement.list("relations");
    let tokens = scope.tokens;
    let items = relations.iter().map(|node| tokens.reference(node));
    let items = items.collect::<Option<Vec<_>>>().ok_or_else(unreadable)?;
    let managed = |node: &Tree| {
        let mut refs = refs.iter();
        refs.find(|found| std::ptr::eq(found.table.node, node))
    };
    let mut named: Vec<&str> = Vec::new();
    // What refers is declared behind what it refers to, as a rule, and is emptied before it.
    let all = scope.set.migrations().iter().flat_map(|m| &m.tables);
    let place = |lens: &Lens| all.clone().position(|known| known.legacy == lens.legacy);
    let mut emptied_tables: Vec<(Option<usize>, String)> = Vec::new();
    for (item, node) in items.iter().zip(relations) {
        let found = managed(node);
        if !found.is_some_and(is_left) {
            named.push(&tokens.text[item.clone()]);
        }
        if let Some(found) = found.filter(|found| is_moved_legacy(found)) {
            let referring = match cascade || !is_left(found) {
                true => CASCADES.to_owned(),
                false => referring(scope, refs, found),
            };
            let lens = found.managed.lens;
            emptied_tables.push((place(lens), emptied(lens, &referring)));
        }
    }
    emptied_tables.sort_by(|one, other| other.cmp(one));
    emptied_tables.dedup();
    let mut statements: Vec<String> = emptied_tables.into_iter().map(|(_, sql)| sql).collect();
    if !named.is_empty() {
        let behind = items.last().map_or(0, |last| tokens.first_behind(last.end));
        let options = tokens.slice(behind..tokens.tokens.len()).extent();
        let truncate = format!("TRUNCATE {} {}", named.join(", "), &tokens.text[options]);
        statements.insert(0, truncate);
    }
    if cascade {
        let names: Vec<String> = relations.iter().map(named_as).collect();
        statements.extend(reached(scope, refs, &names));
    }
    let statements = list(statements.iter().map(|sql| quote_literal(sql)));
    Ok(format!(
        "SELECT FROM crossfade.truncate(ARRAY[{}])",
        statements
    ))
}

/// A table of the statement as the server is asked for it.
fn named_as(node: &Tree) -> String {
    let table = quote_ident(node.text("relname"));
    match node.name("schemaname") {
        Some(schema) => format!("{}.{table}", quote_ident(schema)),
        None => table,
    }
}

/// What empties the other migrated tables that CASCADE reaches: through foreign keys of legacy tables, which the
/// server knows, or, where legacy is left, through those that the rules declare.
fn reached(scope: &Scope<'_>, refs: &[ManagedRef<'_>], names: &[String]) -> Vec<String> {
    let names = list(names.iter().map(|name| {
        format!(
            "pg_catalog.to_regclass({})::pg_catalog.oid",
            quote_literal(name)
        )
    }));
    let mut statements = Vec::new();
    let mut gone: Vec<&Lens> = refs
        .iter()
        .filter(|f| is_left(f))
        .map(|f| f.managed.lens)
        .collect();
    let all = scope.set.migrations().iter().flat_map(|m| &m.tables);
    let all: Vec<&Lens> = all.collect();
    let of_the_rules = |lens: &Lens| {
        all.iter()
            .copied()
            .find(|known| known.legacy == lens.legacy)
    };
    let mut at = 0;
    while let Some(lens) = gone.get(at).copied() {
        at += 1;
        for child in lens.referring_lenses().filter_map(of_the_rules) {
            if !gone.iter().any(|known| known.legacy == child.legacy) {
                statements.push(emptied(child, CASCADES));
                gone.push(child);
            }
        }
    }
    let migrations = scope.set.migrations().iter();
    let written = migrations.filter(|migration| migration.phase.writes_both());
    for lens in written.flat_map(|migration| migration.left_behind()) {
        if refs
            .iter()
            .any(|found| found.managed.lens.legacy == lens.legacy)
        {
            continue;
        }
        statements.push(format!(
            "SELECT CASE WHEN EXISTS (WITH RECURSIVE r (oid) AS (SELECT unnest(ARRAY[{}]) UNION SELECT c.conrelid \
             FROM pg_catalog.pg_constraint AS c JOIN r ON c.confrelid = r.oid WHERE c.contype = 'f') \
             SELECT FROM r WHERE r.oid = pg_catalog.to_regclass({})) THEN {}({CASCADES}) END",
            names,
            quote_literal(&lens.legacy.sql()),
            lens.function_name(Work::Empty),
        ));
    }
    statements
}

pub(super) fn lock<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    for found in refs.iter().filter(|found| !found.is_in_place()) {
        let lens = found.managed.lens;
        let range = read::reference_range(scope, found)?;
        let named = &scope.tokens.text[range.clone()];
        // Legacy first, as every writer does.
        let unified = list(lens.unified_tables().iter().map(|t| t.sql()));
        let with = match (
            found.managed.side,
            found.managed.migration.phase.writes_both(),
        ) {
            (Side::Legacy, true) => format!("{named}, {unified}"),
            (Side::Unified, true) => {
                let legacy = list(found.managed.lenses().map(|lens| lens.legacy.sql()));
                format!("{legacy}, {named}")
            }
            (Side::Legacy, false) => unified,
            (Side::Unified, false) => continue,
        };
        source.edit(range, with);
    }
    Ok(if refs.is_empty() {
        Plan::Unchanged
    } else {
        Plan::Edited { compare: None }
    })
}
