use crate::{Phase, RuleSet, SearchPath, SourceFile};

const RULES: &str = r#"
[migration]
name = "m"
phase = "unified_read"

[[table]]
legacy = "public.customers"
unified = "public.people"
key = ["id"]

[table.columns]
id = { type = "int" }
name = { type = "varchar(20)", unified = "full_name" }
rank = { type = "numeric(10,2)" }
born = { type = "date" }
kind = { type = "text", values = { a = "b" } }
note = { type = "jsonb" }
"#;

/// The client's text with what would be parameters, in the third text of its form.
fn parameters(sql: &str) -> Option<Vec<String>> {
    let file = SourceFile {
        path: "m.toml".into(),
        text: RULES.to_owned(),
    };
    let rules = RuleSet::compile(vec![file]).expect("the rules of the test are right");
    let rules = rules.with_phase(None, Phase::UnifiedRead);
    let read = |text: &str| rules.rewrite(text, SearchPath::AsDeclared);
    for _ in 0..3 {
        read(sql);
    }
    let reading = read(sql);
    let preparable = reading.preparable()?;
    // As many as there are in the text, whatever stands in strings.
    let named = preparable
        .places
        .iter()
        .map(|(here, _)| &preparable.sql[here.clone()]);
    let numbered = (1..=preparable.parameters.len()).map(|number| format!("${number}"));
    assert!(named.eq(numbered), "{}", preparable.sql);
    let mut values: Vec<String> = Vec::new();
    for parameter in &preparable.parameters {
        if !values.contains(&parameter.value) {
            values.push(parameter.value.clone());
        }
    }
    values.sort();
    Some(values)
}

#[test]
fn constants_beside_their_columns_are_parameters_of_a_statement_by_key() {
    for (sql, expected) in [
        ("SELECT name FROM customers WHERE id = 7", &["7"] as &[&str]),
        (
            "SELECT name, 5 FROM customers c WHERE 7 = c.id AND name = 'it''s' LIMIT 3",
            &["7", "it's"],
        ),
        ("SELECT name FROM customers WHERE id = '7'::int", &["7"]),
        (
            "SELECT name FROM customers WHERE (id = 7 AND rank > 5) AND born = '2020-01-31'",
            &["2020-01-31", "7"],
        ),
        (
            "UPDATE customers SET name = 'x', rank = rank + 1 WHERE id = 7",
            &["7", "x"],
        ),
        (
            "UPDATE customers SET rank = 1.25, note = '{}', kind = 'a' WHERE id = 7",
            &["1.25", "7"],
        ),
        (
            "UPDATE public.customers SET name = NULL, born = '2020-01-31' WHERE id = -7 AND name = 'y'",
            &["2020-01-31", "y"],
        ),
        (
            "UPDATE customers SET name = 'x' WHERE id = 7 RETURNING id, name AS n",
            &["7", "x"],
        ),
        (
            "INSERT INTO customers (id, name, kind, rank) VALUES (7, 'x', 'a', DEFAULT)",
            &["7", "x"],
        ),
        (
            "INSERT INTO customers AS c (born, id) VALUES ('2020-01-31', 7) RETURNING *",
            &["2020-01-31", "7"],
        ),
        ("INSERT INTO customers VALUES (7, 'it''s')", &["7", "it's"]),
        (
            "DELETE FROM customers WHERE id = 7 AND rank IS NOT NULL",
            &["7"],
        ),
    ] {
        let found = parameters(sql);
        assert_eq!(
            found.as_deref(),
            Some(
                expected
                    .iter()
                    .map(|v| (*v).to_owned())
                    .collect::<Vec<_>>()
                    .as_slice()
            ),
            "{sql}"
        );
    }
}

#[test]
fn other_statements_and_values_that_a_column_may_not_take_have_none() {
    for sql in [
        // Which rows, or how many, the values decide.
        "SELECT name FROM customers WHERE name = 'x'",
        "SELECT name FROM customers WHERE id = 7 OR name = 'x'",
        "SELECT name FROM customers WHERE id IN (7, 8)",
        "SELECT name FROM customers WHERE id > 7",
        "SELECT name FROM customers WHERE NOT id = 7",
        "SELECT name FROM customers WHERE id = rank",
        "UPDATE customers SET name = 'x'",
        // What is called may be another tomorrow.
        "SELECT lower(name) FROM customers WHERE id = 7",
        "UPDATE customers SET born = now() WHERE id = 7",
        // More than one table or query, or more than the row.
        "SELECT a.name FROM customers a JOIN customers b ON b.id = a.rank WHERE a.id = 7",
        "SELECT name FROM customers WHERE id = 7 UNION SELECT 'x'",
        "SELECT (SELECT name FROM customers WHERE id = 7)",
        "WITH x AS (SELECT 1) SELECT name FROM customers WHERE id = 7",
        "UPDATE customers SET name = 'x' FROM other WHERE customers.id = 7",
        "UPDATE customers SET name = 'x' WHERE id = 7 RETURNING lower(name)",
        "INSERT INTO customers (id, name) VALUES (7, lower('x'))",
        "INSERT INTO customers (id, name) VALUES (7, 'x'), (8, 'y')",
        "INSERT INTO customers (id, name) VALUES (7, 'x') ON CONFLICT DO NOTHING",
        "INSERT INTO customers (id, name) SELECT 7, 'x'",
        "INSERT INTO customers (id, name) VALUES (7, (SELECT 'x'))",
        "INSERT INTO customers (id, nothing) VALUES (7, 'x')",
        "INSERT INTO people (id, full_name) VALUES (7, 'x')",
        "INSERT INTO customers DEFAULT VALUES",
        "UPDATE customers SET id = 8 WHERE id = 7",
        "SELECT name FROM customers WHERE id = 7 FOR UPDATE",
        "SELECT name FROM customers WHERE id = 7; SELECT 1",
        "EXPLAIN SELECT name FROM customers WHERE id = 7",
        "SELECT name FROM customers AS c (a) WHERE a = 7",
        "SELECT full_name FROM people WHERE id = 7",
        // The client's own parameters cannot be given by a Query.
        "SELECT name FROM customers WHERE id = $1",
        // The error is PostgreSQL's to tell.
        "SELECT name FROM customers WHERE id = 12345678901",
        "SELECT name FROM customers WHERE id = 'x'",
        "SELECT name FROM customers WHERE id = 7 AND name = 'of more than twenty characters'",
        "UPDATE customers SET rank = 123456789 WHERE id = 7",
        "UPDATE customers SET born = 'today' WHERE id = 7",
    ] {
        assert_eq!(parameters(sql), None, "{sql}");
    }
}
