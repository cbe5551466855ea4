//! Statement → what its names mean, for each rule of PostgreSQL's scoping. Tables `old` (id, role, note) and
//! `other` (id, name) are managed, so that their columns are known; those of `t` and `u` are not.

mod tables;

use super::{Bound, Id, ItemKind, Referent, column_refs};
use crate::parse::parse;
use crate::{Phase, RuleSet, SearchPath, SourceFile};

const RULES: &str = r#"
[migration]
name = "m"
phase = "dual_write"

[[table]]
legacy = "s.old"
unified = "s.new"
key = ["id"]

[table.columns]
id = { type = "int" }
role = { type = "text", unified = "kind" }
note = { type = "text" }

[[table]]
legacy = "s.other"
unified = "s.another"
key = ["id"]

[table.columns]
id = { type = "int" }
name = { type = "text" }
"#;

fn rules() -> RuleSet {
    let file = SourceFile {
        path: "m.toml".into(),
        text: RULES.to_owned(),
    };
    let rules = RuleSet::compile(vec![file]).expect("the rules of the tests are right");
    rules.with_phase(None, Phase::UnifiedRead)
}

/// The item's name; behind the first of a name with its number.
fn called(bound: &Bound<'_>, id: Id) -> String {
    let name = bound.item(id).name;
    let before = bound.items[..id.0 as usize].iter();
    match before.filter(|item| item.name == name).count() {
        0 => name.to_owned(),
        number => format!("{name}#{}", number + 1),
    }
}

fn said(bound: &Bound<'_>, referent: Referent<'_>) -> String {
    let item = |id| called(bound, id);
    match referent {
        Referent::Column(id, name) => format!("{}.{name}", item(id)),
        Referent::Merged(at, name) => {
            let items: Vec<String> = bound.merged(at).iter().map(|id| item(*id)).collect();
            format!("{}.{name}", items.join("+"))
        }
        Referent::System(id, name) => format!("system {}.{name}", id.map_or("?".into(), item)),
        Referent::Row(id) => format!("row {}", item(id)),
        Referent::All(id) => format!(
            "all{}",
            id.map_or(String::new(), |id| format!(" {}", item(id)))
        ),
        Referent::OfRow(id, name) => format!("{name}({})", item(id)),
        Referent::Result => "result".to_owned(),
        Referent::Unknown { column, row } => {
            let column = column.map(|id| format!(" or of {}", item(id)));
            let row = row.map(|id| format!(" or row {}", item(id)));
            format!("?{}{}", column.unwrap_or_default(), row.unwrap_or_default())
        }
        Referent::Nothing => "-".to_owned(),
    }
}

/// What the column references of a text mean, in its order.
fn meanings(text: &str) -> String {
    let rules = rules();
    let (tree, _) = parse(text).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"));
    let mut found = Vec::new();
    for raw in tree.list("stmts") {
        let statement = raw.get("stmt");
        let bound = Bound::of(&rules, SearchPath::AsDeclared, statement);
        for column in column_refs(statement, true) {
            found.push((column.location(), said(&bound, bound.referent(column))));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    let found: Vec<String> = found.into_iter().map(|(_, said)| said).collect();
    found.join(", ")
}

fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(text, expected)| (text, expected, meanings(text)))
        .filter(|(_, expected, found)| expected != &found)
        .map(|(text, expected, found)| format!("{text}\n  expected {expected}\n  found    {found}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_name_with_a_table_is_that_items() {
    check(&[
        ("SELECT old.id FROM old", "old.id"),
        ("SELECT a.id, old.id FROM old a", "a.id, -"),
        ("SELECT s.old.id, x.old.id FROM old", "old.id, -"),
        ("SELECT db.s.old.id FROM s.old", "old.id"),
        ("SELECT s.old.id FROM s.old a", "-"),
        (
            "SELECT s.old.id, r.old.x FROM s.old, r.old",
            "old.id, old#2.x",
        ),
        ("SELECT t.id, s.t.id FROM t", "t.id, t.id"),
        (
            "SELECT a.gone, a.ctid, t.ctid FROM old a, t",
            "gone(a), system a.ctid, system t.ctid",
        ),
        ("SELECT a.*, s.old.* FROM old a, s.old", "all a, all old"),
    ]);
}

#[test]
fn a_name_without_a_table_is_of_the_innermost_query_that_has_it() {
    check(&[
        ("SELECT id, role FROM old", "old.id, old.role"),
        ("SELECT role, name FROM old, other", "old.role, other.name"),
        ("SELECT role, x FROM old, t", "old.role, ?"),
        ("SELECT gone FROM old", "-"),
        ("SELECT (SELECT role FROM other) FROM old", "old.role"),
        (
            "SELECT (SELECT id FROM other WHERE id = old.id) FROM old",
            "other.id, other.id, old.id",
        ),
        ("SELECT (SELECT role FROM t) FROM old", "? or of old"),
        ("SELECT (SELECT a.role FROM old a) FROM other a", "a#2.role"),
        ("SELECT * FROM old", "all"),
        ("SELECT ctid FROM old", "system old.ctid"),
        ("SELECT ctid FROM old, t", "system ?.ctid"),
        ("SELECT ctid FROM (SELECT 1 AS ctid) q, old", "q.ctid"),
        ("SELECT (SELECT ctid FROM t) FROM old", "system t.ctid"),
        ("SELECT 1 WHERE id = 1", "-"),
    ]);
}

#[test]
fn a_row_is_what_no_column_is() {
    check(&[
        ("SELECT old FROM old", "row old"),
        ("SELECT old FROM old, t", "? or row old"),
        ("SELECT role FROM old role", "role.role"),
        ("SELECT (SELECT old FROM t) FROM old", "? or row old"),
        ("SELECT (SELECT old FROM other) FROM old", "row old"),
        ("SELECT a, row_to_json(a.*) FROM old a", "row a, all a"),
        ("SELECT a FROM (SELECT 1 AS a) q, old a", "q.a"),
        ("SELECT a FROM (SELECT 1 AS b) q, old a", "row a"),
        ("SELECT (a).role, role(a) FROM old a", "row a, row a"),
    ]);
}

#[test]
fn a_query_in_from_gives_the_names_of_its_results() {
    check(&[
        (
            "SELECT x, role FROM (SELECT role AS x FROM old) q",
            "q.x, -, old.role",
        ),
        ("SELECT role FROM (SELECT * FROM old) q, t", "q.role, all"),
        (
            "SELECT role FROM (SELECT a.* FROM old a, t) q, other",
            "q.role, all a",
        ),
        ("SELECT x FROM (SELECT * FROM t) q", "?, all"),
        ("SELECT q.x FROM (SELECT * FROM t) q", "q.x, all"),
        (
            "SELECT b, role, id FROM (SELECT * FROM old) q(a, b)",
            "q.b, -, -, all",
        ),
        ("SELECT b, note FROM old q(a, b)", "q.b, q.note"),
        ("SELECT a, x FROM t q(a)", "q.a, ?"),
        (
            "SELECT column1, column2, x FROM (VALUES (1, 2)) v",
            "v.column1, v.column2, -",
        ),
        ("SELECT a, column1 FROM (VALUES (1, 2)) v(a)", "v.a, -"),
        (
            "SELECT role FROM (SELECT id FROM other UNION SELECT 2 AS role) q, old",
            "old.role, other.id",
        ),
        (
            "SELECT count, lower, \"case\", int4, \"coalesce\", \"array\", \"exists\", \"?column?\", \"nullif\" FROM \
             (SELECT count(*), lower('x'), CASE WHEN true THEN 1 END, '1'::int, coalesce(1, 2), ARRAY[1], \
              EXISTS (SELECT), 1 + 1, nullif(1, 2)) q",
            "q.count, q.lower, q.case, q.int4, q.coalesce, q.array, q.exists, q.?column?, q.nullif",
        ),
        (
            "SELECT id, x, current_date FROM (SELECT (SELECT id FROM old), CASE WHEN true THEN 1 ELSE (SELECT 2 AS x) END, (r).f FROM other r) q",
            "q.id, q.x, old.id, row r",
        ),
        (
            "SELECT \"current_date\" FROM (SELECT current_date) q",
            "q.current_date",
        ),
    ]);
}

#[test]
fn lateral_items_see_those_before_them_and_others_do_not() {
    check(&[
        ("SELECT FROM old a, (SELECT role) q", "-"),
        ("SELECT FROM old a, LATERAL (SELECT role) q", "a.role"),
        (
            "SELECT FROM old a, LATERAL (SELECT a.role) q, other b",
            "a.role",
        ),
        ("SELECT FROM old a, f(a.role, name), other", "a.role, -"),
        ("SELECT FROM old a JOIN f(role) ON true", "a.role"),
        (
            "SELECT FROM old a JOIN LATERAL (SELECT role) q ON q.role = a.role",
            "a.role, q.role, a.role",
        ),
        (
            "SELECT (SELECT x FROM (SELECT role AS x) q) FROM old",
            "q.x, old.role",
        ),
        (
            "SELECT FROM other, XMLTABLE('/r' PASSING name COLUMNS role text)",
            "other.name",
        ),
        (
            "SELECT role FROM XMLTABLE('/r' PASSING x COLUMNS role text) m, old",
            "m.role, -",
        ),
        (
            "SELECT FROM old TABLESAMPLE bernoulli (1), LATERAL (SELECT id) q",
            "old.id",
        ),
    ]);
}

#[test]
fn a_join_with_a_name_hides_what_it_joins() {
    check(&[
        (
            "SELECT a.role, j.role FROM (old a JOIN other b ON true) j",
            "-, j.role",
        ),
        (
            "SELECT role, name FROM (old a JOIN other b ON a.id = b.id) j",
            "j.role, j.name, a.id, b.id",
        ),
        ("SELECT j FROM (old a CROSS JOIN other b) j", "row j"),
        (
            "SELECT x, role FROM (old a CROSS JOIN other b) j(x)",
            "j.x, j.role",
        ),
        (
            "SELECT role, ctid FROM old a JOIN other b ON true",
            "a.role, system ?.ctid",
        ),
        (
            "SELECT FROM other c, old a JOIN other b ON c.id = a.id AND name = ''",
            "-, a.id, b.name",
        ),
        (
            "SELECT FROM old a JOIN (other b JOIN t ON a.id = b.id) ON a.id = b.id",
            "-, b.id, a.id, b.id",
        ),
    ]);
}

#[test]
fn columns_of_a_join_by_using_are_one() {
    check(&[
        (
            "SELECT id, a.id, b.id, name FROM old a JOIN other b USING (id)",
            "a+b.id, a.id, b.id, b.name",
        ),
        ("SELECT id FROM old a JOIN t USING (id)", "a.id"),
        ("SELECT k FROM t JOIN u USING (k)", ".k"),
        (
            "SELECT id, name FROM old a NATURAL JOIN other b",
            "a+b.id, b.name",
        ),
        (
            "SELECT id FROM old a JOIN other b USING (id) JOIN old c USING (id)",
            "a+b+c.id",
        ),
        (
            "SELECT m.id, m.name, m FROM old a JOIN other b USING (id) AS m",
            "m.id, name(m), row m",
        ),
        (
            "SELECT id FROM (old a JOIN other b USING (id)) j, t",
            "j.id",
        ),
        (
            "SELECT id FROM (SELECT * FROM old a JOIN other b USING (id)) q",
            "q.id, all",
        ),
    ]);
}

#[test]
fn a_with_query_hides_a_table_from_what_comes_behind_it() {
    check(&[
        (
            "WITH old AS (SELECT 1 AS x) SELECT x, role, old FROM old",
            "old.x, -, row old",
        ),
        (
            "WITH old AS (SELECT role FROM old) SELECT role, id FROM old",
            "old.role, old#2.role, -",
        ),
        (
            "WITH q(a) AS (SELECT id, role FROM old) SELECT a, role, id FROM q",
            "old.id, old.role, q.a, q.role, -",
        ),
        (
            "WITH q AS (SELECT * FROM old) SELECT z.note, note FROM q z, t",
            "all, z.note, z.note",
        ),
        (
            "WITH w AS (SELECT 1 AS a), q AS (SELECT a FROM w) SELECT a FROM q",
            "w.a, q.a",
        ),
        (
            "WITH RECURSIVE r(n) AS (SELECT id FROM old UNION ALL SELECT n FROM r WHERE n < 9) SELECT n, id FROM r",
            "old.id, r.n, r.n, r#2.n, -",
        ),
        (
            "WITH RECURSIVE r AS (SELECT id FROM old UNION ALL SELECT id FROM r) \
             SEARCH DEPTH FIRST BY id SET o CYCLE id SET c USING p SELECT o, c, p, id, x FROM r",
            "old.id, r.id, r#2.o, r#2.c, r#2.p, r#2.id, -",
        ),
        (
            "WITH d AS (DELETE FROM old RETURNING id, role AS x) SELECT id, x, role FROM d",
            "old.id, old.role, d.id, d.x, -",
        ),
        (
            "WITH d AS (INSERT INTO other VALUES (1) RETURNING *) SELECT name FROM d",
            "all, d.name",
        ),
        (
            "SELECT (WITH q AS (SELECT role) SELECT role FROM q) FROM old",
            "old.role, q.role",
        ),
        (
            "WITH old AS (SELECT 1 AS x) UPDATE old SET role = old.role FROM s.old",
            "old.role",
        ),
    ]);
}

#[test]
fn order_by_looks_at_results_first_and_group_by_at_columns() {
    check(&[
        ("SELECT id AS role FROM old ORDER BY role", "old.id, result"),
        (
            "SELECT id AS role FROM old ORDER BY role || ''",
            "old.id, old.role",
        ),
        (
            "SELECT id AS role FROM old GROUP BY role",
            "old.id, old.role",
        ),
        ("SELECT id AS x FROM old GROUP BY x", "old.id, result"),
        (
            "SELECT id AS x FROM old GROUP BY ROLLUP (x, role), (note, x)",
            "old.id, result, old.role, old.note, result",
        ),
        (
            "SELECT DISTINCT ON (role) id AS role FROM old",
            "result, old.id",
        ),
        (
            "SELECT old AS x FROM old ORDER BY x, old",
            "row old, result, row old",
        ),
        (
            "SELECT id FROM old UNION SELECT id FROM other ORDER BY id",
            "old.id, other.id, result",
        ),
        (
            "SELECT lower(role) FROM old ORDER BY lower",
            "old.role, result",
        ),
        (
            "SELECT count(*) OVER (ORDER BY role) AS role FROM old WINDOW w AS (PARTITION BY role)",
            "old.role, old.role",
        ),
        (
            "SELECT 1 AS role FROM old HAVING role = '' LIMIT 1",
            "old.role",
        ),
    ]);
}

#[test]
fn a_write_sees_its_target_and_what_it_joins() {
    check(&[
        (
            "UPDATE old SET role = note WHERE id = 1 RETURNING role",
            "old.note, old.id, old.role",
        ),
        (
            "UPDATE old a SET role = name FROM other b WHERE a.id = b.id RETURNING a, b.name, x",
            "b.name, a.id, b.id, row a, b.name, -",
        ),
        // The parser gives each column a query of its own.
        (
            "UPDATE old SET (role, note) = (SELECT name, x FROM other WHERE id = old.id)",
            "other.name, other#2.name, -, -, other.id, other#2.id, old.id, old.id",
        ),
        (
            "UPDATE old SET role = x FROM t WHERE note = y",
            "?, old.note, ?",
        ),
        (
            "DELETE FROM old USING other WHERE role = name RETURNING *",
            "old.role, other.name, all",
        ),
        ("DELETE FROM old WHERE ctid = '(0,1)'", "system old.ctid"),
        ("INSERT INTO old SELECT role FROM t", "?"),
        ("INSERT INTO old (id) VALUES (role)", "-"),
        (
            "INSERT INTO old AS a DEFAULT VALUES RETURNING a.id, id, old.id",
            "a.id, a.id, old.id",
        ),
        ("COPY old FROM STDIN WHERE role = ''", "old.role"),
    ]);
}

#[test]
fn on_conflict_sees_the_row_that_is_there_and_then_the_one_that_was_to_be() {
    check(&[
        (
            "INSERT INTO old AS a VALUES (1) ON CONFLICT (lower(role)) WHERE a.note = excluded.note \
             DO UPDATE SET role = excluded.role || a.role WHERE role = '' RETURNING excluded.role",
            "a.role, a.note, -, excluded.role, a.role, a.role, -",
        ),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET x = excluded.x, y = t.y, z = q",
            "excluded.x, t.y, ?",
        ),
    ]);
}

#[test]
fn a_branch_of_merge_sees_the_sides_that_it_has_rows_of() {
    check(&[(
        "MERGE INTO old a USING other b ON a.id = b.id AND role = name \
         WHEN MATCHED AND role = '' THEN UPDATE SET role = b.name \
         WHEN NOT MATCHED AND b.id > 1 THEN INSERT (id, role) VALUES (id, a.role) \
         WHEN NOT MATCHED BY SOURCE AND b.id > 1 THEN UPDATE SET role = name, note = note \
         RETURNING merge_action(), a.id, b, name",
        "a.id, b.id, a.role, b.name, a.role, b.name, b.id, b.id, -, -, -, a.note, a.id, row b, b.name",
    )]);
}

#[test]
fn old_and_new_are_versions_of_the_row_unless_something_has_the_name() {
    check(&[
        (
            "UPDATE other SET name = '' RETURNING old.name, new.id, new",
            "old.name, new.id, row new",
        ),
        (
            "UPDATE old SET role = '' RETURNING old.role, new.role",
            "old.role, new.role",
        ),
        (
            "UPDATE other new SET name = '' FROM old RETURNING new.name, old.role",
            "new.name, old.role",
        ),
        (
            "UPDATE other SET name = '' RETURNING WITH (OLD AS o, NEW AS n) o.name, n.name",
            "o.name, n.name",
        ),
        ("UPDATE other SET name = old.name", "-"),
    ]);
    let rules = rules();
    let (tree, _) = parse("DELETE FROM other RETURNING old.id").expect("it is SQL");
    let statement = tree.list("stmts")[0].get("stmt");
    let bound = Bound::of(&rules, SearchPath::AsDeclared, statement);
    let owner = bound
        .owner(column_refs(statement, true)[0])
        .expect("it is known");
    assert!(matches!(bound.item(owner).kind, ItemKind::Version));
}

#[test]
fn functions_in_from_have_the_columns_that_are_known() {
    check(&[
        ("SELECT g, x FROM generate_series(1, 2) g", "g.g, -"),
        (
            "SELECT generate_series FROM generate_series(1, 2)",
            "generate_series.generate_series",
        ),
        (
            "SELECT key, value, ordinality FROM jsonb_each('{}') WITH ORDINALITY e",
            "e.key, e.value, e.ordinality",
        ),
        ("SELECT k, value FROM jsonb_each('{}') e(k)", "e.k, e.value"),
        (
            "SELECT a, b, c FROM json_to_record('{}') AS r(a int, b text)",
            "r.a, r.b, -",
        ),
        ("SELECT x FROM f() g", "?"),
        ("SELECT value FROM mine.jsonb_each('{}') e", "?"),
        ("SELECT g FROM f() g", "? or row g"),
        (
            "SELECT a, b FROM ROWS FROM (generate_series(1, 2), jsonb_each('{}')) AS r(a, b)",
            "r.a, r.b",
        ),
        (
            "SELECT x, role FROM JSON_TABLE('{}', '$' COLUMNS (x int, NESTED PATH '$.y' COLUMNS (role int))) j, old",
            "j.x, j.role",
        ),
    ]);
}

#[test]
fn an_unknown_search_path_leaves_columns_unknown() {
    let rules = rules();
    let (tree, _) = parse("SELECT role FROM old").expect("it is SQL");
    let statement = tree.list("stmts")[0].get("stmt");
    let bound = Bound::of(&rules, SearchPath::Unknown, statement);
    let column = column_refs(statement, true)[0];
    assert_eq!(said(&bound, bound.referent(column)), "?");
}

#[test]
fn columns_are_found_through_the_names_of_joins() {
    let rules = rules();
    let text =
        "SELECT role, y, id FROM ((old a JOIN other b USING (id)) AS j CROSS JOIN t) AS k (x, y)";
    for (text, expected) in [
        (
            "SELECT role, id, j.role FROM (old a JOIN other b USING (id)) j",
            ["role", "id", "role"],
        ),
        (
            "SELECT y, x, k.z FROM (old a CROSS JOIN other b) AS k (x, y, z)",
            ["role", "id", "note"],
        ),
    ] {
        let (tree, _) = parse(text).expect("it is SQL");
        let statement = tree.list("stmts")[0].get("stmt");
        let bound = Bound::of(&rules, SearchPath::AsDeclared, statement);
        let columns = column_refs(statement.get("target_list"), true);
        let found: Vec<_> = columns
            .iter()
            .map(|node| bound.column_of(node, Id(0)))
            .collect();
        assert_eq!(found, expected.map(Some), "{text}");
    }
    assert_eq!(meanings(text), "?, k.y, ?");
}
