//! Statements that find one row by its whole key, and those of their constants that may be parameters: such a text can
//! stay prepared for all texts that differ in these, and be answered as if it were read each time.
//!
//! ```text
//! UPDATE t SET name = 'x', at = now() WHERE id = 7     →  none: what a function means may change
//! UPDATE t SET name = 'x', rank = rank + 1 WHERE id = 7  →  'x' and 7
//! SELECT a, 1 FROM t WHERE id = '8c1f…' LIMIT 21       →  '8c1f…'
//! SELECT a FROM t WHERE name = 'x'                     →  none: how many rows 'x' has decides the plan
//! ```
//!
//! A row found by its key is found in one way, whatever the values are: one plan for all of them is the plan of each.
//!
//! Why a constant stands where it does says which type the server gives it; a parameter of no declared type is given the
//! same there. What differs is when a value is refused, and where an error points: so a constant is a parameter only while
//! its column, on both sides, is sure to take it.

use crate::bind::functions::in_catalog;
use crate::bind::{Bound, Id, ItemKind, Referent};
use crate::lens::{LegacyColumn, Lens};
use crate::rule_set::Side;
use crate::text::tree::Tree;

mod takes;
#[cfg(test)]
mod tests;

pub(crate) use takes::Takes;

const AND: i64 = 1;
const OP: i64 = 1;
const NO_SET_OPERATION: i64 = 1;

/// All that such a statement may be made of. Not among them are calls, of which an immutable one would be evaluated once for
/// all executions, subqueries, and whatever nobody has thought of.
const MADE_OF: [&str; 26] = [
    "AConst",
    "AExpr",
    "AStar",
    "Alias",
    "BoolExpr",
    "Boolean",
    "BooleanTest",
    "CaseExpr",
    "CaseWhen",
    "CoalesceExpr",
    "ColumnRef",
    "DeleteStmt",
    "Float",
    "Integer",
    "List",
    "NullTest",
    "ParamRef",
    "RangeVar",
    "ResTarget",
    "SelectStmt",
    "SetToDefault",
    "SortBy",
    "String",
    "TypeCast",
    "TypeName",
    "UpdateStmt",
];

/// A statement by key.
#[derive(Debug)]
pub(crate) struct ByKey {
    /// Where constants begin that may be parameters, and what their columns take.
    pub constants: Vec<(usize, Takes)>,
}

impl ByKey {
    pub fn of(statement: &Tree, bound: &Bound<'_>) -> Option<ByKey> {
        let (table, filter, sets) = match statement.kind() {
            "SelectStmt" if statement.int("op") <= NO_SET_OPERATION => {
                let [table] = statement.list("from_clause") else {
                    return None;
                };
                (table, statement.get("where_clause"), &[] as &[Tree])
            }
            "UpdateStmt" if statement.list("from_clause").is_empty() => (
                statement.get("relation"),
                statement.get("where_clause"),
                statement.list("target_list"),
            ),
            "DeleteStmt" if statement.list("using_clause").is_empty() => (
                statement.get("relation"),
                statement.get("where_clause"),
                &[] as &[Tree],
            ),
            _ => return None,
        };
        let written = !statement.is("SelectStmt");
        if !is_made_of_these(statement) || written && !statement.list("returning_list").is_empty() {
            return None;
        }
        let item = bound.item_of(table)?;
        let ItemKind::Table(Some(managed)) = bound.item(item).kind else {
            return None;
        };
        let renamed = !table.get("alias").list("colnames").is_empty();
        if managed.side != Side::Legacy || !managed.lens.is_row_for_row() || renamed {
            return None;
        }
        let of = Of {
            bound,
            item,
            lens: managed.lens,
        };
        let mut found = Vec::new();
        let mut keys: Vec<&str> = Vec::new();
        of.conditions(filter, &mut keys, &mut found);
        let covered = managed
            .lens
            .key_columns()
            .all(|key| keys.contains(&key.name.as_str()));
        if !covered || managed.lens.key.is_empty() {
            return None;
        }
        for set in sets {
            let column = managed.lens.column(set.text("name"))?;
            if managed.lens.is_key(column) {
                return None;
            }
            found.extend(
                typed(column, set.get("val")).filter(|_| set.list("indirection").is_empty()),
            );
        }
        Some(ByKey { constants: found })
    }
}

/// The table whose row is found.
struct Of<'a, 't> {
    bound: &'a Bound<'t>,
    item: Id,
    lens: &'t Lens,
}

impl<'t> Of<'_, 't> {
    /// `column = value`, of those that all must hold.
    fn conditions(&self, node: &'t Tree, keys: &mut Vec<&'t str>, found: &mut Vec<(usize, Takes)>) {
        if node.is("BoolExpr") && node.int("boolop") == AND {
            for argument in node.list("args") {
                self.conditions(argument, keys, found);
            }
            return;
        }
        let is_equality = node.is("AExpr")
            && node.int("kind") == OP
            && in_catalog(node.list("name")) == Some("=");
        if !is_equality {
            return;
        }
        let (left, right) = (node.get("lexpr"), node.get("rexpr"));
        let column_and_value = self
            .column(left)
            .map(|column| (column, right))
            .or_else(|| self.column(right).map(|column| (column, left)));
        if let Some((column, value)) = column_and_value.filter(|(_, value)| is_value(value)) {
            keys.push(&column.name);
            found.extend(typed(column, value));
        }
    }

    fn column(&self, node: &Tree) -> Option<&'t LegacyColumn> {
        match self.bound.referent(node) {
            Referent::Column(item, name) if item == self.item => self.lens.column(name),
            _ => None,
        }
    }
}

fn is_made_of_these(statement: &Tree) -> bool {
    let mut all = true;
    statement.each(&mut |node| all &= node.kind().is_empty() || MADE_OF.contains(&node.kind()));
    all
}

/// One that is the same for all rows.
fn is_value(node: &Tree) -> bool {
    match node.kind() {
        "AConst" => !node.flag("isnull"),
        "ParamRef" => true,
        "TypeCast" => is_value(node.get("arg")),
        _ => false,
    }
}

/// A constant beside its column: what the column takes, unless a cast makes something else of it first.
fn typed(column: &LegacyColumn, value: &Tree) -> Option<(usize, Takes)> {
    let takes = Takes::of(column)?;
    let constant = match value.kind() {
        "AConst" => value,
        "TypeCast" if takes.is_cast_to(value.get("type_name")) => value.get("arg"),
        _ => return None,
    };
    let at = constant.location().filter(|_| constant.is("AConst"))?;
    Some((at, takes))
}
