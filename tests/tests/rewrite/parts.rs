//! Elements of arrays, fields and unique indexes over expressions: in every phase, each answer compared
//! with that of a database that was left alone.

use crossfade_tests::newer;
use crossfade_tests::twin::{Case, Twin};
use rewrite_rules::Phase;

const THINGS: Case = Case {
    name: "things",
    rules: include_str!("../../data/lens/things.toml"),
    tables: 1,
    also: &[],
    server: "CREATE ROLE nobody; GRANT nobody TO app",
    legacy: include_str!("../../data/lens/things_legacy.sql"),
    unified: include_str!("../../data/lens/things_unified.sql"),
};

const UNIFIED: &str = "(SELECT id, number AS code, CASE kind WHEN '0' THEN 'old' WHEN '1' THEN 'new' END AS kind, \
    is_live AS live, labels AS tags, counts, address AS at, data, size::int AS size, mark, seen, costs, bits, \
    note::text AS note FROM items WHERE origin = 'things')";

/// Parts of columns. `{p}` is the phase's own number.
const PARTS: &[&str] = &[
    "UPDATE things SET tags[2] = 'p{p}', counts[1] = '5' WHERE id = 1 RETURNING tags, counts",
    "UPDATE things t SET tags[array_length(t.tags, 1) + 1] = code || tags[1], counts[3:4] = ARRAY[id, {p}] WHERE id IN (1, 2) RETURNING tags, counts",
    "UPDATE things SET tags[1] = 'x', tags[2] = tags[1], counts[:2] = '{9,9}', live = tags[1] = 'a3' WHERE id = 3 RETURNING *",
    "UPDATE things SET at.street = 'New {p}', at.no = (at).no + 1, at.lines[2] = 'l' WHERE id < 4 RETURNING id, at",
    "UPDATE things SET \"at\".\"lines\"[(at).no - id + 2] = NULL WHERE id = 2 RETURNING at",
    "UPDATE things SET (tags[1], at.no) = ('row', 7), (counts[id - 3], size) = (SELECT c.id + 100, 400 + {p} FROM things c WHERE c.id = things.id + 1) WHERE id = 4 RETURNING tags, at, counts, size",
    "UPDATE things SET counts[CASE WHEN id = 5 THEN 1 ELSE 2 END] = o.n FROM (VALUES (5, 50), (6, 60)) AS o(id, n) WHERE things.id = o.id RETURNING things.id, counts, n",
    "UPDATE things SET counts[(SELECT min(id) FROM things)] = (SELECT count(*) FROM things c WHERE c.kind = things.kind AND c.id < 10) WHERE id = 7 RETURNING counts",
    "UPDATE things SET data['k'] = '\"{p}\"', data['deep']['er'] = to_jsonb(code) WHERE id = 8 RETURNING data",
    "UPDATE things SET at = ROW('Row', 1, NULL)::place, note = ('par'), size = ('80{p}') WHERE id = 9 RETURNING at, note, size",
    "UPDATE things SET at.street = 'longer than twelve' WHERE id = 9",
    "WITH w AS (UPDATE things SET tags[3] = 'w' WHERE id = 10 RETURNING tags) SELECT * FROM w",
    // Of a row that is new.
    "INSERT INTO things (code, tags[2], at.no, tags[1]) VALUES ('N{p}', 'b', '4', 'a') RETURNING code, tags, at, counts, mark, kind",
    "INSERT INTO things (code, counts[1], counts[2:3], at.street, at.lines[1]) VALUES ('M{p}', '1', '{2,3}', 's', 'l'), ('O{p}', 4, ARRAY[5, 6], lower('T'), NULL) RETURNING code, counts, at",
    "INSERT INTO things (code, counts[2], tags[{p} + 1]) SELECT 'S{p}' || c.id, '3', c.tags[1] FROM things c WHERE id IN (1, 2) ORDER BY id RETURNING code, counts, tags",
    "INSERT INTO things (data['x'], code) VALUES ('1', 'J{p}') RETURNING data",
    "INSERT INTO things AS t (id, code, tags[1]) VALUES (11, 'x', 'con{p}') ON CONFLICT (id) DO UPDATE SET tags[2] = excluded.tags[1] || t.code, counts[t.id - 10] = '12', at.no = (t.at).no + 1, at.street = (SELECT 'q' || t.id) RETURNING tags, counts, at",
    "INSERT INTO things AS t (id, code) VALUES (12, 'x') ON CONFLICT (id) DO UPDATE SET (counts[(SELECT 1)], at.no) = (SELECT t.id, 3) RETURNING counts, at",
    // What is an error stays one.
    "UPDATE things SET code[1] = 'x'",
    "UPDATE things SET code.x = 'x'",
    "UPDATE things SET at.nothing = 1",
    "UPDATE things SET tags[1] = DEFAULT",
    "UPDATE things SET at.no = DEFAULT",
    "UPDATE things SET counts[1] = 'x'",
    "UPDATE things SET counts['x'] = 1",
    "UPDATE things SET counts[code] = 1",
    "UPDATE things SET counts[1] = now()",
    "UPDATE things SET counts[nothing] = 1",
    "UPDATE things SET nothing[1] = 1",
    "UPDATE things SET tags[1] = 'a', tags = '{}'",
    "INSERT INTO things (code, code) VALUES ('a', 'b')",
    "INSERT INTO things (code, tags[1], tags) VALUES ('a', 'b', '{}')",
    "INSERT INTO things (code, tags[1]) VALUES ('a', DEFAULT)",
    "INSERT INTO things (code, tags[1]) VALUES ('a', 'b', 'c')",
    "INSERT INTO things (code, tags[1], at.no) VALUES ('a', 'b')",
    "INSERT INTO things (code, code[1]) VALUES ('a', 'b')",
    "INSERT INTO things (code, at.no) VALUES ('a', 'b')",
    // Types whose name alone would say something else.
    "UPDATE things SET mark = 'xyz', bits = '101', seen = '2024-05-06 07:08:09.7+05', costs = '{1.234,2}' WHERE id = 13 RETURNING mark, bits, seen, costs",
    "UPDATE things SET bits = '10' WHERE id = 13",
    "UPDATE things SET mark = 'too long' WHERE id = 13",
    "INSERT INTO things (code, mark, bits, seen, costs) SELECT 'T{p}', 'xyz', '101', '2024-05-06 07:08:09+05', '{1.234,2}' RETURNING mark, bits, seen, costs",
    "SELECT * FROM things ORDER BY id",
];

const MERGES: &[&str] = &[
    "MERGE INTO things t USING (VALUES (14, 'm'), (9{p}0, 'n{p}')) AS s(id, c) ON t.id = s.id \
     WHEN MATCHED THEN UPDATE SET tags[2] = 'bare', tags[s.id - 11] = s.c, counts[1] = '3', at.no = t.id + 1, (counts[2], at.street) = (SELECT s.id, t.code) \
     WHEN NOT MATCHED THEN INSERT (id, code, tags[2], counts[1], at.street) VALUES (s.id, s.c, upper(s.c), '4', 'm') RETURNING t.id, tags, counts, at",
    "MERGE INTO things t USING (VALUES (14)) AS s(id) ON t.id = s.id WHEN NOT MATCHED BY SOURCE AND t.id = 15 THEN UPDATE SET counts[t.id - 14] = 15, tags[1] = 'alone' RETURNING t.id, tags, counts",
    "MERGE INTO things t USING (VALUES (14)) AS s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET tags[1] = DEFAULT",
    // Joins by USING, and what has no row of its own.
    "MERGE INTO things t USING (VALUES (16, 'a'), (9{p}6, 'n')) AS x(k, v) LEFT JOIN (VALUES (16, 'b'), (17, 'c')) AS y(k, w) USING (k) ON t.id = k      WHEN MATCHED THEN UPDATE SET tags[1] = v || coalesce(w, 'none'), (note, data) = (SELECT w, to_jsonb(k))      WHEN NOT MATCHED THEN INSERT (id, code, note) VALUES (k, v || k, w) RETURNING t.id, k, x.v, w, tags[1], note, data, y IS NULL",
    "MERGE INTO things t USING (VALUES (16, 'a'), (18, 'c')) AS x(k, v) NATURAL FULL JOIN (VALUES (16, 'b'), (17, 'c')) AS y(k, w) ON t.id = k      WHEN MATCHED THEN UPDATE SET note = concat(v, w, k) WHEN NOT MATCHED BY SOURCE AND t.id = 19 THEN UPDATE SET note = 'alone' RETURNING t.id, k, v, w, note",
    "MERGE INTO things t USING ROWS FROM (generate_series(16, 17), unnest(ARRAY['x'])) AS r(k, v) ON t.id = r.k WHEN MATCHED THEN UPDATE SET (note, live) = (SELECT r.v, r.k > 16) RETURNING r.k, r.v, t.note, t.live",
    "UPDATE things t SET (note, live) = (SELECT j.n || t.code, j.o = 1) FROM JSON_TABLE('[{\"n\": \"a\"}]'::jsonb, '$[*]' COLUMNS (o FOR ORDINALITY, n text PATH '$.n')) AS j WHERE t.id = 18 RETURNING note, live, (SELECT j.n)",
];

/// Rows that meet others by what no plain column says.
const TARGETS: &[&str] = &[
    "INSERT INTO things AS t (code, tags) VALUES ('c1', '{met}'), ('e{p}', '{first}') ON CONFLICT (lower(code)) DO UPDATE SET tags = excluded.tags, code = t.code || '' RETURNING code, tags",
    "INSERT INTO things (code) VALUES ('E{p}'), ('C2') ON CONFLICT (lower(code)) DO NOTHING RETURNING code",
    "INSERT INTO things (code) VALUES ('C2') ON CONFLICT ((lower(code))) WHERE live DO NOTHING RETURNING code",
    "INSERT INTO things (code) VALUES ('elsewhere') ON CONFLICT (LOWER(\"code\")) DO UPDATE SET note = 'again' RETURNING note",
    "INSERT INTO things AS t (code, kind, live) VALUES ('C2', 'new', true) ON CONFLICT (code text_pattern_ops) WHERE live AND kind = 'new' DO UPDATE SET note = 'by kind' WHERE t.id = 2 RETURNING id, note, kind",
    "INSERT INTO things AS t (code, kind, live) VALUES ('C2', 'new', true) ON CONFLICT (code) WHERE kind = 'new' AND (live) AND id > 0 DO NOTHING RETURNING id",
    "INSERT INTO things (code, size) VALUES ('s{p}', 7000), ('S{p}x', 7000) ON CONFLICT (size) DO UPDATE SET note = 'by size' RETURNING note",
    "INSERT INTO things (code, size) VALUES ('s{p}y', 7000) ON CONFLICT (size) WHERE kind IN ('new', 'old') DO NOTHING RETURNING note",
    "INSERT INTO things (code, size) VALUES ('s{p}y', 7000) ON CONFLICT ((size)) WHERE kind IS NOT NULL AND kind <> 'new' DO NOTHING RETURNING note",
    // No index is found, or what is said of it is no good.
    "INSERT INTO things (code) VALUES ('c1') ON CONFLICT (upper(code)) DO NOTHING",
    "INSERT INTO things (code) VALUES ('c1') ON CONFLICT (code) WHERE live DO NOTHING",
    "INSERT INTO things (code) VALUES ('c1') ON CONFLICT (code COLLATE \"C\") DO NOTHING",
    "INSERT INTO things (code) VALUES ('c1') ON CONFLICT (lower(nothing)) DO NOTHING",
    "INSERT INTO things (code) VALUES ('c1') ON CONFLICT (lower(number)) DO NOTHING",
    "INSERT INTO things (code) VALUES ('c1') ON CONFLICT (lower(things.code)) DO NOTHING",
    "INSERT INTO things (code) VALUES ('c1') ON CONFLICT (nothing(code)) DO NOTHING",
    "INSERT INTO things (code) VALUES ('c1') ON CONFLICT (lower(code)) WHERE nothing DO NOTHING",
    "INSERT INTO things AS t (code) VALUES ('c1') ON CONFLICT (lower(t.code)) WHERE t.live DO NOTHING",
    "INSERT INTO public.things (code) VALUES ('c1') ON CONFLICT (lower(public.things.code)) DO NOTHING",
    "INSERT INTO things (code) VALUES ('c1') ON CONFLICT (lower(code)) WHERE (SELECT true) DO NOTHING",
    // Another one is met.
    "INSERT INTO things (code, kind) VALUES ('C2', 'new') ON CONFLICT (lower(code)) DO UPDATE SET code = 'C1'",
    "INSERT INTO things (code, kind) VALUES ('C4', 'new') ON CONFLICT (size) DO NOTHING",
    "SELECT id < 100, code, kind, live, tags, note, size FROM things ORDER BY code COLLATE \"C\"",
];

async fn all(twin: &Twin, phase: Phase, statements: &[&str]) {
    let number = (phase as usize).to_string();
    let mut wrong = String::new();
    for sql in statements {
        if let Err(error) = twin.same(&sql.replace("{p}", &number)).await {
            wrong += &format!("{phase}: {error}\n\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    if phase.writes_both() || phase == Phase::LegacyOnly {
        twin.equal("things", "things").await.unwrap();
    }
    if phase > Phase::LegacyOnly {
        twin.equal("things", UNIFIED).await.unwrap();
    }
}

const LATER: [Phase; 5] = [
    Phase::DualWrite,
    Phase::ShadowRead,
    Phase::DualRead,
    Phase::UnifiedRead,
    Phase::UnifiedOnly,
];

async fn started(twin: Twin) -> Twin {
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    twin.crossfade("backfill").await.unwrap();
    twin.verified(1).await;
    twin
}

async fn in_every_phase(twin: Twin, statements: &[&str]) {
    let twin = started(twin).await;
    for phase in LATER {
        if phase != Phase::DualWrite {
            twin.advance(phase).await.unwrap();
        }
        all(&twin, phase, statements).await;
    }
}

#[tokio::test]
async fn parts_of_columns_are_written_as_before() {
    in_every_phase(Twin::start(THINGS).await.unwrap(), PARTS).await;
}

#[tokio::test]
async fn rows_are_met_by_expressions_and_predicates() {
    in_every_phase(Twin::start(THINGS).await.unwrap(), TARGETS).await;
}

#[tokio::test]
async fn merges_write_parts_of_columns_as_before() {
    let Some(binaries) = newer::postgresql() else {
        return;
    };
    let twin = Twin::start_from(THINGS, binaries).await.unwrap();
    in_every_phase(twin, MERGES).await;
}

#[tokio::test]
async fn who_has_no_rights_is_told_of_the_table_that_was_named() {
    let twin = started(Twin::start(THINGS).await.unwrap()).await;
    for phase in LATER {
        if phase != Phase::DualWrite {
            twin.advance(phase).await.unwrap();
        }
        for sql in [
            "SET ROLE nobody",
            "SELECT count(*) FROM things",
            "INSERT INTO things (code) VALUES ('x')",
            "UPDATE things SET live = true WHERE id = 1",
            "DELETE FROM things WHERE id = 1 RETURNING code",
            "COPY things TO STDOUT",
            "RESET ROLE",
        ] {
            let said = twin
                .same(sql)
                .await
                .unwrap_or_else(|e| panic!("{phase}: {e}"));
            let denied = said.starts_with("42501") && said.contains("table things");
            assert_eq!(denied, !sql.contains("ROLE"), "{phase}: {sql}: {said}");
        }
    }
}

#[tokio::test]
async fn what_has_no_counterpart_is_refused_with_a_reason() {
    let twin = started(Twin::start(THINGS).await.unwrap()).await;
    for phase in LATER.into_iter().filter(|phase| *phase != Phase::DualWrite) {
        twin.advance(phase).await.unwrap();
    }
    for (sql, why) in [
        (
            "INSERT INTO things (code) VALUES ('x') ON CONFLICT (lower(code)) WHERE kind > 'a' DO NOTHING",
            "an expression over column kind",
        ),
        (
            "INSERT INTO things (code) VALUES ('x') ON CONFLICT (upper(kind)) DO NOTHING",
            "an expression over column kind",
        ),
        (
            "INSERT INTO things (code) VALUES ('x') ON CONFLICT (lower(code)) WHERE kind = 'other' DO NOTHING",
            "an expression over column kind",
        ),
        (
            "INSERT INTO things (code) VALUES ('x') ON CONFLICT (kind COLLATE \"C\") DO NOTHING",
            "an expression over column kind",
        ),
        (
            "INSERT INTO things (code) VALUES ('x') ON CONFLICT ((things)) DO NOTHING",
            "a whole row",
        ),
        ("UPDATE things SET kind[1] = 'x'", "a part of column kind"),
        ("UPDATE things SET at = ROW('a', 1, NULL)", "ROW(…)"),
        (
            "UPDATE things SET (at, note) = (ROW('a', 1, NULL), 'x')",
            "ROW(…)",
        ),
        (
            "INSERT INTO things (code, at) VALUES ('x', ('a', 1, NULL))",
            "ROW(…)",
        ),
        (
            "INSERT INTO things (code, at) SELECT 'x', ROW('a', 1, NULL)",
            "ROW(…)",
        ),
    ] {
        twin.refused(sql, why).await.unwrap();
    }
    // What unified is too short for is not cut.
    let long = "UPDATE things SET note = 'more than ten' WHERE id = 1";
    let said = twin.proxied.batch_execute(long).await.unwrap_err();
    assert_eq!(said.code().unwrap().code(), "22001");
}

#[tokio::test]
async fn check_tells_which_unique_index_has_no_counterpart() {
    let twin = Twin::start(THINGS).await.unwrap();
    let said = twin.crossfade("check").await.unwrap();
    for words in [
        "public.items has nothing like things_lost: btree (((data ->> 'k'::text))) WHERE (note IS NOT NULL)",
        "ON CONFLICT by things_kinds (btree (upper(kind)) WHERE (id < 0)) will be refused",
        "ON CONFLICT by things_mark finds no index of public.items: btree (mark, id)",
    ] {
        assert_eq!(said.matches(words).count(), 1, "{words}\n{said}");
    }
    for found in ["things_code", "things_live", "things_size"] {
        assert!(!said.contains(&format!("nothing like {found}")), "{said}");
        assert!(!said.contains(&format!("by {found}")), "{said}");
    }
}
