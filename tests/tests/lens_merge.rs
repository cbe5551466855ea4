//! MERGE into a table that is split, on a server that tells what it wrote: in every phase, each answer
//! compared with that of a database that was left alone.

use crossfade_tests::newer;
use crossfade_tests::twin::{Case, Twin};
use rewrite_rules::Phase;

const CASE: Case = Case {
    name: "members",
    rules: include_str!("lens/members.toml"),
    also: &[],
    server: "",
    legacy: include_str!("lens/members_legacy.sql"),
    unified: include_str!("lens/members_unified.sql"),
};

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
    let reads = "(SELECT k.legacy_id AS id, p.email, b.region, b.number AS badge, p.name, b.visits FROM member_ids k \
                 JOIN person p ON p.id = k.person_id JOIN badge b ON b.person_id = p.id)";
    if phase.writes_both() || phase == Phase::LegacyOnly {
        twin.equal("members", "members").await.unwrap();
    }
    if phase.reads_unified() {
        twin.equal("members", reads).await.unwrap();
    }
}

async fn start() -> Option<Twin> {
    let twin = Twin::start_from(CASE, newer::postgresql()?).await.unwrap();
    twin.prepare().await.unwrap();
    Some(twin)
}

#[tokio::test]
async fn a_merge_reaches_what_it_names_in_every_phase() {
    let Some(twin) = start().await else { return };
    all(&twin, Phase::LegacyOnly).await;
    twin.advance(Phase::DualWrite).await.unwrap();
    all(&twin, Phase::DualWrite).await;
    twin.crossfade("backfill").await.unwrap();
    let said = twin.crossfade("verify").await.unwrap();
    assert!(said.contains("missing 0   extra 0   different 0"), "{said}");
    for phase in PHASES {
        twin.advance(phase).await.unwrap();
        all(&twin, phase).await;
    }
}

const PHASES: [Phase; 4] = [
    Phase::ShadowRead,
    Phase::DualRead,
    Phase::UnifiedRead,
    Phase::UnifiedOnly,
];
