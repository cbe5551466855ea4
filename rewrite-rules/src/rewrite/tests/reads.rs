//! Reads, before → after.

use super::{check, passes, rules};
use crate::{Phase, SearchPath, Verdict};

#[test]
fn a_read_becomes_a_derived_table_and_nothing_else_changes() {
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly, Phase::Retired] {
        check(
            phase,
            "SELECT *  FROM old -- end",
            "SELECT *  FROM ({read}) AS \"old\" -- end",
        );
        check(
            phase,
            "SELECT o.* FROM s . old AS o",
            "SELECT o.* FROM ({read}) AS o",
        );
        check(
            phase,
            "SELECT 1 FROM old *, old o",
            "SELECT 1 FROM ({read}) AS \"old\", ({read}) o",
        );
        check(phase, "TABLE \"old\"", "SELECT * FROM ({read}) AS \"old\"");
    }
}

#[test]
fn only_a_partitioned_table_has_no_rows_whatever_its_partitions_have() {
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        for (sql, head, is_only) in [
            (
                "SELECT s.old.id FROM ONLY s.old",
                "SELECT \"old\".id FROM (",
                true,
            ),
            ("SELECT 1 FROM ONLY (old) o", "SELECT 1 FROM (", true),
            ("SELECT 1 FROM old * o", "SELECT 1 FROM (", false),
        ] {
            let reading = rules(phase).rewrite(sql, SearchPath::AsDeclared);
            let Verdict::Rewritten(rewritten) = &reading.verdict else {
                panic!("{sql}: {reading:?}");
            };
            assert!(rewritten.sql.starts_with(head), "{}", rewritten.sql);
            let looked_for = "pg_catalog.to_regclass('\"s\".\"old\"') AND cf_p.relkind = 'p'";
            let looks = rewritten.sql.contains(looked_for);
            assert_eq!(looks, is_only, "{phase}: {}", rewritten.sql);
        }
    }
}

#[test]
fn dual_read_falls_back_unless_rows_are_locked() {
    check(
        Phase::DualRead,
        "SELECT id FROM old",
        "SELECT id FROM ({read or fall back}) AS \"old\"",
    );
    check(
        Phase::DualRead,
        "SELECT s.old.id FROM old FOR UPDATE",
        "SELECT \"old\".id FROM old FOR UPDATE",
    );
    passes(Phase::DualRead, "SELECT id FROM old FOR UPDATE");
}

#[test]
fn a_locking_read_asks_for_the_legacy_rows_first_while_these_follow() {
    check(
        Phase::UnifiedRead,
        "SELECT id FROM old AS o WHERE id = $1 FOR UPDATE",
        "SELECT id FROM (SELECT * FROM ({read}) AS \"o\" WHERE (SELECT count(*) FROM (\
         SELECT 1 FROM \"s\".\"old\" AS cf_t WHERE (cf_t.\"id\") IN (SELECT \"o\".\"id\" FROM ({read}) AS \"o\" \
         WHERE (id = $1)) FOR UPDATE) AS cf_l) >= 0) AS o WHERE id = $1 FOR UPDATE",
    );
    for (phase, sql) in [
        (
            Phase::UnifiedOnly,
            "SELECT id FROM old AS o WHERE id = $1 FOR UPDATE",
        ),
        (
            Phase::UnifiedRead,
            "SELECT id FROM old AS o WHERE id = $1 FOR UPDATE SKIP LOCKED",
        ),
        (
            Phase::UnifiedRead,
            "SELECT id FROM old AS o WHERE id > $1 LIMIT 1 FOR UPDATE",
        ),
    ] {
        check(phase, sql, &sql.replace("old", "({read})"));
    }
}

#[test]
fn a_comparison_with_a_mapped_column_is_carried_over() {
    let phase = Phase::UnifiedOnly;
    for before in [
        "SELECT id FROM old WHERE role = 'x'",
        "SELECT id FROM old WHERE id > 1 AND (role = 'x' AND true)",
        "SELECT id FROM old WHERE 'x' = s.old.role",
    ] {
        let after = before
            .replace("FROM old", "FROM ({read where x}) AS \"old\"")
            .replace("s.old.role", "\"old\".role");
        check(phase, before, &after);
    }
    // A condition that is not implied by the whole WHERE, or is another table's, carries nothing.
    for before in [
        "SELECT id FROM old WHERE role = 'x' OR id = 1",
        "SELECT id FROM old WHERE NOT role = 'x'",
        "SELECT id FROM old WHERE role <> 'x'",
        "SELECT old.id FROM old, t WHERE t.role = 'x'",
        "SELECT id FROM old WHERE EXISTS (SELECT 1 FROM t WHERE role = 'x')",
    ] {
        check(
            phase,
            before,
            &before.replace("FROM old", "FROM ({read}) AS \"old\""),
        );
    }
}

#[test]
fn names_mean_what_they_mean_in_postgresql() {
    for phase in [Phase::DualWrite, Phase::UnifiedOnly] {
        for other in [
            "WITH old AS (SELECT 1) SELECT * FROM old",
            "WITH RECURSIVE a AS (SELECT * FROM old), old AS (SELECT 1) SELECT * FROM a",
            "SELECT * FROM public.old",
            "SELECT * FROM pg_temp.old",
            "SELECT old, 'old', t.old AS old FROM t AS old2(old)",
            "SELECT * FROM \"OLD\"",
            "SELECT * FROM t AS old",
            "INSERT INTO t (old) VALUES ('old') -- old",
            "BEGIN",
            "SET x.y = 'old'",
        ] {
            passes(phase, other);
        }
    }
    // WITH without RECURSIVE sees only what stands before it, and itself not at all.
    check(
        Phase::UnifiedOnly,
        "WITH old AS (SELECT * FROM old) SELECT * FROM old",
        "WITH old AS (SELECT * FROM ({read}) AS \"old\") SELECT * FROM old",
    );
    check(
        Phase::UnifiedOnly,
        "SELECT * FROM OLD",
        "SELECT * FROM ({read}) AS \"old\"",
    );
    check(
        Phase::UnifiedOnly,
        "SELECT * FROM U&\"o\\006cd\"",
        "SELECT * FROM ({read}) AS \"old\"",
    );
}

#[test]
fn an_unqualified_name_is_refused_after_the_search_path_changed() {
    let rules = rules(Phase::DualWrite);
    let unknown = |text| rules.rewrite(text, SearchPath::Unknown);
    assert!(matches!(
        unknown("DELETE FROM old").verdict,
        Verdict::Refused(_)
    ));
    assert!(matches!(
        unknown("DELETE FROM s.old").verdict,
        Verdict::Rewritten(_)
    ));
    let leaves = |text| rules.rewrite(text, SearchPath::AsDeclared).effects.path;
    let unknown = Some(SearchPath::Unknown);
    assert_eq!(leaves("SET search_path = other"), unknown);
    assert_eq!(
        leaves("SELECT set_config('search_path', $1, true)"),
        unknown
    );
    let before = self::rules(Phase::LegacyOnly);
    let made = before.rewrite("CREATE TEMP TABLE new (a int)", SearchPath::AsDeclared);
    assert_eq!(made.effects.path, unknown);
    assert_eq!(
        leaves("SET search_path TO s, other"),
        Some(SearchPath::AsDeclared)
    );
    assert_eq!(leaves("SHOW search_path"), None);
    assert_eq!(leaves("CREATE TEMP TABLE t AS SELECT FROM old"), None);
}
