//! Transactions that write legacy rows of their own in different orders, and meet in what unified makes of
//! them: straight nobody would wait, or whoever waits would be let through. Under `record` no client is
//! told anything else.

use crossfade_tests::control::{number, pid, until, until_blocked};
use crossfade_tests::twin::{Twin, USER_SETTINGS, answer};
use rewrite_rules::Phase;
use tokio_postgres::Client;

/// Two rows of each of two people.
const ROWS: &str = "DELETE FROM user_settings WHERE id BETWEEN 9001 AND 9009; \
    INSERT INTO user_settings (id, keycloak_user_id, accepted_tos, language) VALUES (9001, 'p', '2025-01-01', 'a'), \
    (9002, 'p', '2025-02-02', 'b'), (9003, 'q', '2025-03-03', 'c'), (9004, 'q', NULL, 'd')";

/// Each with a statement of its own, then the first with another, which waits, and the second with one that
/// waits for the first; each commits when it has been told. `late`: the second waits only when PostgreSQL
/// has looked for a deadlock where the first waits, and so will find one where the second does.
async fn crossed(
    (one, other, watcher): (&Client, &Client, &Client),
    (a, b, then_b, then_a): (&str, &str, &str, &str),
    late: bool,
) -> [String; 4] {
    let first = pid(one).await.unwrap();
    let a = answer(one, &format!("BEGIN; {a}")).await;
    let b = answer(other, &format!("BEGIN; {b}")).await;
    let (then_b, then_a) = tokio::join!(
        async {
            let said = answer(one, then_b).await;
            answer(one, "COMMIT").await;
            said
        },
        async {
            until_blocked(watcher, first).await.unwrap();
            if late {
                let waits = format!(
                    "SELECT clock_timestamp() - query_start > interval '1.2 s' FROM pg_stat_activity \
                     WHERE pid = {first}"
                );
                until(watcher, &waits).await.unwrap();
            }
            let said = answer(other, then_a).await;
            answer(other, "COMMIT").await;
            said
        }
    );
    [a, b, then_b, then_a]
}

#[tokio::test]
async fn rows_of_the_same_people_in_opposite_order_meet_no_deadlock_under_record() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::DualWrite)
        .await
        .unwrap();
    let other = twin.another().await.unwrap();
    let watcher = twin.superuser().await.unwrap();
    let set =
        |id: i32| format!("UPDATE user_settings SET language = language || '!' WHERE id = {id}");
    let insert = |id: i32, who: &str| {
        format!(
            "INSERT INTO user_settings (id, keycloak_user_id, language) VALUES ({id}, '{who}', 'new')"
        )
    };
    let move_to = |id: i32, to: i32| format!("UPDATE user_settings SET id = {to} WHERE id = {id}");
    for (number_of, statements) in [
        (0, [set(9001), set(9003), set(9004), set(9002)]),
        (
            2,
            [
                insert(9005, "p"),
                insert(9006, "q"),
                insert(9007, "q"),
                insert(9008, "p"),
            ],
        ),
        (
            3,
            [
                insert(9005, "p"),
                set(9003),
                move_to(9004, 9009),
                insert(9008, "p"),
            ],
        ),
        // The second waits for a legacy row, as it would straight.
        (4, [set(9001), set(9003), set(9004), set(9001)]),
        (
            5,
            [set(9001), set(9003), insert(9007, "q"), move_to(9001, 9005)],
        ),
    ] {
        for late in [false, true] {
            let [a, b, then_b, then_a] = &statements;
            answer(&twin.alone, ROWS).await;
            answer(&twin.proxied, ROWS).await;
            for sql in [a, b, then_b, then_a] {
                answer(&twin.alone, sql).await;
            }
            let clients = (&twin.proxied, &other, &watcher);
            let told = crossed(clients, (a, b, then_b, then_a), late).await;
            let done = ["done 0\ndone 1", "done 0\ndone 1", "done 1", "done 1"];
            assert_eq!(told, done, "{number_of} {late}: {statements:?}");
            twin.equal("user_settings", "user_settings").await.unwrap();
            // What one of them gave up is in the ledger, and nothing else is.
            let recorded = number(&watcher, "SELECT count(*) FROM crossfade.divergence")
                .await
                .unwrap();
            assert!(
                (1..=2).contains(&recorded),
                "{number_of} {late}: {recorded}"
            );
            twin.crossfade("verify --repair").await.unwrap();
            twin.verified(1).await;
        }
    }
}

/// A wait is a wait, unless somebody waits behind it who has written unified himself.
#[tokio::test]
async fn a_wait_in_the_unified_half_that_nobody_waits_behind_goes_on() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::DualWrite)
        .await
        .unwrap();
    let other = twin.another().await.unwrap();
    let watcher = twin.superuser().await.unwrap();
    let process = pid(&other).await.unwrap();
    answer(&twin.proxied, ROWS).await;
    let behind = twin.another().await.unwrap();
    let behind_process = pid(&behind).await.unwrap();
    let set = |id: i32| format!("UPDATE user_settings SET language = 'x' WHERE id = {id}");
    answer(&twin.proxied, &format!("BEGIN; {}", set(9001))).await;
    let second = format!("{}; SHOW lock_timeout", set(9002));
    let third = async {
        until_blocked(&watcher, process).await.unwrap();
        answer(&behind, &set(9002)).await
    };
    let (told, third, ()) = tokio::join!(answer(&other, &second), third, async {
        let waits = format!(
            "SELECT clock_timestamp() - query_start > interval '1.2 s' FROM pg_stat_activity WHERE pid = {behind_process}"
        );
        until_blocked(&watcher, behind_process).await.unwrap();
        until(&watcher, &waits).await.unwrap();
        answer(&twin.proxied, "COMMIT").await;
    });
    assert_eq!(told, "(lock_timeout)\n0\ndone 0\ndone 1");
    assert_eq!(third, "done 1");
    let ledger = "SELECT count(*) FROM crossfade.divergence";
    assert_eq!(number(&watcher, ledger).await.unwrap(), 0);
    twin.verified(1).await;
    // How long the client itself would wait is its own to say.
    answer(&other, "SET lock_timeout = '20ms'").await;
    answer(&twin.proxied, &format!("BEGIN; {}", set(9001))).await;
    assert_eq!(answer(&other, &set(9002)).await, "done 1");
    assert_eq!(number(&watcher, ledger).await.unwrap(), 1);
    assert_eq!(
        answer(&other, "SHOW lock_timeout").await,
        "(lock_timeout)\n20ms\ndone 0"
    );
    answer(&twin.proxied, "COMMIT").await;
}
