//! What a rule file may say in fewer words: a shape as CREATE TABLE has it, texts that stand in
//! several places, one table for several that are alike. Each is the same lens as the long form.

use super::compile;
use crate::RuleSet;

const LONG: &str = r#"[migration]
name = "groups"
phase = "dual_write"
[prepare]
crosswalk = ["public.group_ids"]
sql = "CREATE TABLE group_ids (legacy_id int PRIMARY KEY, link_id int)"
[[table]]
legacy = "public.old_groups"
unified = ["public.group_link"]
key = ["id"]
read = """SELECT k.legacy_id AS id, l.group_id, l.name, l.until, l.note
  FROM group_ids k JOIN group_link l ON l.id = k.link_id"""
put = [
  { sql = "INSERT INTO group_ids (legacy_id) SELECT id FROM row_image ON CONFLICT DO NOTHING" },
  { sql = "UPDATE group_link l SET (group_id, name, until) = (SELECT group_id, name, until FROM row_image) FROM group_ids k WHERE l.id = k.link_id" },
]
remove = [{ sql = "DELETE FROM group_ids k USING row_image r WHERE k.legacy_id = r.id" }]
[table.columns]
id = "bigint NOT NULL DEFAULT nextval('public.old_groups_id_seq')"
group_id = "integer NOT NULL"
name = { type = "character varying(20) NOT NULL", lossy = true }
until = { type = "timestamp with time zone", verify = false }
note = { type = "text", lossy = true }
[table.checks]
"old_groups_check" = "group_id > 0 AND '{}'::text <> name"
"#;

/// The same for two tables.
const SHORT: &str = r#"[migration]
name = "groups"
phase = "dual_write"
[prepare]
crosswalk = ["public.group_ids", "public.role_ids"]
sql = """CREATE TABLE group_ids (legacy_id int PRIMARY KEY, link_id int);
  CREATE TABLE role_ids (legacy_id int PRIMARY KEY, link_id int)"""
[[table]]
each = [
  { of = "group" },
  { of = "role" },
]
legacy = "public.old_{of}s"
unified = ["public.{of}_link"]
key = ["id"]
columns = """
  id bigint NOT NULL DEFAULT nextval('public.old_{of}s_id_seq'), {of}_id int NOT NULL, -- the {of}
  name varchar(20) NOT NULL, until timestamptz, note text,
  CONSTRAINT old_{of}s_check CHECK ({of}_id > 0 AND '{}'::text <> name)"""
lossy = ["name, note"]
unverified = ["until"]
let.all = "{{of}}"
let.kept = """name,
  until"""
read = """SELECT l.until, l.*, k.legacy_id AS id
  FROM {of}_ids k JOIN {of}_link l ON l.id = k.link_id"""
put = [
  "INSERT INTO {of}_ids (legacy_id) SELECT id FROM row_image ON CONFLICT DO NOTHING",
  """UPDATE {of}_link l SET ({of}_id, {kept}) = (SELECT {of}_id, {kept} FROM row_image)
    FROM {of}_ids k WHERE l.id = k.link_id""",
]
remove = ["DELETE FROM {of}_ids k USING row_image r WHERE k.legacy_id = r.id"]
[table.constraints]
"old_{of}s_key" = "{of}_link_key"
"#;

fn short() -> String {
    SHORT.replace("let.all = \"{{of}}\"\n", "")
}

fn lens(rules: &RuleSet, number: usize) -> &crate::Lens {
    &rules.migrations()[0].tables[number]
}

#[test]
fn the_short_form_is_the_same_lens() {
    let long = compile(LONG).expect("it is right");
    let short = compile(&short()).expect("it is right");
    let (long, group) = (lens(&long, 0), lens(&short, 0));
    assert_eq!(
        format!("{:#?}", long.columns),
        format!("{:#?}", group.columns)
    );
    let (a, b) = (long.written.as_ref(), group.written.as_ref());
    let (a, b) = (a.expect("written"), b.expect("written"));
    assert_eq!(format!("{:#?}", a.put), format!("{:#?}", b.put));
    assert_eq!(format!("{:#?}", a.remove), format!("{:#?}", b.remove));
    assert_eq!(format!("{:#?}", a.checks), format!("{:#?}", b.checks));
    assert_eq!(
        long.read(),
        group
            .read()
            .replace("\"l\".\"", "l.")
            .replace("\")::", ")::")
    );
}

#[test]
fn tables_that_are_alike_are_written_once() {
    let rules = compile(&short()).expect("it is right");
    let role = lens(&rules, 1);
    assert_eq!(role.legacy.name, "old_roles");
    assert_eq!(role.unified.name, "role_link");
    assert_eq!(
        role.constraints,
        [("old_roles_key".to_owned(), "role_link_key".to_owned())]
    );
    let columns: Vec<&str> = role.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(columns, ["id", "role_id", "name", "until", "note"]);
    let put = &role.written.as_ref().expect("written").put;
    assert!(
        put[1]
            .sql
            .contains("UPDATE \"public\".\"role_link\" l SET (role_id, name, until)")
    );
}

/// The error after a replacement, and whether it points at a text of the changed file.
fn wrong(find: &str, replace: &str, at: &str, says: &str) {
    let right = short();
    assert!(right.contains(find), "{find}");
    let text = right.replacen(find, replace, 1);
    let error = match compile(&text) {
        Ok(_) => panic!("`{replace}` was accepted"),
        Err(error) => error,
    };
    let before = &text[..text.find(at).expect("the place is there")];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let place = format!("rules/x.toml:{line}:{column}: ");
    assert!(error.contains(says), "{error}");
    assert!(error.contains(&place), "expected {place}\nfound {error}");
}

#[test]
fn an_error_says_where_it_stands_and_for_which_table() {
    wrong(
        "JOIN {of}_link l ON l.id",
        "JOIN {of}_links l ON l.id",
        "{of}_links l",
        "unknown relation `group_links`; expected one of: group_link, group_ids, role_ids (each 1, with of = \"group\")",
    );
    // Of one instance only, behind a placeholder with a line break in it.
    wrong(
        "SELECT {of}_id, {kept} FROM row_image)",
        "SELECT {of}_id, {kept}, made.group_id FROM row_image, {of}_made made)",
        "{of}_made made",
        "unknown relation `role_made`",
    );
    wrong(
        "note text,",
        "note txt[,",
        ",\n  CONSTRAINT",
        "(each 2, with of = \"role\")",
    );
    wrong(
        "'{}'::text <> name",
        "'{}'::text <> nam",
        "CONSTRAINT old",
        "unknown column `nam`",
    );
    wrong(
        "legacy = \"public.old_{of}s\"",
        "legacy = \"public.old_groups\"",
        "\"public.old_groups\"",
        "already in another [[table]]; expected each table once (elsewhere as `lookup`) (each 2, with of = \"role\")",
    );
}

#[test]
fn placeholders_are_all_known_and_all_used() {
    wrong(
        "\"public.{of}_link\"",
        "\"public.{off}_link\"",
        "{off}_link\"",
        "unknown placeholder `{off}`; expected one of {of}, {kept}, or `{{off}}` for the braces themselves",
    );
    wrong(
        "{ of = \"role\" }",
        "{ of = \"role\", other = \"x\" }",
        "{ of = \"role\", other",
        "other names than in the first",
    );
    wrong(
        "let.kept",
        "let.other = \"x\"\nlet.kept",
        "other = \"x\"",
        "nothing in the table says `{other}`",
    );
    wrong(
        "let.kept",
        "let.of = \"x\"\nlet.kept",
        "{ of = \"group\" }",
        "`let` has `of` as well",
    );
    wrong(
        "\"\"\"name,\n  until\"\"\"",
        "\"{of}, until\"",
        "\"{of}, until\"",
        "expected a string without placeholders",
    );
    wrong(
        "of = \"role\"",
        "of = 1",
        "1 },",
        "expected a string without",
    );
    wrong(
        "of = \"role\"",
        "\"o f\" = \"x\"",
        "\"o f\"",
        "cannot name a placeholder",
    );
    wrong(
        "each = [\n  { of = \"group\" },\n  { of = \"role\" },\n]",
        "each = []",
        "[]",
        "found no instance",
    );
    wrong(
        "[table.constraints]\n",
        "[table.constraints]\nold_groups_key = \"x\"\n",
        "\"old_{of}s_key\"",
        "two keys become `old_groups_key`",
    );
    // Without `each` and `let` braces are nobody's business.
    compile(&LONG.replace("'{}'::text", "'{name}'::text")).expect("a text");
}

#[test]
fn doubled_braces_are_the_braces_themselves() {
    let text = short().replace("'{}'::text", "'{{of}} {} {\"a\": 1} {{{of}}}'::text");
    let rules = compile(&text).expect("it is right");
    let checks = &lens(&rules, 1).written.as_ref().expect("written").checks;
    let sql = checks[0].sql.over("r");
    assert!(sql.contains("'{of} {} {\"a\": 1} {{of}}'"), "{sql}");
}

#[test]
fn what_is_said_of_columns_names_each_once() {
    wrong(
        "[\"name, note\"]",
        "[\"name, notes\"]",
        "\"name, notes",
        "`notes` is not among `columns`",
    );
    wrong(
        "[\"name, note\"]",
        "[\"name\", \"name\"]",
        "\"name\"]",
        "said of `name` twice",
    );
    wrong(
        "note text,",
        "note text, name text,",
        "name text,",
        "column `name` is declared twice",
    );
    wrong(
        "unverified = [\"until\"]",
        "unverified = [\"when\"]",
        "\"when\"",
        "`when` is not among",
    );
    let text = short().replace(
        "[table.constraints]",
        "[table.checks]\n\"old_{of}s_check\" = \"true\"\n[table.constraints]",
    );
    let error = compile(&text).expect_err("twice");
    assert!(
        error.contains("the CHECK `old_groups_check` is declared twice"),
        "{error}"
    );
}

#[test]
fn the_rest_of_a_read_is_one_tables() {
    wrong(
        "l.until, l.*",
        "l.until, l.*, k.*",
        "\"\"\"SELECT l.until",
        "found `k.*`; expected each column by its name, and at most one `table.*`",
    );
    wrong(
        "l.until, l.*",
        "l.until, x.*",
        "\"\"\"SELECT l.until",
        "found `x.*`",
    );
    wrong(
        "l.until, l.*, k.legacy_id AS id",
        "*",
        "\"\"\"SELECT *",
        "found `*`",
    );
    wrong(
        "l.until, l.*",
        "l.until, l.until, l.*",
        "l.until, l.*",
        "`read` yields `until` twice",
    );
    wrong(
        "l.until, l.*",
        "l.until, l.other, l.*",
        "l.other",
        "`read` yields `other`, which is not among `columns`",
    );
}
