//! INSERT … ON CONFLICT into a table that is split, by its key and by its other unique columns: in
//! every phase, each answer compared with that of a database that was left alone.

use std::sync::LazyLock;

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::corpus;
use crossfade_tests::twin::{MEMBERS, Twin, UNIFIED_MEMBERS, answer};
use rewrite_rules::Phase;

/// `{p}` is the phase's own number.
static STATEMENTS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| corpus::texts(include_str!("../../data/statements/members_upsert.sql")));

async fn all(twin: &Twin, phase: Phase) {
    let number = (phase as usize).to_string();
    for sql in STATEMENTS.iter() {
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
