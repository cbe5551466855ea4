//! Whole rows, which keep the row type of their table.

use super::{check, refused, rules};
use crate::{Phase, SearchPath, Verdict};

#[test]
fn a_whole_row_keeps_the_row_type_where_it_shows() {
    const ROW: &str =
        "(CASE WHEN \"old\".* IS DISTINCT FROM NULL THEN ROW(\"old\".*)::\"s\".\"old\" END)";
    const O: &str =
        "(CASE WHEN \"o\".* IS DISTINCT FROM NULL THEN ROW(\"o\".*)::\"s\".\"old\" END)";
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        let check = |before: &str, after: &str| {
            let after = after.replace("{row}", ROW).replace("{o}", O);
            let after = after
                .replace("{old}", "({read}) AS \"old\"")
                .replace("{as o}", "({read}) o");
            check(phase, before, &after);
        };
        check("SELECT old FROM old", "SELECT {row} AS \"old\" FROM {old}");
        check(
            "SELECT s.old.*, (old) FROM old",
            "SELECT \"old\".*, ({row}) AS \"old\" FROM {old}",
        );
        check("SELECT o AS x FROM old o", "SELECT {o} AS x FROM {as o}");
        check(
            "SELECT array_agg(o.*) FROM old o",
            "SELECT array_agg({o}) FROM {as o}",
        );
        check("SELECT f(s.old.*) FROM old", "SELECT f({row}) FROM {old}");
        check(
            "SELECT x.o FROM (SELECT o FROM old o) x WHERE EXISTS (SELECT o FROM (VALUES (1)) o)",
            "SELECT x.o FROM (SELECT {o} AS \"o\" FROM {as o}) x WHERE EXISTS (SELECT o FROM (VALUES (1)) o)",
        );
        check(
            "SELECT CASE WHEN true THEN o ELSE o END, coalesce(o, NULL) FROM old o",
            "SELECT CASE WHEN true THEN {o} ELSE {o} END AS \"o\", coalesce({o}, NULL) FROM {as o}",
        );
        check(
            "SELECT o::text, o::s.old FROM old o ORDER BY o",
            "SELECT o::text, {o}::s.old AS \"o\" FROM {as o} ORDER BY o",
        );
        check(
            "SELECT o AS x FROM old o GROUP BY o HAVING o IS NOT NULL",
            "SELECT {o} AS x FROM {as o} GROUP BY {o} HAVING {o} IS NOT NULL",
        );
        check(
            "SELECT DISTINCT o FROM old o ORDER BY o",
            "SELECT DISTINCT {o} AS \"o\" FROM {as o} ORDER BY o",
        );
        check(
            "SELECT row_to_json(o) FROM old o (x)",
            "SELECT row_to_json({o}) FROM {as o} (x)",
        );
        // Rows of any type will do, or it is none.
        for same in [
            "SELECT count(o), row_to_json(o), (o).role, role(o), (o).* FROM {as o}",
            "SELECT 1 FROM {as o} JOIN t ON o = t WHERE o IS NOT NULL",
            "SELECT o.role FROM {as o} ORDER BY o",
            "SELECT role FROM {as o}, (SELECT 1) AS q(o) WHERE o = 1 AND f(o)",
            "SELECT o FROM {as o}, LATERAL (SELECT 1 AS o) x",
            "WITH q AS (SELECT 1 o) SELECT o FROM q, {as o}",
            "SELECT f(o) FROM t, {as o}",
        ] {
            check(&same.replace("{as o}", "old o"), same);
        }
        check(
            "SELECT o FROM old o, t",
            "SELECT (CASE WHEN \"o\".* IS DISTINCT FROM NULL AND CASE pg_catalog.pg_typeof(\"o\")::text WHEN 'record' \
             THEN true ELSE ('\"o\" is a column here and the name of a table, write \"o\".column; its type is ' || \
             pg_catalog.pg_typeof(\"o\"))::boolean END THEN ROW(\"o\".*)::\"s\".\"old\" END) AS \"o\" FROM {as o}, t",
        );
        check(
            "SELECT nullif(o, NULL) FROM old o",
            "SELECT nullif({o}, NULL) FROM {as o}",
        );
        check(
            "SELECT o.* IS NULL, f(o.*) FROM old o, t",
            "SELECT o.* IS NULL, f({o}) FROM {as o}, t",
        );
    }
    for shows in [
        "SELECT old FROM old",
        "SELECT array_agg(old) FROM old",
        "SELECT (SELECT o FROM old o)",
        // What a query within has for a result may be the client's in the end.
        "SELECT x.r, (x.r).role FROM (SELECT o AS r FROM old o) x",
        "SELECT (x.o).role FROM (SELECT o FROM old o) x",
        "SELECT nullif(old, NULL) FROM old",
        "SELECT jsonb_populate_record(old, '{}') FROM old",
    ] {
        refused(Phase::Retired, shows, "a whole row as a result column");
    }
}

#[test]
fn a_whole_row_in_returning_is_the_new_row_with_its_type() {
    const ROW: &str =
        "(CASE WHEN \"old\".* IS DISTINCT FROM NULL THEN ROW(\"old\".*)::\"s\".\"old\" END)";
    for end in ["", "; SELECT 1"] {
        check(
            Phase::DualWrite,
            &format!("UPDATE old SET role = 'x' RETURNING old{end}"),
            &format!(
                "WITH cf_new AS (UPDATE old SET role = 'x' RETURNING \"old\".*), cf_put AS ({{put cf_new}}) SELECT {ROW} AS \"old\" FROM cf_new AS \"old\"{end}"
            ),
        );
    }
    for sql in [
        "UPDATE old o SET role = 'x' FROM t RETURNING o, t, f(o.*), (o).id",
        "DELETE FROM old USING s.old b RETURNING b, b.*, old",
        "MERGE INTO old o USING t ON true WHEN MATCHED THEN DELETE RETURNING o, t AS x, coalesce(t, t)",
        "MERGE INTO new n USING t ON true WHEN MATCHED THEN DELETE RETURNING t, n",
        "UPDATE new SET extra = 'x', kind = 'y' RETURNING new, coalesce(new, NULL), new.*",
        "WITH w AS (UPDATE old o SET role = 'x' RETURNING o) SELECT o FROM w",
    ] {
        for phase in Phase::ALL.into_iter().filter(|phase| phase.writes_both()) {
            let reading = rules(phase).rewrite(sql, SearchPath::AsDeclared);
            assert!(
                matches!(reading.verdict, Verdict::Rewritten(_)),
                "{phase} {sql}: {:?}",
                reading.verdict
            );
        }
    }
    let gone = "a whole row as a result column";
    refused(Phase::Retired, "DELETE FROM old RETURNING old", gone);
    refused(
        Phase::Retired,
        "DELETE FROM old USING t RETURNING old",
        gone,
    );
}
