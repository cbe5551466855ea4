//! The SQL of a written lens is checked before anything runs, and an error says where it stands.

use super::compile;
use crate::{Phase, SearchPath, Verdict};

pub(super) const RIGHT: &str = r#"[migration]
name = "split"
phase = "dual_write"
[prepare]
crosswalk = ["public.ids"]
sql = "CREATE TABLE ids (legacy_id int PRIMARY KEY, person_id int)"
[[table]]
legacy = "public.old"
unified = ["public.person", "public.address"]
lookup = ["public.country"]
key = ["id"]
read = """
SELECT k.legacy_id AS id, p.name, a.street,
  p.note
FROM ids k JOIN person p ON p.id = k.person_id
LEFT JOIN address a ON a.person_id = p.id"""
put = [
  { name = "made", sql = "INSERT INTO person (name) SELECT name FROM row_image RETURNING id" },
  { sql = """INSERT INTO address (person_id, street)
    SELECT made.id, row_image.street FROM row_image, made""" },
]
remove = [{ sql = "DELETE FROM person USING row_image r, ids k WHERE k.legacy_id = r.id AND person.id = k.person_id" }]
[table.columns]
id = { type = "integer" }
"name, street" = { type = "text" }
note = { type = "text", lossy = true }
"#;

/// The error after a replacement, and whether it points at a text of the changed file.
fn wrong(find: &str, replace: &str, at: &str, says: &str) {
    assert!(RIGHT.contains(find), "{find}");
    let text = RIGHT.replacen(find, replace, 1);
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
fn a_written_lens_compiles_and_knows_its_tables() {
    let rules = compile(RIGHT).expect("it is right");
    let lens = &rules.migrations()[0].tables[0];
    let names: Vec<String> = lens.unified_tables().iter().map(|t| t.sql()).collect();
    assert_eq!(names, ["\"public\".\"person\"", "\"public\".\"address\""]);
    assert_eq!(
        lens.read(),
        "SELECT (k.legacy_id)::integer AS \"id\", (p.name)::text AS \"name\", (a.street)::text AS \"street\", \
         (p.note)::text AS \"note\" FROM \"public\".\"ids\" k JOIN \"public\".\"person\" p ON p.id = k.person_id \
         LEFT JOIN \"public\".\"address\" a ON a.person_id = p.id"
    );
    assert_eq!(lens.compared_columns().count(), 2);
}

#[test]
fn names_that_are_not_there_are_told_with_their_place() {
    wrong(
        "JOIN person p",
        "JOIN persons p",
        "persons p",
        "unknown relation `persons`; expected one of: person, address, ids",
    );
    wrong(
        "FROM row_image, made\"",
        "FROM row_images, made\"",
        "row_images",
        "unknown relation `row_images`",
    );
    wrong(
        "row_image.street",
        "row_image.strasse",
        "strasse",
        "`row_image` has no column `strasse`; it has: id, name, street, note",
    );
    wrong(
        "made.id, row",
        "made.uid, row",
        "uid, row",
        "`made` has no column `uid`; it has: id",
    );
    // A step sees only those before it.
    wrong(
        "SELECT name FROM row_image RET",
        "SELECT name FROM row_image, later RET",
        "later RET",
        "unknown relation `later`",
    );
}

#[test]
fn a_read_yields_the_shape_and_nothing_else() {
    wrong(
        "p.name, a.street",
        "a.street, p.name",
        "a.street, p.name",
        "column 2 of `read` is `street`; `columns` has `name` there",
    );
    wrong(
        ",\n  p.note",
        "",
        "\"\"\"\nSELECT",
        "`read` does not yield `note`",
    );
    wrong(
        "p.note\n",
        "p.note, p.id\n",
        "p.id\nFROM",
        "`read` yields `id` twice",
    );
    wrong(
        "k.legacy_id AS id",
        "k.legacy_id + 1 AS id",
        "k.legacy_id + 1",
        "expected `table.column`, by which rows can be found",
    );
    wrong(
        "SELECT k.",
        "SELECT DISTINCT k.",
        "\"\"\"\nSELECT",
        "found DISTINCT; expected a plain SELECT",
    );
    wrong("FROM ids k", "FORM ids k", "ids k", "Expected");
}

#[test]
fn a_read_names_every_table_where_a_write_to_it_can_be_followed() {
    for subquery in [
        "(SELECT max(x.street) FROM address x WHERE x.person_id = p.id)",
        "CASE WHEN EXISTS (SELECT FROM address x WHERE x.person_id = p.id) THEN 'x' END",
        "ARRAY(SELECT x.street FROM public.address x)::text",
    ] {
        let at = if subquery.contains("public.address") {
            "public.address x"
        } else {
            "address x"
        };
        wrong(
            "  p.note\n",
            &format!("  {subquery} AS note\n"),
            at,
            "names address in a subquery",
        );
    }
    wrong(
        "a.person_id = p.id\"",
        "a.person_id = p.id\nWHERE p.id IN (SELECT person_id FROM ids)\"",
        "ids)\"",
        "names ids in a subquery",
    );
    wrong(
        "LEFT JOIN address a ON a",
        "LEFT JOIN country c ON c.name = p.name LEFT JOIN address a ON a",
        "country c",
        "`country` is a lookup table",
    );
    // One that names no table has nothing to follow.
    let harmless = RIGHT.replacen(
        "  p.note\n",
        "  (SELECT max(x) FROM unnest(ARRAY[p.note, p.name]) AS x) AS note\n",
        1,
    );
    compile(&harmless).expect("it reads columns only");
}

#[test]
fn a_read_names_the_columns_that_it_reads() {
    for (row, at, said) in [
        ("to_jsonb(p)", "p))::text", "p"),
        ("to_jsonb(p.*)", "to_jsonb", "p.*"),
        ("(p).note", "p).note", "p"),
        ("row_to_json(P)", "P))::text", "P"),
    ] {
        wrong(
            "  p.note\n",
            &format!("  ({row})::text AS note\n"),
            at,
            &format!("found the whole row `{said}`"),
        );
    }
    wrong(
        "ON a.person_id = p.id\"",
        "ON to_jsonb(a) ? p.id\"",
        "a) ?",
        "found the whole row `a`",
    );
    wrong(
        "JOIN person p ON",
        "JOIN person p (id, name, note) ON",
        "p (id",
        "expected columns under their own names",
    );
    // A column by its table's full name is the column.
    let text = RIGHT
        .replace("person p ON p.id", "person ON public.person.id")
        .replace("p.id\"", "person.id\"")
        .replace("p.name, a", "public.person.name, a")
        .replace("p.note", "Public.Person.note");
    let rules = compile(&text).expect("a table's full name");
    let written = rules.migrations()[0].tables[0].steps();
    let part = written.and_then(|w| w.part_of(&w.tables[0])).expect("read");
    let fed: Vec<&str> = part.feeds.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fed, ["name", "note"]);
    assert_eq!(part.decides, ["id", "id"]);
}

#[test]
fn what_is_read_through_a_join_is_known_by_the_columns_that_join() {
    let rules = compile(RIGHT).expect("it is right");
    let lens = &rules.migrations()[0].tables[0];
    let parts = &lens.steps().expect("it is written").query.parts;
    let told = |alias: &str| {
        let part = parts.iter().find(|part| part.alias == alias).expect(alias);
        let ties = part.ties.iter();
        let mut ties: Vec<String> = ties
            .map(|(column, at)| format!("{column}: {}", lens.columns[*at].name))
            .collect();
        ties.sort();
        ties.dedup();
        (ties.join(", "), part.makes_rows)
    };
    // The key stands in `ids`: whatever joins a person to it changes the person and the address.
    let all = "person_id: name, person_id: note, person_id: street";
    assert_eq!(told("k"), (all.to_owned(), true));
    assert_eq!(
        told("p"),
        ("id: name, id: note, id: street".to_owned(), true)
    );
    // A row that may be missing makes no legacy row.
    assert_eq!(told("a"), ("person_id: street".to_owned(), false));
}

#[test]
fn steps_are_writes_of_declared_tables_with_named_results() {
    wrong(
        "RETURNING id\"",
        "RETURNING id + 1\"",
        "\"INSERT INTO person",
        "`id + 1` in RETURNING has no name",
    );
    wrong(
        "INSERT INTO person (name) SELECT name FROM row_image RETURNING id",
        "SELECT 1 AS id",
        "\"SELECT 1",
        "found no plain INSERT, UPDATE or DELETE",
    );
    wrong(
        "DELETE FROM person USING",
        "DELETE FROM country USING",
        "\"DELETE FROM country",
        "which is only a lookup table",
    );
    wrong(
        "name = \"made\"",
        "name = \"person\"",
        "\"person\", sql",
        "`person` is taken",
    );
    wrong(
        "SELECT made.id, row_image.street",
        "SELECT made.id, $1",
        "$1",
        "found the parameter $1",
    );
    wrong(
        "SELECT name FROM row_image RETURNING id\"",
        "SELECT name FROM row_image RETURNING id; DELETE FROM person\"",
        "\"INSERT INTO person",
        "found 2 statements",
    );
}

#[test]
fn steps_of_rekey_see_what_the_row_was_and_others_do_not() {
    let rekey = "rekey = [\"UPDATE ids k SET legacy_id = r.id FROM row_image r, old_image o WHERE k.legacy_id = o.id\"]\n[table.columns]";
    let with = RIGHT.replacen("[table.columns]", rekey, 1);
    let rules = compile(&with).expect("it is right");
    let lens = &rules.migrations()[0].tables[0];
    let words = |lens: &crate::Lens| -> Vec<String> {
        let functions = lens.functions();
        let names = functions.iter().map(|f| f.name.split('_').next());
        names
            .map(|word| word.unwrap_or_default().to_owned())
            .collect()
    };
    assert!(
        words(lens).contains(&"crossfade.\"rekey".to_owned()),
        "{:?}",
        words(lens)
    );
    let without = compile(RIGHT).expect("it is right");
    let without = &without.migrations()[0].tables[0];
    assert!(!words(without).contains(&"crossfade.\"rekey".to_owned()));
    assert_ne!(lens.functions()[0].name, without.functions()[0].name);

    wrong(
        "row_image r, ids k",
        "old_image r, ids k",
        "old_image",
        "unknown relation `old_image`",
    );
    let wrong_column = with.replacen("= o.id", "= o.uid", 1);
    let error = compile(&wrong_column).expect_err("there is no uid");
    assert!(error.contains("`old_image` has no column `uid`"), "{error}");
}

#[test]
fn a_key_changes_where_the_rules_say_how() {
    use crate::{Phase, SearchPath, Verdict};
    let rekey = "rekey = [\"UPDATE ids k SET legacy_id = r.id FROM row_image r, old_image o WHERE k.legacy_id = o.id\"]\n[table.columns]";
    let with = RIGHT.replacen("[table.columns]", rekey, 1);
    let text = "UPDATE old AS o SET id = 7 WHERE o.id = $1 RETURNING name";
    for phase in Phase::ALL
        .into_iter()
        .filter(|phase| *phase != Phase::LegacyOnly)
    {
        let read = |rules: &str| {
            let rules = compile(rules).expect("it is right").with_phase(None, phase);
            rules.rewrite(text, SearchPath::AsDeclared)
        };
        let (without, with) = (read(RIGHT), read(&with));
        let Verdict::Refused(refusal) = &without.verdict else {
            panic!("{phase}: not refused");
        };
        assert!(
            refusal.hint.contains("`rekey`"),
            "{phase}: {}",
            refusal.hint
        );
        let Verdict::Rewritten(rewritten) = &with.verdict else {
            panic!("{phase}: not rewritten");
        };
        let call = match phase {
            Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => "\"rekey_old_",
            Phase::LegacyOnly | Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => {
                "\"change_old_"
            }
        };
        assert!(rewritten.sql.contains(call), "{phase}: {}", rewritten.sql);
        assert!(pg_query::parse(&rewritten.sql, pg_query::ParserOptions::DEFAULT).is_ok());
    }
}

#[test]
fn every_column_is_put_or_declared_lossy_and_nothing_is_said_twice() {
    wrong(
        ", lossy = true",
        "",
        "note = {",
        "no [[table.put]] says what becomes of `note`",
    );
    wrong(
        "id = { type = \"integer\" }",
        "id = { type = \"integer\", unified = \"uid\" }",
        "id = { type",
        "found a derived mapping beside `read`",
    );
    wrong(
        "read = \"\"\"",
        "visible = \"true\"\nread = \"\"\"",
        "\"true\"",
        "found a derived mapping beside `read`",
    );
    wrong(
        "remove = [{ sql",
        "remove = []\n#",
        "\"\"\"\nSELECT",
        "at least one [[table.remove]]",
    );
    wrong(
        "sql = \"CREATE TABLE ids",
        "sql = \"CREATE TABEL ids",
        "\"CREATE TABEL",
        "syntax error",
    );
    wrong(
        "\"public.address\"]",
        "\"public.address\", \"public.old\"]",
        "\"public.old\"\nunified",
        "already in another [[table]]",
    );
}

/// [`RIGHT`] with a column that is lossy where a condition holds.
fn lossy_when(condition: &str) -> String {
    let said =
        format!("lossy = [{{ columns = [\"note\"], when = \"{condition}\" }}]\nread = \"\"\"");
    let put = RIGHT.replace(
        "sql = \"INSERT INTO person (name) SELECT name",
        "sql = \"INSERT INTO person (name, note) SELECT name, note",
    );
    put.replace(", lossy = true", "")
        .replace("read = \"\"\"", &said)
}

#[test]
fn a_column_is_lossy_for_the_rows_of_a_condition_over_what_read_joins() {
    let rules = compile(&lossy_when("k.legacy_id < 10 OR a.street IS NULL")).expect("it is right");
    let lens = &rules.migrations()[0].tables[0];
    let judged = lens.read_judged();
    assert!(
        judged.contains(", (k.legacy_id < 10 OR a.street IS NULL) IS TRUE AS cf_lossy_0 FROM \"public\".\"ids\" k"),
        "{judged}"
    );
    assert!(!lens.read().contains("cf_lossy"), "{}", lens.read());
    let compared: Vec<&str> = lens.compared_columns().map(|c| c.name.as_str()).collect();
    assert_eq!(compared, ["name", "street", "note"]);
    let counted = lens.count_disagreements();
    assert!(
        counted.contains("(NOT cf_u.cf_lossy_0 AND cf_l.\"note\"::text COLLATE \"C\" IS DISTINCT FROM cf_u.\"note\"::text COLLATE \"C\")"),
        "{counted}"
    );
    let functions = lens.functions();
    let follow = functions.iter().find(|f| f.name.contains("follow_old"));
    let follow = &follow.expect("it is there").ddl;
    assert!(
        follow.contains(
            "\"note\" = CASE WHEN NOT cf_lossy_0 AND (cf_set IS NULL OR 'note' = ANY (cf_set))"
        ),
        "{follow}"
    );
}

#[test]
fn what_decides_whether_a_row_is_lossy_concerns_the_column() {
    let carries = |rules: &str, sql: &str| {
        let sql = becomes(rules, Phase::DualWrite, sql).expect("it is rewritten");
        let named = sql.split("ARRAY[").nth(1).map(str::to_owned);
        named.and_then(|rest| rest.split(']').next().map(str::to_owned))
    };
    let rules = lossy_when("a.street = 'x'");
    let street = "UPDATE address SET street = 'x' WHERE person_id = 1";
    assert_eq!(carries(&rules, street).as_deref(), Some("'street', 'note'"));
    assert_eq!(carries(RIGHT, street).as_deref(), Some("'street'"));
    let rules = lossy_when("p.name = 'x'");
    assert_eq!(carries(&rules, street).as_deref(), Some("'street'"));
}

#[test]
fn a_condition_of_lossy_rows_is_checked_like_read() {
    let wrong = |condition: &str, says: &str| {
        let text = lossy_when(condition);
        let error = compile(&text).expect_err(condition);
        let line = text[..text.find("lossy = [").expect("it is there")]
            .matches('\n')
            .count()
            + 1;
        assert!(error.contains(says), "{error}");
        assert!(error.contains(&format!("rules/x.toml:{line}:")), "{error}");
    };
    wrong("EXISTS (SELECT FROM person)", "names person in a subquery");
    wrong(
        "EXISTS (SELECT FROM country)",
        "`country` is a lookup table",
    );
    wrong("k.legacy_id < $1", "found the parameter $1");
    wrong("k.legacy_id <", "xpected");
    wrong("true FROM ids", "expected the end of the SQL");
    let derived = "[migration]\nname = \"a\"\nphase = \"legacy_only\"\n[[table]]\nlegacy = \"public.a\"\n\
                   unified = \"public.b\"\nkey = [\"id\"]\nlossy = [{ columns = [\"n\"], when = \"n > 1\" }]\n\
                   columns = \"id integer NOT NULL, n integer\"\n";
    let error = compile(derived).expect_err("only `read` can say it");
    assert!(error.contains("found this without `read`"), "{error}");
}

/// What a statement becomes in a phase, or why it is refused.
pub(super) fn becomes(rules: &str, phase: Phase, sql: &str) -> Result<String, String> {
    let rules = compile(rules).expect("it is right").with_phase(None, phase);
    match &rules.rewrite(sql, SearchPath::AsDeclared).verdict {
        Verdict::Rewritten(rewritten) => Ok(rewritten.sql.clone()),
        Verdict::Refused(refusal) => Err(refusal.message.clone()),
        other => panic!("{phase}: {sql}: {other:?}"),
    }
}

#[test]
fn a_merge_into_a_table_that_is_split_is_done_by_the_lenss_functions() {
    let merge = "MERGE INTO old USING t ON old.id = t.id WHEN MATCHED AND t.x THEN DELETE \
                 WHEN MATCHED THEN UPDATE SET name = t.n";
    for (phase, calls) in [
        (Phase::DualWrite, ["remove_old", "put_old"]),
        (Phase::DualRead, ["remove_old", "put_old"]),
        (Phase::UnifiedRead, ["merge_old", "'{name}'"]),
        (Phase::UnifiedOnly, ["merge_old", "'{name}'"]),
    ] {
        let sql = becomes(RIGHT, phase, merge).expect("it is rewritten");
        let found = |call: &str| match call {
            "'{name}'" => sql.contains("ARRAY['name']::text[]::text"),
            call => sql.contains(&format!("crossfade.\"{call}")),
        };
        assert!(calls.into_iter().all(found), "{phase}: {sql}");
    }
    let key = "MERGE INTO old USING t ON old.id = t.id WHEN MATCHED THEN UPDATE SET id = 1";
    for phase in [Phase::DualWrite, Phase::UnifiedRead] {
        let said = becomes(RIGHT, phase, key).expect_err("the key");
        assert!(said.contains("MERGE that updates the key"), "{said}");
    }
    let rekey = "rekey = [\"UPDATE ids k SET legacy_id = r.id FROM row_image r, old_image o WHERE k.legacy_id = o.id\"]\n[table.columns]";
    let with = RIGHT.replacen("[table.columns]", rekey, 1);
    assert!(becomes(&with, Phase::DualRead, key).is_err());
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        let sql = becomes(&with, phase, key).expect("its rows can move");
        assert!(sql.contains("ARRAY['id']::text[]::text"), "{sql}");
    }
}

#[test]
fn a_query_of_a_merges_action_runs_for_the_rows_of_that_action() {
    let merge = "MERGE INTO old USING t ON old.id = t.id WHEN MATCHED AND t.x THEN DELETE \
                 WHEN MATCHED THEN UPDATE SET (name, note) = (SELECT t.n, max(q) FROM t AS q)";
    let sql = becomes(RIGHT, Phase::UnifiedRead, merge).expect("it is rewritten");
    let arm = "WHEN cf_w.cf_do = 1 THEN (SELECT ROW(\"old\".\"id\", cf_q1.cf_c1, \"old\".\"street\", cf_q1.cf_c2)";
    assert!(sql.contains(arm), "{sql}");
}

#[test]
fn what_a_joined_write_returns_is_found_with_the_row_and_told_with_what_became_of_it() {
    let update = "UPDATE old AS o SET name = t.n FROM t WHERE t.id = o.id RETURNING o.name, t.n";
    let sql = becomes(RIGHT, Phase::UnifiedOnly, update).expect("it is rewritten");
    for part in [
        // What it joins is found with the row, whose new values are those of the row under its lock.
        ")::crossfade.\"image_old_5c5b\" AS cf_o, (\"t\".*)::record AS cf_r1, t.n AS cf_c1 FROM (SELECT",
        ")::crossfade.\"image_old_5c5b\" AS cf_n, cf_f.cf_c1 FROM cf_found AS cf_f CROSS JOIN LATERAL (SELECT",
        "CROSS JOIN LATERAL (SELECT (cf_f.cf_r1).*) AS \"t\" WHERE CASE WHEN cf_f.cf_l IS NULL THEN false \
         WHEN cf_f.cf_o *= cf_f.cf_l THEN true ELSE (t.id = o.id) END)",
        "AS cf_i JOIN cf_old AS cf_r ON (cf_r.cf_o).\"id\"::integer = cf_i.\"id\") AS cf_all",
        "CROSS JOIN LATERAL (SELECT (cf_all.cf_row).*) AS \"o\" \
         CROSS JOIN LATERAL (SELECT cf_all.cf_c1 AS \"n\") AS \"t\"",
    ] {
        let part = part.replace("image_old_5c5b", &image_of(&sql));
        assert!(sql.contains(&part), "{part}\n{sql}");
    }
}

/// The name of the images' table, which ends in a hash.
fn image_of(sql: &str) -> String {
    let start = sql.find("image_old").expect("it has images");
    let name = &sql[start..];
    name[..name.find('"').expect("it is quoted")].to_owned()
}

#[test]
fn on_conflict_goes_by_the_key_and_by_what_is_declared_unique() {
    let declared = RIGHT
        .replace(
            "[table.columns]\nid = { type = \"integer\" }\n\"name, street\" = { type = \"text\" }\nnote = { type = \"text\", lossy = true }\n",
            "lossy = [\"note\"]\ncolumns = \"\"\"id integer, name text, street text CONSTRAINT one_street UNIQUE, note text,\n\
             CONSTRAINT two UNIQUE (name, street)\"\"\"\n[table.constraints]\ntwo = \"there\"\nother = \"theirs\"\n",
        );
    assert_ne!(declared, RIGHT);
    let update = "DO UPDATE SET note = 'x'";
    for (target, action, arbiter) in [
        ("(id)", update, Some("'old_pkey', ARRAY['old_pkey']")),
        (
            "ON CONSTRAINT old_pkey",
            update,
            Some("'old_pkey', ARRAY['old_pkey']"),
        ),
        (
            "(street)",
            update,
            Some("'one_street', ARRAY['one_street']"),
        ),
        (
            "(street, name)",
            update,
            Some("'two', ARRAY['two', 'there']"),
        ),
        (
            "ON CONSTRAINT two",
            update,
            Some("'two', ARRAY['two', 'there']"),
        ),
        (
            "(street)",
            "DO NOTHING",
            Some("'one_street', ARRAY['one_street']"),
        ),
        ("(id)", "DO NOTHING", Some("NULL, ARRAY['old_pkey']")),
        (
            "",
            "DO NOTHING",
            Some("NULL, ARRAY['old_pkey', 'two', 'there', 'other', 'theirs', 'one_street', 'two']"),
        ),
        (
            "ON CONSTRAINT other",
            "DO NOTHING",
            Some("NULL, ARRAY['other', 'theirs']"),
        ),
        ("ON CONSTRAINT other", update, None),
        ("ON CONSTRAINT nobodys", "DO NOTHING", None),
        ("(name)", update, None),
        ("(name)", "DO NOTHING", None),
        ("(lower(street))", update, None),
        // A unique constraint of all rows is one of those of which a condition is true.
        (
            "(street) WHERE name > ''",
            update,
            Some("'one_street', ARRAY['one_street']"),
        ),
    ] {
        let sql = format!("INSERT INTO old (id) VALUES (1) ON CONFLICT {target} {action}");
        let found = becomes(&declared, Phase::UnifiedOnly, &sql);
        match (arbiter, found) {
            (Some(arbiter), Ok(found)) => assert!(found.contains(arbiter), "{sql}\n{found}"),
            // Of columns alone PostgreSQL would say it, too.
            (None, Err(said)) if target == "(name)" => {
                let told = "there is no unique or exclusion constraint matching the ON CONFLICT";
                assert!(said.starts_with(told), "{sql}\n{said}");
            }
            (None, Err(said)) if target == "ON CONSTRAINT nobodys" => {
                let told = "constraint \"nobodys\" for table \"old\" does not exist";
                assert_eq!(said, told, "{sql}");
            }
            (None, Err(said)) => assert!(said.contains("a UNIQUE constraint"), "{sql}\n{said}"),
            (_, found) => panic!("{sql}\n{found:?}"),
        }
    }
}

#[test]
fn a_unique_constraint_that_cannot_be_is_told_with_its_place() {
    let mut said = Vec::new();
    for columns in [
        "id integer, name text, street text, note text, CONSTRAINT u UNIQUE (nobody)",
        "id integer, name text CONSTRAINT u UNIQUE, street text CONSTRAINT u UNIQUE, note text",
    ] {
        let start = RIGHT.find("[table.columns]").expect("the columns");
        let text = format!("{}columns = \"{columns}\"\n", &RIGHT[..start]);
        said.push(compile(&text).expect_err(columns));
    }
    assert!(
        said[0].contains("`nobody` is not among `columns`"),
        "{said:?}"
    );
    assert!(
        said[1].contains("the UNIQUE `u` is declared twice"),
        "{said:?}"
    );
}
