//! Which columns an item has, as far as a statement and the rules tell: of a managed table those that its
//! lens names, of a query those that its list gives, under the names that PostgreSQL gives them.

use std::rc::Rc;

use pg_query::protobuf::{
    AExprKind, JsonExprOp, MinMaxOp, SqlValueFunctionOp, SubLinkType, XmlExprOp,
};

use super::functions::{self, Result};
use crate::namesakes::Namesakes;
use crate::rule_set::{Managed, Side};
use crate::text::tree::Tree;

/// PostgreSQL has no longer list of results. Queries that read each other's `*` could make one.
const RESULTS_MAX: usize = 1664;

/// A query that is one value takes its name from a query within it, and so on. Each of them looks for it anew.
const LINKS_MAX: usize = 16;

/// The columns of an item.
#[derive(Clone, Debug, Default)]
pub(super) struct ItemColumns<'t> {
    pub names: Vec<&'t str>,
    /// It may have others.
    pub open: bool,
    /// They stand in the order of the item's own.
    pub ordered: bool,
}

impl<'t> ItemColumns<'t> {
    /// Those of which nothing is known.
    pub fn unknown() -> ItemColumns<'t> {
        ItemColumns {
            names: Vec::new(),
            open: true,
            ordered: false,
        }
    }

    pub fn all(names: Vec<&'t str>) -> ItemColumns<'t> {
        ItemColumns {
            names,
            open: false,
            ordered: true,
        }
    }

    pub fn has(&self, name: &str) -> Option<bool> {
        if self.names.contains(&name) {
            return Some(true);
        }
        (!self.open).then_some(false)
    }

    /// Under the names of an alias: `AS t (a, b)` calls the first columns otherwise.
    pub fn renamed(mut self, aliases: &'t [Tree]) -> ItemColumns<'t> {
        if aliases.is_empty() {
            return self;
        }
        let mut names: Vec<&str> = aliases.iter().map(|name| name.text("sval")).collect();
        if self.ordered && !self.open {
            names.extend(self.names.drain(names.len().min(self.names.len())..));
            return ItemColumns::all(names);
        }
        // Which of the others are still called what they were nobody knows.
        ItemColumns {
            names,
            open: true,
            ordered: false,
        }
    }

    /// One column more, or all of another item's.
    pub fn add(&mut self, names: impl IntoIterator<Item = &'t str>) {
        self.names.extend(names);
        if self.names.len() > RESULTS_MAX {
            *self = ItemColumns::unknown();
        }
    }

    pub fn append(&mut self, other: &ItemColumns<'t>) {
        self.open |= other.open;
        self.ordered &= other.ordered;
        self.add(other.names.iter().copied());
    }

    /// Those of a table that rules manage.
    pub fn of_managed(managed: Managed<'t>) -> ItemColumns<'t> {
        let columns = managed.lens.columns.iter();
        match managed.side {
            // Of a table whose columns move in place it is what the old version of the application sees.
            Side::Legacy => ItemColumns::all(columns.map(|column| column.name.as_str()).collect()),
            Side::Unified if managed.lens.is_row_for_row() => ItemColumns {
                names: columns.map(|column| column.unified.as_str()).collect(),
                open: true,
                ordered: false,
            },
            Side::Unified => ItemColumns::unknown(),
        }
    }

    /// Those of a function, XMLTABLE or JSON_TABLE in FROM.
    pub fn of_function(node: &'t Tree, namesakes: &Namesakes) -> ItemColumns<'t> {
        let alias = node.get("alias").name("aliasname");
        let listed = node.list("coldeflist");
        let mut columns = match node.kind() {
            "RangeTableFunc" => {
                let named = node.list("columns").iter();
                ItemColumns::all(named.map(|column| column.text("colname")).collect())
            }
            "JsonTable" => {
                let mut columns = ItemColumns::all(Vec::new());
                of_json(node.list("columns"), &mut columns);
                columns
            }
            "RangeFunction" if !listed.is_empty() => {
                ItemColumns::all(listed.iter().map(|column| column.text("colname")).collect())
            }
            "RangeFunction" => {
                let mut columns = ItemColumns::all(Vec::new());
                let functions = node.list("functions");
                for function in functions {
                    // With the columns that its AS may define.
                    let Some((call, defined)) = function.in_list().split_first() else {
                        return ItemColumns::unknown();
                    };
                    let defined = defined.first().map_or(&[][..], Tree::in_list);
                    if !defined.is_empty() {
                        columns.add(defined.iter().map(|column| column.text("colname")));
                        continue;
                    }
                    let name = call.list("funcname");
                    let result = namesakes.in_catalog(name).and_then(functions::result);
                    match result.filter(|_| call.is("FuncCall")) {
                        Some(Result::Columns(names)) => columns.add(names.iter().copied()),
                        // A single value goes by the alias of the one function.
                        Some(Result::Value) => {
                            let own = name.last().map_or("", |name| name.text("sval"));
                            columns.add([alias.filter(|_| functions.len() == 1).unwrap_or(own)]);
                        }
                        None => return ItemColumns::unknown(),
                    }
                }
                columns
            }
            _ => ItemColumns::unknown(),
        };
        columns.add(node.flag("ordinality").then_some("ordinality"));
        columns
    }
}

fn of_json<'t>(listed: &'t [Tree], columns: &mut ItemColumns<'t>) {
    for column in listed {
        match column.list("columns") {
            [] => columns.add(column.name("name")),
            nested => of_json(nested, columns),
        }
    }
}

/// Those of VALUES.
pub(super) fn of_values<'t>(count: usize) -> ItemColumns<'t> {
    const NAMES: [&str; 16] = [
        "column1", "column2", "column3", "column4", "column5", "column6", "column7", "column8",
        "column9", "column10", "column11", "column12", "column13", "column14", "column15",
        "column16",
    ];
    let mut columns = ItemColumns::all(NAMES.iter().copied().take(count).collect());
    columns.open = count > NAMES.len();
    columns
}

/// What a query gives, for an item with or without a list of names.
pub(super) fn shared<'t>(
    columns: &Rc<ItemColumns<'t>>,
    aliases: &'t [Tree],
) -> Rc<ItemColumns<'t>> {
    if aliases.is_empty() {
        Rc::clone(columns)
    } else {
        Rc::new(ItemColumns::clone(columns).renamed(aliases))
    }
}

/// The name of a result column, as PostgreSQL gives it; `None` for stars, and where it is not plain.
pub(super) fn result_name(target: &Tree) -> Option<&str> {
    name_within(target, 0)
}

/// `links` counts the queries around it that are one value.
fn name_within(target: &Tree, links: usize) -> Option<&str> {
    if let Some(given) = target.name("name") {
        return Some(given);
    }
    let value = target.get("val");
    if value.is("ColumnRef")
        && value
            .list("fields")
            .last()
            .is_some_and(|last| last.is("AStar"))
    {
        return None;
    }
    match figured(value, links) {
        Figured::Good(name) | Figured::Poor(name) => Some(name),
        Figured::None => Some(UNNAMED),
        Figured::Unknown => None,
    }
}

const UNNAMED: &str = "?column?";

/// The name that an expression gives.
enum Figured<'t> {
    Good(&'t str),
    /// CASE and casts take a good one of what stands in them before.
    Poor(&'t str),
    None,
    Unknown,
}

fn figured(value: &Tree, links: usize) -> Figured<'_> {
    match value.kind() {
        "ColumnRef" => of_names(value.list("fields")),
        "AIndirection" => match of_names(value.list("indirection")) {
            Figured::None => figured(value.get("arg"), links),
            named => named,
        },
        "FuncCall" => of_names(value.list("funcname")),
        "AExpr" if value.int("kind") == AExprKind::AexprNullif as i64 => Figured::Good("nullif"),
        "TypeCast" => match figured(value.get("arg"), links) {
            Figured::Good(name) => Figured::Good(name),
            Figured::Unknown => Figured::Unknown,
            Figured::Poor(_) | Figured::None => {
                let type_name = value.get("type_name").list("names").last();
                type_name.map_or(Figured::None, |name| Figured::Poor(name.text("sval")))
            }
        },
        "CollateClause" => figured(value.get("arg"), links),
        "SubLink" => of_link(value, links),
        "CaseExpr" => match figured(value.get("defresult"), links) {
            Figured::Poor(_) | Figured::None => Figured::Poor("case"),
            found @ (Figured::Good(_) | Figured::Unknown) => found,
        },
        "MinMaxExpr" if value.int("op") == MinMaxOp::IsLeast as i64 => Figured::Good("least"),
        "SqlValueFunction" => Figured::Good(of_keyword(value.int("op"))),
        "XmlExpr" => of_xml(value.int("op")),
        "JsonFuncExpr" => match value.int("op") {
            op if op == JsonExprOp::JsonExistsOp as i64 => Figured::Good("json_exists"),
            op if op == JsonExprOp::JsonQueryOp as i64 => Figured::Good("json_query"),
            op if op == JsonExprOp::JsonValueOp as i64 => Figured::Good("json_value"),
            _ => Figured::Unknown,
        },
        kind => {
            let known = BY_KIND.iter().find(|(known, _)| *known == kind);
            known.map_or(Figured::None, |(_, name)| Figured::Good(name))
        }
    }
}

/// What nodes of one kind are always called.
const BY_KIND: [(&str, &str); 15] = [
    ("AArrayExpr", "array"),
    ("CoalesceExpr", "coalesce"),
    ("GroupingFunc", "grouping"),
    ("JsonArrayAgg", "json_arrayagg"),
    ("JsonArrayConstructor", "json_array"),
    ("JsonArrayQueryConstructor", "json_array"),
    ("JsonObjectAgg", "json_objectagg"),
    ("JsonObjectConstructor", "json_object"),
    ("JsonParseExpr", "json"),
    ("JsonScalarExpr", "json_scalar"),
    ("JsonSerializeExpr", "json_serialize"),
    ("MergeSupportFunc", "merge_action"),
    ("MinMaxExpr", "greatest"),
    ("RowExpr", "row"),
    ("XmlSerialize", "xmlserialize"),
];

fn of_names(names: &[Tree]) -> Figured<'_> {
    let name = names.iter().rev().find(|name| name.is("String"));
    name.map_or(Figured::None, |name| Figured::Good(name.text("sval")))
}

fn of_link(link: &Tree, links: usize) -> Figured<'_> {
    let kind = link.int("sub_link_type");
    if kind == SubLinkType::ExistsSublink as i64 {
        return Figured::Good("exists");
    }
    if kind == SubLinkType::ArraySublink as i64 {
        return Figured::Good("array");
    }
    if kind != SubLinkType::ExprSublink as i64 {
        return Figured::None;
    }
    if links == LINKS_MAX {
        return Figured::Unknown;
    }
    let mut query = link.get("subselect");
    while query.get("larg").exists() {
        query = query.get("larg");
    }
    if !query.list("values_lists").is_empty() {
        return Figured::Good("column1");
    }
    let target = query.list("target_list").first();
    let name = target.and_then(|target| name_within(target, links + 1));
    name.map_or(Figured::Unknown, Figured::Good)
}

fn of_keyword(op: i64) -> &'static str {
    use SqlValueFunctionOp as Op;
    const NAMES: [(Op, &str); 15] = [
        (Op::SvfopCurrentDate, "current_date"),
        (Op::SvfopCurrentTime, "current_time"),
        (Op::SvfopCurrentTimeN, "current_time"),
        (Op::SvfopCurrentTimestamp, "current_timestamp"),
        (Op::SvfopCurrentTimestampN, "current_timestamp"),
        (Op::SvfopLocaltime, "localtime"),
        (Op::SvfopLocaltimeN, "localtime"),
        (Op::SvfopLocaltimestamp, "localtimestamp"),
        (Op::SvfopLocaltimestampN, "localtimestamp"),
        (Op::SvfopCurrentRole, "current_role"),
        (Op::SvfopCurrentUser, "current_user"),
        (Op::SvfopUser, "user"),
        (Op::SvfopSessionUser, "session_user"),
        (Op::SvfopCurrentCatalog, "current_catalog"),
        (Op::SvfopCurrentSchema, "current_schema"),
    ];
    let known = NAMES.iter().find(|(known, _)| *known as i64 == op);
    known.map_or(UNNAMED, |(_, name)| name)
}

fn of_xml(op: i64) -> Figured<'static> {
    const NAMES: [(XmlExprOp, &str); 6] = [
        (XmlExprOp::IsXmlconcat, "xmlconcat"),
        (XmlExprOp::IsXmlelement, "xmlelement"),
        (XmlExprOp::IsXmlforest, "xmlforest"),
        (XmlExprOp::IsXmlparse, "xmlparse"),
        (XmlExprOp::IsXmlpi, "xmlpi"),
        (XmlExprOp::IsXmlroot, "xmlroot"),
    ];
    let known = NAMES.iter().find(|(known, _)| *known as i64 == op);
    known.map_or(Figured::None, |(_, name)| Figured::Good(name))
}
