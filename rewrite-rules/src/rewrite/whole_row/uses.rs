//! Where a statement uses whole rows of certain tables, by PostgreSQL's scoping.

use super::columns::{Columns, Has, is_star};
use crate::lens::Lens;
use crate::tree::Tree;

/// A table whose rows come from a query of ours.
pub(super) struct Shown<'a> {
    /// Where it is named.
    pub node: &'a Tree,
    pub name: &'a str,
    pub lens: &'a Lens,
    pub is_legacy: bool,
    /// Its alias renames columns, which the row type does not.
    pub renamed: bool,
    /// As SQL; `None` if there is none any more.
    pub row_type: Option<String>,
}

impl Shown<'_> {
    fn has_column(&self, name: &str) -> bool {
        let mut renamed = self.node.get("alias").list("colnames").iter();
        self.lens.column(name).is_some() || renamed.any(|column| column.text("sval") == name)
    }
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
pub(super) enum Place<'a> {
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
pub(super) struct Use<'a> {
    /// The `ColumnRef`.
    pub column: &'a Tree,
    /// Whose row it is: an index.
    pub item: usize,
    pub place: Place<'a>,
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

pub(super) fn of_statement<'a>(statement: &'a Tree, shown: &[Shown<'a>]) -> Vec<Use<'a>> {
    let mut walker = Walker::over(shown);
    if shown.is_empty() {
        return Vec::new();
    }
    walker.node(statement, Place::Value);
    walker.uses
}

/// The uses in RETURNING of a write, whose target is the first of the tables.
pub(super) fn of_returning<'a>(statement: &'a Tree, shown: &[Shown<'a>]) -> Vec<Use<'a>> {
    let mut walker = Walker::over(shown);
    let items = walker.write_items(statement);
    walker.levels.push(items);
    walker.results(statement.get("returning_clause").list("exprs"));
    walker.uses
}

/// What FROM names.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub name: &'a str,
    pub node: &'a Tree,
    /// Whose rows these are: an index.
    pub shown: Option<usize>,
}

struct Walker<'s, 'a> {
    shown: &'s [Shown<'a>],
    columns: Columns<'s, 'a>,
    levels: Vec<Vec<Item<'a>>>,
    uses: Vec<Use<'a>>,
}

impl<'s, 'a> Walker<'s, 'a> {
    fn over(shown: &'s [Shown<'a>]) -> Self {
        Walker {
            shown,
            columns: Columns::new(shown),
            levels: Vec::new(),
            uses: Vec::new(),
        }
    }

    fn nodes(&mut self, nodes: &'a [Tree], place: Place<'a>) {
        for node in nodes {
            self.node(node, place);
        }
    }

    fn node(&mut self, node: &'a Tree, place: Place<'a>) {
        match node.kind() {
            "ColumnRef" => self.column(node, place),
            "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => {
                self.query(node);
            }
            "SubLink" => {
                self.node(node.get("testexpr"), Place::Plain);
                self.node(node.get("subselect"), Place::Value);
            }
            "FuncCall" => self.call(node, place),
            "AIndirection" => {
                let field = node.list("indirection").first();
                let field = field.is_some_and(|f| f.is("String") || f.is("AStar"));
                let argument = node.get("arg");
                let place = if field && argument.is("ColumnRef") {
                    Place::Field
                } else {
                    Place::Value
                };
                self.node(argument, place);
                self.nodes(node.list("indirection"), Place::Value);
            }
            "NullTest" => self.node(node.get("arg"), Place::Plain),
            "AExpr" => {
                let name = node
                    .list("name")
                    .last()
                    .map_or("", |name| name.text("sval"));
                let place = if node.int("kind") == NULLIF {
                    typed(place)
                } else if COMPARISONS.contains(&name) {
                    Place::Plain
                } else {
                    Place::Value
                };
                self.node(node.get("lexpr"), place);
                self.node(node.get("rexpr"), place);
            }
            "TypeCast" => {
                let names = node.get("type_name").list("names");
                let any = names.last().map_or("", |name| name.text("sval"));
                let any = ANY_ROW_TYPE.contains(&any);
                self.node(
                    node.get("arg"),
                    if any { Place::Plain } else { Place::Value },
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
                self.node(node.get("arg"), Place::Plain);
                for when in node.list("args") {
                    self.node(when.get("expr"), Place::Plain);
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
                    self.node(child, Place::Value);
                }
            }
        }
    }

    fn call(&mut self, node: &'a Tree, place: Place<'a>) {
        let names = node.list("funcname");
        let name = names.last().map_or("", |name| name.text("sval"));
        let arguments = node.list("args");
        let distinct = node.flag("agg_distinct");
        let inner = if let [argument] = arguments
            && names.len() == 1
            && self.is_field(argument, name)
        {
            Place::Field
        } else if ANY_ROW.contains(&name) {
            Place::Plain
        } else if SAME_TYPE.contains(&name) {
            typed(place)
        } else {
            Place::Value
        };
        self.nodes(arguments, inner);
        let order = if distinct { inner } else { Place::Plain };
        for sorted in node.list("agg_order") {
            self.node(sorted.get("node"), order);
        }
        self.node(node.get("agg_filter"), Place::Value);
        self.node(node.get("over"), Place::Plain);
    }

    /// `column(t)` is `t.column`.
    fn is_field(&self, argument: &Tree, name: &str) -> bool {
        let parts = argument.column_parts();
        let relation = match parts.as_slice() {
            [relation] | [relation, "*"] | [_, relation, "*"] => *relation,
            _ => return false,
        };
        let items = self.levels.iter().rev().flatten();
        let mut items = items.filter(|item| item.name == relation);
        items
            .next()
            .and_then(|item| item.shown)
            .is_some_and(|shown| self.shown[shown].has_column(name))
    }

    /// A query or a write, with what stands in it.
    fn query(&mut self, node: &'a Tree) {
        let scope = self.columns.queries.len();
        for query in node.get("with_clause").list("ctes") {
            if node.get("with_clause").flag("recursive") {
                self.columns.queries.push(query);
            }
        }
        for query in node.get("with_clause").list("ctes") {
            self.node(query.get("ctequery"), Place::Value);
            self.columns.queries.push(query);
        }
        match node.kind() {
            "SelectStmt" => self.select(node),
            "InsertStmt" => {
                self.node(node.get("select_stmt"), Place::Value);
                // The rows that ON CONFLICT speaks of are found by other means.
                let target = self.table(node.get("relation"));
                self.returned(node, vec![target]);
            }
            _ => {
                let items = self.write_items(node);
                self.levels.push(items.clone());
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
                                self.node(clause.get("condition"), Place::Value);
                                for target in clause.list("target_list") {
                                    self.assigned(target);
                                }
                                for value in clause.list("values") {
                                    if !is_star(value) {
                                        self.node(value, Place::Value);
                                    }
                                }
                            }
                        }
                        _ => self.node(child, Place::Value),
                    }
                }
                self.levels.pop();
                self.returned(node, items);
            }
        }
        self.columns.queries.truncate(scope);
    }

    fn assigned(&mut self, target: &'a Tree) {
        let value = target.get("val");
        if value.is("MultiAssignRef") {
            self.node(value.get("source"), Place::Value);
        } else {
            self.node(value, Place::Value);
        }
    }

    /// RETURNING of a write. The row of a table of ours is seen over row images: what it says of it
    /// is not looked at here.
    fn returned(&mut self, node: &'a Tree, mut items: Vec<Item<'a>>) {
        if let Some(target) = items.first_mut() {
            target.shown = None;
        }
        self.levels.push(items);
        self.results(node.get("returning_clause").list("exprs"));
        self.levels.pop();
    }

    /// The target of an UPDATE, DELETE, MERGE or INSERT, and what is joined to it.
    fn write_items(&mut self, node: &'a Tree) -> Vec<Item<'a>> {
        let mut items = vec![self.table(node.get("relation"))];
        for field in ["from_clause", "using_clause"] {
            for item in node.list(field) {
                self.item(item, &mut items);
            }
        }
        if node.get("source_relation").exists() {
            self.item(node.get("source_relation"), &mut items);
        }
        items
    }

    fn select(&mut self, node: &'a Tree) {
        if node.get("larg").exists() {
            for side in ["larg", "rarg"] {
                self.query(node.get(side));
            }
            return;
        }
        let mut items = Vec::new();
        for item in node.list("from_clause") {
            self.item(item, &mut items);
        }
        self.levels.push(items);
        for (field, child) in node.children() {
            match field {
                "from_clause" | "with_clause" | "target_list" => {}
                "sort_clause" | "group_clause" | "distinct_clause" => {
                    for element in child.items() {
                        self.grouped(node, element);
                    }
                }
                "values_lists" => {
                    for value in child.items().iter().flat_map(Tree::in_list) {
                        if !is_star(value) {
                            self.node(value, Place::Value);
                        }
                    }
                }
                _ => self.node(child, Place::Plain),
            }
        }
        self.results(node.list("target_list"));
        self.levels.pop();
    }

    /// An element of ORDER BY, GROUP BY or DISTINCT ON: a bare name means a result column first.
    fn grouped(&mut self, select: &'a Tree, element: &'a Tree) {
        let expression = if element.is("SortBy") {
            element.get("node")
        } else {
            element
        };
        if let [name] = expression.column_parts().as_slice() {
            let results = select.list("target_list");
            if results
                .iter()
                .any(|result| result_name(result) == Some(name))
            {
                return;
            }
        }
        self.node(expression, Place::Plain);
    }

    /// A list of result columns.
    fn results(&mut self, list: &'a [Tree]) {
        for target in list {
            let value = target.get("val");
            if is_star(value) {
                continue;
            }
            let unnamed = target.name("name").is_none().then_some(target);
            self.result(value, Place::Result { unnamed });
        }
    }

    /// A value that gives a result column its name: it must not lose it.
    fn result(&mut self, value: &'a Tree, place: Place<'a>) {
        match value.kind() {
            "TypeCast" if value.get("arg").is("ColumnRef") => {
                let names = value.get("type_name").list("names");
                let any = names.last().map_or("", |name| name.text("sval"));
                let plain = ANY_ROW_TYPE.contains(&any);
                self.node(value.get("arg"), if plain { Place::Plain } else { place });
            }
            "CollateClause" => self.result(value.get("arg"), place),
            "CaseExpr" if value.get("defresult").is("ColumnRef") => {
                let others = Place::Result { unnamed: None };
                self.node(value.get("arg"), Place::Plain);
                for when in value.list("args") {
                    self.node(when.get("expr"), Place::Plain);
                    self.node(when.get("result"), others);
                }
                self.node(value.get("defresult"), place);
            }
            _ => self.node(value, place),
        }
    }

    /// Walks an item of FROM and adds the names that it brings.
    fn item(&mut self, node: &'a Tree, items: &mut Vec<Item<'a>>) {
        let alias = node.get("alias").name("aliasname");
        let named = |name: &'a str| Item {
            name,
            node,
            shown: None,
        };
        match node.kind() {
            "RangeVar" => {
                let item = self.table(node);
                items.push(item);
            }
            "RangeTableSample" => self.item(node.get("relation"), items),
            "JoinExpr" => {
                let mut joined = Vec::new();
                // The right side sees the left one, and what is before both.
                self.item_beside(node.get("larg"), items, &mut joined);
                self.item_beside(node.get("rarg"), items, &mut joined);
                self.levels.push(joined.clone());
                self.node(node.get("quals"), Place::Plain);
                self.levels.pop();
                match alias {
                    Some(alias) => items.push(named(alias)),
                    None => items.append(&mut joined),
                }
                if let Some(merged) = node.get("join_using_alias").name("aliasname") {
                    items.push(named(merged));
                }
            }
            _ => {
                let lateral = node.flag("lateral") || !node.is("RangeSubselect");
                if lateral {
                    self.levels.push(items.clone());
                }
                for (_, child) in node.children() {
                    self.node(child, Place::Value);
                }
                if lateral {
                    self.levels.pop();
                }
                items.push(named(alias.or_else(|| call_name(node)).unwrap_or("")));
            }
        }
    }

    fn item_beside(&mut self, node: &'a Tree, before: &[Item<'a>], joined: &mut Vec<Item<'a>>) {
        let mut all: Vec<Item<'a>> = before.iter().chain(joined.iter()).copied().collect();
        let known = all.len();
        self.item(node, &mut all);
        joined.extend(all.drain(known..));
    }

    fn table(&self, node: &'a Tree) -> Item<'a> {
        let alias = node.get("alias").name("aliasname");
        Item {
            name: alias.unwrap_or_else(|| node.text("relname")),
            node,
            shown: self
                .shown
                .iter()
                .position(|shown| std::ptr::eq(shown.node, node)),
        }
    }

    /// Notes a column reference if it is a whole row of a table of ours.
    fn column(&mut self, column: &'a Tree, place: Place<'a>) {
        let parts = column.column_parts();
        let (name, bare) = match parts.as_slice() {
            [name] if *name != "*" => (*name, true),
            [name, "*"] | [_, name, "*"] => (*name, false),
            _ => return,
        };
        let items = self.levels.iter().rev().flatten();
        let mut named = items.filter(|item| item.name == name);
        let Some(item) = named.next().and_then(|item| item.shown) else {
            return;
        };
        let certainty = if bare {
            let all = self.levels.iter().flatten();
            match self.columns.any_has(all, name) {
                Has::Yes => return,
                Has::No => Certainty::Row,
                Has::Unknown => Certainty::Unknown,
            }
        } else {
            Certainty::Row
        };
        self.uses.push(Use {
            column,
            item,
            place,
            certainty,
        });
    }
}

/// The place of what gives an expression its type.
fn typed(place: Place<'_>) -> Place<'_> {
    match place {
        Place::Result { .. } | Place::Typed | Place::Value => Place::Typed,
        Place::Plain | Place::Field => Place::Plain,
    }
}

/// The name of a result column, as far as it is plain to see.
fn result_name(target: &Tree) -> Option<&str> {
    target
        .name("name")
        .or_else(|| target.get("val").column_parts().last().copied())
}

/// A function in FROM goes by its own name.
fn call_name(node: &Tree) -> Option<&str> {
    let name = node.find("FuncCall")?.list("funcname").last()?;
    Some(name.text("sval"))
}
