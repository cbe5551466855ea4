//! A rule file whose `visible` looks at what a legacy column can say: a row written under the legacy name could
//! be gone from it.

use crossfade_tests::twin::{Case, Twin, answer};
use rewrite_rules::Phase;

const NOTES: Case = Case {
    name: "notes",
    rules: r#"
[migration]
name = "notes"
phase = "legacy_only"

[[table]]
legacy = "public.notes"
unified = "public.papers"
key = ["id"]
visible = "kind = 'note' AND NOT archived"
[table.columns]
id = "integer"
title = "text"
archived = { type = "boolean", default = "false" }
[table.constants]
kind = "'note'"
"#,
    tables: 1,
    also: &[],
    server: "",
    legacy: "CREATE TABLE notes (id integer PRIMARY KEY, title text, archived boolean DEFAULT false); \
        INSERT INTO notes (id, title) VALUES (1, 'a'), (2, 'b'), (3, 'c');",
    unified: "CREATE TABLE papers (id integer PRIMARY KEY, title text, archived boolean, kind text NOT NULL); \
        INSERT INTO papers VALUES (90, 'z', false, 'draft');",
};

/// Statements after which a row would not be read any more.
const LOSING: [&str; 7] = [
    "UPDATE notes SET archived = true WHERE id = 1",
    "UPDATE notes SET title = 'x', archived = NULL",
    "UPDATE notes SET archived = id = 2 RETURNING id",
    "INSERT INTO notes VALUES (7, 'x', true)",
    "INSERT INTO notes (id, archived) VALUES (7, false), (8, true) RETURNING *",
    "INSERT INTO notes (id, archived) SELECT id + 10, id = 3 FROM notes",
    "INSERT INTO notes (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET archived = true",
];

const KEEPING: [&str; 5] = [
    "UPDATE notes SET title = title || '!', archived = false",
    "INSERT INTO notes (id, title) VALUES ({n}, 'n') RETURNING *",
    "INSERT INTO notes (id) VALUES ({n}) ON CONFLICT (id) DO UPDATE SET archived = false, title = 'again'",
    "DELETE FROM notes WHERE id = {n}",
    "SELECT * FROM notes ORDER BY id",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_would_take_its_row_from_the_legacy_name_fails_once_unified_leads() {
    let twin = Twin::start(NOTES).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        if phase >= Phase::UnifiedRead {
            for sql in LOSING {
                let told = answer(&twin.proxied, sql).await;
                assert!(
                    told.starts_with("55000") && told.contains("does not read back"),
                    "{phase}: {sql}: {told}"
                );
                let with_values = twin.proxied.query(sql, &[]).await;
                let told = with_values.map(|rows| rows.len()).unwrap_err();
                let state = told.code().map(|code| code.code().to_owned());
                assert_eq!(state.as_deref(), Some("55000"), "{phase}: {sql}: {told}");
            }
        }
        let number = (40 + phase as usize).to_string();
        for sql in KEEPING {
            twin.same(&sql.replace("{n}", &number))
                .await
                .unwrap_or_else(|error| panic!("{phase}: {error}"));
        }
        twin.equal_in(
            phase,
            "notes",
            "(SELECT id, title, archived FROM papers WHERE kind = 'note')",
        )
        .await
        .unwrap();
    })
    .await
    .unwrap();
    let other = answer(&twin.direct, "SELECT title, kind FROM papers WHERE id = 90").await;
    assert!(other.contains('z') && other.contains("draft"), "{other}");
}
