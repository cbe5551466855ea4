//! A reference to a table: where in a statement it stands, and under which name.

use super::commands::CommandUse;
use crate::text::tree::Tree;

/// Where in a statement a table is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedIn {
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
    Command(CommandUse),
}

/// Where nobody has said that a table is named in another way.
pub(super) const ELSEWHERE: NamedIn = NamedIn::Command(CommandUse::Changed);

#[derive(Clone, Debug)]
pub(crate) struct TableRef<'t> {
    /// The `RangeVar`; in some commands a list of names or what holds the name.
    pub node: &'t Tree,
    pub(super) name: WrittenName<'t>,
    pub place: NamedIn,
    /// The WHERE of the query whose FROM names the table, or of the write that targets it.
    pub filter: Option<&'t Tree>,
    /// For a target: the statement that writes it.
    pub write: Option<&'t Tree>,
    /// For a target inside WITH: its `CommonTableExpr`.
    pub with_query: Option<&'t Tree>,
}

/// A table's name as a statement has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenName<'t> {
    pub schema: Option<&'t str>,
    pub table: &'t str,
}

impl<'t> WrittenName<'t> {
    pub fn of_range_var(node: &'t Tree) -> WrittenName<'t> {
        WrittenName {
            schema: node.name("schemaname"),
            table: node.text("relname"),
        }
    }

    /// Names in their order; a database may stand before the schema.
    pub fn of_parts(parts: &'t [Tree]) -> Option<WrittenName<'t>> {
        let (table, before) = parts.split_last()?;
        Some(WrittenName {
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
pub(super) fn is_command(statement: &Tree) -> bool {
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
