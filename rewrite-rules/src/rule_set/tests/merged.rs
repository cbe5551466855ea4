//! Several legacy tables that become one: which lenses may share a unified table, and what becomes of a write to it.

use super::compile;
use super::written::becomes;
use crate::Phase;

const MERGED: &str = include_str!("../../../../tests/data/lens/merged.toml");

/// A write under the unified name, its functions by their first words.
fn mirrored(phase: Phase, sql: &str) -> String {
    let sql = becomes(MERGED, phase, sql).expect("it is rewritten");
    let mut told = String::new();
    let mut rest = sql.as_str();
    while let Some((before, behind)) = rest.split_once("crossfade.\"") {
        let (name, behind) = behind.split_once('"').expect("the name ends");
        let (word, _hash) = name.rsplit_once('_').expect("a hash is behind it");
        told += &format!("{before}{word}");
        rest = behind;
    }
    told + rest
}

#[test]
fn a_write_to_the_shared_table_locks_and_follows_table_by_table() {
    for sql in [
        "UPDATE people SET email = 'x' WHERE id = 1",
        "DELETE FROM people WHERE id = 1",
    ] {
        for phase in [Phase::DualWrite, Phase::DualRead, Phase::UnifiedRead] {
            let told = mirrored(phase, sql);
            let places = [
                "cf_lock AS MATERIALIZED (SELECT 1 FROM \"public\".\"admins\"",
                "cf_lock2 AS MATERIALIZED (SELECT 1 FROM \"public\".\"members\"",
                "cf_locks AS MATERIALIZED (SELECT 1 FROM cf_lock UNION ALL SELECT 1 FROM cf_lock2)",
                "AND (SELECT count(*) FROM cf_locks) >= 0",
                "WHERE CASE WHEN (SELECT sync_admins(",
                "THEN (SELECT sync_members(",
            ];
            let found: Vec<Option<usize>> = places.iter().map(|place| told.find(place)).collect();
            assert!(
                found.iter().all(Option::is_some) && found.is_sorted(),
                "{phase}: {found:?}\n{told}"
            );
        }
    }
}

#[test]
fn only_the_tables_follow_in_which_something_changes() {
    let told = mirrored(
        Phase::DualWrite,
        "UPDATE people SET points = points + 1 WHERE id = 1",
    );
    assert!(
        !told.contains("admins") && !told.contains("cf_locks"),
        "{told}"
    );
    assert!(told.contains("sync_members"), "{told}");
    for phase in [Phase::UnifiedOnly, Phase::Retired] {
        let rules = compile(MERGED).expect("it is right");
        let reading = rules
            .with_phase(None, phase)
            .rewrite("DELETE FROM people", crate::SearchPath::AsDeclared);
        assert!(
            matches!(reading.verdict, crate::Verdict::PassThrough),
            "{:?}",
            reading.verdict
        );
    }
}

#[test]
fn a_lock_of_the_shared_table_is_one_of_each_legacy_table_first() {
    let locks = becomes(MERGED, Phase::DualRead, "LOCK TABLE people IN SHARE MODE");
    let all = "LOCK TABLE \"public\".\"admins\", \"public\".\"members\", people IN SHARE MODE";
    assert_eq!(locks.as_deref(), Ok(all));
}

/// What is said of the other table's constraint is said of that which is written.
#[test]
fn an_error_is_told_by_the_name_of_the_table_that_is_written() {
    for (table, other) in [("admins", "members"), ("members", "admins")] {
        let rules = compile(MERGED).expect("it is right");
        let rules = rules.with_phase(None, Phase::UnifiedRead);
        let sql = format!("INSERT INTO {table} (email, name) SELECT email, name FROM {other}");
        let reading = rules.rewrite(&sql, crate::SearchPath::AsDeclared);
        let crate::Verdict::Rewritten(rewritten) = &reading.verdict else {
            panic!("{:?}", reading.verdict);
        };
        let told = rewritten.client_message("of relation \"people\"", None);
        assert_eq!(told, format!("of relation \"{table}\""));
    }
}

#[test]
fn only_lenses_with_steps_share_a_unified_table() {
    let derived = "[migration]\nname = \"a\"\nphase = \"legacy_only\"\n\
        [[table]]\nlegacy = \"public.a\"\nunified = \"public.u\"\nkey = [\"id\"]\ncolumns = \"id integer NOT NULL\"\n\
        [[table]]\nlegacy = \"public.b\"\nunified = \"public.u\"\nkey = [\"id\"]\ncolumns = \"id integer NOT NULL\"\n";
    let error = compile(derived).expect_err("it is refused");
    assert!(
        error.contains(
            "table \"public\".\"u\" is already in another [[table]]; expected `read` in both"
        ),
        "{error}"
    );
    // A legacy table is nobody's unified one.
    let error = compile(&MERGED.replace(
        "\"public.people\"",
        "[\"public.people\", \"public.admins\"]",
    ));
    let error = error.expect_err("it is refused");
    assert!(error.contains("expected each table once"), "{error}");
    let twice = MERGED.replace(
        "\"public.people\"",
        "[\"public.people\", \"public.people\"]",
    );
    let error = compile(&twice).expect_err("it is refused");
    assert!(error.contains("expected each table once"), "{error}");
}
