//! The SQL inside rule files: read and checked with sqlparser, never with string tricks.
//!
//! Clients' SQL never comes here (see `reading`).

mod decided;
mod definition;
mod written;

pub(crate) use decided::holds_for_all;
pub(crate) use definition::{Definition, References, definition, table};
pub(crate) use written::{Checked, Known, Relation, SqlError, lossy_rows, read, step};

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, ObjectNamePart, SetExpr, Value, visit_expressions_mut};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::lens::TableName;
use crate::strings;

/// `schema.table`, each part plain or quoted.
pub(crate) fn table_name(text: &str) -> Option<TableName> {
    let mut parser = parser(text).ok()?;
    let name = parser.parse_object_name(false).ok()?;
    if parser.peek_token().token != Token::EOF {
        return None;
    }
    let parts: Option<Vec<String>> = name
        .0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Some(folded(ident)),
            ObjectNamePart::Function(_) => None,
        })
        .collect();
    match parts?.as_slice() {
        [schema, name] => Some(TableName {
            schema: schema.clone(),
            name: name.clone(),
        }),
        _ => None,
    }
}

/// The zone of `at time zone '…'`.
pub(crate) fn at_time_zone(text: &str) -> Option<String> {
    let mut parser = parser(&format!("x {text}")).ok()?;
    let found = parser.parse_expr().ok()?;
    ended(&mut parser).ok()?;
    let Expr::AtTimeZone {
        timestamp,
        time_zone,
    } = found
    else {
        return None;
    };
    match (*timestamp, *time_zone) {
        (Expr::Identifier(_), Expr::Value(zone)) => match zone.value {
            Value::SingleQuotedString(zone) => Some(zone),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a text is one query and nothing else.
pub(crate) fn one_query(text: &str) -> Result<(), String> {
    let mut parser = parser(text)?;
    let query = parser.parse_query().map_err(|error| said(&error))?;
    match *query.body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. } => ended(&mut parser),
        SetExpr::Values(_) | SetExpr::Table(_) => ended(&mut parser),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Err("found a statement that writes; expected a SELECT".to_owned())
        }
    }
}

/// `schema.name(argument, …)`: the name, and the arguments' names.
pub(crate) fn signature(text: &str) -> Option<(TableName, Vec<String>)> {
    let (name, arguments) = text.strip_suffix(')')?.split_once('(')?;
    let name = table_name(name)?;
    if arguments.trim().is_empty() {
        return Some((name, Vec::new()));
    }
    let arguments = arguments.split(',').map(|argument| {
        let mut parser = parser(argument).ok()?;
        let ident = parser.parse_identifier().ok()?;
        (parser.peek_token().token == Token::EOF).then(|| folded(&ident))
    });
    arguments.collect::<Option<Vec<_>>>().map(|all| (name, all))
}

/// Checks an expression and qualifies its bare column names with `relation`; returns the SQL and
/// the columns that it reads. With `known`, any other column is an error.
pub(crate) fn qualify(
    text: &str,
    relation: &str,
    known: Option<&[&str]>,
) -> Result<(String, Vec<String>), String> {
    let mut parser = parser(text)?;
    let mut expression = parser.parse_expr().map_err(|error| said(&error))?;
    ended(&mut parser)?;
    let mut columns: Vec<String> = Vec::new();
    let found = visit_expressions_mut(&mut expression, |expr| match expr {
        Expr::Identifier(ident) => {
            let name = folded(ident);
            if let Some(known) = known
                && !known.contains(&name.as_str())
            {
                return ControlFlow::Break(format!(
                    "unknown column `{name}`; expected one of: {}",
                    known.join(", ")
                ));
            }
            *expr = Expr::CompoundIdentifier(vec![
                Ident::new(relation),
                Ident::with_quote('"', name.replace('"', "\"\"")),
            ]);
            if !columns.contains(&name) {
                columns.push(name);
            }
            ControlFlow::Continue(())
        }
        Expr::CompoundIdentifier(parts) if parts.first().is_some_and(|p| p.value != relation) => {
            ControlFlow::Break(format!(
                "`{expr}` is qualified; expected plain column names"
            ))
        }
        Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => ControlFlow::Break(
            format!("found the parameter {value}; expected a constant expression"),
        ),
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
            ControlFlow::Break("found a subquery; expected an expression over one row".to_owned())
        }
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok((strings::settled(&expression.to_string()), columns)),
    }
}

/// Checks that a text is one expression.
fn expression(text: &str) -> Result<(), String> {
    let mut parser = parser(text)?;
    parser.parse_expr().map_err(|error| said(&error))?;
    ended(&mut parser)
}

fn parser(text: &str) -> Result<Parser<'static>, String> {
    Parser::new(&PostgreSqlDialect {})
        .try_with_sql(text)
        .map_err(|error| said(&error))
}

fn ended(parser: &mut Parser<'_>) -> Result<(), String> {
    let next = parser.peek_token();
    if next.token == Token::EOF {
        Ok(())
    } else {
        Err(format!("expected the end of the SQL, found `{next}`"))
    }
}

fn said(error: &sqlparser::parser::ParserError) -> String {
    error
        .to_string()
        .trim_start_matches("sql parser error: ")
        .to_owned()
}

/// An identifier's name as PostgreSQL reads it: folded to lower case unless quoted.
fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    }
}
