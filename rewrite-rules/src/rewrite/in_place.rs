//! Whose statement it is that names a table which both versions of the application know by the same
//! name: one that names a column under its unified name is the new version's, and stays as it is.

use crate::lens::Lens;
use crate::tree::Tree;
use crate::walk::{TableRef, column_refs, table_refs};

/// Whether a statement names a column of the table by its unified name. A name without its table
/// counts where there is no other table whose column it could be.
pub(super) fn names_unified(statement: &Tree, table: &TableRef<'_>, lens: &Lens) -> bool {
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
    let alone = table_refs(statement).len() == 1;
    column_refs(statement, true).into_iter().any(|column| {
        let parts = column.column_parts();
        parts.split_last().is_some_and(|(name, qualifier)| {
            moved(name)
                && match qualifier.last() {
                    Some(relation) => *relation == table.refname(),
                    None => alone,
                }
        })
    })
}
