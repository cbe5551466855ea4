//! Lenses whose steps delete as they put a row or take it to another key: what the gate of the rights asks for that, and
//! where a role that may not delete leaves the key of a row that moved to the sweep.

use crossfade_tests::control::number;
use crossfade_tests::twin::{Case, Twin, answer};
use rewrite_rules::Phase;

/// A card's tag is put anew each time, and its spot is taken away and put elsewhere with its key.
const CARDS: Case = Case {
    name: "cards",
    rules: r#"
[migration]
name = "cards"
phase = "legacy_only"

[[table]]
legacy = "public.cards"
unified = ["public.card", "public.tag", "public.spot"]
key = ["id"]
columns = "id integer NOT NULL, title text, word text, place text"
read = """SELECT c.id, c.title, t.word, s.place FROM card c JOIN tag t ON t.card_id = c.id
  JOIN spot s ON s.card_id = c.id"""
put = [
  """INSERT INTO card (id, title) SELECT r.id, r.title FROM row_image r
    ON CONFLICT (id) DO UPDATE SET title = excluded.title""",
  "DELETE FROM tag USING row_image r WHERE tag.card_id = r.id",
  "INSERT INTO tag (card_id, word) SELECT r.id, r.word FROM row_image r",
  """INSERT INTO spot (card_id, place) SELECT r.id, r.place FROM row_image r
    ON CONFLICT (card_id) DO UPDATE SET place = excluded.place""",
]
remove = [
  "DELETE FROM tag USING row_image r WHERE tag.card_id = r.id",
  "DELETE FROM spot USING row_image r WHERE spot.card_id = r.id",
  "DELETE FROM card USING row_image r WHERE card.id = r.id",
]
rekey = [
  "UPDATE card SET id = r.id FROM row_image r, old_image o WHERE card.id = o.id",
  "UPDATE tag SET card_id = r.id FROM row_image r, old_image o WHERE tag.card_id = o.id",
  { name = "went", sql = "DELETE FROM spot USING old_image o WHERE spot.card_id = o.id RETURNING spot.place" },
  "INSERT INTO spot (card_id, place) SELECT r.id, went.place FROM row_image r, went",
]
"#,
    tables: 1,
    also: &[],
    server: "CREATE ROLE changer; CREATE ROLE keeper; GRANT changer, keeper TO app",
    legacy: "CREATE TABLE cards (id integer PRIMARY KEY, title text, word text, place text); \
        INSERT INTO cards SELECT n, CASE WHEN n IN (3, 5) THEN 'bad' ELSE 'title ' || n END, 'w' || n, 'p' || n \
          FROM generate_series(1, 9) AS n; \
        GRANT SELECT, INSERT, UPDATE ON cards TO changer; GRANT ALL ON cards TO keeper;",
    unified: "CREATE TABLE card (id integer PRIMARY KEY, title text CHECK (title <> 'bad')); \
        CREATE TABLE tag (card_id integer PRIMARY KEY, word text); \
        CREATE TABLE spot (card_id integer PRIMARY KEY, place text); \
        GRANT SELECT, INSERT, UPDATE ON card, tag, spot TO changer; GRANT ALL ON card, tag, spot TO keeper;",
};

/// The grants that a refused step tells.
fn grants(refused: &str) -> Vec<String> {
    let lines = refused.lines();
    let grants =
        lines.filter_map(|line| line.find("GRANT ").map(|at| line[at..].trim().to_owned()));
    grants.collect()
}

async fn in_dual_write() -> Twin {
    let twin = Twin::start_as_owner(CARDS).await.unwrap();
    twin.prepare().await.unwrap();
    let refused = twin.crossfade("advance").await.unwrap_err().to_string();
    let told = grants(&refused);
    assert_eq!(
        told,
        [
            "GRANT DELETE ON public.tag TO changer;",
            "GRANT DELETE ON public.spot TO changer;"
        ],
        "{refused}"
    );
    twin.direct.batch_execute(&told.concat()).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    twin
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_of_the_rights_asks_to_delete_where_put_or_rekey_deletes() {
    let twin = in_dual_write().await;
    // What unified never takes is nobody's here.
    twin.same("UPDATE cards SET title = 'good' WHERE title = 'bad'")
        .await
        .unwrap();
    for phase in Phase::ALL
        .into_iter()
        .filter(|phase| (Phase::DualWrite..=Phase::UnifiedOnly).contains(phase))
    {
        match phase {
            Phase::DualWrite => {}
            Phase::ShadowRead => {
                twin.crossfade("backfill").await.unwrap();
                twin.verified(1).await;
                twin.advance(phase).await.unwrap();
            }
            _ => twin.advance(phase).await.unwrap(),
        }
        let number = 100 * (phase as usize + 1);
        for sql in [
            "SET ROLE changer".to_owned(),
            format!("INSERT INTO cards VALUES ({number}, 'new', 'w', 'p')"),
            format!("UPDATE cards SET word = word || '!' WHERE id IN (1, {number})"),
            format!(
                "UPDATE cards SET id = {number} + 1, place = 'moved' WHERE id = {number} RETURNING *"
            ),
            format!(
                "INSERT INTO cards VALUES ({number} + 1, 'x', 'y', 'z') ON CONFLICT (id) DO UPDATE SET word = excluded.word"
            ),
            "DELETE FROM cards WHERE id = 1".to_owned(),
            "RESET ROLE".to_owned(),
            "SELECT * FROM cards ORDER BY id".to_owned(),
        ] {
            twin.same(&sql)
                .await
                .unwrap_or_else(|error| panic!("{phase}: {error}"));
        }
    }
}

/// A key that changes at REPEATABLE READ, before anything was copied.
async fn moved(twin: &Twin, role: &str, level: &str, write: &str) {
    for sql in [
        &format!("SET ROLE {role}"),
        &format!("BEGIN ISOLATION LEVEL {level}"),
        write,
        "COMMIT",
        "RESET ROLE",
    ] {
        twin.same(sql)
            .await
            .unwrap_or_else(|error| panic!("{role}, {level}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_delete_leaves_no_tombstone_where_the_row_was_looked_for() {
    let twin = in_dual_write().await;
    let operator = twin.superuser().await.unwrap();
    let left = async || {
        let keys = "SELECT key::text FROM crossfade.tombstones ORDER BY 1";
        let ledger = "SELECT key::text, sqlstate FROM crossfade.divergence ORDER BY 1";
        let both = [
            answer(&operator, keys).await,
            answer(&operator, ledger).await,
        ];
        operator
            .batch_execute("DELETE FROM crossfade.tombstones; DELETE FROM crossfade.divergence")
            .await
            .unwrap();
        both
    };
    let none = [
        "(key)\ndone 0".to_owned(),
        "(key, sqlstate)\ndone 0".to_owned(),
    ];
    // It can be put, so that whoever looks knows that it is not there.
    moved(
        &twin,
        "changer",
        "REPEATABLE READ",
        "UPDATE cards SET id = 1001 WHERE id = 1",
    )
    .await;
    assert_eq!(left().await, none);
    // Who may leave a tombstone does.
    moved(
        &twin,
        "keeper",
        "REPEATABLE READ",
        "UPDATE cards SET id = 1002 WHERE id = 2",
    )
    .await;
    assert_eq!(
        left().await,
        ["(key)\n[\"2\"]\ndone 1".to_owned(), none[1].clone()]
    );
    // Nobody needs one where each statement sees what has been committed.
    moved(
        &twin,
        "keeper",
        "READ COMMITTED",
        "UPDATE cards SET id = 1004 WHERE id = 4",
    )
    .await;
    assert_eq!(left().await, none);
    // Unified refuses what it was: a chunk may have put it while it was something else.
    let mends = "UPDATE cards SET id = 1005, title = 'good' WHERE id = 5";
    moved(&twin, "changer", "REPEATABLE READ", mends).await;
    let [tombstones, ledger] = left().await;
    assert_eq!(tombstones, none[0]);
    assert!(ledger.contains("|42501"), "{ledger}");
    let mends = "UPDATE cards SET id = 1003, title = 'good' WHERE id = 3";
    moved(&twin, "keeper", "REPEATABLE READ", mends).await;
    assert_eq!(
        left().await,
        ["(key)\n[\"3\"]\ndone 1".to_owned(), none[1].clone()]
    );
    let count = "SELECT count(*) FROM cards WHERE id > 1000";
    assert_eq!(number(&twin.direct, count).await.unwrap(), 5);
}
