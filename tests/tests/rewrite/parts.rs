//! Elements of arrays, fields and unique indexes over expressions: in every phase, each answer compared
//! with that of a database that was left alone.

use std::sync::LazyLock;

use crossfade_tests::corpus;
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
static PARTS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| corpus::texts(include_str!("../../data/statements/parts.sql")));

static MERGES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| corpus::texts(include_str!("../../data/statements/parts_merges.sql")));

/// Rows that meet others by what no plain column says.
static TARGETS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| corpus::texts(include_str!("../../data/statements/parts_targets.sql")));

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
    in_every_phase(Twin::start(THINGS).await.unwrap(), &PARTS).await;
}

#[tokio::test]
async fn rows_are_met_by_expressions_and_predicates() {
    in_every_phase(Twin::start(THINGS).await.unwrap(), &TARGETS).await;
}

#[tokio::test]
async fn merges_write_parts_of_columns_as_before() {
    let Some(binaries) = newer::postgresql() else {
        return;
    };
    let twin = Twin::start_from(THINGS, binaries).await.unwrap();
    in_every_phase(twin, &MERGES).await;
}

#[tokio::test]
async fn who_has_no_rights_is_told_of_the_table_that_was_named() {
    let twin = started(Twin::start_as_owner(THINGS).await.unwrap()).await;
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
