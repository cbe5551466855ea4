//! What a write joins: the items behind FROM or USING.
//!
//! What is computed where the rows are no longer at hand has them carried along whole. A table or a query
//! has a row to carry; the rows of a function get one:
//!
//! ```text
//! FROM unnest($1::uuid[], $2::text[]) AS v(id, name)
//!
//! FROM LATERAL (SELECT *, cf_w1 FROM (SELECT * FROM unnest($1::uuid[], $2::text[]) AS v(id, name)) AS cf_w1) AS "v"
//! ```
//!
//! Of a join by USING columns of two items are one, which is no column of either. There the join is made
//! again, of the one row that each item had:
//!
//! ```text
//! FROM p LEFT JOIN q USING (k)
//!
//! LEFT JOIN (LATERAL (SELECT (cf_old.cf_r1).* WHERE cf_old.cf_r1 IS DISTINCT FROM NULL) AS "p" LEFT JOIN
//!   LATERAL (SELECT (cf_old.cf_r2).* WHERE …) AS "q" USING ("k")) ON true
//! ```
//!
//! A side that an outer join found nothing for has no row, and finds nothing again.

use std::collections::HashSet;

use pg_query::protobuf::JoinType;

use crate::bind::{Bound, Id, Referent, column_refs};
use crate::lens::quote_ident;
use crate::rewrite::Scope;
use crate::rewrite::unqualify::unqualify;
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;

/// An item of FROM by the name that the statement knows it by.
pub(in crate::rewrite) struct Item<'t> {
    pub id: Option<Id>,
    pub name: &'t str,
    node: &'t Tree,
    row: Row,
}

/// All columns of what is joined again, those that are one once. One column of a relation of its own: a name
/// without a table shall not find them twice.
pub(in crate::rewrite) const STAR: &str = "(cf_j.cf_j).*";

/// How the items of FROM are joined.
enum Joins<'t> {
    Item(usize),
    Join {
        node: &'t Tree,
        sides: Box<[Joins<'t>; 2]>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    /// Its name means the whole row.
    Named,
    /// Given by [`Items::give_rows`]. By a number, since a function may name what stands before it.
    Given(usize),
    None,
}

impl Item<'_> {
    /// It has a row type, whose columns `.*` gives.
    pub fn has_row(&self) -> bool {
        self.row != Row::None
    }

    /// The row, as SQL where the item is in scope. Its bare name may be a column's of another item; what is cast to
    /// a record is the row, and keeps its own type.
    pub fn row(&self) -> String {
        let name = quote_ident(self.name);
        match self.row {
            Row::Named => whole_row(&name),
            Row::None => name,
            Row::Given(number) => format!("{name}.cf_w{number}"),
        }
    }

    /// Its name behind AS, with the names that it gives its columns.
    pub fn named(&self) -> String {
        let columns = self.node.get("alias").list("colnames").iter();
        let columns: Vec<String> = columns.map(|c| quote_ident(c.text("sval"))).collect();
        let name = quote_ident(self.name);
        if columns.is_empty() {
            name
        } else {
            format!("{name}({})", columns.join(", "))
        }
    }
}

#[derive(Default)]
pub(in crate::rewrite) struct Items<'t> {
    pub all: Vec<Item<'t>>,
    /// Columns of two of them are one: `*` has an order of its own then.
    pub merged: bool,
    /// That order is asked for: [`STAR`].
    pub star: bool,
    joins: Vec<Joins<'t>>,
}

impl<'t> Items<'t> {
    pub fn of(scope: &Scope<'t>) -> Items<'t> {
        let statement = scope.statement;
        let mut items = Items::default();
        if statement.is("MergeStmt") {
            let joins = items.add(scope.bound, statement.get("source_relation"));
            items.joins.push(joins);
        }
        let field = if statement.is("UpdateStmt") {
            "from_clause"
        } else {
            "using_clause"
        };
        for item in statement.list(field) {
            let joins = items.add(scope.bound, item);
            items.joins.push(joins);
        }
        items
    }

    /// Whether each can be carried along as a whole row.
    pub fn have_rows(&self) -> bool {
        // Of a join with a name the row is there even where an outer join found nothing for it.
        let by_name = |item: &Item<'_>| item.node.is("JoinExpr");
        let known = !self.merged || !self.all.iter().any(by_name);
        self.all.iter().all(Item::has_row) && known
    }

    /// The rows as results: `, ("s".*)::record AS cf_r1`.
    pub fn rows(&self) -> String {
        let rows = self.all.iter().enumerate();
        rows.map(|(at, item)| format!(", {} AS cf_r{}", item.row(), at + 1))
            .collect()
    }

    /// The same results out of a relation that has them: `, cf_s.cf_r1`.
    pub fn carried(&self, relation: &str) -> String {
        (1..=self.all.len())
            .map(|at| format!(", {relation}.cf_r{at}"))
            .collect()
    }

    /// The items again, over a relation that has those rows: to stand in FROM.
    pub fn from(&self, relation: &str) -> String {
        self.joined(|at| format!("{relation}.cf_r{}", at + 1))
    }

    /// The same over rows that have other names.
    pub fn joined(&self, row: impl Fn(usize) -> String) -> String {
        if !self.merged {
            let items = self.all.iter().enumerate();
            return items
                .map(|(at, item)| {
                    let row = row(at);
                    format!(" CROSS JOIN LATERAL (SELECT ({row}).*) AS {}", item.named())
                })
                .collect();
        }
        let joins = self.joins.iter();
        let mut joined: String = joins
            .map(|joins| format!(" LEFT JOIN {} ON true", self.again(joins, &row)))
            .collect();
        if self.star {
            joined += &format!(
                " CROSS JOIN LATERAL (SELECT cf_j FROM (SELECT * FROM (SELECT) AS cf_e{joined}) AS cf_j) AS cf_j"
            );
        }
        joined
    }

    fn again(&self, joins: &Joins<'_>, row: &impl Fn(usize) -> String) -> String {
        let (node, [left, right]) = match joins {
            Joins::Item(at) => {
                let row = row(*at);
                let name = self.all[*at].named();
                return format!(
                    "LATERAL (SELECT ({row}).* WHERE {row} IS DISTINCT FROM NULL) AS {name}"
                );
            }
            Joins::Join { node, sides } => (node, sides.as_ref()),
        };
        let kind = match i32::try_from(node.int("jointype")).map(JoinType::try_from) {
            Ok(Ok(JoinType::JoinLeft)) => "LEFT JOIN",
            Ok(Ok(JoinType::JoinRight)) => "RIGHT JOIN",
            Ok(Ok(JoinType::JoinFull)) => "FULL JOIN",
            // No other is written in FROM.
            _ => "JOIN",
        };
        let using = node.list("using_clause").iter();
        let using: Vec<String> = using.map(|c| quote_ident(c.text("sval"))).collect();
        let (natural, on) = if node.flag("is_natural") {
            ("NATURAL ", String::new())
        } else if using.is_empty() {
            // What met then meets again.
            ("", " ON true".to_owned())
        } else {
            let alias = node.get("join_using_alias").name("aliasname");
            let alias = alias.map_or_else(String::new, |name| format!(" AS {}", quote_ident(name)));
            ("", format!(" USING ({}){alias}", using.join(", ")))
        };
        let (left, right) = (self.again(left, row), self.again(right, row));
        format!("({left} {natural}{kind} {right}{on})")
    }

    /// `public.profiles.notes` → `"profiles".notes` below a node: what [`Items::from`] makes has no
    /// schema.
    pub fn unqualify(&self, scope: &Scope<'_>, node: &Tree, source: &mut Source<'_>) {
        unqualify(scope, node, |id, _| self.at(id).is_some(), source);
    }

    /// Which of them an item is.
    pub fn at(&self, id: Id) -> Option<usize> {
        self.all.iter().position(|item| item.id == Some(id))
    }

    /// Gives functions a row, where nothing in the statement can tell the difference: what names the
    /// whole item would see one column more, or a row for a single value.
    pub fn give_rows(&mut self, scope: &Scope<'t>, source: &mut Source<'_>) {
        if self.all.iter().all(Item::has_row) {
            return;
        }
        let mut returned = HashSet::new();
        for column in column_refs(scope.statement.get("returning_clause"), true) {
            returned.insert(std::ptr::from_ref(column));
        }
        let mut wholes = HashSet::new();
        for column in column_refs(scope.statement, true) {
            wholes.extend(scope.bound.row_of(column));
            if let Referent::All(Some(id)) = scope.bound.referent(column)
                && !returned.contains(&std::ptr::from_ref(column))
            {
                wholes.insert(id);
            }
        }
        let names_whole = |item: &Item<'_>| item.id.is_none_or(|id| wholes.contains(&id));
        for (at, item) in self.all.iter_mut().enumerate() {
            if item.has_row() {
                continue;
            }
            let found = scope
                .tokens
                .function(item.node)
                .filter(|_| !names_whole(item));
            let Some((range, function)) = found else {
                continue;
            };
            item.row = Row::Given(at + 1);
            if source.replaces(&range) {
                continue;
            }
            let mut with = Output::default();
            let row = format!("cf_w{}", at + 1);
            with.own(&format!("LATERAL (SELECT *, {row} FROM (SELECT * FROM "))
                .client(source, function)
                .own(&format!(") AS {row}) AS {}", quote_ident(item.name)));
            source.edit(range, with);
        }
    }

    fn add(&mut self, bound: &Bound<'t>, node: &'t Tree) -> Joins<'t> {
        let alias = node.get("alias").name("aliasname");
        match node.kind() {
            "JoinExpr" if alias.is_none() => {
                self.merged |= node.flag("is_natural") || !node.list("using_clause").is_empty();
                let sides = ["larg", "rarg"].map(|side| self.add(bound, node.get(side)));
                Joins::Join {
                    node,
                    sides: Box::new(sides),
                }
            }
            "RangeTableSample" => self.add(bound, node.get("relation")),
            kind => {
                let function = first_call(node).and_then(|call| call.list("funcname").last());
                let own = match kind {
                    "RangeTableFunc" => "xmltable",
                    "JsonTable" => "json_table",
                    _ => function.map_or(node.text("relname"), |name| name.text("sval")),
                };
                let has_row = matches!(kind, "RangeVar" | "RangeSubselect" | "JoinExpr");
                self.all.push(Item {
                    id: bound.item_of(node),
                    name: alias.unwrap_or(own),
                    node,
                    row: if has_row { Row::Named } else { Row::None },
                });
                Joins::Item(self.all.len() - 1)
            }
        }
    }
}

/// A row as a value, by the name of its relation as SQL.
pub(in crate::rewrite) fn whole_row(relation: &str) -> String {
    format!("({relation}.*)::record")
}

/// The first function of an item of FROM.
fn first_call(item: &Tree) -> Option<&Tree> {
    // With the columns that its AS may define.
    let function = item.list("functions").first()?;
    let call = function.list("items").first();
    call.filter(|call| call.is("FuncCall"))
}
