//! What a rule file may say of foreign keys.

use super::*;

const ROWS: &str = r#"
[migration]
name = "m"
phase = "dual_write"
[[table]]
legacy = "s.a"
unified = "s.x"
key = ["id"]
columns = "id int, b int CONSTRAINT b_fk REFERENCES {b}"
read = "SELECT x.id, x.b FROM x"
put = ["INSERT INTO x (id, b) SELECT id, b FROM row_image"]
remove = ["DELETE FROM x USING row_image r WHERE x.id = r.id"]
[[table]]
legacy = "s.b"
unified = "s.y"
key = ["id"]
columns = "id int, other int"
read = "SELECT y.id, y.other FROM y"
put = ["INSERT INTO y (id, other) SELECT id, other FROM row_image"]
remove = ["DELETE FROM y USING row_image r WHERE y.id = r.id"]
"#;

fn compiled(refers: &str) -> Result<RuleSet, String> {
    compile(&ROWS.replace("{b}", refers))
}

#[test]
fn a_foreign_key_between_two_lenses_is_seen_to_by_both() {
    let rules = compiled("b ON DELETE CASCADE").expect("it is right");
    let [a, b] = &rules.migrations()[0].tables[..] else {
        panic!("two tables");
    };
    assert_eq!(a.foreign_keys()[0].parent.sql(), b.legacy.sql());
    let names = |lens: &crate::Lens| -> String {
        let all = lens.functions().into_iter().map(|f| f.name);
        all.collect::<Vec<_>>().join(" ")
    };
    for word in ["key_1_a_", "refers_a_", "said_a_"] {
        assert!(names(a).contains(word), "{word}");
    }
    let acts = ["hidden_1_b_", "settle_1_b_", "carry_1_b_"];
    for word in ["left_1_b_", "gone_1_b_", "came_1_b_"]
        .into_iter()
        .chain(acts)
    {
        assert!(names(b).contains(word), "{word}");
    }
    // Each calls the other's functions by the names that they have.
    let delete = b
        .functions()
        .into_iter()
        .find(|f| f.name.contains("settle_1_b_"));
    let removes = a
        .functions()
        .into_iter()
        .find(|f| f.name.contains("delete_a_"));
    let (delete, removes) = (delete.expect("one"), removes.expect("one"));
    assert!(delete.ddl.contains(&format!("{}(", removes.name)));
}

#[test]
fn another_foreign_key_needs_a_constraint_that_stands_for_it() {
    for (refers, says) in [
        ("elsewhere", r#"refers to "s"."elsewhere""#),
        ("b (other)", "does not refer to the key"),
    ] {
        let errors = compiled(refers).expect_err(refers);
        assert!(errors.contains(says), "{errors}");
        assert!(errors.contains("[table.constraints]"), "{errors}");
    }
}
