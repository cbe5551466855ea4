//! RETURNING of a write that joins other tables.
//!
//! The answer is made of row images, where the joined tables are no longer at hand: so what the
//! client's list takes of them is carried along.
//!
//! ```text
//! UPDATE iso_agents a SET … FROM client_profiles c WHERE … RETURNING a.email, c.notes
//!
//! WITH cf_new AS (UPDATE iso_agents a SET … RETURNING "a".*, "a" AS cf_row, c.notes AS cf_c1), …
//! SELECT a.email, c.notes FROM cf_new AS cf_all
//!   CROSS JOIN LATERAL (SELECT (cf_all.cf_row).*) AS "a"
//!   CROSS JOIN LATERAL (SELECT cf_all.cf_c1 AS "notes") AS "c"
//! ```

use super::clauses::Write;
use super::whole_row::{self, Returned};
use super::{ManagedRef, Scope};
use crate::lens::quote_ident;
use crate::refuse;
use crate::rule_set::Side;
use crate::splice::{Output, Source};
use crate::statement::Refusal;
use crate::tree::Tree;
use crate::walk::column_refs;

/// The relation of columns that the client names without a table.
const BARE: &str = "cf_x";

/// What a RETURNING list takes of joined tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Carried {
    /// To be added to a list of results: `, c.notes AS cf_c1`.
    pub values: Output,
    /// The names of those results.
    pub names: Vec<String>,
    relations: Vec<Relation>,
}

#[derive(Clone, Debug)]
struct Relation {
    name: String,
    /// The result that is the whole row.
    whole: Option<String>,
    /// Column and result.
    columns: Vec<(String, String)>,
}

/// An item of FROM by the name that the statement knows it by.
pub(super) struct Item<'t> {
    pub name: &'t str,
    /// It has a row type, whose columns `.*` gives.
    pub has_row: bool,
}

#[derive(Default)]
pub(super) struct Items<'t> {
    pub all: Vec<Item<'t>>,
    /// Columns of two of them are one: `*` has an order of its own then.
    pub merged: bool,
}

impl<'t> Items<'t> {
    pub fn of(statement: &'t Tree) -> Items<'t> {
        let mut items = Items::default();
        if statement.is("MergeStmt") {
            items.add(statement.get("source_relation"));
        }
        let field = if statement.is("UpdateStmt") {
            "from_clause"
        } else {
            "using_clause"
        };
        for item in statement.list(field) {
            items.add(item);
        }
        items
    }

    fn add(&mut self, node: &'t Tree) {
        let alias = node.get("alias").name("aliasname");
        match node.kind() {
            "JoinExpr" if alias.is_none() => {
                self.merged |= node.flag("is_natural") || !node.list("using_clause").is_empty();
                self.add(node.get("larg"));
                self.add(node.get("rarg"));
            }
            "RangeTableSample" => self.add(node.get("relation")),
            kind => {
                let name = alias.unwrap_or_else(|| node.text("relname"));
                let has_row = matches!(kind, "RangeVar" | "RangeSubselect");
                self.all.push(Item { name, has_row });
            }
        }
    }
}

/// Whether the client's statement runs over a query of ours instead of the table that it names.
fn is_derived(target: &ManagedRef<'_>) -> bool {
    target.managed.side == Side::Legacy && target.leads() == Some(Side::Unified)
}

/// A bare name in RETURNING of a write without joined tables may be the row or a column of the same
/// name: the server tells, where it runs the client's own statement.
pub(super) fn carried_names<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    rows: &Returned<'a>,
    source: &mut Source<'a>,
) -> Result<Carried, Refusal> {
    let mut carried = Carried::default();
    for column in rows.unknown() {
        let parts = column.column_parts();
        let ([name], Some(start)) = (parts.as_slice(), column.location()) else {
            continue;
        };
        if target.managed.lens.column_by_unified(name).is_some() {
            continue;
        }
        let range = scope.tokens.dotted(start, 1).ok_or_else(|| {
            refuse::unsupported("this RETURNING", &target.table_name(), "Name the columns.")
        })?;
        let mut value = Output::default();
        value.client(&Source::new(scope.tokens.text), range.clone());
        let result = carried.value(value);
        carried.column(BARE, name, result);
        source.edit(range, format!("{BARE}.{}", quote_ident(name)));
    }
    Ok(carried)
}

/// Collects what a joined write's RETURNING takes of the joined tables, and has the client's list
/// name it where it will be found.
pub(super) fn carried<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    (write, rows): (&Write<'a>, &Returned<'a>),
    source: &mut Source<'a>,
) -> Result<Carried, Refusal> {
    let clause = scope.statement.get("returning_clause");
    let items = Items::of(scope.statement);
    let mut carried = Carried::default();
    for column in column_refs(clause, true) {
        let parts = column.column_parts();
        let Some((name, qualifier)) = parts.split_last() else {
            continue;
        };
        let refuse = || {
            Err(refuse::unsupported(
                &format!("`{}` in RETURNING of a joined write", parts.join(".")),
                &target.table_name(),
                "Name the columns, each with its table.",
            ))
        };
        let Some(range) = column
            .location()
            .and_then(|start| scope.tokens.dotted(start, parts.len()))
        else {
            return refuse();
        };
        if rows.is_replaced(column) {
            continue;
        }
        // A whole row of a table that is read from unified has been given its type.
        let typed = source.withdraw(&range);
        let value = |carried: &mut Carried| {
            let mut value = Output::default();
            match typed.clone() {
                Some(typed) => value.append(typed),
                None => value.client(&Source::new(scope.tokens.text), range.clone()),
            };
            carried.value(value)
        };
        match (qualifier.last(), *name) {
            (None, "*") => {
                let complete = items.all.iter().all(|item| item.has_row) && !items.merged;
                if !complete {
                    return refuse();
                }
                let mut all = format!("{}.*", write.alias);
                for item in &items.all {
                    carried.whole(item.name);
                    all += &format!(", {}.*", quote_ident(item.name));
                }
                source.edit(range, all);
            }
            (None, name) => {
                let known = target.managed.side == Side::Legacy
                    && target.managed.lens.column(name).is_some();
                if rows.is_unknown(column) && is_derived(target) {
                    // What the name stands for is told where all tables are at hand, and the row
                    // where it has been written.
                    carried.value(whole_row::is_row(name).into());
                    whole_row::keep_name(scope, column, source);
                    let row = whole_row::current_row(target, range.start);
                    source.edit(range, row);
                    continue;
                }
                // Carried in any case: the server tells a name that two tables have.
                let result = value(&mut carried);
                let relation = if known {
                    write.alias.clone()
                } else {
                    carried.column(BARE, name, result);
                    BARE.to_owned()
                };
                source.edit(range, format!("{relation}.{}", quote_ident(name)));
            }
            (Some(relation), _) if *relation == write.refname => {}
            (Some(_), "*") if typed.is_some() => {
                let result = value(&mut carried);
                source.edit(range, format!("cf_all.{result}"));
            }
            (Some(relation), "*") => {
                if !items.all.iter().any(|i| i.name == *relation && i.has_row) {
                    return refuse();
                }
                carried.whole(relation);
            }
            (Some(relation), name) => {
                let result = value(&mut carried);
                carried.column(relation, name, result);
                let plain = format!("{}.{}", quote_ident(relation), quote_ident(name));
                source.edit(range, plain);
            }
        }
    }
    Ok(carried)
}

impl Carried {
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn value(&mut self, value: Output) -> String {
        let result = format!("cf_c{}", self.names.len() + 1);
        self.values.own(", ").append(value);
        self.values.own(&format!(" AS {result}"));
        self.names.push(result.clone());
        result
    }

    fn relation(&mut self, name: &str) -> &mut Relation {
        let at = self.relations.iter().position(|known| known.name == name);
        let at = at.unwrap_or_else(|| {
            self.relations.push(Relation {
                name: name.to_owned(),
                whole: None,
                columns: Vec::new(),
            });
            self.relations.len() - 1
        });
        &mut self.relations[at]
    }

    fn column(&mut self, relation: &str, column: &str, result: String) {
        let relation = self.relation(relation);
        if !relation.columns.iter().any(|(known, _)| known == column) {
            relation.columns.push((column.to_owned(), result));
        }
    }

    fn whole(&mut self, name: &str) {
        if self.relation(name).whole.is_none() {
            let result = self.value(quote_ident(name).into());
            self.relation(name).whole = Some(result);
        }
    }

    /// The FROM of the answer: `base` holds what was carried, `target` is SQL for the written
    /// row's columns over it, under the name `cf_all`.
    pub fn from(&self, base: &str, target: &str, alias: &str) -> String {
        let mut from = format!("{base} AS cf_all CROSS JOIN LATERAL (SELECT {target}) AS {alias}");
        for relation in &self.relations {
            let columns = match &relation.whole {
                Some(whole) => format!("(cf_all.{whole}).*"),
                None => {
                    let columns = relation.columns.iter();
                    let named: Vec<String> = columns
                        .map(|(name, result)| format!("cf_all.{result} AS {}", quote_ident(name)))
                        .collect();
                    named.join(", ")
                }
            };
            from += &format!(
                " CROSS JOIN LATERAL (SELECT {columns}) AS {}",
                quote_ident(&relation.name)
            );
        }
        from
    }
}
