//! What several rows of a split share: a person, or an organisation's name. It stays as long as anybody uses it, whoever
//! comes or goes meanwhile, and is no hindrance once nobody does.

use std::pin::pin;

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::twin::{Twin, USER_SETTINGS, answer};
use rewrite_rules::Phase;
use tokio_postgres::Client;

const ROWS: &str =
    "SELECT id, keycloak_user_id, language FROM user_settings WHERE id > 9000 ORDER BY id";
const RESET: &str = "DELETE FROM user_settings WHERE id > 9000; \
    INSERT INTO user_settings (id, keycloak_user_id, language) VALUES (9001, 'shared', 'a')";

/// What the second is told, whose statement may have to wait until the first's transaction ends.
async fn meanwhile(
    (one, other, watcher): (&Client, &Client, &Client),
    (first, second): (&str, &str),
) -> String {
    let process = pid(other).await.unwrap();
    let began = answer(one, &format!("BEGIN; {first}")).await;
    assert!(began.contains("done 1"), "{first}: {began}");
    let mut second = pin!(answer(other, second));
    let told = tokio::select! {
        told = &mut second => {
            answer(one, "COMMIT").await;
            told
        }
        waits = until_blocked(watcher, process) => {
            waits.unwrap();
            answer(one, "COMMIT").await;
            second.await
        }
    };
    answer(other, "ROLLBACK").await;
    told
}

#[tokio::test]
async fn a_person_whom_another_row_names_meanwhile_stays() {
    let twin = Twin::start(USER_SETTINGS).await.unwrap();
    twin.prepare().await.unwrap();
    let (other, other_alone) = (
        twin.another().await.unwrap(),
        twin.another_alone().await.unwrap(),
    );
    let watcher = twin.another_alone().await.unwrap();
    let comes =
        "INSERT INTO user_settings (id, keycloak_user_id, language) VALUES (9002, 'shared', 'b')";
    let moves = "UPDATE user_settings SET keycloak_user_id = 'shared' WHERE id = 1";
    twin.in_every_phase(async |phase| {
        for first in [comes, moves] {
            for second in [
                "DELETE FROM user_settings WHERE id = 9001",
                "DELETE FROM user_settings WHERE keycloak_user_id = 'shared' AND id = 9001 RETURNING language",
                "UPDATE user_settings SET keycloak_user_id = 'somebody else' WHERE id = 9001",
            ] {
                let back = format!("{RESET}; UPDATE user_settings SET keycloak_user_id = 'one' WHERE id = 1");
                for client in [&twin.alone, &twin.proxied] {
                    assert!(answer(client, &back).await.contains("done 1"));
                }
                let what = (first, second);
                let expected = meanwhile((&twin.alone, &other_alone, &watcher), what).await;
                let found = meanwhile((&twin.proxied, &other, &twin.direct), what).await;
                assert_eq!(found, expected, "{phase}: {first}; {second}");
                twin.same(ROWS).await.unwrap();
            }
        }
    })
    .await
    .unwrap();
}

/// The new application's own tables refer to the person, and nobody's lens knows of it.
#[tokio::test]
async fn a_person_who_joins_an_organisation_meanwhile_stays() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::DualRead)
        .await
        .unwrap();
    let other = twin.another().await.unwrap();
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        if phase != Phase::DualRead {
            // Somebody has gone around the proxy: `direct` has.
            twin.crossfade("verify").await.unwrap();
            twin.advance(phase).await.unwrap();
        }
        assert!(answer(&twin.proxied, RESET).await.contains("done 1"));
        let joins = format!(
            "INSERT INTO org_user (org_id, user_id, role_id) SELECT org.id, \"user\".id, 2 FROM org, \"user\" \
             WHERE org.name = 'user_{}_org' AND keycloak_user_id = 'shared'",
            phase as usize + 1
        );
        let what = (joins.as_str(), "DELETE FROM user_settings WHERE id = 9001");
        let found = meanwhile((&twin.proxied, &other, &twin.direct), what).await;
        assert_eq!(found, "done 1", "{phase}");
        let stays = format!("{joins} ON CONFLICT DO NOTHING");
        assert_eq!(answer(&twin.direct, &stays).await, "done 0", "{phase}");
    }
}

#[tokio::test]
async fn a_key_whose_settings_the_new_application_deleted_is_taken_again() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::DualRead)
        .await
        .unwrap();
    for phase in [Phase::DualRead, Phase::UnifiedRead] {
        if phase != Phase::DualRead {
            twin.advance(phase).await.unwrap();
        }
        for taken in [
            "UPDATE user_settings SET id = 9002 WHERE id = 9001",
            "INSERT INTO user_settings (id, keycloak_user_id) VALUES (9002, 'a third')",
            "BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE user_settings SET id = 9002 WHERE id = 9001; COMMIT",
        ] {
            let two = format!(
                "{RESET}; INSERT INTO user_settings (id, keycloak_user_id) VALUES (9002, 'another')"
            );
            for client in [&twin.alone, &twin.proxied] {
                assert!(answer(client, &two).await.contains("done 1"));
            }
            answer(&twin.alone, "DELETE FROM user_settings WHERE id = 9002").await;
            // Before legacy follows it keeps its row, which goes under its own name.
            for sql in [
                "DELETE FROM settings WHERE id = 9002",
                "DELETE FROM user_settings WHERE id = 9002",
            ] {
                answer(&twin.proxied, sql).await;
            }
            twin.same(taken).await.unwrap();
            twin.same(ROWS).await.unwrap();
        }
    }
}
