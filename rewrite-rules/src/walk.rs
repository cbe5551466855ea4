//! Every table reference of a statement, resolved as PostgreSQL resolves names.
//!
//! It knows WITH scoping and which place in a statement a reference stands in. It does not know
//! which tables are managed, nor what to do about it.

mod commands;

pub(crate) use commands::Use;

use crate::tree::Tree;
use commands::Field;

/// Where in a statement a table is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// FROM, USING or a join: its rows are read.
    Read,
    /// The table that the statement itself writes.
    Target,
    /// The target of a data-modifying statement inside WITH.
    WithTarget,
    /// FROM t TABLESAMPLE …
    Sampled,
    /// `FOR UPDATE OF t`: names an item of FROM, not a table.
    Locked,
    /// Anywhere else: DDL, COPY, LOCK, the target of SELECT INTO …
    Command(Use),
}

/// Where nobody has said that a table is named in another way.
const ELSEWHERE: Place = Place::Command(Use::Changed);

#[derive(Clone, Debug)]
pub(crate) struct TableRef<'t> {
    /// The `RangeVar`; in some commands a list of names or what holds the name.
    pub node: &'t Tree,
    name: Name<'t>,
    pub place: Place,
    /// The WHERE of the query whose FROM names the table, or of the write that targets it.
    pub filter: Option<&'t Tree>,
    /// For a target: the statement that writes it.
    pub write: Option<&'t Tree>,
    /// For a target inside WITH: its `CommonTableExpr`.
    pub with_query: Option<&'t Tree>,
}

/// A table's name as a statement has it.
#[derive(Clone, Copy, Debug)]
struct Name<'t> {
    schema: Option<&'t str>,
    table: &'t str,
}

impl<'t> Name<'t> {
    fn of_range_var(node: &'t Tree) -> Name<'t> {
        Name {
            schema: node.name("schemaname"),
            table: node.text("relname"),
        }
    }

    /// Names in their order; a database may stand before the schema.
    fn of_parts(parts: &'t [Tree]) -> Option<Name<'t>> {
        let (table, before) = parts.split_last()?;
        Some(Name {
            schema: before.last().map(|part| part.text("sval")),
            table: table.text("sval"),
        })
    }
}

impl<'t> TableRef<'t> {
    pub fn schema(&self) -> Option<&'t str> {
        self.name.schema
    }

    pub fn table(&self) -> &'t str {
        self.name.table
    }

    pub fn alias(&self) -> Option<&'t str> {
        self.node.get("alias").name("aliasname")
    }

    /// The name by which the rest of the statement refers to it.
    pub fn refname(&self) -> &'t str {
        self.alias().unwrap_or_else(|| self.table())
    }

    pub fn renames_columns(&self) -> bool {
        !self.node.get("alias").list("colnames").is_empty()
    }
}

/// All references to tables below a statement's node; names that mean a WITH query are left out.
pub(crate) fn table_refs(statement: &Tree) -> Vec<TableRef<'_>> {
    let mut walker = Walker {
        found: Vec::new(),
        with_names: Vec::new(),
        with_query: None,
        keeps: is_command(statement),
    };
    walker.walk(statement, ELSEWHERE, None, 0);
    if keeps_queries(statement) {
        for found in &mut walker.found {
            found.place = match found.place {
                Place::Command(used) => Place::Command(used),
                Place::Read | Place::Target | Place::WithTarget | Place::Sampled => {
                    Place::Command(Use::Stored)
                }
                Place::Locked => Place::Locked,
            };
        }
    }
    walker.found
}

/// Whether the queries in a statement are kept to be run later, by others.
pub(crate) fn keeps_queries(statement: &Tree) -> bool {
    match statement.kind() {
        // OBJECT_TABLE is what CREATE TABLE AS makes; the other kind is a materialized view, whose
        // definition would keep the rewritten query for ever.
        "CreateTableAsStmt" => {
            let table = pg_query::protobuf::ObjectType::ObjectTable as i32;
            statement.int("objtype") != i64::from(table)
        }
        _ => is_command(statement),
    }
}

/// Statements with rows, and those around one: the names in them that are no `RangeVar` are no tables'.
fn is_command(statement: &Tree) -> bool {
    !matches!(
        statement.kind(),
        "SelectStmt"
            | "InsertStmt"
            | "UpdateStmt"
            | "DeleteStmt"
            | "MergeStmt"
            | "DeclareCursorStmt"
            | "ExplainStmt"
            | "PrepareStmt"
            | "ExecuteStmt"
            | "CallStmt"
            | "CopyStmt"
    )
}

struct Walker<'t> {
    found: Vec<TableRef<'t>>,
    /// Names of WITH queries in scope, innermost last.
    with_names: Vec<&'t str>,
    /// The WITH query that is being walked.
    with_query: Option<&'t Tree>,
    /// The statement is a command, of which every name counts.
    keeps: bool,
}

const WRITES: [&str; 4] = ["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"];

impl<'t> Walker<'t> {
    /// `with_depth` counts the WITH queries around the node.
    fn walk(&mut self, node: &'t Tree, place: Place, filter: Option<&'t Tree>, with_depth: u32) {
        match node.kind() {
            "RangeVar" => self.range_var(node, place, filter),
            "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => {
                self.query(node, with_depth);
            }
            "LockingClause" => self.children(node, Place::Locked, None, with_depth),
            "RangeTableSample" => self.children(node, Place::Sampled, None, with_depth),
            // Inside FROM these keep their place; everything else below an expression starts anew.
            "JoinExpr" => {
                for (field, child) in node.children() {
                    match field {
                        "larg" | "rarg" => self.walk(child, place, filter, with_depth),
                        "using_clause" => {}
                        _ => self.walk(child, ELSEWHERE, None, with_depth),
                    }
                }
            }
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
                Field::Below(used) => self.walk(child, Place::Command(used), None, with_depth),
                Field::Others => self.others(child, with_depth),
                Field::Tables { used, behind } => self.objects(child, (used, behind)),
                Field::NewName(used, name) => self.named(node, name, Place::Command(used)),
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
        place: Place,
        filter: Option<&'t Tree>,
        with_depth: u32,
    ) {
        for (_, child) in node.children() {
            self.walk(child, place, filter, with_depth);
        }
    }

    fn query(&mut self, node: &'t Tree, with_depth: u32) {
        let scope = self.with_names.len();
        self.with_clause(node.get("with_clause"), with_depth);
        let filter = Some(node.get("where_clause")).filter(|tree| tree.exists());
        let target = if with_depth > 0 {
            Place::WithTarget
        } else {
            Place::Target
        };
        for (field, child) in node.children() {
            match field {
                "with_clause" => {}
                "from_clause" | "using_clause" => self.walk(child, Place::Read, filter, with_depth),
                "source_relation" => self.walk(child, Place::Read, None, with_depth),
                // A WITH name never hides the target of a write.
                "relation" if WRITES.contains(&node.kind()) => {
                    self.found.push(TableRef {
                        node: child,
                        place: target,
                        filter,
                        name: Name::of_range_var(child),
                        write: Some(node),
                        with_query: self.with_query,
                    });
                }
                _ => self.walk(child, ELSEWHERE, None, with_depth),
            }
        }
        self.with_names.truncate(scope);
    }

    /// Each WITH query sees the ones before it; with RECURSIVE all see all.
    fn with_clause(&mut self, clause: &'t Tree, with_depth: u32) {
        let queries = clause.list("ctes");
        let recursive = clause.flag("recursive");
        if recursive {
            self.with_names
                .extend(queries.iter().map(|query| query.text("ctename")));
        }
        for query in queries {
            let outer = self.with_query.replace(query);
            self.children(query, ELSEWHERE, None, with_depth + 1);
            self.with_query = outer;
            if !recursive {
                self.with_names.push(query.text("ctename"));
            }
        }
    }

    fn range_var(&mut self, node: &'t Tree, place: Place, filter: Option<&'t Tree>) {
        let qualified = node.name("schemaname").is_some();
        let reads = matches!(place, Place::Read | Place::Sampled);
        if reads && !qualified && self.with_names.contains(&node.text("relname")) {
            return;
        }
        let place = match place {
            Place::Command(Use::Made) if node.text("relpersistence") == "t" => {
                Place::Command(Use::Taken)
            }
            place => place,
        };
        self.found.push(TableRef {
            node,
            name: Name::of_range_var(node),
            place,
            filter,
            write: None,
            with_query: None,
        });
    }

    /// A row type goes by its table's name.
    fn type_name(&mut self, node: &'t Tree) {
        self.names(node, node.list("names"), Place::Command(Use::Typed));
    }

    /// A list of names, or several of them.
    fn objects(&mut self, node: &'t Tree, (used, behind): (Use, usize)) {
        let items = node.in_list();
        if items.iter().all(|item| item.is("String")) {
            let parts = &items[..items.len().saturating_sub(behind)];
            self.names(node, parts, Place::Command(used));
        } else {
            for item in items {
                self.objects(item, (used, behind));
            }
        }
    }

    fn names(&mut self, node: &'t Tree, parts: &'t [Tree], place: Place) {
        if let Some(name) = Name::of_parts(parts).filter(|_| self.keeps) {
            self.named(node, name, place);
        }
    }

    fn named(&mut self, node: &'t Tree, name: Name<'t>, place: Place) {
        self.found.push(TableRef {
            node,
            name,
            place,
            filter: None,
            write: None,
            with_query: None,
        });
    }
}

/// The column references below a node, without those of nested queries when `deep` is false.
pub(crate) fn column_refs(node: &Tree, deep: bool) -> Vec<&Tree> {
    let mut found = Vec::new();
    collect(node, deep, &mut found);
    found
}

fn collect<'t>(node: &'t Tree, deep: bool, found: &mut Vec<&'t Tree>) {
    if node.is("ColumnRef") {
        found.push(node);
    }
    if node.is("SubLink") && !deep {
        collect(node.get("testexpr"), deep, found);
        return;
    }
    for (_, child) in node.children() {
        collect(child, deep, found);
    }
}

#[cfg(test)]
mod tests;
