//! Whole rows of a table whose rows come from a query: they keep the legacy table's row type.
//!
//! ```text
//! SELECT a, c.notes FROM client_profiles c LEFT JOIN iso_agents a ON …
//!
//! SELECT (CASE WHEN "a".* IS DISTINCT FROM NULL THEN ROW("a".*)::"public"."iso_agents" END) AS "a", c.notes
//! FROM client_profiles c LEFT JOIN (read) a ON …
//! ```
//!
//! A row of a derived table has no type of its own: clients would be told `record`, and the names
//! of its columns would be those of an alias. The row itself, and not its fields, tells whether an
//! outer join made it NULL. Where nobody can see the type the name stays: to count rows, to compare
//! them, to make JSON of them or to take a field of one is the same for any row.
//!
//! A bare name is a column's before it is a table's, and the columns of tables without rules are
//! not known here. Such a name is taken for the row only where its type would show, and the server
//! is asked whether it is one.

mod columns;
mod uses;

use std::collections::HashSet;

use super::{ManagedRef, Scope, functions, read};
use crate::lens::{quote_ident, quote_literal};
use crate::phase::Phase;
use crate::refuse;
use crate::rule_set::Side;
use crate::splice::Source;
use crate::statement::Refusal;
use crate::tree::Tree;
use uses::{Certainty, Place, Shown, Use};

/// Gives the whole rows of tables that are read from unified their type. The starts of what was
/// replaced are given back: nothing else may be edited there.
pub(super) fn substitute<'a>(
    scope: &Scope<'a>,
    read: &[&ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<HashSet<usize>, Refusal> {
    let shown: Vec<Shown<'a>> = read.iter().map(|found| shown(found)).collect();
    let uses = uses::of_statement(scope.statement, &shown);
    replace(scope, &uses, &shown, source)
}

/// The same of a RETURNING list over row images: the written table's row is never NULL there.
/// `items` are the joined tables that the list can name.
pub(super) fn substitute_returned<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    source: &mut Source<'a>,
) -> Result<HashSet<usize>, Refusal> {
    let shown = [shown(target)];
    let uses = uses::of_returning(scope.statement, &shown);
    replace(scope, &uses, &shown, source)
}

/// A whole row as SQL with its type, by the name that stands for it.
pub(super) fn typed(alias: &str, row_type: &str) -> String {
    let alias = quote_ident(alias);
    format!("(CASE WHEN {alias}.* IS DISTINCT FROM NULL THEN ROW({alias}.*)::{row_type} END)")
}

fn shown<'a>(found: &ManagedRef<'a>) -> Shown<'a> {
    Shown {
        node: found.table.node,
        name: found.table.refname(),
        lens: found.managed.lens,
        is_legacy: found.managed.side == Side::Legacy,
        renamed: found.table.renames_columns(),
        row_type: row_type(found),
    }
}

/// The type of the table's rows; `None` where no table has rows like these.
fn row_type(found: &ManagedRef<'_>) -> Option<String> {
    let legacy = found.managed.side == Side::Legacy;
    match found.managed.migration.phase {
        Phase::Retired if legacy => None,
        // Its row has the columns of both versions, and either version sees its own.
        _ if found.is_in_place() => None,
        Phase::LegacyOnly
        | Phase::DualWrite
        | Phase::ShadowRead
        | Phase::DualRead
        | Phase::UnifiedRead
        | Phase::UnifiedOnly
        | Phase::Retired => Some(found.managed.table.sql()),
    }
}

fn replace<'a>(
    scope: &Scope<'a>,
    uses: &[Use<'a>],
    shown: &[Shown<'a>],
    source: &mut Source<'a>,
) -> Result<HashSet<usize>, Refusal> {
    let mut replaced = HashSet::new();
    // Equal values are looked for by their expressions: none may differ from the others.
    let grouped = scope.statement.groups();
    for found in uses {
        let item = &shown[found.item];
        let Some(row_type) = &item.row_type else {
            refuse_untyped(found, item)?;
            continue;
        };
        let replaces = match (found.place, found.certainty) {
            (Place::Field, _) => false,
            (Place::Result { .. } | Place::Typed, _) => true,
            (Place::Value, certainty) => certainty == Certainty::Row,
            (Place::Plain, certainty) => certainty == Certainty::Row && (grouped || item.renamed),
        };
        if !replaces {
            continue;
        }
        let parts = found.column.column_parts();
        let range = found
            .column
            .location()
            .and_then(|start| scope.tokens.dotted(start, parts.len()));
        let Some(range) = range else {
            return Err(refuse::unsupported(
                "this spelling of a whole row",
                item.name,
                "Write the table's alias.",
            ));
        };
        replaced.insert(range.start);
        source.edit(
            range,
            match found.certainty {
                Certainty::Row => typed(item.name, row_type),
                Certainty::Unknown => asked(item.name, row_type),
            },
        );
        if let Place::Result {
            unnamed: Some(target),
            ..
        } = found.place
            && let Some(end) = functions::end_of_item(scope, target)
        {
            source.edit(end..end, format!(" AS {}", quote_ident(item.name)));
        }
    }
    Ok(replaced)
}

/// The whole row, if the name is not a column's: then the statement fails.
fn asked(name: &str, row_type: &str) -> String {
    let alias = quote_ident(name);
    let message =
        format!("\"{name}\" is a column here and a table's name as well; write {alias}.column");
    format!(
        "(CASE WHEN {alias}.* IS DISTINCT FROM NULL AND CASE pg_catalog.pg_typeof({alias})::text \
         WHEN 'record' THEN true ELSE ({} || pg_catalog.pg_typeof({alias}))::boolean END \
         THEN ROW({alias}.*)::{row_type} END)",
        quote_literal(&message)
    )
}

/// Refuses a whole row that would show its type, of a table without one.
fn refuse_untyped(found: &Use<'_>, item: &Shown<'_>) -> Result<(), Refusal> {
    let shows = match (found.place, found.certainty) {
        (Place::Result { outermost, .. }, _) => outermost,
        (Place::Typed, certainty) => certainty == Certainty::Row,
        (Place::Value | Place::Plain | Place::Field, _) => false,
    };
    if shows {
        return Err(refuse::unsupported(
            "a whole row as a result column",
            &item.lens.legacy.name,
            "No table has rows of this type any more: select its columns, or use row_to_json().",
        ));
    }
    Ok(())
}

impl Tree {
    /// Whether the statement groups rows, or leaves out equal ones.
    fn groups(&self) -> bool {
        let mut groups = false;
        self.each(&mut |node| {
            groups |= !node.list("group_clause").is_empty()
                || !node.list("distinct_clause").is_empty()
                || node.flag("agg_distinct");
        });
        groups
    }
}

/// Whether a column reference can only be a whole row: `t.*` where it is no list of columns.
pub(super) fn is_star(column: &Tree) -> bool {
    column.column_parts().last() == Some(&"*")
}
