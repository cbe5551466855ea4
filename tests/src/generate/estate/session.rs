//! What a session says of itself: settings, roles, constraints.

use super::super::{Choices, Statement, plain};

/// A setting or two on which casts depend.
pub(super) fn settings(choices: &mut Choices, into: &mut Vec<Statement>) {
    for _ in 0..1 + choices.below(2) {
        let (name, values, construct) = choices.pick(&[
            (
                "TimeZone",
                &[
                    "'America/New_York'",
                    "'Asia/Kolkata'",
                    "'Europe/Berlin'",
                    "DEFAULT",
                ][..],
                "SET TimeZone",
            ),
            (
                "DateStyle",
                &["'SQL, DMY'", "German", "'ISO, YMD'", "'Postgres, MDY'"],
                "SET DateStyle",
            ),
            (
                "IntervalStyle",
                &["iso_8601", "sql_standard", "postgres_verbose"],
                "SET IntervalStyle",
            ),
            (
                "extra_float_digits",
                &["0", "-15"],
                "SET extra_float_digits",
            ),
        ]);
        let value = choices.pick(values);
        let local = choices.chance(15);
        let word = if local { "SET LOCAL" } else { "SET" };
        let mut statement = plain(&format!("{word} {name} TO {value}"), construct);
        if local {
            statement.constructs.insert("SET LOCAL");
        }
        into.push(statement);
    }
}

/// Becomes a role that has some rights on the tables.
pub(super) fn role(choices: &mut Choices) -> Statement {
    let (name, construct) = choices.pick(&[
        ("estate_reader", "a role that may read"),
        ("estate_changer", "a role that may not delete"),
        ("estate_writer", "a role that may delete"),
        ("estate_emptier", "a role that may truncate"),
        ("estate_landlord", "a role that has one table"),
        ("estate_agent", "a role that has one table"),
        ("estate_inserter", "a role with less than it needs"),
        ("estate_patcher", "a role with less than it needs"),
    ]);
    let mut statement = plain(&format!("SET ROLE {name}"), "SET ROLE");
    statement.constructs.insert(construct);
    statement
}

/// SET CONSTRAINTS, now and then of what cannot be set.
pub(super) fn constraints(choices: &mut Choices) -> Statement {
    let which = choices.pick(&[
        "ALL",
        "ALL",
        "tenants_f_fkey",
        "tenants_g_fkey, tenants_h_fkey",
        "public.tenants_h_fkey",
        "keys_e_fkey",
        "tenants_a_fkey",
        "no_such_fkey",
    ]);
    let (word, construct) = choices.pick(&[
        ("DEFERRED", "SET CONSTRAINTS DEFERRED"),
        ("IMMEDIATE", "SET CONSTRAINTS IMMEDIATE"),
    ]);
    plain(&format!("SET CONSTRAINTS {which} {word}"), construct)
}
