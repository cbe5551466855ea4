//! What a condition says of a column that can only have certain values.

use sqlparser::ast::{BinaryOperator, Expr, Value};

use super::{folded, parser};

/// Whether all that a condition says of a column is true for each of these values of it, whatever the row has
/// else. False where that is not to be seen: only comparisons with constants are looked at.
pub(crate) fn holds_for_all(condition: &str, column: &str, values: &[&str]) -> bool {
    let parsed = parser(condition).and_then(|mut parser| {
        let parsed = parser.parse_expr();
        parsed.map_err(|error| super::said(&error))
    });
    parsed.is_ok_and(|condition| {
        let mut parts = Vec::new();
        split(&condition, &mut parts);
        parts
            .into_iter()
            .filter(|part| names(part, column))
            .all(|part| values.iter().all(|value| holds(part, column, value)))
    })
}

fn split<'e>(expression: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match expression {
        Expr::Nested(inner) => split(inner, parts),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            split(left, parts);
            split(right, parts);
        }
        other => parts.push(other),
    }
}

fn names(expression: &Expr, column: &str) -> bool {
    let found = sqlparser::ast::visit_expressions(expression, |part| match part {
        Expr::Identifier(ident) if folded(ident) == column => std::ops::ControlFlow::Break(()),
        _ => std::ops::ControlFlow::Continue(()),
    });
    found.is_break()
}

fn holds(part: &Expr, column: &str, value: &str) -> bool {
    let is_column = |expression: &Expr| is_column(expression, column);
    match part {
        Expr::BinaryOp { left, op, right } => {
            let constant = match (is_column(left), is_column(right)) {
                (true, false) => constant(right),
                (false, true) => constant(left),
                (true, true) | (false, false) => None,
            };
            match (op, constant) {
                (BinaryOperator::Eq, Some(constant)) => constant == value,
                // By some collations and types more are equal than are the same.
                (BinaryOperator::NotEq, Some(constant)) => !constant.eq_ignore_ascii_case(value),
                _ => false,
            }
        }
        Expr::InList {
            expr,
            list,
            negated,
        } if is_column(expr) => {
            let constants: Option<Vec<&str>> = list.iter().map(constant).collect();
            constants.is_some_and(|constants| {
                if *negated {
                    !constants.iter().any(|c| c.eq_ignore_ascii_case(value))
                } else {
                    constants.contains(&value)
                }
            })
        }
        Expr::IsNotNull(expr) => is_column(expr),
        _ => false,
    }
}

fn is_column(expression: &Expr, column: &str) -> bool {
    match expression {
        Expr::Identifier(ident) => folded(ident) == column,
        Expr::Nested(inner) => is_column(inner, column),
        _ => false,
    }
}

fn constant(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => constant(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::holds_for_all;

    #[test]
    fn only_what_is_seen_to_hold_holds() {
        for (condition, holds) in [
            ("role <> 'customer'", true),
            ("'customer' <> role AND note IS NULL", true),
            ("role IN ('admin', 'sales', 'other')", true),
            ("(role NOT IN ('customer') AND (role IS NOT NULL))", true),
            ("note = 'x'", true),
            ("role <> 'SALES'", false),
            ("role = 'admin'", false),
            ("role IN ('admin')", false),
            ("lower(role) <> 'customer'", false),
            ("role <> 'customer' OR note = 'x'", false),
            ("role <> note", false),
            ("NOT role = 'customer'", false),
            ("role <> 'a' AND role <> other.x AND", false),
        ] {
            let found = holds_for_all(condition, "role", &["admin", "sales"]);
            assert_eq!(found, holds, "{condition}");
        }
    }
}
