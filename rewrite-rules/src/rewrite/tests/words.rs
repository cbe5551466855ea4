//! Any word may be a label behind a dot or AS, and nearly any behind a result: none of them begins or ends a
//! clause there.

use super::RULES;
use crate::{Phase, RuleSet, SearchPath, SourceFile, Verdict};

/// The same table moved by steps.
const STEPS: &str = r#"
[migration]
name = "m"
phase = "dual_write"
[[table]]
legacy = "s.old"
unified = "s.new"
key = ["id"]
columns = "id int, role text NOT NULL DEFAULT 'x'"
read = "SELECT n.id, n.kind AS role FROM s.new n"
put = ["""INSERT INTO s.new (id, kind) SELECT id, role FROM row_image
  ON CONFLICT (id) DO UPDATE SET kind = excluded.kind"""]
remove = ["DELETE FROM s.new n USING row_image r WHERE n.id = r.id"]
"#;

/// `{}` stands where any word may.
const STATEMENTS: &[&str] = &[
    "UPDATE s.old SET role = m.{} FROM m WHERE m.{} = old.id RETURNING m.{} AS {}, old.role",
    "UPDATE s.old AS set SET role = CASE WHEN m.{} THEN m.{} END FROM m JOIN n ON m.{} = n.{} WHERE set.id = m.{}",
    "UPDATE s.old SET (role) = ROW(m.{}) FROM m WHERE m.{} IS DISTINCT FROM old.role RETURNING *",
    "UPDATE s.old SET (id, role) = (SELECT m.{}, m.{} AS {} FROM m WHERE m.{}) WHERE role = 'x'",
    "UPDATE s.old SET id = m.{} FROM m WHERE m.{} = old.id RETURNING (SELECT m.{})",
    "DELETE FROM s.old USING m WHERE m.{} = old.id RETURNING m.{} AS {}",
    "DELETE FROM ONLY s.old AS o WHERE (SELECT m.{} FROM m) RETURNING o.role AS {}",
    "INSERT INTO s.old (id, role) SELECT m.{}, m.{} AS {} FROM m WHERE m.{} ORDER BY m.{} RETURNING id AS {}",
    "INSERT INTO s.old VALUES (1, (SELECT m.{} AS {} FROM m)), ((SELECT n.{} FROM n), DEFAULT)",
    "INSERT INTO s.old (id, role) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE \
     SET role = (SELECT m.{} AS {} FROM m) WHERE (SELECT m.{} FROM m) RETURNING role AS {}",
    "INSERT INTO s.old (id, role) SELECT m.{} AS {}, n.{} FROM m JOIN n ON m.{} = n.{} ON CONFLICT DO NOTHING",
    "MERGE INTO s.old USING m JOIN n ON m.{} = n.{} ON m.{} = old.id AND n.{} \
     WHEN MATCHED AND m.{} THEN UPDATE SET role = m.{} WHEN MATCHED THEN DELETE \
     WHEN NOT MATCHED BY SOURCE AND old.role = 'x' THEN DELETE \
     WHEN NOT MATCHED AND m.{} THEN INSERT (id, role) VALUES (m.{}, m.{}) RETURNING m.{} AS {}, old.id",
    "SELECT m.{} AS {}, old.role FROM s.old JOIN m ON m.{} = old.id WHERE m.{} AND old.role = 'x' \
     GROUP BY m.{}, old.id HAVING m.{} ORDER BY m.{} LIMIT 1",
    "SELECT o AS {}, m.{}, o FROM s.old AS o, m WHERE m.{} UNION SELECT o, m.{}, o FROM s.old o, m",
    "SELECT role AS {} FROM s.old WHERE (SELECT m.{} FROM m) ORDER BY id FOR UPDATE",
    "WITH x AS (UPDATE s.old SET role = m.{} FROM m WHERE m.{} = old.id RETURNING m.{} AS {}) SELECT x.{} FROM x",
    "WITH x AS (SELECT m.{} AS {} FROM m) DELETE FROM s.old USING x WHERE x.{} = old.id",
    "EXPLAIN (COSTS false) UPDATE s.old SET role = m.{} FROM m WHERE m.{} = old.id",
    "PREPARE p (text) AS UPDATE s.old SET role = m.{} FROM m WHERE m.{} = old.id RETURNING m.{} AS {}",
    "CREATE TABLE t AS SELECT m.{} AS {}, old FROM s.old, m WITH NO DATA",
    "COPY (SELECT m.{} AS {} FROM s.old, m) TO STDOUT",
];

/// What begins or ends anything that is looked for.
const WORDS: &[&str] = &[
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
    "table",
];

fn rule_sets() -> Vec<(String, RuleSet)> {
    let mut all = Vec::new();
    for (kind, text) in [("columns", RULES), ("steps", STEPS)] {
        let file = SourceFile {
            path: "m.toml".into(),
            text: text.to_owned(),
        };
        let rules = RuleSet::compile(vec![file]).expect("the rules of the tests are right");
        for phase in Phase::ALL {
            all.push((format!("{kind}, {phase}"), rules.with_phase(None, phase)));
        }
    }
    all
}

/// What becomes of a text, in a word or as SQL.
fn becomes(rules: &RuleSet, text: &str) -> String {
    match &rules.read(text, SearchPath::AsDeclared).verdict {
        Verdict::PassThrough => "it passes".to_owned(),
        Verdict::Rewritten(rewritten) => rewritten.sql.clone(),
        Verdict::Refused(refusal) => {
            assert_ne!(refusal.sqlstate, "XX000", "{text}: {refusal:?}");
            assert!(
                !refusal.message.contains("rewrite this "),
                "{text}: {refusal:?}"
            );
            refusal.message.clone()
        }
    }
}

#[test]
fn a_statement_with_a_label_becomes_the_same_whatever_word_that_is() {
    for (when, rules) in rule_sets() {
        for statement in STATEMENTS {
            let plain = becomes(&rules, &statement.replace("{}", "some_label"));
            for word in WORDS {
                let text = statement.replace("{}", word);
                let expected = plain.replace("some_label", word);
                assert_eq!(becomes(&rules, &text), expected, "{when}: {text}");
            }
        }
    }
}

/// Labels without AS, in a word that is a clause's elsewhere. Not every word may be one.
#[test]
fn a_label_without_as_changes_nothing_either() {
    const BARE: &[&str] = &[
        "case", "end", "when", "then", "else", "using", "do", "set", "values", "select", "table",
        "and", "distinct", "only", "default",
    ];
    for (when, rules) in rule_sets() {
        for statement in [
            "SELECT m.a {}, old.role {}, o FROM s.old AS o, m, s.old WHERE CASE WHEN m.a THEN m.b END",
            "INSERT INTO s.old (id, role) SELECT m.a {}, CASE WHEN m.b THEN 'x' END {} FROM m \
             ON CONFLICT (id) DO UPDATE SET role = excluded.role WHERE old.role = 'x' RETURNING id {}, role {}",
            "UPDATE s.old SET role = 'x' FROM m WHERE old.id = m.a RETURNING m.a {}, old {}, old.role",
            "DELETE FROM s.old USING m WHERE old.id = m.a RETURNING m.a {}, CASE WHEN m.b THEN 1 END {}",
        ] {
            let plain = becomes(&rules, &statement.replace("{}", "some_label"));
            for word in BARE {
                let text = statement.replace("{}", word);
                let expected = plain.replace("some_label", word);
                assert_eq!(becomes(&rules, &text), expected, "{when}: {text}");
            }
        }
    }
}

#[test]
fn values_that_are_more_than_rows_are_read_as_a_query() {
    for (when, rules) in rule_sets() {
        for text in [
            "INSERT INTO s.old (id, role) (VALUES (1, 'x'), (2, 'y'))",
            "INSERT INTO s.old (id, role) VALUES (1, 'x'), (2, 'y') ORDER BY 1 LIMIT 1",
            "INSERT INTO s.old (id, role) WITH w AS (SELECT 1) VALUES ((TABLE w), 'x')",
        ] {
            let sql = becomes(&rules, text);
            assert!(
                sql == "it passes" || sql.contains("INSERT"),
                "{when}: {text}: {sql}"
            );
        }
    }
}

#[test]
fn a_name_without_quotation_marks_may_be_a_words_that_ends_a_list() {
    for (when, rules) in rule_sets() {
        let sql = becomes(&rules, "TRUNCATE s.old, restart, cascade RESTART IDENTITY");
        let lists = sql == "it passes" || sql.contains("restart, cascade RESTART IDENTITY");
        assert!(lists, "{when}: {sql}");
    }
}
