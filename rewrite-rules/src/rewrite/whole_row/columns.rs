//! Whether what FROM names has a column of a certain name, as far as a statement tells.

use std::cell::Cell;

use super::uses::{Item, Shown};
use crate::tree::Tree;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Has {
    Yes,
    No,
    Unknown,
}

/// WITH queries that read each other's `*` many times over could take for ever.
const LOOKS_MAX: u32 = 20_000;

/// Functions in FROM whose result has these columns, or one that goes by its alias.
const FUNCTIONS: [(&str, &[&str]); 12] = [
    ("generate_series", &[]),
    ("generate_subscripts", &[]),
    ("string_to_table", &[]),
    ("regexp_split_to_table", &[]),
    ("jsonb_object_keys", &[]),
    ("json_object_keys", &[]),
    ("jsonb_each", &["key", "value"]),
    ("jsonb_each_text", &["key", "value"]),
    ("json_each", &["key", "value"]),
    ("json_each_text", &["key", "value"]),
    ("jsonb_array_elements", &["value"]),
    ("jsonb_array_elements_text", &["value"]),
];

/// Names that result columns have by their expressions' kinds.
const KINDS: [&str; 10] = [
    "array",
    "case",
    "coalesce",
    "exists",
    "greatest",
    "grouping",
    "least",
    "nullif",
    "row",
    "xmlelement",
];

pub(super) struct Columns<'s, 'a> {
    shown: &'s [Shown<'a>],
    /// The WITH queries in scope, innermost last.
    pub queries: Vec<&'a Tree>,
    looks: Cell<u32>,
}

impl<'s, 'a> Columns<'s, 'a> {
    pub fn new(shown: &'s [Shown<'a>]) -> Self {
        Columns {
            shown,
            queries: Vec::new(),
            looks: Cell::new(0),
        }
    }

    pub fn any_has<'i>(&self, items: impl Iterator<Item = &'i Item<'a>>, name: &str) -> Has
    where
        'a: 'i,
    {
        any(items.map(|item| self.item(item.node, name)))
    }

    /// A look costs something; after so many of them nothing is known.
    fn is_enough(&self) -> bool {
        self.looks.set(self.looks.get() + 1);
        self.looks.get() > LOOKS_MAX
    }

    fn item(&self, node: &Tree, name: &str) -> Has {
        if self.is_enough() {
            return Has::Unknown;
        }
        let renamed = node.get("alias").list("colnames");
        if renamed.iter().any(|column| column.text("sval") == name) {
            return Has::Yes;
        }
        match node.kind() {
            "RangeVar" => self.table(node, name),
            "RangeSubselect" => self.results(node.get("subquery"), name),
            "RangeTableSample" => self.item(node.get("relation"), name),
            "JoinExpr" => any(["larg", "rarg"]
                .into_iter()
                .map(|side| self.item(node.get(side), name))),
            "RangeFunction" => {
                let listed = node.list("coldeflist");
                if !listed.is_empty() {
                    return is(listed.iter().any(|column| column.text("colname") == name));
                }
                let call = node.find("FuncCall").map(|call| call.list("funcname"));
                let call = call.and_then(<[Tree]>::last).map_or("", |n| n.text("sval"));
                let known = FUNCTIONS.iter().find(|(function, _)| *function == call);
                match known.filter(|_| !node.flag("is_rowsfrom")) {
                    Some((_, columns)) => is(columns.contains(&name) || name == "ordinality"),
                    None => Has::Unknown,
                }
            }
            _ => Has::Unknown,
        }
    }

    fn table(&self, node: &Tree, name: &str) -> Has {
        let shown = self.shown.iter();
        let mut shown = shown.filter(|shown| std::ptr::eq(shown.node, node));
        if let Some(shown) = shown.next() {
            return match (shown.lens.column(name), shown.is_legacy) {
                (Some(_), true) => Has::Yes,
                (None, true) => Has::No,
                (_, false) => Has::Unknown,
            };
        }
        let queries = self.queries.iter().enumerate().rev();
        let mut queries =
            queries.filter(|(_, query)| query.text("ctename") == node.text("relname"));
        match queries.next() {
            Some((_, query)) if node.name("schemaname").is_none() => {
                let renamed = query.list("aliascolnames");
                if renamed.iter().any(|column| column.text("sval") == name) {
                    return Has::Yes;
                }
                self.results(query.get("ctequery"), name)
            }
            _ => Has::Unknown,
        }
    }

    /// Whether a query has a result column of that name.
    fn results(&self, query: &Tree, name: &str) -> Has {
        if self.is_enough() {
            return Has::Unknown;
        }
        if query.get("larg").exists() {
            return self.results(query.get("larg"), name);
        }
        if !query.list("values_lists").is_empty() {
            return if name.starts_with("column") {
                Has::Unknown
            } else {
                Has::No
            };
        }
        let mut list = query.list("target_list");
        if !query.is("SelectStmt") {
            list = query.get("returning_clause").list("exprs");
        }
        any(list.iter().map(|target| self.result(query, target, name)))
    }

    fn result(&self, query: &Tree, target: &Tree, name: &str) -> Has {
        if let Some(named) = target.name("name") {
            return is(named == name);
        }
        let value = target.get("val");
        let parts = value.column_parts();
        match parts.as_slice() {
            ["*"] if query.is("SelectStmt") => any(query
                .list("from_clause")
                .iter()
                .map(|item| self.item(item, name))),
            [.., "*"] => Has::Unknown,
            [.., column] => is(*column == name),
            [] => {
                let mut said = KINDS.contains(&name);
                value.each(&mut |node| {
                    for (_, child) in node.children() {
                        said |= child.as_text() == Some(name);
                    }
                });
                if said { Has::Unknown } else { Has::No }
            }
        }
    }
}

fn is(has: bool) -> Has {
    if has { Has::Yes } else { Has::No }
}

fn any(all: impl Iterator<Item = Has>) -> Has {
    let mut found = Has::No;
    for has in all {
        match has {
            Has::Yes => return Has::Yes,
            Has::Unknown => found = Has::Unknown,
            Has::No => {}
        }
    }
    found
}

/// Whether a column reference can only be a whole row: `t.*` where it is no list of columns.
pub(super) fn is_star(column: &Tree) -> bool {
    column.column_parts().last() == Some(&"*")
}
