//! What every name of a statement means, by PostgreSQL's scoping: one walk, which everybody asks.
//!
//! ```text
//! UPDATE iso_agents a SET email = c.email FROM contacts c WHERE c.agent = a.id RETURNING a, note
//!
//! iso_agents   item a, a managed table      c.email   a column of item c      a      item a's row
//! contacts     item c, columns not known    a.id      a column of item a      note   unknown: c may have it
//! ```
//!
//! An *item* is what a name before a dot can mean: what FROM names, the target of a write, `excluded`. A
//! name without a dot finds the columns of the innermost query first, then those of the ones around it,
//! then a whole row. Of tables without rules, and of functions that nobody knows, the columns are not
//! known: such a name is *unknown*, and whoever asks decides what that comes to. It is always an answer.
//! Where a text can only fail (a name that two items have, one that nobody has) what is said of it matters
//! to nobody but whoever tells the error: that is the server.
//!
//! The walk knows which tables are managed and what their columns are called. It does not know what to do
//! about it.

mod bound;
mod columns;
mod commands;
pub(crate) mod functions;
mod level;
mod named;
mod tables;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use bound::{Bound, Id, ItemKind, Referent};
pub(crate) use commands::CommandUse;
pub use named::NamedColumns;
pub(crate) use tables::{NamedIn, TableRef, keeps_queries};

use crate::rule_set::RuleSet;
use crate::statement::SearchPath;
use crate::text::tree::Tree;

impl<'t> Bound<'t> {
    pub fn of(set: &'t RuleSet, path: SearchPath, statement: &'t Tree) -> Bound<'t> {
        walk::bind(statement, Some((set, path)))
    }
}

/// All references to tables below a statement's node, for those who do not ask what columns mean.
pub(crate) fn table_refs(statement: &Tree) -> Vec<TableRef<'_>> {
    walk::bind(statement, None).into_tables()
}

/// The column references below a node, without those of nested queries when `deep` is false.
pub(crate) fn column_refs(node: &Tree, deep: bool) -> Vec<&Tree> {
    let mut found = Vec::new();
    collect(node, deep, &mut found);
    found
}

fn collect<'t>(node: &'t Tree, deep: bool, found: &mut Vec<&'t Tree>) {
    if node.is("ColumnRef") {
        found.push(node);
    }
    if node.is("SubLink") && !deep {
        collect(node.get("testexpr"), deep, found);
        return;
    }
    for (_, child) in node.children() {
        collect(child, deep, found);
    }
}
