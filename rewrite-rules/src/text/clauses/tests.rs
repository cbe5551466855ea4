use super::*;
use crate::parse::parse;
use merge::{MergeAction, When};

/// Runs a check over a text's one statement.
fn with<T>(text: &str, check: impl FnOnce(&Tree, Tokens<'_>) -> T) -> T {
    let (tree, scanned) = parse(text).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"));
    let tokens = Tokens {
        text,
        tokens: &scanned,
    };
    check(tree.list("stmts")[0].get("stmt"), tokens)
}

/// The parts of a statement that writes, each with its name.
fn parts(text: &str) -> Vec<(&'static str, String)> {
    with(text, |statement, tokens| {
        let found = Clauses::of(statement, tokens).unwrap_or_else(|| panic!("{text}"));
        let mut parts = Vec::new();
        let mut add = |name, range: Range<usize>| parts.push((name, text[range].to_owned()));
        let assigned = |assignments: &[Assignment<'_>]| -> Vec<Range<usize>> {
            let items = assignments.iter();
            items.map(|assignment| assignment.item.extent()).collect()
        };
        found
            .with
            .clone()
            .into_iter()
            .for_each(|range| add("with", range));
        add("body", found.body.clone());
        for item in assigned(&found.assignments) {
            add("set", item);
        }
        found
            .joined()
            .into_iter()
            .for_each(|range| add("joined", range));
        found
            .condition()
            .into_iter()
            .for_each(|range| add("condition", range));
        if let Some(tokens) = found.insert.source {
            add("source", tokens.extent());
        }
        for value in found.insert.rows().flatten().flatten() {
            add("value", value.extent());
        }
        if let Some(conflict) = &found.insert.conflict {
            let target = [
                ("elements", conflict.elements),
                ("predicate", conflict.predicate),
            ];
            for (name, tokens) in target {
                tokens
                    .into_iter()
                    .for_each(|tokens| add(name, tokens.extent()));
            }
            for item in assigned(&conflict.assignments) {
                add("set", item);
            }
            if let Some(tokens) = conflict.condition {
                add("condition", tokens.extent());
            }
        }
        if statement.is("MergeStmt") {
            add("source", found.merge.source.clone());
            add("on", found.merge.condition.clone());
        }
        for arm in &found.merge.arms {
            let when = match arm.when {
                When::Matched => "matched",
                When::NotMatchedBySource => "not by source",
                When::NotMatchedByTarget => "not by target",
            };
            parts.push(("when", when.to_owned()));
            let mut add = |name, range: Range<usize>| parts.push((name, text[range].to_owned()));
            arm.condition
                .clone()
                .into_iter()
                .for_each(|range| add("and", range));
            match &arm.action {
                MergeAction::Nothing => add("nothing", 0..0),
                MergeAction::Delete => add("delete", 0..0),
                MergeAction::Update(assignments) => {
                    assigned(assignments)
                        .into_iter()
                        .for_each(|item| add("set", item));
                }
                MergeAction::Insert(None) => add("defaults", 0..0),
                MergeAction::Insert(Some(values)) => {
                    values.iter().for_each(|value| add("value", value.extent()));
                }
            }
        }
        if let Some(range) = found.returning {
            parts.push(("returning", text[range].to_owned()));
        }
        parts
    })
}

/// `{}` stands where any word may stand; what is expected has it too. Behind a dot or AS these are, so
/// that not one of PostgreSQL's keywords is anything else there.
fn check(text: &str, expected: &[(&'static str, &str)]) {
    for word in WORDS {
        let expected: Vec<(&str, String)> = expected
            .iter()
            .map(|(name, part)| (*name, part.replace("{}", word)))
            .collect();
        let text = text.replace("{}", word);
        assert_eq!(parts(&text), expected, "{text}");
    }
}

/// Every word that begins or ends something that is looked for, and two that do not.
const WORDS: &[&str] = &[
    "a",
    "select",
    "from",
    "where",
    "returning",
    "set",
    "using",
    "on",
    "conflict",
    "do",
    "values",
    "when",
    "matched",
    "then",
    "and",
    "case",
    "end",
    "group",
    "having",
    "window",
    "union",
    "order",
    "limit",
    "offset",
    "fetch",
    "for",
    "into",
    "with",
    "as",
    "distinct",
    "is",
    "only",
    "overriding",
    "default",
    "lateral",
    "type",
];

#[test]
fn an_update_is_taken_apart() {
    check(
        "WITH q AS (SELECT m.{} AS {} FROM m) UPDATE ONLY t AS set SET a = m.{}, (b, c) = (m.{}, 1), \
         d[m.{}] = CASE m.{} WHEN 1 THEN m.{} END FROM q m JOIN n ON m.{} = n.{} \
         WHERE m.{} IS DISTINCT FROM n.{} RETURNING m.{} AS {}, t.{}",
        &[
            ("with", "WITH q AS (SELECT m.{} AS {} FROM m)"),
            (
                "body",
                "UPDATE ONLY t AS set SET a = m.{}, (b, c) = (m.{}, 1), \
                 d[m.{}] = CASE m.{} WHEN 1 THEN m.{} END FROM q m JOIN n ON m.{} = n.{} \
                 WHERE m.{} IS DISTINCT FROM n.{}",
            ),
            ("set", "a = m.{}"),
            ("set", "(b, c) = (m.{}, 1)"),
            ("set", "d[m.{}] = CASE m.{} WHEN 1 THEN m.{} END"),
            ("joined", "q m JOIN n ON m.{} = n.{}"),
            ("condition", "m.{} IS DISTINCT FROM n.{}"),
            ("returning", "m.{} AS {}, t.{}"),
        ],
    );
    check(
        "UPDATE t SET a = b IS NOT DISTINCT FROM m.{}",
        &[
            ("body", "UPDATE t SET a = b IS NOT DISTINCT FROM m.{}"),
            ("set", "a = b IS NOT DISTINCT FROM m.{}"),
        ],
    );
}

#[test]
fn a_delete_is_taken_apart() {
    check(
        "DELETE FROM s.t * x USING (SELECT m.{} AS {} FROM m) AS y, f(m.{}) WHERE y.{} RETURNING y.{} AS {}",
        &[
            (
                "body",
                "DELETE FROM s.t * x USING (SELECT m.{} AS {} FROM m) AS y, f(m.{}) WHERE y.{}",
            ),
            ("joined", "(SELECT m.{} AS {} FROM m) AS y, f(m.{})"),
            ("condition", "y.{}"),
            ("returning", "y.{} AS {}"),
        ],
    );
}

#[test]
fn an_insert_is_taken_apart() {
    check(
        "INSERT INTO t AS u (a, b) OVERRIDING USER VALUE VALUES (m.{}, CASE m.{} WHEN 1 THEN 2 END), (DEFAULT, (1)) \
         ON CONFLICT (a, (u.{})) WHERE u.{} DO UPDATE SET a = excluded.{}, b = u.{} WHERE u.{} RETURNING u.{} AS {}",
        &[
            (
                "body",
                "INSERT INTO t AS u (a, b) OVERRIDING USER VALUE VALUES (m.{}, CASE m.{} WHEN 1 THEN 2 END), \
                 (DEFAULT, (1)) ON CONFLICT (a, (u.{})) WHERE u.{} \
                 DO UPDATE SET a = excluded.{}, b = u.{} WHERE u.{}",
            ),
            (
                "source",
                "VALUES (m.{}, CASE m.{} WHEN 1 THEN 2 END), (DEFAULT, (1))",
            ),
            ("value", "m.{}"),
            ("value", "CASE m.{} WHEN 1 THEN 2 END"),
            ("value", "DEFAULT"),
            ("value", "(1)"),
            ("elements", "a, (u.{})"),
            ("predicate", "u.{}"),
            ("set", "a = excluded.{}"),
            ("set", "b = u.{}"),
            ("condition", "u.{}"),
            ("returning", "u.{} AS {}"),
        ],
    );
    check(
        "INSERT INTO t SELECT m.{} AS {}, n.{} FROM m JOIN n ON m.{} = n.{} WHERE m.{} ORDER BY m.{} LIMIT 1 \
         ON CONFLICT ON CONSTRAINT c DO NOTHING",
        &[
            (
                "body",
                "INSERT INTO t SELECT m.{} AS {}, n.{} FROM m JOIN n ON m.{} = n.{} WHERE m.{} ORDER BY m.{} LIMIT 1 \
                 ON CONFLICT ON CONSTRAINT c DO NOTHING",
            ),
            (
                "source",
                "SELECT m.{} AS {}, n.{} FROM m JOIN n ON m.{} = n.{} WHERE m.{} ORDER BY m.{} LIMIT 1",
            ),
        ],
    );
    check(
        "INSERT INTO t DEFAULT VALUES RETURNING t.{}",
        &[
            ("body", "INSERT INTO t DEFAULT VALUES"),
            ("returning", "t.{}"),
        ],
    );
}

#[test]
fn values_that_are_more_than_rows_are_a_query() {
    for (text, rows) in [
        ("INSERT INTO t (VALUES (1), (2))", 2),
        ("INSERT INTO t VALUES (1), (2) LIMIT 1", 0),
        ("INSERT INTO t VALUES (1), (2) ORDER BY 1", 0),
        ("INSERT INTO t WITH w AS (SELECT 1) VALUES ((TABLE w))", 0),
    ] {
        let values = parts(text)
            .iter()
            .filter(|(name, _)| *name == "value")
            .count();
        assert_eq!(values, rows, "{text}");
    }
}

#[test]
fn a_merge_is_taken_apart() {
    check(
        "MERGE INTO t AS matched USING m JOIN n ON m.{} = n.{} ON CASE WHEN m.{} THEN m.{} END AND m.{} \
         WHEN MATCHED AND m.{} = n.{} THEN UPDATE SET a = m.{}, b = n.{} \
         WHEN NOT MATCHED BY SOURCE AND CASE WHEN true THEN true END THEN DELETE \
         WHEN MATCHED THEN DO NOTHING \
         WHEN NOT MATCHED AND m.{} THEN INSERT (a, values) OVERRIDING SYSTEM VALUE VALUES (m.{}, (1)) \
         WHEN NOT MATCHED THEN INSERT DEFAULT VALUES RETURNING m.{} AS {}",
        &[
            (
                "body",
                "MERGE INTO t AS matched USING m JOIN n ON m.{} = n.{} ON CASE WHEN m.{} THEN m.{} END AND m.{} \
                 WHEN MATCHED AND m.{} = n.{} THEN UPDATE SET a = m.{}, b = n.{} \
                 WHEN NOT MATCHED BY SOURCE AND CASE WHEN true THEN true END THEN DELETE \
                 WHEN MATCHED THEN DO NOTHING \
                 WHEN NOT MATCHED AND m.{} THEN INSERT (a, values) OVERRIDING SYSTEM VALUE VALUES (m.{}, (1)) \
                 WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
            ),
            ("source", "m JOIN n ON m.{} = n.{}"),
            ("on", "CASE WHEN m.{} THEN m.{} END AND m.{}"),
            ("when", "matched"),
            ("and", "m.{} = n.{}"),
            ("set", "a = m.{}"),
            ("set", "b = n.{}"),
            ("when", "not by source"),
            ("and", "CASE WHEN true THEN true END"),
            ("delete", ""),
            ("when", "matched"),
            ("nothing", ""),
            ("when", "not by target"),
            ("and", "m.{}"),
            ("value", "m.{}"),
            ("value", "(1)"),
            ("when", "not by target"),
            ("defaults", ""),
            ("returning", "m.{} AS {}"),
        ],
    );
}

/// The results of a text that have no name, as far as they go.
fn results(text: &str) -> Vec<String> {
    with(text, |statement, tokens| {
        let mut found = Vec::new();
        statement.each(&mut |node| {
            if node.is("ResTarget") && node.name("name").is_none() {
                let range = tokens.result(node).unwrap_or_else(|| panic!("{text}"));
                found.push(text[range].to_owned());
            }
        });
        found
    })
}

#[test]
fn a_result_ends_before_the_next_and_before_every_clause() {
    for behind in [
        "",
        " FROM t",
        " INTO u FROM t",
        " WHERE true",
        " GROUP BY a",
        " HAVING true",
        " WINDOW w AS (ORDER BY a)",
        " UNION SELECT 1 AS x",
        " INTERSECT SELECT 1 AS x",
        " EXCEPT SELECT 1 AS x",
        " ORDER BY 1",
        " LIMIT 1",
        " OFFSET 1",
        " FETCH FIRST 1 ROW ONLY",
        " FOR UPDATE",
        ", a AS b",
        ";",
    ] {
        for result in [
            "f(a)",
            "m.from",
            "CASE WHEN a THEN b.end ELSE CASE f WHEN g THEN h END END",
            "a IS DISTINCT FROM b",
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FILTER (WHERE b) OVER w",
            "a::timestamp with time zone",
            "substring(a FROM 1 FOR 2)",
        ] {
            let text = format!("SELECT {result}{behind}");
            assert_eq!(results(&text), [result], "{text}");
        }
    }
    for (text, expected) in [
        (
            "SELECT a case, b end, CASE WHEN c THEN d END, e distinct FROM t",
            "CASE WHEN c THEN d END",
        ),
        ("CREATE TABLE u AS SELECT f(a) WITH NO DATA", "f(a)"),
        ("INSERT INTO t SELECT f(a) RETURNING id AS x", "f(a)"),
        ("INSERT INTO t SELECT f(a) ON CONFLICT DO NOTHING", "f(a)"),
        ("SELECT (SELECT a case) AS x, f(b)", "f(b)"),
    ] {
        assert_eq!(results(text), [expected], "{text}");
    }
}

#[test]
fn statements_within_others_begin_behind_all_that_is_said_before_them() {
    for (text, expected) in [
        ("EXPLAIN SELECT 1", "SELECT 1"),
        ("EXPLAIN ANALYZE VERBOSE SELECT 1", "SELECT 1"),
        ("EXPLAIN (ANALYZE, COSTS false) (SELECT 1)", "(SELECT 1)"),
        ("EXPLAIN (SELECT 1)", "(SELECT 1)"),
        ("EXPLAIN VERBOSE (SELECT 1)", "(SELECT 1)"),
        ("PREPARE p AS SELECT 1", "SELECT 1"),
        ("PREPARE \"as\" (int, numeric(1, 2)) AS TABLE t", "TABLE t"),
    ] {
        with(text, |statement, tokens| {
            let found = match statement.kind() {
                "PrepareStmt" => prepared(tokens),
                _ => explained(statement, tokens),
            };
            let range = found.map(|tokens| tokens.extent());
            assert_eq!(range.map(|range| &text[range]), Some(expected), "{text}");
        });
    }
    let text = "WITH a AS (SELECT 1), b (as_, x) AS NOT MATERIALIZED (SELECT 2, 3) SELECT";
    with(text, |statement, tokens| {
        let queries = statement.get("with_clause").list("ctes").iter();
        let bodies = queries.filter_map(|query| with_query(query, tokens));
        let bodies: Vec<&str> = bodies.map(|tokens| &text[tokens.extent()]).collect();
        assert_eq!(bodies, ["SELECT 1", "SELECT 2, 3"]);
    });
}
