//! MERGE into a table that is split, on a server that tells what it wrote: in every phase, each answer
//! compared with that of a database that was left alone.

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::newer;
use crossfade_tests::twin::{MEMBERS, Twin, UNIFIED_MEMBERS, answer};
use rewrite_rules::Phase;

/// `{p}` is the phase's own number. Rows of a MERGE have no order of their own.
const STATEMENTS: &[&str] = &[
    "MERGE INTO members AS m USING (VALUES (1, 'one', 1), (2, 'two', 2), (NULL, 'new{p}@x', 3)) AS v (id, name, n) ON m.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name || '{p}', visits = m.visits + v.n WHEN NOT MATCHED THEN INSERT (email, name, region, badge) VALUES (v.name, 'made', 'mr{p}', v.n)",
    "WITH done AS (MERGE INTO members m USING (VALUES ('m4@x', 1), ('m5@x', 2), ('none{p}@x', 3), ('new{p}@x', 4)) AS v (email, n) ON m.email = v.email WHEN MATCHED AND v.n = 1 THEN DO NOTHING WHEN MATCHED AND v.n = 4 THEN DELETE WHEN MATCHED THEN UPDATE SET (visits, region) = (m.visits + 1, 'merged') WHEN NOT MATCHED THEN INSERT (email, visits) VALUES (v.email, DEFAULT) RETURNING merge_action() AS did, v.n, m.email, m.visits, m.region) SELECT * FROM done ORDER BY n",
    "MERGE INTO members USING (SELECT 'none{p}@x' AS e) AS s ON email = s.e WHEN MATCHED THEN DELETE RETURNING merge_action(), s.*, members.email, name",
    "MERGE INTO members USING (SELECT 'none{p}@x' AS e) AS s ON email = s.e WHEN MATCHED THEN DELETE RETURNING merge_action(), s.*, members.email, name",
    "MERGE INTO members m USING (SELECT 6 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET name = 'all' RETURNING *",
    "MERGE INTO members m USING (SELECT 'star{p}@x' AS e) AS s ON m.email = s.e WHEN NOT MATCHED THEN INSERT (id, email) VALUES (20{p}, s.e) RETURNING m.*, s.e",
    "MERGE INTO members m USING members AS s ON m.id = s.id + 1 AND s.id BETWEEN 10 AND 14 WHEN MATCHED THEN UPDATE SET visits = s.id, name = s.email",
    "MERGE INTO members m USING (SELECT id FROM members WHERE id > 4) AS s ON m.id = s.id WHEN NOT MATCHED BY SOURCE AND m.id < 3 THEN UPDATE SET visits = 5 WHEN NOT MATCHED BY SOURCE AND m.id = 20{p} THEN DELETE WHEN MATCHED AND m.id = 20{p} THEN DELETE",
    "WITH done AS (MERGE INTO members m USING (SELECT 7 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = 7 WHEN NOT MATCHED BY SOURCE AND m.id IN (8, 9) THEN UPDATE SET visits = 8 WHEN NOT MATCHED BY TARGET THEN DO NOTHING RETURNING merge_action(), s.id AS sid, m.id AS mid, visits) SELECT * FROM done ORDER BY mid",
    "MERGE INTO members m USING (SELECT 1 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = 2 RETURNING m, s",
    "UPDATE members SET visits = 3 WHERE id = 1 RETURNING members, id",
    // A row that two rows of the source match; and one that only one of them writes.
    "MERGE INTO members m USING (VALUES (3, 1), (3, 2)) AS s (id, n) ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = s.n",
    "MERGE INTO members m USING (VALUES (3, 1), (3, 2)) AS s (id, n) ON m.id = s.id WHEN MATCHED AND s.n = 2 THEN UPDATE SET visits = s.n",
    // What the table does not take.
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = 100",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET email = 'm10@x'",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET name = 'longer than its twenty characters'",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = m.name",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET nothing = m.name",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = nothing",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, 'taken{p}@x')",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT (id, email) VALUES (30{p}, 'm1@x')",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT (id, email, visits) VALUES (30{p}, 'x{p}', 'many')",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT (id) VALUES (30{p})",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
    "MERGE INTO members m USING (SELECT 'text' AS t) AS s ON false WHEN NOT MATCHED THEN INSERT (id, email, visits) VALUES (30{p}, 'x{p}', s.t)",
    "MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN DELETE WHEN MATCHED THEN DO NOTHING",
    "BEGIN; MERGE INTO members m USING (VALUES (7)) AS s (id) ON m.id = s.id WHEN MATCHED THEN DELETE; SELECT count(*) FROM members WHERE id = 7; ROLLBACK",
    // Values that queries give; a query runs for the rows of its own action. (PostgreSQL 18 itself ends
    // at two actions with queries.)
    "MERGE INTO members m USING (VALUES (11, 'a'), (12, 'b'), (13, 'c'), (40, 'd')) AS s (id, t) ON m.id = s.id WHEN MATCHED AND s.t = 'c' THEN UPDATE SET name = NULL, visits = 3 WHEN MATCHED THEN UPDATE SET visits = 4, (badge, name) = (SELECT max(o.id) + 60, s.t || max(o.email) FROM members o WHERE o.id < m.id) WHEN NOT MATCHED THEN DO NOTHING",
    "MERGE INTO members m USING (VALUES (11, 'a'), (12, 'b'), (13, 'c')) AS s (id, t) ON m.id = s.id WHEN MATCHED AND s.t = 'c' THEN UPDATE SET (name, region) = ('three', 'q{p}') WHEN MATCHED THEN UPDATE SET visits = 4, (badge, name) = (SELECT max(o.id) + 60, s.t || max(o.email) FROM members o WHERE o.id < m.id) RETURNING merge_action(), m.id, m.name, m.badge, m.visits, m.region, s.t",
    "MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN NOT MATCHED BY SOURCE AND m.id = 13 THEN UPDATE SET (name, badge) = (SELECT o.name, m.badge + 1 FROM members o WHERE o.id = m.id - 1) WHEN MATCHED THEN UPDATE SET name = 'one' RETURNING merge_action(), m.id, name, badge",
    "MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name) = (SELECT 'one'), (visits, badge) = (SELECT s.id, NULL WHERE m.id = 12)",
    "MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, region) = (SELECT 'none', 'x' WHERE false), visits = 3",
    "MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, badge) = ROW('row', s.id)",
    "MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED AND m.id = 5 THEN UPDATE SET (name, visits) = (SELECT email, id FROM members) WHEN MATCHED THEN UPDATE SET visits = 9",
    "MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT email, id FROM members)",
    "MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT 1.5, 'x')",
    "MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT 'x')",
    "MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT repeat('long', 10), 1)",
    "EXPLAIN (COSTS OFF) MERGE INTO nobody USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    "SELECT email, region, badge, name, visits FROM members ORDER BY email",
];

const BOUND: &str = "MERGE INTO members m USING (SELECT $1::text AS email, $2::int AS n) AS s ON m.email = s.email \
    WHEN MATCHED AND m.visits > $3 THEN DELETE WHEN MATCHED THEN UPDATE SET visits = m.visits + s.n, name = $4 \
    WHEN NOT MATCHED THEN INSERT (email, visits, name) VALUES (s.email, s.n, $4) \
    RETURNING merge_action(), m.email, m.name, m.visits, m.region, s.n";

async fn all(twin: &Twin, phase: Phase) {
    let number = (phase as usize).to_string();
    for sql in STATEMENTS {
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
const KEYS: &[&str] = &[
    "INSERT INTO members (id, email, region, badge) VALUES (50{p}, 'key{p}@x', 'k{p}', 1), (51{p}, 'kez{p}@x', 'k{p}', 2), (52{p}, 'kea{p}@x', 'k{p}', 3)",
    "MERGE INTO members m USING (VALUES (50{p}, 60{p}), (51{p}, 51{p}), (53{p}, 1)) AS s (f, t) ON m.id = s.f WHEN MATCHED THEN UPDATE SET id = s.t, name = 'to ' || s.t WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.f, 'ken{p}@x') RETURNING merge_action(), m.id, s.f, m.name, m.email",
    "MERGE INTO members m USING (SELECT 60{p} AS id) AS s ON m.id = s.id WHEN NOT MATCHED BY SOURCE AND m.id = 51{p} THEN UPDATE SET (id, visits) = (SELECT m.id + 100, 4) WHEN MATCHED THEN UPDATE SET (id, name) = (s.id + 1000, 'twice') RETURNING merge_action(), m.id, s.id, name, visits",
    "MERGE INTO members m USING (VALUES (61{p}), (52{p})) AS s (id) ON m.id = s.id WHEN MATCHED AND s.id = 52{p} THEN DELETE WHEN MATCHED THEN UPDATE SET id = m.id + 1000",
    // Keys that others have, and what is no key.
    "MERGE INTO members m USING (SELECT 160{p} AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET id = 1",
    "MERGE INTO members m USING (SELECT 160{p} AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET id = NULL",
    "MERGE INTO members m USING (SELECT 160{p} AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET id = 'x'",
    "MERGE INTO members m USING (VALUES (160{p}), (161{p})) AS s (id) ON m.id = s.id WHEN MATCHED THEN UPDATE SET id = 777",
    "MERGE INTO members m USING (VALUES (1), (2)) AS s (n) ON m.id = 160{p} WHEN MATCHED THEN UPDATE SET id = 700 + s.n",
    "SELECT id, email, region, badge, name, visits FROM members WHERE email LIKE 'ke_{p}@x' OR id < 3 ORDER BY id",
];

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
        for sql in KEYS {
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

#[tokio::test]
async fn a_merge_does_not_write_over_what_it_has_not_seen() {
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        let Some(twin) = carried_to(phase).await else {
            return;
        };
        let other = twin.another().await.unwrap();
        let process = pid(&other).await.unwrap();
        let merge = "MERGE INTO members m USING (VALUES (1), (77)) AS s (id) ON m.id = s.id \
                     WHEN MATCHED THEN UPDATE SET visits = m.visits + 1 \
                     WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, 'seen@x')";
        for first in [
            "UPDATE members SET visits = 10 WHERE id = 1",
            "DELETE FROM members WHERE id = 1",
            "MERGE INTO members m USING (SELECT 1) AS s ON m.id = 1 WHEN MATCHED THEN UPDATE SET visits = m.visits + 10",
        ] {
            let before = "SELECT * FROM members WHERE id IN (1, 77)";
            answer(&twin.proxied, &format!("BEGIN; {first}")).await;
            let (second, ()) = tokio::join!(answer(&other, merge), async {
                until_blocked(&twin.direct, process).await.unwrap();
                answer(&twin.proxied, "COMMIT").await;
            });
            assert!(second.starts_with("40001"), "{phase} {first}: {second}");
            let left = answer(&twin.proxied, before).await;
            assert!(!left.contains("seen@x"), "{phase} {first}: {left}");
            let again = "DELETE FROM members WHERE id = 1; \
                         INSERT INTO members (id, email, visits) VALUES (1, 'm1@x', 0)";
            answer(&twin.proxied, again).await;
        }
        assert_eq!(answer(&other, merge).await, "done 2");
    }
}

/// What the new application merges, by the phase's own number.
const UNIFIED: &[&str] = &[
    "MERGE INTO badge b USING (VALUES (1, 'u{p}'), (2, 'v{p}'), (5, 'w{p}')) AS v (id, region) ON b.person_id = v.id WHEN MATCHED AND v.id = 5 THEN DO NOTHING WHEN MATCHED THEN UPDATE SET region = v.region",
    "WITH done AS (MERGE INTO public.person AS p USING (SELECT 'm3@x' AS e UNION SELECT 'made{p}@x') AS s ON p.email = s.e WHEN MATCHED THEN UPDATE SET name = 'by {p}' WHEN NOT MATCHED THEN INSERT (email, name) VALUES (s.e, 'new') RETURNING merge_action(), s.e, p.name) SELECT * FROM done ORDER BY 2",
    "MERGE INTO badge b USING (SELECT person_id FROM member_ids WHERE legacy_id = 10{p}) AS v ON b.person_id = v.person_id WHEN MATCHED THEN DELETE",
];

#[tokio::test]
async fn what_the_new_application_merges_reaches_the_legacy_table() {
    let Some(twin) = start().await else { return };
    for number in 1..=4 {
        let sql = format!("INSERT INTO members (id, email) VALUES (10{number}, 'gone{number}@x')");
        twin.same(&sql).await.unwrap();
    }
    twin.carry_to(Phase::DualWrite).await.unwrap();
    let different = "MERGE INTO badge b USING (SELECT 1) AS v ON b.person_id = 3 WHEN MATCHED AND b.number > 1 \
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
        for sql in UNIFIED {
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
