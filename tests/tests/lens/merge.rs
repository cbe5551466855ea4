//! MERGE into a table that is split, on a server that tells what it wrote: in every phase, each answer
//! compared with that of a database that was left alone.

use std::sync::LazyLock;

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::corpus;
use crossfade_tests::newer;
use crossfade_tests::twin::{MEMBERS, Twin, UNIFIED_MEMBERS, answer};
use rewrite_rules::Phase;
use tokio_postgres::Client;

/// `{p}` is the phase's own number. Rows of a MERGE have no order of their own.
static STATEMENTS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| corpus::texts(include_str!("../../data/statements/members_merge.sql")));

const BOUND: &str = "MERGE INTO members m USING (SELECT $1::text AS email, $2::int AS n) AS s ON m.email = s.email \
    WHEN MATCHED AND m.visits > $3 THEN DELETE WHEN MATCHED THEN UPDATE SET visits = m.visits + s.n, name = $4 \
    WHEN NOT MATCHED THEN INSERT (email, visits, name) VALUES (s.email, s.n, $4) \
    RETURNING merge_action(), m.email, m.name, m.visits, m.region, s.n";

async fn all(twin: &Twin, phase: Phase) {
    let number = (phase as usize).to_string();
    for sql in STATEMENTS.iter() {
        twin.same(&sql.replace("{p}", &number))
            .await
            .unwrap_or_else(|e| panic!("{phase}: {e}"));
    }
    let email = format!("bound{number}@x");
    for (email, n, over) in [
        (&*email, "3", "90"),
        (&email, "4", "90"),
        (&email, "5", "1"),
    ] {
        let values = [Some(email), Some(n), Some(over), Some("bound")];
        twin.same_with(BOUND, &values)
            .await
            .unwrap_or_else(|e| panic!("{phase}: {e}"));
    }
    twin.equal_in(phase, "members", UNIFIED_MEMBERS)
        .await
        .unwrap();
}

async fn start() -> Option<Twin> {
    let twin = Twin::start_from(MEMBERS, newer::postgresql()?)
        .await
        .unwrap();
    twin.prepare().await.unwrap();
    Some(twin)
}

#[tokio::test]
async fn a_merge_reaches_what_it_names_in_every_phase() {
    let Some(twin) = start().await else { return };
    let check = async |phase| all(&twin, phase).await;
    twin.in_every_phase(check).await.unwrap();
}

async fn carried_to(phase: Phase) -> Option<Twin> {
    let twin = start().await?;
    twin.carry_to(phase).await.unwrap();
    Some(twin)
}

/// Rows that come to other keys, once unified leads.
static KEYS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| corpus::texts(include_str!("../../data/statements/members_merge_keys.sql")));

#[tokio::test]
async fn a_merge_takes_rows_to_other_keys_once_unified_leads() {
    let Some(twin) = carried_to(Phase::DualRead).await else {
        return;
    };
    let moved = "MERGE INTO members m USING (SELECT 1) AS s ON m.id = 1 WHEN MATCHED THEN UPDATE SET id = 700";
    twin.refused(moved, "MERGE that updates the key")
        .await
        .unwrap();
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        twin.advance(phase).await.unwrap();
        for sql in KEYS.iter() {
            let sql = sql.replace("{p}", &(phase as usize).to_string());
            twin.same(&sql)
                .await
                .unwrap_or_else(|e| panic!("{phase}: {e}"));
        }
        twin.equal("members", UNIFIED_MEMBERS).await.unwrap();
        if phase == Phase::UnifiedRead {
            twin.equal("members", "members").await.unwrap();
            twin.verified(1).await;
        }
    }
}

#[tokio::test]
async fn clients_are_told_the_legacy_tables_types() {
    let Some(twin) = carried_to(Phase::UnifiedRead).await else {
        return;
    };
    twin.told_alike(&[
        "MERGE INTO members m USING (SELECT 1 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET name = 'x' RETURNING m.*, merge_action(), s.*",
        "UPDATE members SET name = 'y' WHERE id = 1 RETURNING *",
        "INSERT INTO members (id, email) VALUES (900, 'm1@x') ON CONFLICT (email) DO UPDATE SET name = 'z' RETURNING *",
        "INSERT INTO members (id, email) VALUES (901, 'types@x') RETURNING *",
        "DELETE FROM members WHERE id = 901 RETURNING *",
        // An error is told where it is in the client's text.
        "MERGE INTO members m USING (SELECT 1 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = m.name",
        "MERGE INTO members m USING (SELECT 1 AS id) AS s ON m.id = s.no WHEN MATCHED THEN UPDATE SET visits = 1",
        "MERGE INTO members m USING (SELECT 1 AS id) AS s ON m.id = s.id WHEN MATCHED AND 1 / (m.id - 1) = 0 THEN DELETE",
        "MERGE INTO members m USING (SELECT 1 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT m.name, s.no)",
        "MERGE INTO members m USING (SELECT 1 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT 'x', m.name)",
        "MERGE INTO members m USING (SELECT 1 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT 'x', 1 / (m.id - 1))",
        "MERGE INTO members m USING (SELECT 1 AS id) AS s ON m.id = s.id WHEN NOT MATCHED THEN INSERT (id, nothing) VALUES (1, 2)",
    ])
    .await
    .unwrap();
}

/// A MERGE that waits for another transaction, which commits or not: its answer, and the rows then.
async fn merged_after(
    (one, other, watcher): (&Client, &Client, &Client),
    (first, merge, end): (&str, &str, &str),
) -> String {
    let reset = "DELETE FROM members WHERE id IN (1, 77, 900) OR email IN ('seen@x', 'gone@x'); \
                 INSERT INTO members (id, email, visits) VALUES (1, 'm1@x', 0); \
                 UPDATE members SET visits = 0, name = 'Member 2' WHERE id = 2";
    answer(one, reset).await;
    let process = pid(other).await.unwrap();
    let first = answer(one, &format!("BEGIN; {first}")).await;
    let (told, ()) = tokio::join!(answer(other, merge), async {
        until_blocked(watcher, process).await.unwrap();
        answer(one, end).await;
    });
    // Rows of a MERGE have no order.
    let mut told: Vec<&str> = told.lines().collect();
    told.sort_unstable();
    let told = told.join("\n");
    let rows =
        "SELECT id, email, name, visits FROM members WHERE id IN (1, 2, 77, 900) ORDER BY id";
    format!("{first}\n{told}\n{}", answer(one, rows).await)
}

#[tokio::test]
async fn a_merge_that_waited_decides_of_the_rows_as_they_have_become() {
    let Some(twin) = start().await else { return };
    let (other, alone) = (
        twin.another().await.unwrap(),
        twin.another_alone().await.unwrap(),
    );
    let watcher = twin.another_alone().await.unwrap();
    let firsts = [
        "UPDATE members SET visits = visits + 10 WHERE id = 1",
        "UPDATE members SET email = 'gone@x' WHERE id = 1",
        "DELETE FROM members WHERE id = 1",
        "MERGE INTO members m USING (SELECT 1) AS s ON m.id = 1 WHEN MATCHED THEN UPDATE SET visits = m.visits + 20",
    ];
    let merges = [
        "MERGE INTO members m USING (VALUES (1), (77)) AS s (id) ON m.id = s.id \
         WHEN MATCHED THEN UPDATE SET visits = m.visits + 1 \
         WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, 'seen' || s.id || '@x')",
        "MERGE INTO members m USING (VALUES ('m1@x', 900), ('m2@x', 901)) AS s (e, id) ON m.email = s.e \
         WHEN MATCHED AND m.visits > 5 THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.e || m.visits \
         WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, s.e) \
         RETURNING merge_action(), m.id, m.email, m.name, s.id",
        "MERGE INTO members m USING (VALUES (1, 0)) AS s (id, n) ON m.id = s.id AND m.visits = s.n \
         WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT s.n || '!', m.visits + 2) \
         WHEN NOT MATCHED BY SOURCE AND m.id = 1 THEN UPDATE SET name = 'lost', visits = m.visits + 3 \
         RETURNING merge_action(), m.id, m.name, m.visits",
        "MERGE INTO members m USING (SELECT 5000 AS id) AS s ON m.id = s.id \
         WHEN NOT MATCHED BY SOURCE AND m.id = 1 AND m.visits < 5 THEN DELETE \
         WHEN NOT MATCHED BY SOURCE AND m.id = 1 THEN UPDATE SET name = m.name || m.visits, visits = m.visits + 4",
    ];
    twin.in_every_phase(async |phase| {
        for first in firsts {
            for merge in merges {
                for end in ["COMMIT", "ROLLBACK"] {
                    let what = (first, merge, end);
                    let expected = merged_after((&twin.alone, &alone, &watcher), what).await;
                    let found = merged_after((&twin.proxied, &other, &twin.direct), what).await;
                    assert_eq!(found, expected, "{phase}: {first}; {end}\n{merge}");
                }
            }
        }
        twin.equal_in(phase, "members", UNIFIED_MEMBERS)
            .await
            .unwrap();
    })
    .await
    .unwrap();
}

/// What the new application merges, by the phase's own number.
static UNIFIED: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    corpus::texts(include_str!(
        "../../data/statements/members_merge_unified.sql"
    ))
});

#[tokio::test]
async fn what_the_new_application_merges_reaches_the_legacy_table() {
    let Some(twin) = start().await else { return };
    for number in 1..=4 {
        let sql = format!("INSERT INTO members (id, email) VALUES (10{number}, 'gone{number}@x')");
        twin.same(&sql).await.unwrap();
    }
    twin.carry_to(Phase::DualWrite).await.unwrap();
    let different = "MERGE INTO badge b USING (SELECT person_id FROM member_ids WHERE legacy_id = 3) AS v \
                     ON b.person_id = v.person_id WHEN MATCHED AND b.number > 1 \
                     THEN UPDATE SET region = 'x' WHEN MATCHED THEN UPDATE SET visits = 3";
    twin.refused(different, "set different columns")
        .await
        .unwrap();
    for phase in [
        Phase::DualWrite,
        Phase::ShadowRead,
        Phase::DualRead,
        Phase::UnifiedRead,
    ] {
        if phase != Phase::DualWrite {
            twin.advance(phase).await.unwrap();
        }
        let number = (phase as usize).to_string();
        let mut said = Vec::new();
        for sql in UNIFIED.iter() {
            said.push(answer(&twin.proxied, &sql.replace("{p}", &number)).await);
            twin.verified(1).await;
        }
        let expected = [
            "done 2".to_owned(),
            format!(
                "(merge_action, e, name)\nUPDATE|m3@x|by {number}\nINSERT|made{number}@x|new\ndone 2"
            ),
            "done 1".to_owned(),
        ];
        assert_eq!(said, expected, "{phase}");
        let legacy = format!(
            "SELECT count(*), max(name) FILTER (WHERE id = 3) AS name FROM members \
             WHERE region IN ('u{number}', 'v{number}', 'w{number}') OR id IN (3, 10{number})"
        );
        let rows = answer(&twin.direct, &legacy).await;
        assert!(rows.contains(&format!("3|by {number}")), "{phase}: {rows}");
    }
    assert_eq!(answer(&twin.proxied, different).await, "done 1");
    twin.verified(1).await;
}
