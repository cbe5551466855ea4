//! Every table reference of a statement, resolved as PostgreSQL resolves names.
//!
//! It knows WITH scoping and which place in a statement a reference stands in. It does not know
//! which tables are managed, nor what to do about it.

use crate::tree::Tree;

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
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct TableRef<'t> {
    /// The `RangeVar`.
    pub node: &'t Tree,
    pub place: Place,
    /// The WHERE of the query whose FROM names the table, or of the write that targets it.
    pub filter: Option<&'t Tree>,
    /// For a target: the statement that writes it.
    pub write: Option<&'t Tree>,
    /// For a target inside WITH: its `CommonTableExpr`.
    pub with_query: Option<&'t Tree>,
}

impl<'t> TableRef<'t> {
    pub fn schema(&self) -> Option<&'t str> {
        self.node.name("schemaname")
    }

    pub fn table(&self) -> &'t str {
        self.node.text("relname")
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
    };
    walker.walk(statement, Place::Other, None, 0);
    walker.found
}

struct Walker<'t> {
    found: Vec<TableRef<'t>>,
    /// Names of WITH queries in scope, innermost last.
    with_names: Vec<&'t str>,
    /// The WITH query that is being walked.
    with_query: Option<&'t Tree>,
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
                        _ => self.walk(child, Place::Other, None, with_depth),
                    }
                }
            }
            "" => {
                for (_, child) in node.children() {
                    self.walk(child, place, filter, with_depth);
                }
            }
            _ => self.children(node, Place::Other, None, with_depth),
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
                        write: Some(node),
                        with_query: self.with_query,
                    });
                }
                _ => self.walk(child, Place::Other, None, with_depth),
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
            self.children(query, Place::Other, None, with_depth + 1);
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
        self.found.push(TableRef {
            node,
            place,
            filter,
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
