//! Comparisons with a value-mapped column, carried over to the unified column.
//!
//! ```text
//! WHERE role = 'admin'      adds   cf_u."role" = CASE 'admin'::user_role WHEN … END
//! WHERE role IN ($1, $2)    adds   cf_u."role" IN (CASE $1::user_role WHEN … END, CASE $2 …)
//! ```
//!
//! inside the derived table. The client's own condition stays and decides; this one is implied by
//! it and only lets an index on the unified column serve: over `CASE role WHEN …` none can.
//! Conditions are taken from the top-level AND of the WHERE of the same query. Each of them is
//! false for a NULL column, so filtering early is right on either side of an outer join.

use crate::lens::{LegacyColumn, Lens, quote_ident, quote_literal};
use crate::tree::Tree;
use crate::walk::TableRef;

const AND: i64 = 1;
const OP: i64 = 1;
const OP_ANY: i64 = 2;
const IN: i64 = 7;

pub(super) fn conditions(table: &TableRef<'_>, lens: &Lens) -> Vec<String> {
    if table.renames_columns() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if let Some(filter) = table.filter {
        conjuncts(filter, &mut |condition| {
            found.extend(invert(condition, table, lens))
        });
    }
    found
}

fn conjuncts<'t>(node: &'t Tree, visit: &mut dyn FnMut(&'t Tree)) {
    if node.is("BoolExpr") && node.int("boolop") == AND {
        for argument in node.list("args") {
            conjuncts(argument, visit);
        }
    } else {
        visit(node);
    }
}

fn invert(condition: &Tree, table: &TableRef<'_>, lens: &Lens) -> Option<String> {
    let is_equality = condition.is("AExpr")
        && condition.list("name").len() == 1
        && condition.list("name")[0].text("sval") == "=";
    if !is_equality {
        return None;
    }
    let (left, right) = (condition.get("lexpr"), condition.get("rexpr"));
    match condition.int("kind") {
        OP => {
            let (column, value) = mapped_column(left, table, lens)
                .map(|column| (column, right))
                .or_else(|| mapped_column(right, table, lens).map(|column| (column, left)))?;
            Some(format!(
                "{} = {}",
                unified(column),
                searched(column, value)?
            ))
        }
        IN => {
            let column = mapped_column(left, table, lens)?;
            let list = if right.is("List") {
                right.list("items")
            } else {
                right.items()
            };
            let values: Option<Vec<String>> =
                list.iter().map(|value| searched(column, value)).collect();
            let values = values.filter(|values| !values.is_empty())?;
            Some(format!("{} IN ({})", unified(column), values.join(", ")))
        }
        OP_ANY => {
            let column = mapped_column(left, table, lens)?;
            let array = constant(right)?;
            Some(format!(
                "{} = ANY (ARRAY(SELECT {} FROM unnest({array}::{}[]) AS cf_v))",
                unified(column),
                column.search_value("cf_v"),
                column.sql_type
            ))
        }
        _ => None,
    }
}

fn unified(column: &LegacyColumn) -> String {
    format!("{}.{}", Lens::ROW, quote_ident(&column.unified))
}

/// The value-mapped column that a reference means, if it means one of this table's.
fn mapped_column<'l>(
    node: &Tree,
    table: &TableRef<'_>,
    lens: &'l Lens,
) -> Option<&'l LegacyColumn> {
    if !node.is("ColumnRef") {
        return None;
    }
    let parts = node.column_parts();
    let (name, qualifier) = parts.split_last()?;
    let ours = match qualifier {
        // An unqualified name finds the columns of its own query first.
        [] => true,
        [relation] => *relation == table.refname(),
        [schema, relation] => {
            table.alias().is_none() && *relation == table.table() && *schema == lens.legacy.schema
        }
        _ => false,
    };
    lens.column(name)
        .filter(|column| ours && !column.values.is_empty())
}

fn searched(column: &LegacyColumn, value: &Tree) -> Option<String> {
    let typed = format!("{}::{}", constant(value)?, column.sql_type);
    Some(column.search_value(&typed))
}

/// The SQL of a constant or parameter, with the casts around it.
fn constant(node: &Tree) -> Option<String> {
    match node.kind() {
        "ParamRef" => Some(format!("${}", node.int("number"))),
        "AConst" => node.get("val").name("sval").map(quote_literal),
        "TypeCast" => {
            let type_name = node.get("type_name");
            let plain = type_name.list("typmods").is_empty() && !type_name.flag("setof");
            let array = match type_name.list("array_bounds").len() {
                0 => "",
                1 => "[]",
                _ => return None,
            };
            let names: Vec<String> = type_name
                .list("names")
                .iter()
                .map(|name| quote_ident(name.text("sval")))
                .collect();
            plain.then_some(())?;
            Some(format!(
                "({})::{}{array}",
                constant(node.get("arg"))?,
                names.join(".")
            ))
        }
        _ => None,
    }
}
