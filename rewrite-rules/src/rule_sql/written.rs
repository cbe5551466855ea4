//! The SQL of a written lens: its `read`, and its steps, checked against what they may name.
//!
//! sqlparser reads them. Tables are named as the rule file declares them, with or without their
//! schema; what comes out always has it, since the functions run under the client's search_path.

mod lossy;
mod names;
mod read;
mod ties;

pub(crate) use lossy::lossy_rows;
pub(crate) use read::read;

use std::ops::ControlFlow;

use sqlparser::ast::{
    Delete, Expr, FromTable, SetExpr, Statement, TableFactor, TableObject, visit_expressions,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Location;

use crate::lens::TableName;
use names::NamesCheck;

/// What is wrong in a piece of SQL, and where: line and column in it, from 1.
#[derive(Clone, Debug)]
pub(crate) struct SqlError {
    pub message: String,
    pub at: Option<(u64, u64)>,
}

impl SqlError {
    pub(super) fn new(message: impl Into<String>, at: Location) -> SqlError {
        SqlError {
            message: message.into(),
            at: (at.line > 0).then_some((at.line, at.column)),
        }
    }

    /// The parser tells the place at the end of its message.
    pub(super) fn of_parser(error: &ParserError) -> SqlError {
        let (message, at) = placed(&super::said(error));
        SqlError { message, at }
    }

    pub(super) fn nowhere(message: impl Into<String>) -> SqlError {
        SqlError {
            message: message.into(),
            at: None,
        }
    }
}

/// A relation that is no table: row images, or what an earlier step returned.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    pub name: String,
    pub columns: Vec<String>,
}

/// What SQL of a lens may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub tables: &'a [TableName],
    pub relations: &'a [Relation],
    /// Declared tables that it may not name.
    pub lookup: &'a [TableName],
}

/// A step, checked.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub sql: String,
    /// The names of its RETURNING.
    pub returning: Vec<String>,
    pub writes: TableName,
    pub deletes: bool,
    /// The query that locks the rows which it deletes, if it looks at other rows to decide whether they go.
    pub locks: Option<String>,
    /// Every column name in it, for the question what is put at all.
    pub columns: Vec<String>,
}

/// Checks one data-modifying statement.
pub(crate) fn step(text: &str, known: Known<'_>) -> Result<Checked, SqlError> {
    let mut statement = one(text)?;
    // INSERT … SELECT arrives as itself; one with a WITH as a query.
    if let Statement::Query(query) = &statement {
        let plain = query.with.is_none();
        statement = match &*query.body {
            SetExpr::Insert(inner) | SetExpr::Update(inner) | SetExpr::Delete(inner) if plain => {
                inner.clone()
            }
            _ => return Err(SqlError::nowhere(NO_STEP)),
        };
    }
    let mut names = NamesCheck::new(known);
    names.resolve(&mut statement)?;
    let (target, returning) = match &statement {
        Statement::Insert(insert) => (
            match &insert.table {
                TableObject::TableName(name) => names::declared(name, known.tables),
                TableObject::TableFunction(_) | TableObject::TableQuery(_) => None,
            },
            &insert.returning,
        ),
        Statement::Update(update) => (
            names::of_factor(&update.table.relation, known.tables),
            &update.returning,
        ),
        Statement::Delete(delete) => {
            let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
            let first = from.first().map(|first| &first.relation);
            (
                first.and_then(|factor| names::of_factor(factor, known.tables)),
                &delete.returning,
            )
        }
        _ => return Err(SqlError::nowhere(NO_STEP)),
    };
    let returning = returning
        .iter()
        .flatten()
        .map(|item| {
            names::of_item(item).ok_or_else(|| {
                SqlError::nowhere(format!(
                    "`{item}` in RETURNING has no name; expected a column, or `… AS name`"
                ))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let writes = target.ok_or_else(|| SqlError::nowhere("the step writes no declared table"))?;
    Ok(Checked {
        sql: crate::strings::settled(&statement.to_string()),
        returning,
        writes,
        deletes: matches!(statement, Statement::Delete(_)),
        locks: match &statement {
            Statement::Delete(delete) => locks(delete),
            _ => None,
        },
        columns: names.columns,
    })
}

/// `SELECT FROM … WHERE … FOR UPDATE OF …` for a DELETE with a subquery in its condition.
///
/// A DELETE that waits for a row looks at its condition again, but at what subqueries say with the snapshot of its
/// start: it would delete what somebody has come to use meanwhile. Behind this lock nobody can.
fn locks(delete: &Delete) -> Option<String> {
    let condition = delete.selection.as_ref()?;
    let asks = visit_expressions(condition, |expr| match expr {
        Expr::Exists { .. } | Expr::InSubquery { .. } | Expr::Subquery(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    if asks.is_continue() {
        return None;
    }
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let TableFactor::Table { name, alias, .. } = &from.first()?.relation else {
        return None;
    };
    let target = match alias {
        Some(alias) => alias.name.to_string(),
        None => name.0.last()?.to_string(),
    };
    let relations: Vec<String> = from
        .iter()
        .chain(delete.using.iter().flatten())
        .map(ToString::to_string)
        .collect();
    let sql = format!(
        "SELECT FROM {} WHERE {condition} FOR UPDATE OF {target}",
        relations.join(", ")
    );
    Some(crate::strings::settled(&sql))
}

const NO_STEP: &str = "found no plain INSERT, UPDATE or DELETE; expected one such statement";

pub(super) fn one(text: &str) -> Result<Statement, SqlError> {
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, text)
        .map_err(|error| SqlError::of_parser(&error))?;
    match <[Statement; 1]>::try_from(statements) {
        Ok([statement]) => Ok(statement),
        Err(found) => Err(SqlError::nowhere(format!(
            "found {} statements; expected one",
            found.len()
        ))),
    }
}

fn placed(said: &str) -> (String, Option<(u64, u64)>) {
    let Some((message, place)) = said.rsplit_once(" at Line: ") else {
        return (said.to_owned(), None);
    };
    let at = place
        .split_once(", Column: ")
        .and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    (message.to_owned(), at)
}
