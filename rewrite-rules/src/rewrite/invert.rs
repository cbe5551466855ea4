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

use super::{ManagedRef, Scope};
use crate::bind::functions::in_catalog;
use crate::bind::{Bound, Id};
use crate::lens::{LegacyColumn, Lens, quote_ident};
use crate::text::splice::{Output, Source};
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;

const AND: i64 = 1;
const OP: i64 = 1;
const OP_ANY: i64 = 2;
const IN: i64 = 7;

/// Each serves an index, and one does that as well as any number: a hostile text shall not grow by
/// a CASE for each of its words.
const CONDITIONS_MAX: usize = 8;
/// Longer lists are mapped in the server by one CASE instead of one for each value.
const LIST_MAX: usize = 16;

/// The conditions to add, with the client's constants in them traceable to its text: an error in
/// one (`role = 'no such role'`) is met here first.
pub(super) fn conditions(scope: &Scope<'_>, table: &ManagedRef<'_>) -> Vec<Output> {
    let (Some(item), false) = (table.item, table.table.renames_columns()) else {
        return Vec::new();
    };
    let of = SearchedTable {
        bound: scope.bound,
        item,
        lens: table.managed.lens,
    };
    let mut found = Vec::new();
    if let Some(filter) = table.table.filter {
        let mut add = |condition: &Tree| {
            if found.len() < CONDITIONS_MAX {
                found.extend(invert(condition, &of, scope.tokens));
            }
        };
        conjuncts(filter, &mut add);
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

fn invert(condition: &Tree, table: &SearchedTable<'_>, tokens: Tokens<'_>) -> Option<Output> {
    let is_equality = condition.is("AExpr") && in_catalog(condition.list("name")) == Some("=");
    if !is_equality {
        return None;
    }
    let (left, right) = (condition.get("lexpr"), condition.get("rexpr"));
    match condition.int("kind") {
        OP => {
            let (column, value) = table
                .mapped_column(left)
                .map(|column| (column, right))
                .or_else(|| table.mapped_column(right).map(|column| (column, left)))?;
            let mut output = Output::default();
            output.own(&format!("{} = ", unified(column)));
            output.append(searched(column, value, tokens)?);
            Some(output)
        }
        IN => {
            let column = table.mapped_column(left)?;
            let list = if right.is("List") {
                right.list("items")
            } else {
                right.items()
            };
            if list.is_empty() {
                return None;
            }
            let mut output = Output::default();
            if list.len() > LIST_MAX {
                let values = list.iter().map(|value| constant(value, tokens));
                let values = values.collect::<Option<Vec<Output>>>()?;
                let mut array = Output::default();
                for (index, value) in values.into_iter().enumerate() {
                    array.own(if index == 0 { "ARRAY[" } else { ", " });
                    array.append(value);
                }
                array.own("]");
                return Some(any_of(column, array));
            }
            output.own(&format!("{} IN (", unified(column)));
            for (index, value) in list.iter().enumerate() {
                output.own(if index == 0 { "" } else { ", " });
                output.append(searched(column, value, tokens)?);
            }
            output.own(")");
            Some(output)
        }
        OP_ANY => {
            let column = table.mapped_column(left)?;
            Some(any_of(column, constant(right, tokens)?))
        }
        _ => None,
    }
}

/// The condition that the column's value is one of an array's, as the server maps them.
fn any_of(column: &LegacyColumn, array: Output) -> Output {
    let mut output = Output::default();
    output.own(&format!(
        "{} = ANY (ARRAY(SELECT {} FROM unnest(",
        unified(column),
        column.search_value("cf_v").sql
    ));
    output.append(array);
    output.own(&format!("::{}[]) AS cf_v))", column.sql_type));
    output
}

fn unified(column: &LegacyColumn) -> String {
    format!("{}.{}", Lens::ROW, quote_ident(&column.unified))
}

/// The table whose conditions are looked for.
struct SearchedTable<'a> {
    bound: &'a Bound<'a>,
    item: Id,
    lens: &'a Lens,
}

impl<'a> SearchedTable<'a> {
    /// The value-mapped column that a reference means, if it means one of this table's.
    fn mapped_column(&self, node: &Tree) -> Option<&'a LegacyColumn> {
        let name = self.bound.column_of(node, self.item)?;
        let column = self.lens.column(name);
        column.filter(|column| !column.values.is_empty())
    }
}

fn searched(column: &LegacyColumn, value: &Tree, tokens: Tokens<'_>) -> Option<Output> {
    let mut typed = constant(value, tokens)?;
    typed.own(&format!("::{}", column.sql_type));
    Some(column.search_value(typed))
}

/// The client's own text of a constant or parameter, with the casts around it.
pub(in crate::rewrite) fn constant(node: &Tree, tokens: Tokens<'_>) -> Option<Output> {
    let mut output = Output::default();
    match node.kind() {
        "ParamRef" | "AConst" => {
            let index = tokens.at(node.location()?)?;
            let token = tokens.slice(index..index + 1);
            // U&'…' may go on with UESCAPE; no other constant has a second token.
            let plain = ['\'', '$', 'e', 'E'].contains(&token.first(&token.tokens[0]));
            plain.then(|| output.client(&Source::new(tokens.text), token.extent()));
            (!output.sql.is_empty()).then_some(output)
        }
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
            output.own("(").append(constant(node.get("arg"), tokens)?);
            output.own(&format!(")::{}{array}", names.join(".")));
            Some(output)
        }
        _ => None,
    }
}
