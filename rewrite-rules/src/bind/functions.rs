//! The functions that PostgreSQL has, by name: one list, made from a server's `pg_proc`, for all who ask. A name
//! with another schema than `pg_catalog` is none of them; one without a schema may be somebody's, if the database has
//! a function of that name ([`Namesakes`](crate::Namesakes)).
//!
//! Each line of the list is a name, what kind of function it is (`f`, an aggregate `a`, a window function `w`, or
//! `?` several), how volatile the loosest of the name is (`i`, `s`, `v`), and what it gives in FROM: the names of its
//! columns, `=` one that goes by the item's name, `?` one or the other.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::text::tree::Tree;
use crate::text_functions;

const LIST: &str = include_str!("functions.txt");

struct CatalogFunction {
    kind: char,
    volatility: char,
    result: Option<Result>,
}

/// What a call in FROM gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Result {
    /// One column, which goes by the item's name.
    Value,
    Columns(Vec<&'static str>),
}

/// Aggregates that ask in which order rows come give another value in another order; these do not.
const IN_ANY_ORDER: [&str; 9] = [
    "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "count", "every", "max", "min",
];

/// Volatile, and yet they set nothing and run no SQL that they are given. `set_config` sets what it is told:
/// who asks looks at that as well.
#[rustfmt::skip]
const CALM: [&str; 35] = [
    "array_sample", "array_shuffle", "clock_timestamp", "currval", "gen_random_uuid", "lastval",
    "nextval", "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_unlock",
    "pg_advisory_unlock_all", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared",
    "pg_cancel_backend", "pg_database_size", "pg_export_snapshot", "pg_indexes_size",
    "pg_is_in_recovery", "pg_notify", "pg_relation_size", "pg_sleep", "pg_sleep_for",
    "pg_table_size", "pg_terminate_backend", "pg_total_relation_size", "pg_try_advisory_lock",
    "pg_try_advisory_xact_lock", "random", "random_normal", "set_config", "setseed", "setval",
    "timeofday", "uuidv4", "uuidv7",
];

/// A name without a schema, or of `pg_catalog`.
pub(crate) fn in_catalog(names: &[Tree]) -> Option<&str> {
    match names {
        [name] => Some(name.text("sval")),
        [schema, name] if schema.text("sval") == "pg_catalog" => Some(name.text("sval")),
        _ => None,
    }
}

/// What a function gives in FROM.
pub(crate) fn result(name: &str) -> Option<&'static Result> {
    known(name)?.result.as_ref()
}

/// Whether a function gives the same for the same arguments and rows, whenever it is asked.
pub(crate) fn is_immutable(name: &str) -> bool {
    is(name, "i")
}

/// Whether it gives the same within one statement.
pub(crate) fn is_stable(name: &str) -> bool {
    is(name, "is")
}

fn is(name: &str, volatilities: &str) -> bool {
    let plain = |function: &CatalogFunction| {
        function.kind == 'f' && volatilities.contains(function.volatility)
    };
    IN_ANY_ORDER.contains(&name) || known(name).is_some_and(plain)
}

/// Whether it sets nothing and runs no SQL that it is given.
pub(crate) fn is_calm(name: &str) -> bool {
    let calm = known(name).is_some_and(|function| function.volatility != 'v');
    CALM.binary_search(&name).is_ok() || calm && !text_functions::runs_text(name)
}

fn known(name: &str) -> Option<&'static CatalogFunction> {
    static FUNCTIONS: OnceLock<HashMap<&str, CatalogFunction>> = OnceLock::new();
    let functions = FUNCTIONS.get_or_init(|| LIST.lines().filter_map(of_line).collect());
    functions.get(name)
}

fn of_line(line: &'static str) -> Option<(&'static str, CatalogFunction)> {
    let (name, said) = line.split_once(' ').filter(|(name, _)| *name != "#")?;
    let (kinds, gives) = said.split_once(' ')?;
    let mut kinds = kinds.chars();
    let function = CatalogFunction {
        kind: kinds.next()?,
        volatility: kinds.next()?,
        result: match gives {
            "?" => None,
            "=" => Some(Result::Value),
            columns => Some(Result::Columns(columns.split(',').collect())),
        },
    };
    Some((name, function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_functions_are() {
        assert!(is_immutable("lower") && is_immutable("count") && !is_immutable("now"));
        assert!(is_stable("now") && !is_stable("random") && !is_stable("array_agg"));
        assert!(
            is_calm("lower") && is_calm("nextval") && is_calm("random") && !is_calm("table_to_xml")
        );
        assert!(!is_calm("query_to_xml") && !is_calm("mine"));
        assert_eq!(result("generate_series"), Some(&Result::Value));
        assert_eq!(result("unnest"), None);
        let each = Result::Columns(vec!["key", "value"]);
        assert_eq!(result("jsonb_each"), Some(&each));
        assert!(CALM.is_sorted() && IN_ANY_ORDER.iter().all(|name| known(name).is_some()));
    }
}
