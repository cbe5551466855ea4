//! In `shadow_read`: the same query over legacy and over unified, where comparing them can only
//! differ if the data does.
//!
//! ```text
//! SELECT a.email FROM iso_agents a
//! legacy   SELECT a.email FROM "public"."iso_agents" a
//! unified  SELECT a.email FROM (SELECT … FROM "public"."users" AS cf_u WHERE visible) a
//! ```
//!
//! The pair is run outside the client's session, with nothing but `pg_catalog` in the search path.
//! So tables are named with their schemas, and every other name is one without a schema, or of
//! `pg_catalog`: no function, operator, type or view that a client made can be what it means. A
//! statement with other names is told apart here, and never run.

use std::ptr;

use super::{Unreachable, check_reference, grouped, substitute, unqualify_columns, whole_row};
use crate::bind::functions::{self, in_catalog};
use crate::lens::TableName;
use crate::phase::Phase;
use crate::refuse;
use crate::rewrite::{ManagedRef, Scope, tenants};
use crate::rule_set::Side;
use crate::statement::{Foreign, Refusal, ShadowPair};
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;

/// `None` where a comparison would prove nothing.
pub(super) fn pair<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
) -> Result<Option<ShadowPair>, Refusal> {
    let statement = scope.statement;
    let shadowed = refs.iter().find(|found| {
        found.managed.side == Side::Legacy && found.managed.migration.phase == Phase::ShadowRead
    });
    let Some(shadowed) = shadowed.filter(|_| statement.is("SelectStmt") && !picks(statement))
    else {
        return Ok(None);
    };
    let migration = shadowed.managed.migration.name.clone();
    // Row security would have to be told of the tenant first, as the client's own statement tells it.
    let told = refs.iter().any(|found| tenants::context(found).is_some());
    let foreign = foreign(scope, refs).or(told.then_some(Foreign::Relation));
    if let Some(foreign) = foreign {
        return Ok(Some(ShadowPair::not_comparable(migration, foreign)));
    }
    let mut unified = Source::new(scope.tokens.text);
    let (tables, others): (Vec<&ManagedRef<'a>>, Vec<&ManagedRef<'a>>) = refs
        .iter()
        .partition(|found| found.managed.side == Side::Legacy);
    let unreachable = Unreachable::of(scope);
    for found in &tables {
        if check_reference(found, &unreachable).is_err() {
            return Ok(None);
        }
        substitute(scope, found, Phase::ShadowRead, &mut unified)?;
    }
    grouped::spell_out(scope, &tables, &mut unified);
    let Ok(typed) = whole_row::substitute(scope, &tables, &mut unified) else {
        return Ok(None);
    };
    unqualify_columns(scope, (&tables, &typed), &mut unified);
    let mut legacy = Source::new(scope.tokens.text);
    for found in &others {
        qualify(scope, found, &mut unified)?;
    }
    for found in refs {
        qualify(scope, found, &mut legacy)?;
    }
    let text = |source: &Source<'_>| {
        let mut output = Output::default();
        output.client(source, scope.tokens.extent());
        output.sql
    };
    Ok(Some(ShadowPair {
        migration,
        legacy: text(&legacy),
        unified: text(&unified),
        tables: read_by(refs),
        foreign: None,
    }))
}

/// Names the table with its schema, whatever the search path.
fn qualify<'a>(
    scope: &Scope<'a>,
    found: &ManagedRef<'a>,
    source: &mut Source<'a>,
) -> Result<(), Refusal> {
    let range = scope.tokens.relation(found.table.node).ok_or_else(|| {
        let table = found.table_name();
        refuse::unsupported("this spelling of the name", &table, "Write schema.table.")
    })?;
    source.edit(range, found.managed.table.sql());
    Ok(())
}

/// Every table that one of the two sides may read.
fn read_by(refs: &[ManagedRef<'_>]) -> Vec<TableName> {
    let mut tables: Vec<TableName> = Vec::new();
    for found in refs {
        let lens = found.managed.lens;
        let parts = lens.read_from_tables().into_iter().map(|(table, _)| table);
        tables.push(found.managed.table.clone());
        tables.extend(lens.unified_tables().into_iter().chain(parts).cloned());
    }
    tables.sort_by_key(TableName::sql);
    tables.dedup();
    tables
}

/// A result that may differ between two runs over the same rows proves nothing: LIMIT and
/// DISTINCT ON pick rows, locks write, SELECT INTO makes a table.
fn picks(statement: &Tree) -> bool {
    let mut picks = false;
    statement.each(&mut |node| {
        picks |= node.is("RangeTableSample")
            || node.is("SqlValueFunction")
            || node.is("SelectStmt")
                && (node.get("limit_count").exists()
                    || node.get("limit_offset").exists()
                    || !node.list("distinct_clause").is_empty()
                    || node.get("into_clause").exists()
                    || !node.list("locking_clause").is_empty());
    });
    picks
}

/// The first thing in a statement that is, or may be, of a client's making, and so must not be run
/// outside the client's session. A function without a schema is pg_catalog's there, but may be volatile.
fn foreign(scope: &Scope<'_>, refs: &[ManagedRef<'_>]) -> Option<Foreign> {
    let managed = |node: &Tree| refs.iter().any(|found| ptr::eq(found.table.node, node));
    let mut tables = scope.bound.tables().iter();
    if tables.any(|found| !managed(found.node)) {
        return Some(Foreign::Relation);
    }
    let mut foreign = None;
    scope.statement.each(&mut |node| {
        let found = match node.kind() {
            "FuncCall" => {
                let name = scope.bound.in_catalog(node.list("funcname"));
                let known = name.is_some_and(functions::is_immutable);
                (!known).then_some(Foreign::Function)
            }
            "AExpr" => of_names(node.list("name"), Foreign::Operator),
            "SubLink" => of_names(node.list("oper_name"), Foreign::Operator),
            "SortBy" => of_names(node.list("use_op"), Foreign::Operator),
            "TypeName" => of_names(node.list("names"), Foreign::Type),
            "CollateClause" => of_names(node.list("collname"), Foreign::Collation),
            _ => None,
        };
        foreign = foreign.or(found);
    });
    foreign
}

fn of_names(names: &[Tree], foreign: Foreign) -> Option<Foreign> {
    (!names.is_empty() && in_catalog(names).is_none()).then_some(foreign)
}
