//! A lens's `read`, taken apart: what each legacy column is read from, which rows to lock, and how
//! to find the legacy rows that a row of one of its tables has a part in.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Join, JoinConstraint,
    JoinOperator, Select, SelectItem, SetExpr, Spanned, Statement, TableAlias, TableFactor,
    TableWithJoins, Visit, Visitor, visit_expressions, visit_expressions_mut,
};

use super::names::{self, NamesCheck};
use super::ties::JoinTies;
use super::{Known, SqlError, one};
use crate::lens::{Over, Part, Query, TableName};
use crate::rule_sql::folded;

/// Checks a `read` against the legacy columns' names; `key` are indexes into them.
pub(crate) fn read(
    text: &str,
    known: Known<'_>,
    columns: &[&str],
    key: &[usize],
) -> Result<Query, SqlError> {
    let mut statement = one(text)?;
    let mut names = NamesCheck::new(known);
    names.resolve(&mut statement)?;
    cut_names(&mut statement);
    let select = plain_select(&statement)?;
    if let Some((table, at)) = &names.nested {
        return Err(SqlError::new(
            format!(
                "names {} in a subquery, where legacy cannot follow what clients write to it; join \
                 it in FROM",
                table.name
            ),
            *at,
        ));
    }
    let sources = sources(select, known.tables)?;
    let items = projection(select, columns, &sources)?;
    no_whole_rows(select, &sources)?;
    for &index in key {
        let is_column =
            matches!(&items[index], Expr::CompoundIdentifier(parts) if parts.len() == 2);
        if !is_column {
            return Err(SqlError::new(
                format!(
                    "the key column `{}` is read from `{}`; expected `table.column`, by which rows \
                     can be found and locked",
                    columns[index], items[index]
                ),
                items[index].span().start,
            ));
        }
    }
    let keys: Vec<&Expr> = key.iter().map(|&index| &items[index]).collect();
    let ties = JoinTies::of(select, &sources, &keys);
    let read_by = |source: &SourceTable| -> Vec<bool> {
        let items = items.iter();
        items
            .map(|item| !columns_of(item, source).is_empty())
            .collect()
    };
    let readers: Vec<Vec<bool>> = sources.iter().map(read_by).collect();
    let parts = sources
        .iter()
        .filter_map(|source| {
            let mut part = part(select, source, &items, &names.tables, key)?;
            for column in part.decides.clone() {
                let behind = ties.behind(source, &column);
                let through = (0..items.len()).filter(|&at| behind.iter().any(|&b| readers[b][at]));
                part.ties.extend(through.map(|at| (column.clone(), at)));
            }
            Some(part)
        })
        .collect();
    Ok(Query {
        columns: items.iter().map(ToString::to_string).collect(),
        from: from_sql(&select.from),
        condition: select.selection.as_ref().map(ToString::to_string),
        key: key.iter().map(|&index| items[index].to_string()).collect(),
        parts,
        lossy: Vec::new(),
    })
}

pub(super) fn plain_select(statement: &Statement) -> Result<&Select, SqlError> {
    let refuse = |what: &str| {
        Err(SqlError::nowhere(format!(
            "found {what}; expected a plain SELECT over joined tables, one row for each legacy row"
        )))
    };
    let Statement::Query(query) = statement else {
        return refuse("no query");
    };
    let SetExpr::Select(select) = &*query.body else {
        return refuse("a set operation or VALUES");
    };
    let ungrouped =
        matches!(&select.group_by, GroupByExpr::Expressions(list, _) if list.is_empty());
    let limit = query.limit_clause.is_some() || query.fetch.is_some();
    let extra = [
        (query.with.is_some(), "WITH"),
        (query.order_by.is_some(), "ORDER BY"),
        (limit, "LIMIT"),
        (!query.locks.is_empty(), "FOR UPDATE"),
        (select.distinct.is_some(), "DISTINCT"),
        (!ungrouped || select.having.is_some(), "GROUP BY"),
    ];
    match extra.into_iter().find(|(there, _)| *there) {
        Some((_, what)) => refuse(what),
        None => Ok(select),
    }
}

/// The expression of each legacy column; their names must be the shape's, in its order.
fn projection(
    select: &Select,
    columns: &[&str],
    sources: &[SourceTable],
) -> Result<Vec<Expr>, SqlError> {
    let mut named: Vec<(String, Expr)> = Vec::new();
    let mut rest: Option<&str> = None;
    for item in &select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
            let source = names::of_wildcard(item);
            let source = source.and_then(|name| sources.iter().find(|s| s.alias == name));
            match source.filter(|_| rest.is_none()) {
                Some(source) => rest = Some(&source.alias),
                None => {
                    return Err(SqlError::nowhere(format!(
                        "found `{item}`; expected each column by its name, and at most one `table.*` \
                         for those of one table that are not named"
                    )));
                }
            }
            continue;
        };
        let name = names::of_item(item).unwrap_or_else(|| expr.to_string());
        let wrong = match columns.get(named.len()) {
            _ if !columns.contains(&name.as_str()) => Some(format!(
                "`read` yields `{name}`, which is not among `columns`"
            )),
            _ if named.iter().any(|(other, _)| *other == name) => {
                Some(format!("`read` yields `{name}` twice"))
            }
            Some(expected) if *expected != name && !has_rest(select) => Some(format!(
                "column {} of `read` is `{name}`; `columns` has `{expected}` there",
                named.len() + 1
            )),
            Some(_) | None => None,
        };
        if let Some(message) = wrong {
            return Err(SqlError::new(message, expr.span().start));
        }
        named.push((name, expr.clone()));
    }
    let of_rest = |column: &str| {
        let rest = names::quoted(rest?);
        Some(Expr::CompoundIdentifier(vec![rest, names::quoted(column)]))
    };
    let item = |column: &&str| {
        let found = named.iter().find(|(name, _)| name == column);
        let found = found.map(|(_, expr)| expr.clone());
        found.or_else(|| of_rest(column)).ok_or_else(|| {
            SqlError::nowhere(format!("`read` does not yield `{column}` of `columns`"))
        })
    };
    columns.iter().map(item).collect()
}

/// With `table.*` the columns may be named in any order.
fn has_rest(select: &Select) -> bool {
    let mut items = select.projection.iter();
    items.any(|item| names::of_wildcard(item).is_some())
}

/// A table of the FROM clause: where it stands, and whether a LEFT JOIN may lack it.
pub(super) struct SourceTable {
    table: TableName,
    pub alias: String,
    nullable: bool,
    at: FromPlace,
}

/// The place of a table in FROM: an item, and which of its joins brings the table; `None`: the item itself.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FromPlace {
    item: usize,
    join: Option<usize>,
}

pub(super) fn sources(select: &Select, tables: &[TableName]) -> Result<Vec<SourceTable>, SqlError> {
    let mut found = Vec::new();
    for (item, from) in select.from.iter().enumerate() {
        let at = FromPlace { item, join: None };
        found.push(source(&from.relation, tables, false, at)?);
        for (number, join) in from.joins.iter().enumerate() {
            let (nullable, on) = match &join.join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) => (false, on),
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (true, on),
                _ => {
                    return Err(SqlError::nowhere(format!(
                        "found `{join}`; expected JOIN or LEFT JOIN"
                    )));
                }
            };
            if !matches!(on, JoinConstraint::On(_)) {
                return Err(SqlError::nowhere(format!(
                    "found `{join}`; expected JOIN … ON"
                )));
            }
            let at = FromPlace {
                item,
                join: Some(number),
            };
            found.push(source(&join.relation, tables, nullable, at)?);
        }
    }
    if found.is_empty() {
        return Err(SqlError::nowhere("`read` has no FROM"));
    }
    Ok(found)
}

fn source(
    factor: &TableFactor,
    tables: &[TableName],
    nullable: bool,
    at: FromPlace,
) -> Result<SourceTable, SqlError> {
    let alias = match factor {
        TableFactor::Table { alias, .. } => alias.as_ref(),
        _ => None,
    };
    if let Some(alias) = alias.filter(|alias| !alias.columns.is_empty()) {
        return Err(SqlError::new(
            format!("found `{alias}`; expected columns under their own names"),
            alias.name.span.start,
        ));
    }
    let alias = alias.map(|alias| folded(&alias.name));
    let table = names::of_factor(factor, tables).ok_or_else(|| {
        SqlError::new(
            format!("found `{factor}` in FROM; expected a declared table"),
            factor.span().start,
        )
    })?;
    Ok(SourceTable {
        alias: alias.unwrap_or_else(|| table.name.clone()),
        table,
        nullable,
        at,
    })
}

/// What a row of one of the tables is to the legacy rows.
fn part(
    select: &Select,
    source: &SourceTable,
    items: &[Expr],
    named: &[TableName],
    key: &[usize],
) -> Option<Part> {
    let having = inner(select, source);
    // A table that is named twice: one row's part in the legacy rows cannot be told.
    let once = named.iter().filter(|table| **table == source.table).count() == 1;
    let mut of_rows = having.clone();
    if let TableFactor::Table { name, alias, .. } = factor_mut(&mut of_rows, source.at)? {
        *name = names::quoted(Over::HERE).into();
        *alias = Some(TableAlias {
            explicit: true,
            name: names::quoted(&source.alias),
            columns: Vec::new(),
            at: None,
        });
    }
    let mut feeds = Vec::new();
    for (index, item) in items.iter().enumerate() {
        feeds.extend(columns_of(item, source).into_iter().map(|c| (c, index)));
    }
    let joins = select.from.iter().flat_map(|from| &from.joins);
    let decides: Vec<String> = joins
        .filter_map(condition)
        .chain(&select.selection)
        .chain(key.iter().map(|&index| &items[index]))
        .flat_map(|expr| columns_of(expr, source))
        .collect();
    let mut filters = select.selection.iter();
    let filters = filters.any(|filter| !columns_of(filter, source).is_empty());
    Some(Part {
        table: source.table.clone(),
        alias: source.alias.clone(),
        nullable: source.nullable,
        from: from_sql(&having),
        of_rows: once.then(|| Over::of_name(&from_sql(&of_rows))),
        feeds,
        decides,
        ties: Vec::new(),
        key: key
            .iter()
            .map(|&index| own_column(&items[index], source))
            .collect(),
        makes_rows: !source.nullable || filters,
    })
}

/// The column of a table that an expression is.
fn own_column(expr: &Expr, source: &SourceTable) -> Option<String> {
    match expr {
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [relation, column] if folded(relation) == source.alias => Some(folded(column)),
            _ => None,
        },
        _ => None,
    }
}

fn from_sql(from: &[TableWithJoins]) -> String {
    let all: Vec<String> = from.iter().map(ToString::to_string).collect();
    all.join(", ")
}

/// The FROM clause with the table's own LEFT JOIN made an inner one: rows that have a part of it.
fn inner(select: &Select, source: &SourceTable) -> Vec<TableWithJoins> {
    let mut from = select.from.clone();
    if let Some(number) = source.at.join {
        let join = &mut from[source.at.item].joins[number];
        if let JoinOperator::Left(on) | JoinOperator::LeftOuter(on) = &join.join_operator {
            join.join_operator = JoinOperator::Inner(on.clone());
        }
    }
    from
}

fn factor_mut(from: &mut [TableWithJoins], at: FromPlace) -> Option<&mut TableFactor> {
    let item = from.get_mut(at.item)?;
    match at.join {
        None => Some(&mut item.relation),
        Some(number) => item.joins.get_mut(number).map(|join| &mut join.relation),
    }
}

pub(super) fn condition(join: &Join) -> Option<&Expr> {
    match &join.join_operator {
        JoinOperator::Join(JoinConstraint::On(on))
        | JoinOperator::Inner(JoinConstraint::On(on))
        | JoinOperator::Left(JoinConstraint::On(on))
        | JoinOperator::LeftOuter(JoinConstraint::On(on)) => Some(on),
        _ => None,
    }
}

/// `public.settings.language` → `settings.language`: the table may stand there under its alias alone.
pub(super) fn cut_names(statement: &mut Statement) {
    let ControlFlow::Continue(()) = visit_expressions_mut(statement, |expr| {
        if let Expr::CompoundIdentifier(parts) = expr {
            parts.drain(..parts.len().saturating_sub(2));
        }
        ControlFlow::<std::convert::Infallible>::Continue(())
    });
}

/// A whole row reads every column, and nobody can tell which a change concerns.
pub(super) fn no_whole_rows(select: &Select, sources: &[SourceTable]) -> Result<(), SqlError> {
    let refuse = |what: &dyn std::fmt::Display, at| {
        ControlFlow::Break(SqlError::new(
            format!("found the whole row `{what}`; expected its columns, each as `table.column`"),
            at,
        ))
    };
    let found = visit_expressions(select, |expr| match expr {
        Expr::Identifier(name) if sources.iter().any(|s| s.alias == folded(name)) => {
            refuse(name, name.span.start)
        }
        Expr::QualifiedWildcard(..) | Expr::Wildcard(_) => refuse(expr, expr.span().start),
        Expr::Function(function) => match &function.args {
            FunctionArguments::List(list) => {
                let rows = list.args.iter().find(|argument| match argument {
                    FunctionArg::Named { arg, .. }
                    | FunctionArg::ExprNamed { arg, .. }
                    | FunctionArg::Unnamed(arg) => {
                        matches!(arg, FunctionArgExpr::QualifiedWildcard(_))
                    }
                });
                match rows {
                    Some(argument) => refuse(argument, expr.span().start),
                    None => ControlFlow::Continue(()),
                }
            }
            FunctionArguments::None | FunctionArguments::Subquery(_) => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The columns of a table that an expression reads. A name without its table may be anybody's:
/// it counts for each, which carries over too much rather than too little.
pub(super) fn columns_of(expr: &Expr, source: &SourceTable) -> Vec<String> {
    struct ColumnsRead<'a> {
        alias: &'a str,
        columns: Vec<String>,
    }
    impl Visitor for ColumnsRead<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::CompoundIdentifier(parts) => {
                    if let [relation, column] = parts.as_slice()
                        && folded(relation) == self.alias
                    {
                        self.columns.push(folded(column));
                    }
                }
                Expr::Identifier(column) => self.columns.push(folded(column)),
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut read = ColumnsRead {
        alias: &source.alias,
        columns: Vec::new(),
    };
    let (ControlFlow::Continue(()) | ControlFlow::Break(())) = expr.visit(&mut read);
    read.columns
}
