//! The client's expressions where they leave the place that gave them their type.
//!
//! `SET id = $1` makes `$1` a uuid because the column is one. Moved into a SELECT it would become
//! text, so a bare parameter, string or NULL gets its column's type written behind it. The type's
//! modifier is left out: assignment applies it later, and complains where a cast would cut.

use crate::lens::LegacyColumn;
use crate::text::clauses::{begins_query, unwrapped};
use crate::text::splice::{Output, Source};
use crate::text::tokens::{ConstantKind, Tokens};

/// A value for a column: the client's expression, its DEFAULT, or no word of the client's at all.
pub(super) fn assigned(
    output: &mut Output,
    source: &Source<'_>,
    tokens: Option<Tokens<'_>>,
    column: &LegacyColumn,
) {
    let expression = tokens.filter(|tokens| !is_default(tokens));
    match expression {
        Some(tokens) if is_bare(&tokens) => {
            let (before, behind) = typing(&tokens, column);
            output.own(&before).client(source, tokens.extent());
            output.own(&behind);
        }
        Some(tokens) => {
            output.client(source, tokens.extent());
        }
        None => {
            output.own(&default_value(column));
        }
    }
}

/// What stands around a bare value to give it its column's type.
///
/// A cast to a domain cuts a string to the length of the type below it, where assignment complains:
/// beside a NULL of the domain the string gets that type without its length.
pub(super) fn typing(value: &Tokens<'_>, column: &LegacyColumn) -> (String, String) {
    let strings = value
        .tokens
        .iter()
        .any(|token| value.constant(token) == Some(ConstantKind::String));
    let cast = column.base_type();
    if strings && column.may_be_domain() {
        let before = format!("(CASE WHEN false THEN NULL::{cast} ELSE ");
        (before, " END)".to_owned())
    } else {
        ("(".to_owned(), format!(")::{cast}"))
    }
}

pub(super) fn default_value(column: &LegacyColumn) -> String {
    format!(
        "({})::{}",
        column.default.as_deref().unwrap_or("NULL"),
        column.base_type()
    )
}

pub(in crate::rewrite) fn is_default(tokens: &Tokens<'_>) -> bool {
    tokens.tokens.len() == 1 && tokens.is(0, "default")
}

/// An expression without what its constants say, which its type does not depend on: of numbers the
/// type depends on the number of digits.
pub(super) fn form(value: &Tokens<'_>) -> String {
    let mut form = String::new();
    for token in value.tokens {
        form += match value.constant(token) {
            Some(ConstantKind::String) => "''",
            Some(ConstantKind::Int4) => "1",
            Some(ConstantKind::Int8) => "10000000000",
            Some(ConstantKind::Numeric) => "1.5",
            None => value.str(token),
        };
        form.push(' ');
    }
    form
}

/// A parameter, a string constant or NULL: nothing that has a type of its own.
pub(super) fn is_bare(tokens: &Tokens<'_>) -> bool {
    let bare = unwrapped(*tokens);
    let [only] = bare.tokens else {
        return false;
    };
    let string = bare.constant(only) == Some(ConstantKind::String);
    bare.first(only) == '$' || string || bare.is_word(only, "null")
}

/// Where PostgreSQL says that a value stands: at its first token that is no parenthesis, or at that
/// of a query.
pub(super) fn first_of_value(tokens: &Tokens<'_>) -> usize {
    let mut all = tokens.tokens.iter();
    let Some(first) = all.position(|token| !tokens.is_symbol(token, "(")) else {
        return tokens.extent().start;
    };
    let query = first > 0 && begins_query(tokens, first);
    tokens.tokens[first - usize::from(query)].start
}

/// A value on its way to a unified column; an error in it is told where the client wrote it.
pub(super) fn own_put(output: &mut Output, put: &str, column: &LegacyColumn, at: usize) {
    if column.values.is_empty() {
        output.own_for(put, at);
    } else {
        output.own_value(put, at, &column.name);
    }
}
