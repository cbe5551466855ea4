//! The names in a lens's SQL: tables get their schema, unknown ones are errors.

use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, SelectItem, SelectItemQualifiedWildcardKind,
    TableFactor, Value, VisitMut, VisitorMut,
};
use sqlparser::tokenizer::Location;

use super::{Known, SqlError};
use crate::lens::TableName;
use crate::rule_sql::folded;

pub(super) struct NamesCheck<'a> {
    known: Known<'a>,
    /// Names of WITH queries, known in the whole statement: the server is stricter.
    with: Vec<String>,
    /// A function in FROM is next: its name is no relation's.
    function: bool,
    /// Aliases of relations with known columns.
    aliases: HashMap<String, String>,
    qualified: Vec<(String, String, Location)>,
    /// Queries around the place that is visited.
    depth: usize,
    /// The first table that is named in a query within the query.
    pub nested: Option<(TableName, Location)>,
    pub columns: Vec<String>,
    /// Tables named, in order, repeated as often as they are.
    pub tables: Vec<TableName>,
}

impl<'a> NamesCheck<'a> {
    pub fn new(known: Known<'a>) -> NamesCheck<'a> {
        NamesCheck {
            known,
            with: Vec::new(),
            function: false,
            aliases: HashMap::new(),
            qualified: Vec::new(),
            depth: 0,
            nested: None,
            columns: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// Gives every table its schema; fails on a name that is not declared.
    pub fn resolve(&mut self, sql: &mut impl VisitMut) -> Result<(), SqlError> {
        if let ControlFlow::Break(error) = sql.visit(self) {
            return Err(error);
        }
        for (alias, column, at) in &self.qualified {
            let relation = self
                .aliases
                .get(alias)
                .and_then(|name| self.known.relations.iter().find(|r| r.name == *name));
            if let Some(relation) = relation
                && !relation.columns.contains(column)
            {
                return Err(SqlError::new(
                    format!(
                        "`{}` has no column `{column}`; it has: {}",
                        relation.name,
                        relation.columns.join(", ")
                    ),
                    *at,
                ));
            }
        }
        Ok(())
    }

    fn unknown(&self, name: &ObjectName) -> SqlError {
        if let Some(table) = declared(name, self.known.lookup) {
            let said = format!(
                "`{}` is a lookup table, and legacy does not follow what clients write there; name \
                 it in `unified`, or look the value up in a step and keep it",
                table.name
            );
            return SqlError::new(said, start(name));
        }
        let relations = self.known.relations.iter().map(|r| r.name.clone());
        let tables = self.known.tables.iter().map(|table| table.name.clone());
        let all: Vec<String> = relations.chain(tables).collect();
        SqlError::new(
            format!(
                "unknown relation `{name}`; expected one of: {}",
                all.join(", ")
            ),
            start(name),
        )
    }
}

impl VisitorMut for NamesCheck<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        self.depth += 1;
        for query in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.with.push(folded(&query.alias.name));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<SqlError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        if let TableFactor::Table {
            name, alias, args, ..
        } = factor
        {
            self.function = args.is_some();
            if let Some(relation) = plain(name)
                && self.known.relations.iter().any(|r| r.name == relation)
            {
                let known_as = alias
                    .as_ref()
                    .map_or_else(|| relation.clone(), |a| folded(&a.name));
                self.aliases.insert(known_as, relation);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<SqlError> {
        if std::mem::take(&mut self.function) {
            return ControlFlow::Continue(());
        }
        if let Some(plain) = plain(name)
            && (self.with.contains(&plain) || self.known.relations.iter().any(|r| r.name == plain))
        {
            return ControlFlow::Continue(());
        }
        match declared(name, self.known.tables) {
            Some(table) => {
                if self.depth > 1 {
                    let at = start(name);
                    self.nested.get_or_insert_with(|| (table.clone(), at));
                }
                *name = ObjectName::from(vec![quoted(&table.schema), quoted(&table.name)]);
                self.tables.push(table);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(self.unknown(name)),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match expr {
            Expr::Identifier(ident) => self.columns.push(folded(ident)),
            Expr::CompoundIdentifier(parts) => {
                if let [relation, column] = parts.as_slice() {
                    let at = column.span.start;
                    self.qualified.push((folded(relation), folded(column), at));
                }
                self.columns.extend(parts.last().map(folded));
            }
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                return ControlFlow::Break(SqlError::new(
                    format!("found the parameter {value}; row images are in `row_image`"),
                    value.span.start,
                ));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn plain(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => Some(folded(ident)),
        _ => None,
    }
}

fn start(name: &ObjectName) -> Location {
    let first = name.0.first().and_then(ObjectNamePart::as_ident);
    first.map_or(Location { line: 0, column: 0 }, |ident| ident.span.start)
}

/// The declared table that a name means.
pub(super) fn declared(name: &ObjectName, tables: &[TableName]) -> Option<TableName> {
    let parts: Option<Vec<String>> = name.0.iter().map(|p| p.as_ident().map(folded)).collect();
    let found = match parts?.as_slice() {
        [name] => tables.iter().find(|table| table.name == *name),
        [schema, name] => tables
            .iter()
            .find(|table| table.name == *name && table.schema == *schema),
        _ => None,
    };
    found.cloned()
}

pub(super) fn of_factor(factor: &TableFactor, tables: &[TableName]) -> Option<TableName> {
    match factor {
        TableFactor::Table {
            name, args: None, ..
        } => declared(name, tables),
        _ => None,
    }
}

pub(super) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// The name of a result column.
pub(super) fn of_item(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        _ => None,
    }
}

/// The table of `table.*`.
pub(super) fn of_wildcard(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), with)
            if with.to_string().is_empty() =>
        {
            plain(name)
        }
        _ => None,
    }
}
