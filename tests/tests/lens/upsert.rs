//! INSERT … ON CONFLICT into a table that is split, by its key and by its other unique columns: in
//! every phase, each answer compared with that of a database that was left alone.

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::twin::{MEMBERS, Twin, UNIFIED_MEMBERS, answer};
use rewrite_rules::Phase;

/// `{p}` is the phase's own number.
const STATEMENTS: &[&str] = &[
    "INSERT INTO members (email, region, badge, name) VALUES ('new{p}@x', 'n{p}', 1, 'New') ON CONFLICT (email) DO UPDATE SET name = excluded.name, visits = members.visits + 1 RETURNING email, name, visits",
    "INSERT INTO members (email, region, badge, name) VALUES ('new{p}@x', 'n{p}', 1, 'Again') ON CONFLICT (email) DO UPDATE SET name = excluded.name, visits = members.visits + 1 RETURNING email, name, visits, badge",
    "INSERT INTO members AS m (email, visits) VALUES ('new{p}@x', 7), ('other{p}@x', 8), ('m1@x', 9) ON CONFLICT ON CONSTRAINT members_email_key DO UPDATE SET visits = excluded.visits + m.visits WHERE m.email <> 'm1@x' RETURNING email, visits",
    // By two columns, in any order, and with a key that is taken.
    "INSERT INTO members (id, email, region, badge) VALUES (1, 'm1@x', 'n{p}', 1) ON CONFLICT (badge, region) DO UPDATE SET visits = members.visits + 1, name = excluded.email RETURNING *",
    "INSERT INTO members (id, email, region, badge) VALUES (1, 'm1@x', 'n{p}', 1) ON CONFLICT ON CONSTRAINT members_badge DO NOTHING RETURNING *",
    "INSERT INTO members (id, email) VALUES (1, 'm2@x') ON CONFLICT (email) DO NOTHING RETURNING *",
    "INSERT INTO members (id, email) VALUES (1, 'm2@x'), (2, 'none{p}@x') ON CONFLICT DO NOTHING RETURNING *",
    "INSERT INTO members (id, email) VALUES (1, 'm2@x'), (20{p}, 'some{p}@x') ON CONFLICT (email) DO NOTHING RETURNING *",
    // NULLs are in conflict with nothing.
    "INSERT INTO members (id, email, badge) VALUES (30{p}, 'null{p}@x', 3) ON CONFLICT (region, badge) DO UPDATE SET visits = 50 RETURNING email, visits",
    // One that is in conflict with another constraint.
    "INSERT INTO members (id, email) VALUES (1, 'nobody{p}@x') ON CONFLICT (email) DO UPDATE SET visits = 1",
    "INSERT INTO members (email, region, badge) VALUES ('nobody{p}@x', 'n{p}', 1) ON CONFLICT (email) DO UPDATE SET visits = 1",
    "INSERT INTO members (email, region, badge) VALUES ('m2@x', 'x{p}', 1) ON CONFLICT (region, badge) DO NOTHING",
    "INSERT INTO members (email) VALUES ('new{p}@x') ON CONFLICT (email) DO UPDATE SET email = 'm1@x'",
    "INSERT INTO members (email) VALUES ('new{p}@x') ON CONFLICT (email) DO UPDATE SET (region, badge) = ('r1', 1)",
    // A row that is met twice.
    "INSERT INTO members (email) VALUES ('twice{p}@x'), ('twice{p}@x') ON CONFLICT (email) DO UPDATE SET visits = 2",
    "INSERT INTO members (email) VALUES ('m3@x'), ('m3@x') ON CONFLICT (email) DO UPDATE SET visits = 2",
    "INSERT INTO members (email) VALUES ('m3@x'), ('m3@x') ON CONFLICT (email) DO UPDATE SET visits = 2 WHERE members.id < 0 RETURNING *",
    "INSERT INTO members (email) VALUES ('m3@x'), ('moved{p}@x') ON CONFLICT (email) DO UPDATE SET email = 'moved{p}@x'",
    "INSERT INTO members (email) VALUES ('twice{p}@x'), ('twice{p}@x') ON CONFLICT (email) DO NOTHING RETURNING email",
    // One after the other: the first makes room for the second.
    "INSERT INTO members (id, email) VALUES (4, 'four{p}@x'), (40{p}, 'm4@x') ON CONFLICT (id) DO UPDATE SET email = excluded.email RETURNING id, email",
    "UPDATE members SET email = 'five' WHERE id = 40{p}",
    "UPDATE members SET email = 'm4@x' WHERE id = 4",
    "UPDATE members SET email = 'five{p}@x' WHERE id = 40{p}",
    // What the table does not take, before anything else is looked at.
    "INSERT INTO members (email, visits) VALUES ('m5@x', 100) ON CONFLICT (email) DO UPDATE SET visits = 1",
    "INSERT INTO members (email, visits) VALUES (NULL, 1) ON CONFLICT (email) DO NOTHING",
    "INSERT INTO members (email, visits) VALUES ('m5@x', 100) ON CONFLICT (email) DO NOTHING",
    "INSERT INTO members (id, email, name) VALUES (50{p}, 'm5@x', 'longer than its twenty characters') ON CONFLICT (email) DO UPDATE SET visits = 1",
    "INSERT INTO members (id, email) VALUES (50{p}, 'm5@x') ON CONFLICT (email) DO UPDATE SET name = 'longer than its twenty characters'",
    "INSERT INTO members (email) VALUES ('m5@x') ON CONFLICT (email) DO UPDATE SET visits = 1000",
    "INSERT INTO members (email) VALUES ('m5@x') ON CONFLICT (email) DO UPDATE SET visits = visits + 1",
    "INSERT INTO members (email) VALUES ('m5@x') ON CONFLICT (email) DO UPDATE SET visits = excluded.name",
    // Queries among the assignments.
    "INSERT INTO members (email, visits) VALUES ('m11@x', 3), ('query{p}@x', 4) ON CONFLICT (email) DO UPDATE SET (visits, name) = (SELECT count(*) + excluded.visits, 'q' || members.id FROM members AS o WHERE o.id < 4) RETURNING email, visits, name",
    "INSERT INTO members (email) VALUES ('m11@x') ON CONFLICT (email) DO UPDATE SET name = (SELECT 'of ' || o.email FROM members o WHERE o.id = members.id + 1), (visits) = (SELECT 12) RETURNING name, visits",
    "INSERT INTO members (email) VALUES ('m11@x') ON CONFLICT (email) DO UPDATE SET (visits, name) = (SELECT o.id, 'x' FROM members o WHERE o.id < 4)",
    "INSERT INTO members (email) VALUES ('m11@x') ON CONFLICT (email) DO UPDATE SET (visits, name) = (SELECT 'x', 'y')",
    "UPDATE members m SET (name, badge) = (SELECT 'after ' || o.id, m.id + 500 FROM members o WHERE o.id = m.id - 1), visits = 13 WHERE m.id IN (12, 13) RETURNING m.id, name, visits, badge",
    "UPDATE members m SET (name, badge) = (SELECT o.name, o.badge FROM members o WHERE o.id = -m.id) WHERE m.id = 14 RETURNING *",
    "UPDATE members m SET (name, badge) = (SELECT v.n, m.id), visits = v.i FROM (VALUES (14, 'joined', 3)) AS v (id, n, i) WHERE m.id = v.id RETURNING m.name, m.badge, m.visits",
    "UPDATE members SET (name, badge) = (SELECT o.name, o.badge FROM members o WHERE o.id < 3) WHERE id = 14",
    "UPDATE members SET (name, badge) = (SELECT 1.5, 'x') WHERE id = 14",
    "UPDATE members SET (name, badge) = (SELECT * FROM (VALUES ('a', 1, 2)) AS v) WHERE id = 14",
    "UPDATE members SET (name, badge) = (SELECT * FROM (VALUES ('a')) AS v) WHERE id = 14",
    "UPDATE members SET (name, badge) = (SELECT * FROM (VALUES ('star', 714)) AS v) WHERE id = 14 RETURNING name, badge",
    // UNIQUE holds for other writes as well.
    "INSERT INTO members (email, region, badge) VALUES ('badge{p}@x', 'r1', 1)",
    "UPDATE members SET badge = 1 WHERE id = 7 RETURNING *",
    "UPDATE members SET badge = badge, region = region WHERE id IN (7, 8)",
    "UPDATE members SET badge = 100 + badge, region = NULL WHERE id IN (9, 10) RETURNING id, badge",
    "INSERT INTO members (email) SELECT email FROM members WHERE id < 4 ORDER BY id ON CONFLICT (email) DO UPDATE SET visits = members.visits + 10 - members.visits RETURNING id, visits",
    "WITH new AS (INSERT INTO members (email) VALUES ('m6@x'), ('with{p}@x') ON CONFLICT (email) DO UPDATE SET visits = 66 RETURNING email, visits) SELECT * FROM new ORDER BY 1",
    "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO members (email, region, badge) VALUES ('ser{p}@x', 's{p}', 1), ('m7@x', 's{p}', 2) ON CONFLICT (email) DO UPDATE SET badge = excluded.badge, region = excluded.region; COMMIT",
    "SELECT email, region, badge, name, visits FROM members ORDER BY email",
];

async fn all(twin: &Twin, phase: Phase) {
    let number = (phase as usize).to_string();
    for sql in STATEMENTS {
        twin.same(&sql.replace("{p}", &number))
            .await
            .unwrap_or_else(|e| panic!("{phase}: {e}"));
    }
    let upsert = "INSERT INTO members (email, visits) VALUES ($1, $2) ON CONFLICT (email) \
                  DO UPDATE SET visits = members.visits + $2 RETURNING email, visits, name, badge";
    for email in ["m8@x", &format!("bound{number}@x"), "m8@x"] {
        twin.same_with(upsert, &[Some(email), Some("3")])
            .await
            .unwrap_or_else(|e| panic!("{phase}: {e}"));
    }
    twin.equal_in(phase, "members", UNIFIED_MEMBERS)
        .await
        .unwrap();
}

#[tokio::test]
async fn rows_are_met_by_their_unique_columns_in_every_phase() {
    let twin = Twin::start(MEMBERS).await.unwrap();
    twin.prepare().await.unwrap();
    let check = async |phase| all(&twin, phase).await;
    twin.in_every_phase(check).await.unwrap();
}

/// Two sessions insert one value; the second waits for the first, and then does what it says of a
/// row that is there.
async fn later(twin: &Twin, first: &str, second: &str, end: &str) -> String {
    let other = twin.another().await.unwrap();
    let process = pid(&other).await.unwrap();
    answer(&twin.proxied, &format!("BEGIN; {first}")).await;
    let (second, ()) = tokio::join!(answer(&other, second), async {
        until_blocked(&twin.direct, process).await.unwrap();
        answer(&twin.proxied, end).await;
    });
    second
}

#[tokio::test]
async fn of_two_upserts_of_a_new_value_the_later_one_waits_and_updates() {
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        let twin = Twin::in_phase(MEMBERS, phase).await.unwrap();
        for (number, (target, values)) in [
            ("id", "5000, 'by id', 'a', 50"),
            ("email", "nextval('members_id_seq'), 'by email', 'a', 51"),
            (
                "region, badge",
                "nextval('members_id_seq'), 'e' || nextval('members_id_seq'), 'a', 52",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let number = number as i32 + 50;
            let upsert = |visits: i32| {
                format!(
                    "INSERT INTO members (id, email, region, badge, visits) VALUES ({values}, {visits}) ON CONFLICT ({target}) \
                     DO UPDATE SET visits = members.visits * 2 + excluded.visits RETURNING visits"
                )
            };
            let found = later(&twin, &upsert(5), &upsert(3), "COMMIT").await;
            assert!(found.contains("\n13"), "{phase} {target}: {found}");
            let rows =
                format!("SELECT visits FROM members WHERE region = 'a' AND badge = {number}");
            let found = answer(&twin.proxied, &rows).await;
            assert_eq!(found, "(visits)\n13\ndone 1", "{phase} {target}");
            // A row that never came.
            let delete = format!("DELETE FROM members WHERE region = 'a' AND badge = {number}");
            answer(&twin.proxied, &delete).await;
            let found = later(&twin, &upsert(5), &upsert(3), "ROLLBACK").await;
            assert!(found.contains("\n3"), "{phase} {target}: {found}");
        }
        // A plain INSERT and a change make an upsert wait as well.
        let found = later(
            &twin,
            "INSERT INTO members (id, email, region, badge, visits) VALUES (6000, 'plain', 'b', 1, 5)",
            "INSERT INTO members (id, email, region, badge) VALUES (6001, 'upsert', 'b', 1) ON CONFLICT (region, badge) \
             DO UPDATE SET visits = members.visits + 1 RETURNING id, visits",
            "COMMIT",
        )
        .await;
        assert!(found.contains("6000|6"), "{phase}: {found}");
        let found = later(
            &twin,
            "UPDATE members SET region = 'c', badge = 1 WHERE id = 6000",
            "INSERT INTO members (id, email, region, badge) VALUES (6002, 'late', 'c', 1)",
            "COMMIT",
        )
        .await;
        assert!(
            found.starts_with("23505") && found.contains("members_badge"),
            "{phase}: {found}"
        );
        // A row that changes while the upsert waits for it: what it is then counts.
        let found = later(
            &twin,
            "UPDATE members SET email = 'elsewhere', visits = 40 WHERE id = 6000",
            "INSERT INTO members (id, email) VALUES (6003, 'plain') ON CONFLICT (email) DO UPDATE SET visits = 99 RETURNING id, visits",
            "COMMIT",
        )
        .await;
        assert!(found.contains("6003|0"), "{phase}: {found}");
    }
}

#[tokio::test]
async fn at_repeatable_read_a_later_upsert_is_told_to_try_again() {
    let twin = Twin::in_phase(MEMBERS, Phase::UnifiedOnly).await.unwrap();
    let other = twin.another().await.unwrap();
    let upsert = |values: &str, target: &str| {
        format!(
            "INSERT INTO members (email, region, badge) VALUES ({values}) ON CONFLICT ({target}) DO UPDATE SET visits = 9"
        )
    };
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1";
    answer(&other, begin).await;
    answer(&twin.proxied, &upsert("'rr', NULL, NULL", "email")).await;
    let late = answer(&other, &upsert("'rr', NULL, NULL", "email")).await;
    assert!(late.starts_with("40001"), "{late}");
    answer(&other, &format!("ROLLBACK; {begin}")).await;
    let there = answer(&other, &upsert("'m1@x', 'r1', 1", "email")).await;
    assert_eq!(there, "done 1");
    // Nothing in the unified tables could tell.
    let blind = answer(&other, &upsert("'rr2', 'z', 1", "region, badge")).await;
    assert!(
        blind.starts_with("0A000") && blind.contains("members_badge"),
        "{blind}"
    );
}

#[tokio::test]
async fn a_value_that_only_the_new_application_has_is_an_error() {
    let twin = Twin::in_phase(MEMBERS, Phase::UnifiedOnly).await.unwrap();
    twin.direct
        .batch_execute("INSERT INTO person (email) VALUES ('hidden@x')")
        .await
        .unwrap();
    let upsert = "INSERT INTO members (email) VALUES ('hidden@x') ON CONFLICT (email) DO UPDATE SET visits = 1";
    let said = answer(&twin.proxied, upsert).await;
    assert!(
        said.starts_with("23505") && said.contains("members_email_key"),
        "{said}"
    );
}

#[tokio::test]
async fn an_upsert_takes_a_row_to_another_key_once_unified_leads() {
    let twin = Twin::start(MEMBERS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    twin.crossfade("backfill").await.unwrap();
    let moved = "INSERT INTO members (id, email) VALUES (7000, 'm1@x') ON CONFLICT (email) DO UPDATE SET id = excluded.id RETURNING id, name";
    twin.refused(moved, "ON CONFLICT DO UPDATE of id")
        .await
        .unwrap();
    twin.verified(1).await;
    for phase in [Phase::ShadowRead, Phase::DualRead, Phase::UnifiedRead] {
        twin.advance(phase).await.unwrap();
    }
    for sql in [
        moved,
        "INSERT INTO members (email) VALUES ('m2@x'), ('m3@x') ON CONFLICT (email) DO UPDATE SET id = 7000",
        "SELECT * FROM members ORDER BY email",
    ] {
        twin.same(sql).await.unwrap();
    }
    twin.equal("members", "members").await.unwrap();
}

#[tokio::test]
async fn the_check_compares_unique_constraints() {
    let twin = Twin::start(MEMBERS).await.unwrap();
    twin.prepare().await.unwrap();
    let operator = twin.superuser().await.unwrap();
    let said = twin.crossfade("check").await.unwrap();
    assert!(!said.contains("UNIQUE"), "{said}");
    operator
        .batch_execute(
            "ALTER TABLE members DROP CONSTRAINT members_badge; CREATE UNIQUE INDEX by_name ON members (name)",
        )
        .await
        .unwrap();
    let said = twin.crossfade("check").await.unwrap_err().to_string();
    for finding in [
        "the rule file does not repeat by_name: UNIQUE (name)",
        "the table has no members_badge: UNIQUE (badge, region)",
    ] {
        assert!(said.contains(finding), "{said}");
    }
}
