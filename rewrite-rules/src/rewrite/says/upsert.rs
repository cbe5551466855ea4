//! ON CONFLICT DO UPDATE: whether it gives rows that are there another key.
//!
//! ```text
//! INSERT INTO t (id, email) VALUES (7, 'a@x') ON CONFLICT (email) DO UPDATE SET id = excluded.id
//! ```
//!
//! The row image that such a write returns has the new key, and nothing tells what the old one was: the
//! other side would keep a row under it. `SET id = excluded.id` behind `ON CONFLICT (id)` changes nothing.

use crate::bind::{ItemKind, Referent};
use crate::refuse;
use crate::rewrite::{ManagedRef, Scope};
use crate::rule_set::Side;
use crate::statement::Refusal;
use crate::text::tree::Tree;

/// What PostgreSQL calls the row that was to be inserted.
pub(in crate::rewrite) const EXCLUDED: &str = "excluded";

/// Refuses the change of the key.
pub(in crate::rewrite) fn keeps_keys(
    scope: &Scope<'_>,
    target: &ManagedRef<'_>,
) -> Result<(), Refusal> {
    // Of the unified table's constraint the rules do not know the name.
    let constraint = match target.managed.side {
        Side::Legacy => Some(target.managed.lens.key_constraint()),
        Side::Unified => None,
    };
    check_keeps(scope, target, &target.keys(), constraint.as_deref())
}

/// Refuses the change of a column; `constraint` is the one on these columns, if its name is known.
pub(in crate::rewrite) fn check_keeps(
    scope: &Scope<'_>,
    target: &ManagedRef<'_>,
    columns: &[&str],
    constraint: Option<&str>,
) -> Result<(), Refusal> {
    let clause = scope.statement.get("on_conflict_clause");
    let infer = clause.get("infer");
    let named = infer.name("conname").is_some() && infer.name("conname") == constraint;
    let is_arbiter = |column: &str| {
        let mut elements = infer.list("index_elems").iter();
        named || elements.any(|element| element.name("name") == Some(column))
    };
    let changes = |set: &&Tree| {
        let name = set.text("name");
        columns.contains(&name) && !(is_arbiter(name) && is_excluded(scope, assigned(set), name))
    };
    match clause.list("target_list").iter().find(changes) {
        None => Ok(()),
        Some(set) => Err(refuse::unsupported(
            &format!(
                "ON CONFLICT DO UPDATE of {}, which tells rows apart,",
                set.text("name")
            ),
            &target.table_name(),
            "Insert with DO NOTHING, and change the key by an UPDATE.",
        )),
    }
}

/// The value of one assignment; of `(a, b) = (x, y)` that of its place.
pub(in crate::rewrite) fn assigned(set: &Tree) -> &Tree {
    let value = set.get("val");
    if !value.is("MultiAssignRef") {
        return value;
    }
    let place = usize::try_from(value.int("colno")).unwrap_or(0);
    let values = value.get("source").list("args");
    values.get(place.wrapping_sub(1)).unwrap_or(value)
}

fn is_excluded(scope: &Scope<'_>, value: &Tree, column: &str) -> bool {
    let Referent::Column(id, name) = scope.bound.referent(value) else {
        return false;
    };
    name == column && matches!(scope.bound.item(id).kind, ItemKind::Excluded)
}

/// Without a target nothing but DO NOTHING can be meant.
pub(in crate::rewrite) fn has_target(scope: &Scope<'_>) -> Result<(), Refusal> {
    let clause = scope.statement.get("on_conflict_clause");
    if clause.list("target_list").is_empty() || clause.get("infer").exists() {
        return Ok(());
    }
    let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
    Err(Refusal {
        hint: "For example, ON CONFLICT (column_name).".to_owned(),
        ..scope.mistake("42601", message.to_owned(), clause.location())
    })
}
