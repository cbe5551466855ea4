//! GROUP BY the key of a table that is read from its new place.

use super::check;
use crate::Phase;

#[test]
fn what_depends_on_a_key_that_is_grouped_by_is_grouped_by_as_well() {
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly, Phase::Retired] {
        for (before, after) in [
            (
                "SELECT o.id, o.role, count(*) FROM old o JOIN t ON t.o = o.id GROUP BY o.id",
                "SELECT o.id, o.role, count(*) FROM ({read}) o JOIN t ON t.o = o.id GROUP BY o.id, \"o\".\"role\"",
            ),
            (
                "SELECT old.*, count(t.o) FROM t LEFT JOIN s.old USING (id) GROUP BY s.old.id, t.x HAVING count(*) > 1",
                "SELECT old.*, count(t.o) FROM t LEFT JOIN ({read}) AS \"old\" USING (id) \
                 GROUP BY \"old\".id, \"old\".\"role\", t.x HAVING count(*) > 1",
            ),
            (
                "SELECT count(*) FROM old GROUP BY id ORDER BY role",
                "SELECT count(*) FROM ({read}) AS \"old\" GROUP BY id, \"old\".\"role\" ORDER BY role",
            ),
            (
                "SELECT a.id, b.id, b.role FROM old a, old b GROUP BY a.id, b.id",
                "SELECT a.id, b.id, b.role FROM ({read}) a, ({read}) b GROUP BY a.id, b.id, \"b\".\"role\"",
            ),
            (
                "SELECT FROM t WHERE EXISTS (SELECT row_to_json(a) FROM old a GROUP BY a.id)",
                "SELECT FROM t WHERE EXISTS (SELECT row_to_json(a) FROM ({read}) a \
                 GROUP BY a.id, \"a\".\"role\", \"a\".*)",
            ),
            (
                "SELECT x.a, x.b, count(*) FROM old AS x (a, b) GROUP BY x.a",
                "SELECT x.a, x.b, count(*) FROM ({read}) AS x (a, b) GROUP BY x.a, \"x\".\"b\"",
            ),
        ] {
            check(phase, before, after);
        }
    }
}

#[test]
fn other_groups_stay_as_they_are() {
    for (before, after) in [
        (
            "SELECT id FROM old GROUP BY id",
            "SELECT id FROM ({read}) AS \"old\" GROUP BY id",
        ),
        (
            "SELECT role, max(id) FROM old GROUP BY role",
            "SELECT role, max(id) FROM ({read}) AS \"old\" GROUP BY role",
        ),
        // PostgreSQL does not know the dependency of one of several sets.
        (
            "SELECT id, role FROM old GROUP BY ROLLUP (id)",
            "SELECT id, role FROM ({read}) AS \"old\" GROUP BY ROLLUP (id)",
        ),
        (
            "SELECT t.id, old.role FROM old, t GROUP BY t.id",
            "SELECT t.id, old.role FROM ({read}) AS \"old\", t GROUP BY t.id",
        ),
        (
            "SELECT q.id FROM (SELECT id, role FROM old) q GROUP BY q.id",
            "SELECT q.id FROM (SELECT id, role FROM ({read}) AS \"old\") q GROUP BY q.id",
        ),
    ] {
        check(Phase::UnifiedRead, before, after);
    }
}

#[test]
fn a_row_whose_bare_name_would_be_a_column_is_grouped_by_with_a_star() {
    for (phase, row) in [
        (
            Phase::UnifiedRead,
            "(CASE WHEN \"t\".* IS DISTINCT FROM NULL THEN ROW(\"t\".*)::\"s\".\"old\" END)",
        ),
        (Phase::Retired, "t.*"),
    ] {
        check(
            phase,
            "SELECT row_to_json(t.*), count(*) FROM old t JOIN (VALUES (1)) v (t) ON true GROUP BY t.id",
            &format!(
                "SELECT row_to_json({row}), count(*) FROM ({{read}}) t JOIN (VALUES (1)) v (t) ON true \
                 GROUP BY t.id, \"t\".\"role\", \"t\".*"
            ),
        );
    }
}
