//! FOR UPDATE of rows that are read by outer joins: what is locked by a function, and what is not.

use super::written::{RIGHT, becomes};
use crate::Phase;

const UNIFIED: [Phase; 3] = [Phase::UnifiedRead, Phase::UnifiedOnly, Phase::Retired];

#[test]
fn a_locking_read_of_one_table_goes_through_the_lenss_function() {
    for (sql, condition) in [
        (
            "SELECT name FROM old WHERE id = $1 FOR UPDATE",
            "WHERE (id = $1)",
        ),
        (
            "SELECT o.name FROM old AS o WHERE o.id IN (1, 2) ORDER BY o.order LIMIT 21 FOR UPDATE OF o",
            "WHERE (o.id IN (1, 2))",
        ),
        (
            "SELECT name FROM public.old WHERE lower(name) = 'x' FOR NO KEY UPDATE",
            "WHERE (lower(name) = 'x')",
        ),
        (
            "SELECT old.order FROM old WHERE old.limit = 1 AND old.for = 2 FOR UPDATE",
            "WHERE (old.limit = 1 AND old.for = 2)",
        ),
        (
            "SELECT name FROM old WHERE pg_catalog.lower(name) = 'x' FOR UPDATE",
            "WHERE (pg_catalog.lower(name) = 'x')",
        ),
        ("SELECT name FROM old FOR UPDATE", "AS \"old\""),
        (
            "EXPLAIN SELECT name FROM old WHERE id = 1 FOR UPDATE",
            "WHERE (id = 1)",
        ),
    ] {
        for phase in UNIFIED {
            let found = becomes(RIGHT, phase, sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
            let mirrors = phase == Phase::UnifiedRead;
            let call = format!("{condition}), {mirrors}) AS cf_n)");
            assert!(found.contains("FROM crossfade.\"lock_old"), "{found}");
            assert!(found.contains(&call), "{call}\n{found}");
            assert!(
                found.ends_with(&sql[sql.find(" FOR ").expect("it locks")..]),
                "{found}"
            );
        }
    }
}

#[test]
fn a_lock_that_would_not_be_postgresqls_is_refused() {
    for (sql, why) in [
        (
            "SELECT name FROM old WHERE id = 1 FOR SHARE",
            "or FOR SHARE",
        ),
        (
            "SELECT name FROM old WHERE id = 1 FOR KEY SHARE",
            "or FOR SHARE",
        ),
        (
            "SELECT name FROM old WHERE id = 1 FOR UPDATE NOWAIT",
            "with NOWAIT",
        ),
        (
            "SELECT name FROM old WHERE id = 1 FOR UPDATE SKIP LOCKED",
            "with NOWAIT",
        ),
        (
            "SELECT name FROM old WHERE id > 1 LIMIT 1 FOR UPDATE",
            "with a LIMIT",
        ),
        (
            "SELECT name FROM old WHERE id = 1 OR name = 'x' LIMIT 1 FOR UPDATE",
            "with a LIMIT",
        ),
        ("SELECT name FROM old OFFSET 1 FOR UPDATE", "with a LIMIT"),
        (
            "SELECT name FROM old WHERE id = nextval('s') FOR UPDATE",
            "calls functions",
        ),
        (
            "SELECT name FROM old WHERE mine.lower(name) = 'x' FOR UPDATE",
            "calls functions",
        ),
        (
            "SELECT name FROM old, t WHERE old.id = 1 FOR UPDATE OF old",
            "beside other tables",
        ),
        (
            "SELECT name FROM old LEFT JOIN t ON true WHERE old.id = 1 FOR UPDATE OF old",
            "beside other tables",
        ),
        (
            "SELECT name FROM (SELECT * FROM old) AS o FOR UPDATE",
            "beside other tables",
        ),
        (
            "SELECT o.a FROM old AS o (a) WHERE a = 1 FOR UPDATE",
            "other names",
        ),
        (
            "SELECT name FROM old WHERE id = 1 FOR UPDATE FOR SHARE",
            "several times",
        ),
        (
            "WITH w AS (SELECT name FROM old FOR UPDATE) SELECT * FROM w",
            "within another",
        ),
        (
            "INSERT INTO t SELECT name FROM old WHERE id = 1 FOR UPDATE",
            "within another",
        ),
        (
            "DECLARE c CURSOR FOR SELECT name FROM old WHERE id = 1 FOR UPDATE",
            "within another",
        ),
        (
            "CREATE TABLE c AS SELECT name FROM old WHERE id = 1 FOR UPDATE",
            "within another",
        ),
    ] {
        for phase in UNIFIED {
            let said = becomes(RIGHT, phase, sql).expect_err(sql);
            assert!(said.contains(why), "{sql}: {said}");
        }
    }
}

#[test]
fn what_a_locking_read_does_not_lock_is_read_as_ever() {
    for sql in [
        "SELECT n FROM t WHERE t.id IN (SELECT id FROM old) FOR UPDATE",
        "SELECT n FROM t, old WHERE t.id = old.id FOR UPDATE OF t",
        "SELECT n FROM old RIGHT JOIN t ON t.id = old.id LIMIT 1 FOR SHARE OF t NOWAIT FOR UPDATE OF t",
        "SELECT n FROM (SELECT * FROM old) AS o, t WHERE t.id = o.id FOR UPDATE OF t",
        "WITH w AS (SELECT n FROM t FOR UPDATE) SELECT * FROM w, old WHERE w.n = old.id",
        "SELECT (SELECT max(name) FROM old) FROM t, (SELECT 1) AS q FOR UPDATE SKIP LOCKED",
    ] {
        let found =
            becomes(RIGHT, Phase::UnifiedOnly, sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert!(!found.contains("lock_old"), "{found}");
    }
}
