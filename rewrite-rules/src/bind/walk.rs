//! The walk over a statement: WITH, FROM and what is seen where.
//!
//! A query's names are found before what uses them, so FROM is read before the list of results; tables are
//! given back in the order of the tree all the same.

mod items;
mod names;

use std::rc::Rc;

use pg_query::protobuf::MergeMatchKind;

use super::bound::{Bound, ItemKind, Referent};
use super::columns::{self, ItemColumns};
use super::commands::{self, CommandUse, Field};
use super::level::{Level, Mark};
use super::tables::{ELSEWHERE, NamedIn, TableRef, WrittenName, is_command, keeps_queries};
use crate::namesakes::Namesakes;
use crate::rule_set::RuleSet;
use crate::statement::SearchPath;
use crate::text::tree::Tree;

/// So many columns are told apart by name in one statement. A hostile one could name a long list again and
/// again; of what comes then the columns are not known.
const COLUMNS_MAX: usize = 500_000;

/// Binds a statement's names. Without rules its tables alone are found.
pub(super) fn bind<'t>(statement: &'t Tree, rules: Option<(&'t RuleSet, SearchPath)>) -> Bound<'t> {
    let mut walker = BindWalker {
        bound: Bound {
            namesakes: rules.map_or_else(Namesakes::default, |(set, _)| set.namesakes().clone()),
            ..Bound::default()
        },
        rules,
        queries: Vec::new(),
        with_query: None,
        keeps: is_command(statement),
        levels: Vec::new(),
        columns_left: COLUMNS_MAX,
        looks_left: LOOKS_MAX,
    };
    walker.walk(statement, ELSEWHERE, None, 0);
    if keeps_queries(statement) {
        for found in &mut walker.bound.tables {
            found.place = match found.place {
                NamedIn::Command(used) => NamedIn::Command(used),
                NamedIn::Read | NamedIn::Target | NamedIn::WithTarget | NamedIn::Sampled => {
                    NamedIn::Command(CommandUse::Stored)
                }
                NamedIn::Locked => NamedIn::Locked,
            };
        }
    }
    walker.bound
}

/// So often a query is looked into for a name. Names deep within others look into all around them; of what comes
/// behind so many nothing is known.
const LOOKS_MAX: usize = 2_000_000;

struct BindWalker<'t> {
    bound: Bound<'t>,
    rules: Option<(&'t RuleSet, SearchPath)>,
    /// WITH queries in scope, innermost last.
    queries: Vec<WithQuery<'t>>,
    /// The WITH query that is being walked.
    with_query: Option<&'t Tree>,
    /// The statement is a command, of which every name counts.
    keeps: bool,
    /// The queries around the node, innermost last.
    levels: Vec<Level<'t>>,
    columns_left: usize,
    looks_left: usize,
}

struct WithQuery<'t> {
    node: &'t Tree,
    /// `None` while it is not read yet, or being read: a recursive one may ask.
    columns: Option<Rc<ItemColumns<'t>>>,
}

const WRITES: [&str; 4] = ["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"];

/// Part of a query that is being walked.
#[derive(Clone, Copy)]
struct QueryPart<'t> {
    node: &'t Tree,
    filter: Option<&'t Tree>,
    with_depth: u32,
}

impl<'t> BindWalker<'t> {
    /// `with_depth` counts the WITH queries around the node.
    fn walk(&mut self, node: &'t Tree, place: NamedIn, filter: Option<&'t Tree>, with_depth: u32) {
        match node.kind() {
            "ColumnRef" => self.column(node),
            "RangeVar" => self.range_var(node, place, filter),
            "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => {
                self.query(node, with_depth);
            }
            "CopyStmt" if node.get("where_clause").exists() => self.copy(node, with_depth),
            "LockingClause" => self.children(node, NamedIn::Locked, None, with_depth),
            "TypeName" => self.type_name(node),
            // Names that are no `RangeVar`, where nothing says what they name.
            "String" => self.names(node, std::slice::from_ref(node), place),
            "" => {
                for (_, child) in node.children() {
                    self.walk(child, place, filter, with_depth);
                }
            }
            _ => self.fields(node, with_depth),
        }
    }

    /// What stands in the fields of a node that is no query.
    fn fields(&mut self, node: &'t Tree, with_depth: u32) {
        for (name, child) in node.children() {
            match commands::field(node, name) {
                Field::Below(used) => self.walk(child, NamedIn::Command(used), None, with_depth),
                Field::Others => self.others(child, with_depth),
                Field::Tables { used, behind } => self.objects(child, (used, behind)),
                Field::NewName(used, name) => self.named(node, name, NamedIn::Command(used)),
            }
        }
    }

    /// Names of other objects, beside which expressions may stand.
    fn others(&mut self, node: &'t Tree, with_depth: u32) {
        match node.kind() {
            "String" | "RangeVar" | "TypeName" | "FunctionParameter" => {}
            "" | "List" => {
                for (_, child) in node.children() {
                    self.others(child, with_depth);
                }
            }
            _ => self.walk(node, ELSEWHERE, None, with_depth),
        }
    }

    fn children(
        &mut self,
        node: &'t Tree,
        place: NamedIn,
        filter: Option<&'t Tree>,
        with_depth: u32,
    ) {
        for (_, child) in node.children() {
            self.walk(child, place, filter, with_depth);
        }
    }

    /// A query or a write; its results.
    fn query(&mut self, node: &'t Tree, with_depth: u32) -> Rc<ItemColumns<'t>> {
        let scope = self.queries.len();
        self.with_clause(node.get("with_clause"), with_depth);
        let query = QueryPart {
            node,
            filter: Some(node.get("where_clause")).filter(|tree| tree.exists()),
            with_depth,
        };
        self.levels.push(Level::default());
        let mut results = None;
        let mut fields: Vec<_> = node.children().enumerate().collect();
        fields.sort_by_key(|(_, (field, _))| turn(field));
        let first = self.bound.tables.len();
        let mut pieces = Vec::new();
        for (at, (field, child)) in fields {
            let start = self.bound.tables.len();
            match field {
                "with_clause" => {}
                "larg" => {
                    let left = self.query(child, with_depth);
                    self.settle(node, &left);
                    results = Some(left);
                }
                _ => self.clause(query, field, child),
            }
            pieces.push((at, start..self.bound.tables.len()));
        }
        // In the order of the tree.
        if !pieces.is_sorted_by_key(|(at, _)| *at) {
            pieces.sort_by_key(|(at, _)| *at);
            let tables = &self.bound.tables;
            let pieces = pieces.into_iter().map(|(_, piece)| piece);
            let sorted: Vec<_> = pieces.flat_map(|piece| tables[piece].to_vec()).collect();
            self.bound.tables.truncate(first);
            self.bound.tables.extend(sorted);
        }
        let results = results.unwrap_or_else(|| Rc::new(self.results(node)));
        self.levels.pop();
        self.queries.truncate(scope);
        results
    }

    fn clause(&mut self, query: QueryPart<'t>, field: &str, child: &'t Tree) {
        let QueryPart {
            node,
            filter,
            with_depth,
        } = query;
        match field {
            "from_clause" | "using_clause" => {
                for item in child.items() {
                    self.item(item, NamedIn::Read, filter, with_depth);
                }
            }
            "source_relation" => self.item(child, NamedIn::Read, None, with_depth),
            // A WITH name never hides the target of a write.
            "relation" if WRITES.contains(&node.kind()) => self.target(query, child),
            "on_conflict_clause" => self.conflict(child, with_depth),
            "merge_when_clauses" => {
                for clause in child.items() {
                    self.when(clause, with_depth);
                }
            }
            "returning_clause" => self.returning(query, child),
            "sort_clause" | "group_clause" | "distinct_clause" => {
                for element in child.items() {
                    self.element(node, field, element, with_depth);
                }
            }
            _ => self.walk(child, ELSEWHERE, None, with_depth),
        }
    }

    /// Each WITH query sees the ones before it; with RECURSIVE all see all.
    fn with_clause(&mut self, clause: &'t Tree, with_depth: u32) {
        let queries = clause.list("ctes");
        let recursive = clause.flag("recursive");
        let first = self.queries.len();
        let unread = |node| WithQuery {
            node,
            columns: None,
        };
        if recursive {
            self.queries.extend(queries.iter().map(unread));
        }
        for (at, query) in queries.iter().enumerate() {
            let outer = self.with_query.replace(query);
            let mut columns = None;
            for (field, child) in query.children() {
                if field == "ctequery" {
                    columns = Some(self.query(child, with_depth + 1));
                } else {
                    self.walk(child, ELSEWHERE, None, with_depth + 1);
                }
            }
            self.with_query = outer;
            if !recursive {
                self.queries.push(unread(query));
            }
            if let (Some(known), Some(columns)) = (self.queries.get_mut(first + at), columns) {
                known.columns = Some(of_with_query(query, &columns));
            }
        }
    }

    /// The first branch of a recursive query tells its columns.
    fn settle(&mut self, union: &'t Tree, results: &Rc<ItemColumns<'t>>) {
        let mut queries = self.queries.iter_mut().rev();
        let is = |query: &&mut WithQuery<'t>| std::ptr::eq(query.node.get("ctequery"), union);
        if let Some(query) = queries.find(is) {
            query.columns = Some(of_with_query(query.node, results));
        }
    }

    /// The target of a write. INSERT sees it only behind its rows.
    fn target(&mut self, query: QueryPart<'t>, node: &'t Tree) {
        self.bound.tables.push(TableRef {
            node,
            place: if query.with_depth > 0 {
                NamedIn::WithTarget
            } else {
                NamedIn::Target
            },
            filter: query.filter,
            name: WrittenName::of_range_var(node),
            write: Some(query.node),
            with_query: self.with_query,
        });
        let Some(id) = self.table(node) else { return };
        if !query.node.is("InsertStmt") {
            self.show(id);
        }
        let behind = self.mark();
        if let Some(level) = self.levels.last_mut() {
            level.target = Some((id, behind));
        }
    }

    /// ON CONFLICT looks at the row that is there, and then at the one that was to be inserted.
    fn conflict(&mut self, clause: &'t Tree, with_depth: u32) {
        let Some(target) = self.written() else {
            return self.fields(clause, with_depth);
        };
        let before = self.mark();
        self.show(target);
        for (field, child) in clause.children() {
            if field == "infer" {
                self.walk(child, ELSEWHERE, None, with_depth);
            }
        }
        let columns = Rc::clone(&self.bound.item(target).columns);
        let excluded = self.add("excluded", clause, ItemKind::Excluded, columns);
        self.show(excluded);
        for (field, child) in clause.children() {
            if field != "infer" {
                self.walk(child, ELSEWHERE, None, with_depth);
            }
        }
        self.truncate(before);
    }

    /// A branch of MERGE: without a row on one side nothing of it is seen.
    fn when(&mut self, clause: &'t Tree, with_depth: u32) {
        let kind = clause.int("match_kind");
        if let Some(level) = self.levels.last_mut()
            && let Some((_, source)) = level.target
        {
            let (start, end) = (Mark::default(), level.mark());
            if kind == MergeMatchKind::MergeWhenNotMatchedByTarget as i64 {
                level.see(Some((source, end)));
            } else if kind == MergeMatchKind::MergeWhenNotMatchedBySource as i64 {
                level.see(Some((start, source)));
            }
        }
        self.walk(clause, ELSEWHERE, None, with_depth);
        if let Some(level) = self.levels.last_mut() {
            level.see(None);
        }
    }

    /// RETURNING, where `old` and `new` are names unless something else bears them.
    fn returning(&mut self, query: QueryPart<'t>, clause: &'t Tree) {
        if let Some(target) = self.written() {
            if query.node.is("InsertStmt") {
                self.show(target);
            }
            let options = clause.list("options");
            let given = options.iter().map(|option| option.text("value"));
            let names = ["old", "new"].into_iter().chain(given);
            for name in names {
                if self.items_named(name).next().is_none() {
                    let columns = Rc::clone(&self.bound.item(target).columns);
                    let version = self.add(name, clause, ItemKind::Version, columns);
                    if let Some(level) = self.levels.last_mut() {
                        level.name(name, version);
                    }
                }
            }
        }
        self.walk(clause, ELSEWHERE, None, query.with_depth);
    }

    /// `COPY t FROM … WHERE`: it sees the rows that come.
    fn copy(&mut self, node: &'t Tree, with_depth: u32) {
        self.levels.push(Level::default());
        if let Some(id) = self.table(node.get("relation")) {
            self.show(id);
        }
        self.fields(node, with_depth);
        self.levels.pop();
    }

    /// What a query gives.
    fn results(&self, node: &'t Tree) -> ItemColumns<'t> {
        if self.rules.is_none() {
            return ItemColumns::unknown();
        }
        let first = node.list("values_lists").first();
        if let Some(row) = first {
            let count = row.in_list().len();
            return columns::of_values(count);
        }
        let list = if node.is("SelectStmt") {
            node.list("target_list")
        } else {
            node.get("returning_clause").list("exprs")
        };
        let mut results = ItemColumns::all(Vec::new());
        for target in list {
            match (
                columns::result_name(target),
                self.bound.referent(target.get("val")),
            ) {
                (Some(name), _) => results.add([name]),
                (None, Referent::All(None)) => {
                    results.append(&self.columns_since(Mark::default()));
                }
                (None, Referent::All(Some(id))) => results.append(&self.bound.item(id).columns),
                (None, _) => results.append(&ItemColumns::unknown()),
            }
        }
        results
    }
}

/// When a clause is read: what gives names before what uses them.
fn turn(field: &str) -> u8 {
    match field {
        "relation" | "larg" => 0,
        "from_clause" | "using_clause" | "source_relation" => 1,
        _ => 2,
    }
}

/// The columns of a WITH query, with those that SEARCH and CYCLE add.
fn of_with_query<'t>(query: &'t Tree, results: &Rc<ItemColumns<'t>>) -> Rc<ItemColumns<'t>> {
    let (search, cycle) = (query.get("search_clause"), query.get("cycle_clause"));
    let columns = columns::shared(results, query.list("aliascolnames"));
    if !search.exists() && !cycle.exists() {
        return columns;
    }
    let mut columns = ItemColumns::clone(&columns);
    columns.add(search.name("search_seq_column"));
    columns.add(cycle.name("cycle_mark_column"));
    columns.add(cycle.name("cycle_path_column"));
    Rc::new(columns)
}
