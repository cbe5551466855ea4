//! Statements that find one row by its whole key, or insert one, and those of their constants that may be parameters: such a text can
//! stay prepared for all texts that differ in these, and be answered as if it were read each time.
//!
//! ```text
//! UPDATE t SET name = 'x', at = now() WHERE id = 7     →  none: what a function means may change
//! UPDATE t SET name = 'x', rank = rank + 1 WHERE id = 7  →  'x' and 7
//! SELECT a, 1 FROM t WHERE id = '8c1f…' LIMIT 21       →  '8c1f…'
//! INSERT INTO t (id, name) VALUES (7, 'x')             →  7 and 'x'
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
use crate::phase::{OnUnifiedError, Phase};
use crate::rule_set::{Managed, Side};
use crate::statement::Try;
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
const MADE_OF: [&str; 28] = [
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
    "InsertStmt",
    "Integer",
    "List",
    "NullTest",
    "ParamRef",
    "RangeVar",
    "ResTarget",
    "ReturningClause",
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
    /// What costs less and mostly does for it.
    pub tries: Option<Try>,
}

impl ByKey {
    pub fn of(statement: &Tree, bound: &Bound<'_>) -> Option<ByKey> {
        if !is_made_of_these(statement) {
            return None;
        }
        if statement.is("InsertStmt") {
            return ByKey::of_insert(statement, bound);
        }
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
        let of = Of::table(table, bound)?;
        let mut conditions = Conditions::default();
        of.conditions(filter, &mut conditions);
        conditions.key_of(of.lens)?;
        let equal = conditions.equal.iter();
        let mut found: Vec<_> = equal
            .filter_map(|(column, value)| typed(column, value))
            .collect();
        for set in sets {
            let column = of.lens.column(set.text("name"))?;
            if of.lens.is_key(column) {
                return None;
            }
            found.extend(
                typed(column, set.get("val")).filter(|_| set.list("indirection").is_empty()),
            );
        }
        Some(ByKey {
            constants: found,
            tries: of.tries(statement.kind()),
        })
    }

    /// One row of values. Which plan it takes depends on none of them.
    fn of_insert(statement: &Tree, bound: &Bound<'_>) -> Option<ByKey> {
        let of = Of::table(statement.get("relation"), bound)?;
        let [row] = statement.get("select_stmt").list("values_lists") else {
            return None;
        };
        let named = statement.list("cols");
        let columns: Vec<&LegacyColumn> = match named {
            [] => of.lens.columns.iter().collect(),
            named => {
                let columns = named.iter().map(|column| {
                    let whole = column.list("indirection").is_empty();
                    of.lens.column(column.text("name")).filter(|_| whole)
                });
                columns.collect::<Option<_>>()?
            }
        };
        let values = columns.into_iter().zip(row.in_list());
        let constants = values.filter_map(|(column, value)| typed(column, value));
        Some(ByKey {
            constants: constants.collect(),
            tries: of.tries(statement.kind()),
        })
    }
}

/// What a condition says of a row's columns, of what must hold together.
#[derive(Default)]
pub(crate) struct Conditions<'t> {
    /// The columns that equal a value.
    equal: Vec<(&'t LegacyColumn, &'t Tree)>,
    /// It says something else as well.
    pub others: bool,
}

impl<'t> Conditions<'t> {
    pub fn of(filter: &'t Tree, bound: &Bound<'t>, item: Id, lens: &'t Lens) -> Conditions<'t> {
        let mut found = Conditions::default();
        Of { bound, item, lens }.conditions(filter, &mut found);
        found
    }

    /// The value of each column of the key; `None` if one has none.
    pub fn key_of(&self, lens: &'t Lens) -> Option<Vec<(&'t LegacyColumn, &'t Tree)>> {
        let equal = |key: &LegacyColumn| {
            let mut equal = self.equal.iter();
            equal.find(|(column, _)| column.name == key.name).copied()
        };
        let values: Option<Vec<_>> = lens.key_columns().map(equal).collect();
        values.filter(|values| !values.is_empty())
    }

    /// Whether it says of each column of the key what it equals, and nothing else.
    pub fn are_of_key_alone(&self, lens: &'t Lens) -> bool {
        !self.others && self.equal.len() == lens.key.len() && self.key_of(lens).is_some()
    }
}

/// The table whose row is found.
struct Of<'a, 't> {
    bound: &'a Bound<'t>,
    item: Id,
    lens: &'t Lens,
}

impl<'a, 't> Of<'a, 't> {
    /// A legacy table that one unified table stands for, row for row.
    fn table(table: &Tree, bound: &'a Bound<'t>) -> Option<Of<'a, 't>> {
        let item = bound.item_of(table)?;
        let ItemKind::Table(Some(managed)) = bound.item(item).kind else {
            return None;
        };
        let renamed = !table.get("alias").list("colnames").is_empty();
        let is_one = managed.side == Side::Legacy && managed.lens.is_row_for_row() && !renamed;
        is_one.then_some(Of {
            bound,
            item,
            lens: managed.lens,
        })
    }

    /// What may be sent before a statement of this kind.
    fn tries(&self, kind: &str) -> Option<Try> {
        let ItemKind::Table(Some(Managed {
            migration, lens, ..
        })) = self.bound.item(self.item).kind
        else {
            return None;
        };
        match (kind, migration.phase) {
            // What is found by its key in unified is not looked for in legacy.
            ("SelectStmt", Phase::DualRead) => Some(Try::UnifiedAlone),
            // Where a failure of the unified half is to be recorded it has a savepoint of its own, within a function.
            (
                "InsertStmt" | "UpdateStmt",
                Phase::DualWrite | Phase::ShadowRead | Phase::DualRead,
            ) => {
                let records = migration.on_unified_error() == OnUnifiedError::Record;
                let may = records && lens.puts_at_once() && !lens.is_one_table();
                may.then_some(Try::InOnePiece)
            }
            _ => None,
        }
    }

    fn conditions(&self, node: &'t Tree, found: &mut Conditions<'t>) {
        if node.is("BoolExpr") && node.int("boolop") == AND {
            for argument in node.list("args") {
                self.conditions(argument, found);
            }
            return;
        }
        match self.equality(node) {
            Some(equality) => found.equal.push(equality),
            None => found.others = true,
        }
    }

    /// `column = value`.
    fn equality(&self, node: &'t Tree) -> Option<(&'t LegacyColumn, &'t Tree)> {
        let is_equality = node.is("AExpr")
            && node.int("kind") == OP
            && in_catalog(node.list("name")) == Some("=");
        if !is_equality {
            return None;
        }
        let (left, right) = (node.get("lexpr"), node.get("rexpr"));
        let column_and_value = self
            .column(left)
            .map(|column| (column, right))
            .or_else(|| self.column(right).map(|column| (column, left)));
        column_and_value.filter(|(_, value)| is_value(value))
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
