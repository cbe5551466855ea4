//! Where a statement uses whole rows of certain tables, and what for.

use std::collections::HashMap;

use super::Scope;
use crate::bind::functions::in_catalog;
use crate::bind::{Bound, Id, Referent};
use crate::lens::Lens;
use crate::text::tree::Tree;

/// A table whose rows come from a query of ours.
pub(super) struct Shown<'a> {
    pub item: Option<Id>,
    pub name: &'a str,
    pub lens: &'a Lens,
    /// Its alias renames columns, which the row type does not.
    pub renamed: bool,
    /// As SQL; `None` if there is none any more.
    pub row_type: Option<String>,
}

/// Whether a name is a row for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    Row,
    /// It may be a column of a table whose columns are not known.
    Unknown,
}

/// What a whole row is used for.
#[derive(Clone, Copy, Debug)]
pub(super) enum UsedAs<'a> {
    /// It is a result column, or gives one its name; `unnamed` is that column, if it needs a name.
    Result { unnamed: Option<&'a Tree> },
    /// What it is part of has its type, or one made of it.
    Typed,
    /// Something else, which may depend on its type.
    Value,
    /// What is the same for a row of any type.
    Plain,
    /// One of its fields, which is a column.
    Field,
}

/// One use of a whole row.
pub(super) struct RowUse<'a> {
    /// The `ColumnRef`.
    pub column: &'a Tree,
    /// Whose row it is: an index.
    pub item: usize,
    pub place: UsedAs<'a>,
    pub certainty: Certainty,
}

/// Functions to which all rows are alike.
const ANY_ROW: [&str; 12] = [
    "count",
    "row_to_json",
    "to_json",
    "to_jsonb",
    "json_agg",
    "jsonb_agg",
    "json_build_object",
    "jsonb_build_object",
    "json_object_agg",
    "jsonb_object_agg",
    "concat",
    "format",
];

/// Functions whose result has the type of an argument, or an array of it.
const SAME_TYPE: [&str; 16] = [
    "array_agg",
    "first_value",
    "last_value",
    "nth_value",
    "lag",
    "lead",
    "any_value",
    "mode",
    "min",
    "max",
    "array_append",
    "array_prepend",
    "array_fill",
    "array_replace",
    "array_remove",
    "pg_typeof",
];

/// Operators to which all rows are alike.
const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

/// `NULLIF(a, b)` is written as a comparison, and has the type of what it compares.
const NULLIF: i64 = pg_query::protobuf::AExprKind::AexprNullif as i64;

/// Types into which all rows are cast alike.
const ANY_ROW_TYPE: [&str; 5] = ["text", "varchar", "bpchar", "json", "jsonb"];

pub(super) fn of_statement<'a>(scope: &Scope<'a>, shown: &[Shown<'a>]) -> Vec<RowUse<'a>> {
    if shown.is_empty() {
        return Vec::new();
    }
    let mut walker = UsesWalker::over(scope.bound, shown);
    walker.node(scope.statement, UsedAs::Value);
    walker.uses
}

/// The uses in RETURNING of a write, whose target is the first of the tables.
pub(super) fn of_returning<'a>(scope: &Scope<'a>, shown: &[Shown<'a>]) -> Vec<RowUse<'a>> {
    let mut walker = UsesWalker::over(scope.bound, shown);
    walker.results(scope.statement.get("returning_clause").list("exprs"));
    walker.uses
}

struct UsesWalker<'a> {
    bound: &'a Bound<'a>,
    items: HashMap<Id, usize>,
    /// Those whose rows are not looked at here.
    images: Vec<Id>,
    uses: Vec<RowUse<'a>>,
}

impl<'a> UsesWalker<'a> {
    fn over(bound: &'a Bound<'a>, shown: &[Shown<'a>]) -> Self {
        let items = shown.iter().enumerate();
        let items = items.filter_map(|(at, shown)| Some((shown.item?, at)));
        UsesWalker {
            bound,
            items: items.collect(),
            images: Vec::new(),
            uses: Vec::new(),
        }
    }

    fn nodes(&mut self, nodes: &'a [Tree], place: UsedAs<'a>) {
        for node in nodes {
            self.node(node, place);
        }
    }

    fn node(&mut self, node: &'a Tree, place: UsedAs<'a>) {
        match node.kind() {
            "ColumnRef" => self.column(node, place),
            "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => {
                self.query(node);
            }
            "SubLink" => {
                self.node(node.get("testexpr"), UsedAs::Plain);
                self.node(node.get("subselect"), UsedAs::Value);
            }
            "FuncCall" => self.call(node, place),
            "AIndirection" => {
                let field = node.list("indirection").first();
                let field = field.is_some_and(|f| f.is("String") || f.is("AStar"));
                let argument = node.get("arg");
                let place = if field && argument.is("ColumnRef") {
                    UsedAs::Field
                } else {
                    UsedAs::Value
                };
                self.node(argument, place);
                self.nodes(node.list("indirection"), UsedAs::Value);
            }
            "NullTest" => self.node(node.get("arg"), UsedAs::Plain),
            "AExpr" => {
                let name = in_catalog(node.list("name")).unwrap_or_default();
                let place = if node.int("kind") == NULLIF {
                    typed(place)
                } else if COMPARISONS.contains(&name) {
                    UsedAs::Plain
                } else {
                    UsedAs::Value
                };
                self.node(node.get("lexpr"), place);
                self.node(node.get("rexpr"), place);
            }
            "TypeCast" => {
                let any = is_any_row_type(node.get("type_name"));
                self.node(
                    node.get("arg"),
                    if any { UsedAs::Plain } else { UsedAs::Value },
                );
            }
            "CoalesceExpr" | "MinMaxExpr" | "AArrayExpr" => {
                let field = if node.is("AArrayExpr") {
                    "elements"
                } else {
                    "args"
                };
                self.nodes(node.list(field), typed(place));
            }
            "CaseExpr" => {
                self.node(node.get("arg"), UsedAs::Plain);
                for when in node.list("args") {
                    self.node(when.get("expr"), UsedAs::Plain);
                    self.node(when.get("result"), typed(place));
                }
                self.node(node.get("defresult"), typed(place));
            }
            "RowExpr" => {
                for argument in node.list("args") {
                    // `ROW(t.*)` is a row of its columns.
                    if !is_star(argument) {
                        self.node(argument, typed(place));
                    }
                }
            }
            _ => {
                for (_, child) in node.children() {
                    self.node(child, UsedAs::Value);
                }
            }
        }
    }

    fn call(&mut self, node: &'a Tree, place: UsedAs<'a>) {
        let name = self.bound.in_catalog(node.list("funcname"));
        let name = name.unwrap_or_default();
        let arguments = node.list("args");
        let distinct = node.flag("agg_distinct");
        let inner = if self.bound.is_field(node) {
            UsedAs::Field
        } else if ANY_ROW.contains(&name) {
            UsedAs::Plain
        } else if SAME_TYPE.contains(&name) {
            typed(place)
        } else {
            UsedAs::Value
        };
        self.nodes(arguments, inner);
        let order = if distinct { inner } else { UsedAs::Plain };
        for sorted in node.list("agg_order") {
            self.node(sorted.get("node"), order);
        }
        self.node(node.get("agg_filter"), UsedAs::Value);
        self.node(node.get("over"), UsedAs::Plain);
    }

    /// A query or a write, with what stands in it.
    fn query(&mut self, node: &'a Tree) {
        for query in node.get("with_clause").list("ctes") {
            self.node(query.get("ctequery"), UsedAs::Value);
        }
        match node.kind() {
            "SelectStmt" => self.select(node),
            "InsertStmt" => {
                // The rows that ON CONFLICT speaks of are found by other means.
                self.node(node.get("select_stmt"), UsedAs::Value);
                self.returned(node);
            }
            _ => {
                for field in ["from_clause", "using_clause"] {
                    self.items(node.list(field));
                }
                self.items(std::slice::from_ref(node.get("source_relation")));
                for (field, child) in node.children() {
                    match field {
                        "relation" | "from_clause" | "using_clause" | "source_relation"
                        | "with_clause" | "returning_clause" => {}
                        "target_list" => {
                            for target in child.items() {
                                self.assigned(target);
                            }
                        }
                        "merge_when_clauses" => {
                            for clause in child.items() {
                                self.when(clause);
                            }
                        }
                        _ => self.node(child, UsedAs::Value),
                    }
                }
                self.returned(node);
            }
        }
    }

    fn when(&mut self, clause: &'a Tree) {
        self.node(clause.get("condition"), UsedAs::Value);
        for target in clause.list("target_list") {
            self.assigned(target);
        }
        for value in clause.list("values") {
            if !is_star(value) {
                self.node(value, UsedAs::Value);
            }
        }
    }

    fn assigned(&mut self, target: &'a Tree) {
        let value = target.get("val");
        if value.is("MultiAssignRef") {
            self.node(value.get("source"), UsedAs::Value);
        } else {
            self.node(value, UsedAs::Value);
        }
    }

    /// RETURNING of a write. The row of a table of ours is seen over row images: what it says of it
    /// is not looked at here.
    fn returned(&mut self, node: &'a Tree) {
        let image = self.bound.item_of(node.get("relation"));
        self.images.extend(image);
        self.results(node.get("returning_clause").list("exprs"));
        if image.is_some() {
            self.images.pop();
        }
    }

    fn select(&mut self, node: &'a Tree) {
        if node.get("larg").exists() {
            for side in ["larg", "rarg"] {
                self.query(node.get(side));
            }
            return;
        }
        self.items(node.list("from_clause"));
        for (field, child) in node.children() {
            match field {
                "from_clause" | "with_clause" | "target_list" => {}
                "sort_clause" | "group_clause" | "distinct_clause" => {
                    for element in child.items() {
                        let sorted = element.is("SortBy");
                        let expression = if sorted { element.get("node") } else { element };
                        self.node(expression, UsedAs::Plain);
                    }
                }
                "values_lists" => {
                    for value in child.items().iter().flat_map(Tree::in_list) {
                        if !is_star(value) {
                            self.node(value, UsedAs::Value);
                        }
                    }
                }
                _ => self.node(child, UsedAs::Plain),
            }
        }
        self.results(node.list("target_list"));
    }

    /// What stands in the items of FROM.
    fn items(&mut self, items: &'a [Tree]) {
        for item in items {
            if item.is("JoinExpr") {
                for side in ["larg", "rarg"] {
                    self.items(std::slice::from_ref(item.get(side)));
                }
                self.node(item.get("quals"), UsedAs::Plain);
            } else {
                for (_, child) in item.children() {
                    self.node(child, UsedAs::Value);
                }
            }
        }
    }

    /// A list of result columns.
    fn results(&mut self, list: &'a [Tree]) {
        for target in list {
            let value = target.get("val");
            if is_star(value) {
                continue;
            }
            let unnamed = target.name("name").is_none().then_some(target);
            self.result(value, UsedAs::Result { unnamed });
        }
    }

    /// A value that gives a result column its name: it must not lose it.
    fn result(&mut self, value: &'a Tree, place: UsedAs<'a>) {
        match value.kind() {
            "TypeCast" if value.get("arg").is("ColumnRef") => {
                let plain = is_any_row_type(value.get("type_name"));
                self.node(value.get("arg"), if plain { UsedAs::Plain } else { place });
            }
            "CollateClause" => self.result(value.get("arg"), place),
            "CaseExpr" if value.get("defresult").is("ColumnRef") => {
                let others = UsedAs::Result { unnamed: None };
                self.node(value.get("arg"), UsedAs::Plain);
                for when in value.list("args") {
                    self.node(when.get("expr"), UsedAs::Plain);
                    self.node(when.get("result"), others);
                }
                self.node(value.get("defresult"), place);
            }
            _ => self.node(value, place),
        }
    }

    /// Notes a column reference if it is a whole row of a table of ours.
    fn column(&mut self, column: &'a Tree, place: UsedAs<'a>) {
        let (id, certainty) = match (self.bound.referent(column), self.bound.row_of(column)) {
            (Referent::Row(id) | Referent::All(Some(id)), _) => (id, Certainty::Row),
            (_, Some(id)) => (id, Certainty::Unknown),
            (_, None) => return,
        };
        if let Some(&item) = self.items.get(&id).filter(|_| !self.images.contains(&id)) {
            self.uses.push(RowUse {
                column,
                item,
                place,
                certainty,
            });
        }
    }
}

/// The place of what gives an expression its type.
fn typed(place: UsedAs<'_>) -> UsedAs<'_> {
    match place {
        UsedAs::Result { .. } | UsedAs::Typed | UsedAs::Value => UsedAs::Typed,
        UsedAs::Plain | UsedAs::Field => UsedAs::Plain,
    }
}

fn is_any_row_type(type_name: &Tree) -> bool {
    in_catalog(type_name.list("names")).is_some_and(|name| ANY_ROW_TYPE.contains(&name))
}

/// Whether a column reference can only be a whole row: `t.*` where it is no list of columns.
fn is_star(column: &Tree) -> bool {
    column
        .list("fields")
        .last()
        .is_some_and(|last| last.is("AStar"))
}
