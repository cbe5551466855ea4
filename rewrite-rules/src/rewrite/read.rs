//! A reference to the legacy table becomes a derived table over unified.
//!
//! ```text
//! SELECT a.email FROM iso_agents a WHERE a.role = 'admin'
//! SELECT a.email FROM (SELECT cf_u."email", … FROM "public"."users" AS cf_u
//!                      WHERE visible AND cf_u."role" = 'admin') a WHERE a.role = 'admin'
//! ```
//!
//! Without it legacy readers would see rows that writers on unified no longer touch. The client's
//! own text stays around it, so its names, its NULLs and its order are PostgreSQL's business.

mod grouped;
mod locked;
mod shadow;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::unqualify::unqualify;
use super::{ManagedRef, Plan, Scope, invert, whole_row};
use crate::bind::{Bound, Id, NamedIn, Referent, column_refs};
use crate::lens::{Lens, quote_ident, quote_literal};
use crate::phase::Phase;
use crate::refuse;
use crate::rule_set::Side;
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;
use locked::Locked;

/// Plans a statement that only reads managed tables.
pub(super) fn plan<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    if refs.is_empty() {
        return Ok(Plan::Unchanged);
    }
    check_places(refs)?;
    if substitute_all(scope, refs, source)? {
        return Ok(Plan::Edited { compare: None });
    }
    let compare = shadow::pair(scope, refs)?;
    Ok(if compare.is_some() {
        Plan::Edited { compare }
    } else {
        Plan::Unchanged
    })
}

/// Checks that tables are only read where a derived table can stand.
pub(super) fn check_places(refs: &[ManagedRef<'_>]) -> Result<(), Refusal> {
    for found in refs {
        match found.table.place {
            NamedIn::Read | NamedIn::Sampled | NamedIn::Locked => {}
            NamedIn::Target | NamedIn::WithTarget | NamedIn::Command(_) => {
                return Err(refuse::unsupported(
                    "this use",
                    &found.table_name(),
                    "Name the table in FROM, or as the target of INSERT, UPDATE or DELETE.",
                ));
            }
        }
    }
    Ok(())
}

/// Substitutes every reference that is read from unified; `false` when there was none.
pub(super) fn substitute_all<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<bool, Refusal> {
    // A locking read must lock rows, which a UNION cannot: legacy is in step, so it answers.
    let locks = scope.statement.find("LockingClause").is_some();
    let read: Vec<&ManagedRef<'a>> = refs
        .iter()
        .filter(|found| matches!(found.table.place, NamedIn::Read | NamedIn::Sampled))
        .filter(|found| found.reads_unified())
        .filter(|found| {
            let phase = found.managed.migration.phase;
            !(locks && phase == Phase::DualRead) || found.is_in_place()
        })
        .collect();
    let unreachable = Unreachable::of(scope);
    let mut locked = None;
    for found in &read {
        check_reference(found, &unreachable)?;
        let outer = !found.managed.lens.is_lockable();
        if locks && (outer || found.mirrors()) {
            match Locked::of(scope, found) {
                Ok(Some(rows)) => {
                    locked = Some((rows, *found));
                    continue;
                }
                Err(refusal) if outer => return Err(refusal),
                // Locked where it stands.
                Ok(None) | Err(_) => {}
            }
        }
        substitute(scope, found, found.managed.migration.phase, source)?;
    }
    grouped::spell_out(scope, &read, source);
    let written = refs.iter().filter(|found| {
        found.table.write.is_some()
            && found.managed.side == Side::Legacy
            && found.leads() == Some(Side::Unified)
    });
    let rows: Vec<&ManagedRef<'a>> = read.iter().copied().chain(written).collect();
    let typed = whole_row::substitute(scope, &rows, source)?;
    let tables: Vec<&ManagedRef<'_>> = refs.iter().filter(|found| found.reads_unified()).collect();
    if !tables.is_empty() {
        unqualify_columns(scope, (&tables, &typed), source);
    }
    if let Some((rows, found)) = locked {
        rows.substitute(scope, found, source)?;
    }
    Ok(!read.is_empty())
}

/// What a statement wants of its tables that a derived table cannot give. Collected once, so that
/// many references in one statement cost no more than their number.
struct Unreachable<'t> {
    system_columns: SystemColumns<'t>,
}

impl<'t> Unreachable<'t> {
    fn of(scope: &Scope<'t>) -> Unreachable<'t> {
        Unreachable {
            system_columns: SystemColumns::of(scope.bound, scope.statement),
        }
    }
}

fn check_reference(found: &ManagedRef<'_>, unreachable: &Unreachable<'_>) -> Result<(), Refusal> {
    let table = found.table_name();
    if found.table.place == NamedIn::Sampled {
        return Err(refuse::unsupported(
            "TABLESAMPLE of a table that is read from its new place",
            &table,
            "Use ORDER BY random() LIMIT.",
        ));
    }
    if let Some(column) = unreachable.system_columns.of_table(found) {
        return Err(refuse::unsupported(
            &format!("the system column {column}"),
            &table,
            "Use the table's key: its rows live elsewhere now, and system columns do not follow.",
        ));
    }
    Ok(())
}

/// The system columns that a tree names, each with the first of them for its table.
pub(super) struct SystemColumns<'t> {
    /// Of one of several tables.
    of_some: Option<&'t str>,
    of_one: HashMap<Id, &'t str>,
}

impl<'t> SystemColumns<'t> {
    pub fn of(bound: &Bound<'t>, tree: &'t Tree) -> SystemColumns<'t> {
        let mut found = SystemColumns {
            of_some: None,
            of_one: HashMap::new(),
        };
        for column in column_refs(tree, true) {
            if let Referent::System(id, name) = bound.referent(column) {
                match id {
                    Some(id) => _ = found.of_one.entry(id).or_insert(name),
                    None => _ = found.of_some.get_or_insert(name),
                }
            }
        }
        found
    }

    /// The one that a table is asked for.
    pub fn of_table(&self, table: &ManagedRef<'_>) -> Option<&'t str> {
        let of_one = table.item.and_then(|id| self.of_one.get(&id));
        self.of_some.or_else(|| of_one.copied())
    }
}

/// The lens's read as a phase wants it.
pub(super) fn relation(lens: &Lens, phase: Phase, conditions: &[Output]) -> Output {
    let mut read = lens.read_where(conditions);
    match phase {
        Phase::DualRead if !lens.is_one_table() => _ = read.own(&lens.fallback()),
        // Of these the first are not read by clients, but by a shadow read.
        Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {}
        Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => {}
    }
    read
}

/// `ONLY` a partitioned table has no row: all are in its partitions. Of which kind the legacy table is no
/// rule file says, so the server looks, once for each statement, as long as the table is there.
fn not_partitioned(lens: &Lens) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS cf_p WHERE cf_p.oid = pg_catalog.to_regclass({}) \
         AND cf_p.relkind = 'p')",
        quote_literal(&lens.legacy.sql())
    )
}

/// A query for the legacy rows as a statement names the table: `ONLY` it, or with its partitions.
pub(super) fn only(found: &ManagedRef<'_>, read: impl Into<Output>) -> Output {
    let lens = found.managed.lens;
    if found.table.node.flag("inh") || lens.is_one_table() {
        return read.into();
    }
    let mut only = Output::from("SELECT * FROM (");
    only.append(read.into());
    only.own(&format!(") AS cf_o WHERE {}", not_partitioned(lens)));
    only
}

fn substitute(
    scope: &Scope<'_>,
    found: &ManagedRef<'_>,
    phase: Phase,
    source: &mut Source<'_>,
) -> Result<(), Refusal> {
    let lens = found.managed.lens;
    let conditions = invert::conditions(scope, found);
    let read = only(found, relation(lens, phase, &conditions));
    let mut range = reference_range(scope, found)?;
    let mut head = "(";
    // TABLE t is SELECT * FROM t, but takes nothing else than a name.
    if let Some(word) = scope.tokens.word_before("table", range.start) {
        range.start = word.start;
        head = "SELECT * FROM (";
    }
    let mut with = Output::default();
    with.own(head).append(read).own(")");
    if found.table.alias().is_none() {
        with.own(&format!(" AS {}", quote_ident(found.table.table())));
    }
    source.edit(range, with);
    Ok(())
}

/// The bytes of a table reference without its alias: `ONLY`, the name, `*`.
pub(super) fn reference_range(
    scope: &Scope<'_>,
    found: &ManagedRef<'_>,
) -> Result<Range<usize>, Refusal> {
    scope.tokens.reference(found.table.node).ok_or_else(|| {
        refuse::unsupported(
            "this spelling of the name",
            &found.table_name(),
            "Write schema.table.",
        )
    })
}

/// `public.iso_agents.id` → `"iso_agents".id`: a derived table has no schema.
fn unqualify_columns(
    scope: &Scope<'_>,
    (refs, typed): (&[&ManagedRef<'_>], &HashSet<usize>),
    source: &mut Source<'_>,
) {
    let legacy = refs
        .iter()
        .filter(|found| found.managed.side == Side::Legacy);
    let items: HashSet<Id> = legacy.filter_map(|found| found.item).collect();
    let is = |id: Id, column: &Tree| {
        let typed = column.location().is_some_and(|at| typed.contains(&at));
        items.contains(&id) && !typed
    };
    unqualify(scope, scope.statement, is, source);
}
