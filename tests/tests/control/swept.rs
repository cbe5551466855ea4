//! Legacy rows that unified let go of while it was alone, and that something keeps: the reverse backfill goes through them a
//! page of keys at a time, however many they are.

use crossfade_tests::control::number;
use crossfade_tests::twin::{Case, Twin};
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
[table.columns]
id = "integer NOT NULL"
title = "text"
"#,
    tables: 1,
    also: &[],
    server: "",
    legacy: "CREATE TABLE notes (id integer PRIMARY KEY, title text); \
        INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 1700) AS n",
    unified: "CREATE TABLE papers (id integer PRIMARY KEY, title text)",
};

/// Three pages of keys, and some.
const GONE: &str = "id > 50";
/// In each of the pages some are kept and some are not.
const KEPT: &str = "id > 50 AND id % 7 > 0";

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_go_are_passed_page_by_page_and_the_others_go() {
    let twin = Twin::in_phase(NOTES, Phase::UnifiedOnly).await.unwrap();
    let delete = format!("DELETE FROM notes WHERE {GONE}");
    twin.proxied.batch_execute(&delete).await.unwrap();
    twin.crossfade("rollback").await.unwrap();
    let pins = format!(
        "CREATE TABLE pins (note integer REFERENCES notes); CREATE INDEX ON pins (note); \
         INSERT INTO pins SELECT id FROM notes WHERE {KEPT}"
    );
    twin.direct.batch_execute(&pins).await.unwrap();
    let said = twin.crossfade("backfill --reverse").await;
    let kept = number(&twin.direct, "SELECT count(*) FROM pins")
        .await
        .unwrap();
    assert_eq!(kept, 1415);
    let operator = twin.superuser().await.unwrap();
    let expected = [
        ("SELECT count(*) FROM notes WHERE id > 50".to_owned(), kept),
        (format!("SELECT count(*) FROM notes WHERE {KEPT}"), kept),
        ("SELECT count(*) FROM notes WHERE id <= 50".to_owned(), 50),
        (
            "SELECT count(*) FROM crossfade.divergence WHERE sqlstate = '23503'".to_owned(),
            kept,
        ),
        (
            "SELECT sum(ghosts_removed)::bigint FROM crossfade.backfill WHERE reverse".to_owned(),
            1650 - kept,
        ),
    ];
    for (sql, count) in expected {
        assert_eq!(
            number(&operator, &sql).await.unwrap(),
            count,
            "{sql}: {said:?}"
        );
    }
    // Once nothing keeps them they go as well, and out of the ledger.
    twin.direct.batch_execute("DROP TABLE pins").await.unwrap();
    twin.crossfade("backfill --reverse --restart")
        .await
        .unwrap();
    twin.verified(1).await;
    let ledger = "SELECT count(*) FROM crossfade.divergence";
    assert_eq!(number(&operator, ledger).await.unwrap(), 0);
}
