//! Which pairs of reads are compared.

use super::rules;
use crate::{Foreign, Namesake, Namesakes, Phase, RuleSet, SearchPath, ShadowPair, Verdict};

/// The pair of texts that a read is compared by, or what keeps it from that.
fn compared(sql: &str) -> Option<ShadowPair> {
    compared_by(&rules(Phase::ShadowRead), sql)
}

fn compared_by(rules: &RuleSet, sql: &str) -> Option<ShadowPair> {
    let reading = rules.rewrite(sql, SearchPath::AsDeclared);
    match &reading.verdict {
        Verdict::Rewritten(rewritten) => rewritten.shadow.as_deref().cloned(),
        Verdict::PassThrough | Verdict::Refused(_) => None,
    }
}

#[test]
fn a_pair_to_compare_names_every_table_with_its_schema() {
    for (sql, legacy) in [
        ("SELECT id FROM old", "SELECT id FROM s.old"),
        (
            "SELECT old.id FROM ONLY old",
            "SELECT old.id FROM ONLY s.old",
        ),
        ("TABLE old", "TABLE s.old"),
        (
            "SELECT a.id FROM \"old\" a JOIN s.new USING (id) WHERE EXISTS (SELECT FROM new)",
            "SELECT a.id FROM s.old a JOIN s.new USING (id) WHERE EXISTS (SELECT FROM s.new)",
        ),
        (
            "WITH old AS (SELECT * FROM s.old) SELECT count(*) FROM old",
            "WITH old AS (SELECT * FROM s.old) SELECT count(*) FROM old",
        ),
    ] {
        let pair = compared(sql).expect(sql);
        let legacy = legacy.replace("s.old", r#""s"."old""#);
        assert_eq!(
            pair.legacy,
            legacy.replace("s.new", r#""s"."new""#),
            "{sql}"
        );
        assert!(!pair.unified.contains("old\" "), "{}", pair.unified);
        assert!(!pair.unified.contains("FROM new"), "{}", pair.unified);
        let tables: Vec<String> = pair.tables.iter().map(ToString::to_string).collect();
        assert_eq!(tables, [r#""s"."new""#, r#""s"."old""#], "{sql}");
        assert_eq!(pair.foreign, None);
    }
}

#[test]
fn what_a_client_may_have_made_is_never_run_for_a_comparison() {
    use Foreign::{Collation, Function, Operator, Relation, Type};
    for (sql, foreign) in [
        ("SELECT app.lower(role) FROM old", Function),
        ("SELECT slug(role) FROM old", Function),
        ("SELECT id FROM old WHERE now() > '2026-01-01'", Function),
        ("SELECT array_agg(id) FROM old", Function),
        ("SELECT * FROM old, app.lower('x')", Function),
        (
            "SELECT app.lower(x) OVER () FROM (SELECT count(*) FROM old) AS t (x)",
            Function,
        ),
        (
            "SELECT id FROM old WHERE role OPERATOR(app.=) 'x'",
            Operator,
        ),
        (
            "SELECT id FROM old WHERE role OPERATOR(app.=) ANY (VALUES ('x'))",
            Operator,
        ),
        (
            "SELECT id FROM old ORDER BY role USING OPERATOR(app.<)",
            Operator,
        ),
        ("SELECT role::app.label FROM old", Type),
        ("SELECT app.label 'x' FROM old", Type),
        ("SELECT CAST('{x}' AS app.label[]) FROM old", Type),
        ("SELECT id FROM old ORDER BY role COLLATE app.c", Collation),
        ("SELECT id FROM old JOIN app.view USING (id)", Relation),
        (
            "SELECT id FROM old WHERE id IN (SELECT id FROM other)",
            Relation,
        ),
    ] {
        let pair = compared(sql).unwrap_or_else(|| panic!("{sql}: nothing to count"));
        assert_eq!(pair.foreign, Some(foreign), "{sql}");
        assert_eq!((pair.legacy.as_str(), pair.unified.as_str()), ("", ""));
    }
    for sql in [
        "SELECT pg_catalog.lower(role) FROM old",
        "SELECT replace(upper(role), 'X', 'Y'), count(*) FROM old GROUP BY char_length(role), role",
        "SELECT id FROM old WHERE role OPERATOR(pg_catalog.=) 'x'",
        "SELECT role::pg_catalog.text, id::int FROM old ORDER BY role COLLATE \"C\"",
    ] {
        assert_eq!(compared(sql).expect(sql).foreign, None, "{sql}");
    }
    // What a query in progress says of itself is no difference of the data.
    assert_eq!(
        compared("SELECT id FROM old WHERE current_date > '2026-01-01'").map(drop),
        None
    );
}

#[test]
fn a_function_that_bears_a_name_of_postgresqls_is_never_run_for_a_comparison() {
    let stable = Namesake { volatile: false };
    let rules = rules(Phase::ShadowRead);
    let known = rules.with_namesakes(Namesakes::known([("lower".to_owned(), stable)]));
    let unknown = rules.with_namesakes(Namesakes::Unknown);
    let asked = |rules: &RuleSet, sql: &str| compared_by(rules, sql).expect(sql).foreign;
    let (bare, upper) = ("SELECT lower(role) FROM old", "SELECT upper(role) FROM old");
    let qualified = "SELECT pg_catalog.lower(role) FROM old";
    assert_eq!(asked(&rules, bare), None);
    assert_eq!(asked(&known, bare), Some(Foreign::Function));
    assert_eq!(asked(&unknown, bare), Some(Foreign::Function));
    assert_eq!(asked(&known, upper), None);
    assert_eq!(asked(&unknown, upper), Some(Foreign::Function));
    for rules in [&rules, &known, &unknown] {
        assert_eq!(asked(rules, qualified), None);
    }
}
