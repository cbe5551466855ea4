//! Columns whose types differ: what a rule file must say of them.

use super::{compile, wrong};

/// The shipped file with another declaration of one column.
fn declared(column: &str) -> String {
    wrong("full_name     = { type = \"text\" }", column)
}

#[test]
fn a_cast_that_a_setting_decides_is_refused_with_what_to_write_instead() {
    for (column, says) in [
        (
            "full_name = { type = \"timestamp\", unified_type = \"timestamptz\" }",
            "column `full_name` is timestamp without time zone in legacy and timestamp with time zone in unified: \
             what a value of one is as the other depends on the session (TimeZone); \
             expected `cast = \"at time zone 'UTC'\"`",
        ),
        (
            "full_name = { type = \"date\", unified_type = \"text\" }",
            "depends on the session (DateStyle and TimeZone); expected `cast = { unified = \"…\", legacy = \"…\" }`",
        ),
        (
            "full_name = { type = \"float8\", unified_type = \"varchar(30)\" }",
            "(extra_float_digits)",
        ),
        (
            "full_name = { type = \"interval\", unified_type = \"text\" }",
            "(IntervalStyle)",
        ),
        (
            "full_name = { type = \"money\", unified_type = \"numeric\" }",
            "(lc_monetary)",
        ),
        (
            "full_name = { type = \"regclass\", unified_type = \"text\" }",
            "(search_path)",
        ),
        (
            "full_name = { type = \"integer\", unified_type = \"bigint\", cast = \"at time zone 'UTC'\" }",
            "found `at time zone 'UTC'`; expected `at time zone '…'` between",
        ),
        (
            "full_name = { type = \"timestamp\", unified_type = \"timestamptz\", cast = \"at time zone id\" }",
            "found `at time zone id`",
        ),
        (
            "full_name = { type = \"date\", unified_type = \"text\", cast = { unified = \"lower(email)\", legacy = \"x\" } }",
            "unknown column `email`",
        ),
        (
            "full_name = { type = \"text\", cast = \"at time zone 'UTC'\" }",
            "found `cast` beside the same type on both sides",
        ),
    ] {
        let error = declared(column);
        assert!(error.contains(says), "{column}: {error}");
    }
}

#[test]
fn what_types_do_not_tell_the_rule_says() {
    for (column, says) in [
        (
            "full_name = { type = \"public.zip\", unified_type = \"text\" }",
            "column `full_name` is public.zip in legacy and text in unified, which do not tell what of it legacy \
             can hold; expected `holds = \"…\"`",
        ),
        (
            "full_name = { type = \"varchar(3)[]\", unified_type = \"text[]\" }",
            "expected `holds = \"…\"`",
        ),
        (
            "full_name = { type = \"date\", unified_type = \"text\", cast = { unified = \"full_name::text\", legacy = \"full_name::date\" } }",
            "expected `holds = \"…\"`",
        ),
        (
            "full_name = { type = \"text\", holds = \"true\" }",
            "found `holds` beside the same type on both sides",
        ),
        (
            "full_name = { type = \"public.zip\", unified_type = \"text\", holds = \"zip > '0'\" }",
            "unknown column `zip`; expected one of: full_name",
        ),
    ] {
        let error = declared(column);
        assert!(error.contains(says), "{column}: {error}");
    }
}

#[test]
fn a_lens_between_two_types_goes_through_both() {
    let text = super::RIGHT.replacen(
        "full_name     = { type = \"text\" }",
        "full_name     = { type = \"timestamp\", unified_type = \"timestamptz\", cast = \"at time zone 'UTC'\" }",
        1,
    );
    let rules = compile(&text).expect("it is right");
    let lens = &rules.migrations()[0].tables[0];
    let (read, put) = (lens.read(), lens.put_from("cf_new"));
    assert!(
        read.contains(
            "((cf_u.\"full_name\")::timestamp with time zone AT TIME ZONE 'UTC')::timestamp without time zone \
             AS \"full_name\""
        ),
        "{read}"
    );
    assert!(
        put.contains(
            "(((cf_n.\"full_name\")::timestamp without time zone)::timestamp without time zone AT TIME ZONE 'UTC')\
             ::timestamp with time zone"
        ),
        "{put}"
    );
}
