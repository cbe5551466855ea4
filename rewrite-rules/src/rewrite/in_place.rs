//! Whose statement it is that names a table which both versions of the application know by the same
//! name: one that names a column under its unified name is the new version's, and stays as it is.

use super::Scope;
use crate::bind::{Referent, TableRef, column_refs};
use crate::lens::Lens;
use crate::text::tree::Tree;

/// Whether a statement names a column of the table by its unified name. A name without its table
/// counts where there is no other table whose column it could be.
pub(super) fn names_unified(scope: &Scope<'_>, table: &TableRef<'_>, lens: &Lens) -> bool {
    if !lens.is_one_table() {
        return false;
    }
    let moved = |name: &str| lens.moved().iter().any(|(_, unified)| unified == name);
    let written = table.write.into_iter().flat_map(|write| {
        let updated = write.is("UpdateStmt").then(|| write.list("target_list"));
        let conflict = write.get("on_conflict_clause").list("target_list");
        let merged = write.list("merge_when_clauses").iter();
        write
            .list("cols")
            .iter()
            .chain(updated.into_iter().flatten())
            .chain(conflict)
            .chain(merged.flat_map(|clause| clause.list("target_list")))
    });
    if written.into_iter().any(|target| moved(target.text("name"))) {
        return true;
    }
    let alone = scope.bound.tables().len() == 1;
    let item = scope.bound.item_of(table.node);
    let means = |column: &Tree| match scope.bound.referent(column) {
        Referent::OfRow(id, name) | Referent::Column(id, name) => Some(id) == item && moved(name),
        // Of a function in FROM it would be a strange one.
        Referent::Nothing | Referent::Unknown { .. } => match column.column_parts()[..] {
            [name] => alone && moved(name),
            _ => false,
        },
        Referent::Merged(..) | Referent::System(..) | Referent::Result => false,
        Referent::Row(_) | Referent::All(_) => false,
    };
    column_refs(scope.statement, true).into_iter().any(means)
}
