//! `public.iso_agents.id` → `"iso_agents".id`, where what stands in the table's place has no schema.

use super::Scope;
use crate::bind::{Id, column_refs};
use crate::lens::quote_ident;
use crate::text::splice::Source;
use crate::text::tree::Tree;

/// Takes the schemas from what names certain items below a node.
pub(super) fn unqualify(
    scope: &Scope<'_>,
    node: &Tree,
    is: impl Fn(Id, &Tree) -> bool,
    source: &mut Source<'_>,
) {
    for column in column_refs(node, true) {
        let qualifier = column.list("fields").len().saturating_sub(1);
        let owner = scope.bound.owner(column).filter(|_| qualifier > 1);
        let Some(owner) = owner.filter(|id| is(*id, column)) else {
            continue;
        };
        if let Some(range) = scope.tokens.qualifier(column) {
            source.edit(range, quote_ident(scope.bound.item(owner).name));
        }
    }
}
