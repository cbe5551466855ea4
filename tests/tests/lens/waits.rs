//! A statement that waits for another transaction's write of its rows: in every phase, for each kind
//! of lens, its answer is that of a database that was left alone.
//!
//! At READ COMMITTED PostgreSQL looks again at a row that it had to wait for: WHERE and SET are those of
//! the row as it has become.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossfade_tests::control::{number, pid, until_blocked};
use crossfade_tests::twin::{Case, MEMBERS, Twin, USER_SETTINGS, answer};
use rewrite_rules::Phase;
use tokio_postgres::Client;

use crate::locked::PLAIN;

/// With it every race is run in every phase.
const EVERY: &str = "CROSSFADE_EVERY_RACE";

/// What two sessions do: the first writes and leaves its transaction open, the second waits for it.
struct Races {
    case: Case,
    table: &'static str,
    /// Puts the row that they are about back.
    reset: &'static str,
    firsts: &'static [&'static str],
    seconds: &'static [&'static str],
}

const OF_MEMBERS: Races = Races {
    case: MEMBERS,
    table: "members",
    reset: "DELETE FROM members WHERE id IN (1, 900) OR email LIKE '%m1@x'; \
            INSERT INTO members (id, email, region, badge, name) VALUES (1, 'm1@x', 'r1', 1, 'Member 1'); \
            UPDATE members SET visits = 0, name = 'Member ' || id WHERE id IN (2, 3)",
    firsts: &[
        "UPDATE members SET visits = visits + 1 WHERE id = 1",
        "UPDATE members SET email = 'not-m1@x', name = 'm' WHERE id = 1",
        "UPDATE members SET region = NULL, badge = NULL WHERE id = 1",
        "DELETE FROM members WHERE id = 1",
        "SELECT id FROM members WHERE id = 1 FOR UPDATE",
    ],
    seconds: &[
        "UPDATE members SET visits = visits + 1 WHERE id = 1 RETURNING *",
        "UPDATE members SET name = 'new', visits = visits + 1 WHERE id = 1 AND visits = 0",
        "UPDATE members SET name = 'by email' WHERE email = 'm1@x' RETURNING id, visits",
        "UPDATE members SET name = 'const' WHERE id = 1",
        "UPDATE members AS m SET visits = m.visits + 1 WHERE badge = 1 AND region = 'r1'",
        "UPDATE members SET (name, visits) = (SELECT members.name || '!', members.visits + 2) WHERE email = 'm1@x' RETURNING *",
        "UPDATE members m SET name = v.n, visits = m.visits + v.k FROM (VALUES (1, 'a', 10), (2, 'b', 20)) AS v (i, n, k) \
         WHERE v.i = m.id AND m.visits < 1 RETURNING m.id, v.n, visits",
        "UPDATE members m SET visits = m.visits + g.n FROM generate_series(1, 2) AS g (n) WHERE m.id = g.n AND m.visits = 0 RETURNING m.id, m.visits, g.n",
        "UPDATE members SET visits = visits + 1 WHERE id <= 3",
        "UPDATE members SET visits = visits + 1 WHERE email = 'm1@x' AND EXISTS (SELECT FROM members o WHERE o.id = 2)",
        "UPDATE members SET name = (SELECT o.name FROM members o WHERE o.id = members.id), visits = visits + 5 WHERE email = 'm1@x'",
        "DELETE FROM members WHERE id = 1 AND visits = 0",
        "DELETE FROM members WHERE email = 'm1@x' RETURNING id, visits",
        "DELETE FROM members AS m USING (VALUES (1, 0), (2, 7)) AS v (i, n) WHERE v.i = m.id AND v.n = m.visits RETURNING m.id, v.n",
        "DELETE FROM members WHERE id = 1",
        "SELECT id, name, visits FROM members WHERE id = 1 AND visits = 0 FOR UPDATE",
        "SELECT id, name, visits FROM members WHERE email = 'm1@x' FOR UPDATE",
        "INSERT INTO members (id, email) VALUES (1, 'other') ON CONFLICT (id) DO UPDATE SET visits = members.visits + 1 \
         WHERE members.visits = 0 RETURNING id, visits",
        "INSERT INTO members (id, email) VALUES (1, 'm1@x') ON CONFLICT (id) DO UPDATE SET name = members.email, visits = members.visits + 1 RETURNING *",
        "INSERT INTO members (id, email) VALUES (1, 'other') ON CONFLICT (id) DO NOTHING",
        "WITH w AS (UPDATE members SET visits = visits + 1 WHERE id = 1 AND visits < 1 RETURNING id, visits) SELECT * FROM w",
        // Above READ COMMITTED nothing is looked at again.
        "BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE members SET visits = visits + 1 WHERE id = 1; COMMIT",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; DELETE FROM members WHERE email = 'm1@x' AND visits = 0; COMMIT",
    ],
};

const OF_SETTINGS: Races = Races {
    case: USER_SETTINGS,
    table: "user_settings",
    reset: "DELETE FROM user_settings WHERE id IN (2, 3, 4); \
            INSERT INTO user_settings (id, keycloak_user_id, language, accepted_tos, user_version, mcp_config) VALUES \
            (2, 'k1', 'en', '2025-02-02', 0, '{\"a\":  1}'), (3, 'twice', 'de', '2025-03-01', 1, NULL), (4, 'twice', 'fr', NULL, 2, '[]'); \
            UPDATE user_settings SET user_version = 2 WHERE id = 5",
    firsts: &[
        "UPDATE user_settings SET user_version = user_version + 1, language = 'xx' WHERE id IN (2, 3)",
        "UPDATE user_settings SET keycloak_user_id = NULL, accepted_tos = '2026-01-01' WHERE id IN (2, 3)",
        "UPDATE user_settings SET accepted_tos = '2026-01-01' WHERE keycloak_user_id IN ('k1', 'twice')",
        "DELETE FROM user_settings WHERE id IN (2, 3)",
        "SELECT id FROM user_settings WHERE id = 2 FOR UPDATE",
    ],
    seconds: &[
        "UPDATE user_settings SET user_version = user_version + 1 WHERE id = 2 RETURNING id, user_version, language, accepted_tos",
        "UPDATE user_settings SET language = 'new', user_version = user_version + 1 WHERE id = 2 AND user_version = 0",
        "UPDATE user_settings SET language = 'z' WHERE keycloak_user_id = 'k1' RETURNING *",
        "UPDATE user_settings SET accepted_tos = accepted_tos + interval '1 day', language = mcp_config::text \
         WHERE id = 2 AND accepted_tos < '2025-12-31' RETURNING accepted_tos, language",
        "UPDATE user_settings s SET language = v.l, user_version = s.user_version + v.n FROM (VALUES (2, 'a', 10), (5, 'b', 20)) AS v (i, l, n) \
         WHERE v.i = s.id AND s.user_version IN (0, 2) RETURNING s.id, v.l, s.user_version",
        "UPDATE user_settings SET (language, user_version) = (SELECT user_settings.language || '!', user_settings.user_version + 2) \
         WHERE keycloak_user_id = 'k1' RETURNING id, language",
        "UPDATE user_settings SET user_version = user_version + 1 WHERE id BETWEEN 2 AND 5 AND language IS DISTINCT FROM 'xx'",
        "DELETE FROM user_settings WHERE id = 2 AND user_version = 0",
        "DELETE FROM user_settings WHERE keycloak_user_id = 'k1' RETURNING id, user_version",
        "DELETE FROM user_settings WHERE id = 2",
        "SELECT id, language, accepted_tos FROM user_settings WHERE id = 2 AND user_version = 0 FOR UPDATE",
        "SELECT id, language, accepted_tos FROM user_settings WHERE keycloak_user_id = 'k1' FOR UPDATE",
        "INSERT INTO user_settings (id, language) VALUES (2, 'ins') ON CONFLICT (id) DO UPDATE \
         SET user_version = user_settings.user_version + 1 WHERE user_settings.user_version = 0 RETURNING id, user_version",
        "INSERT INTO user_settings (id, language) VALUES (2, 'ins') ON CONFLICT (id) DO UPDATE \
         SET language = user_settings.language || excluded.language RETURNING id, language, accepted_tos",
    ],
};

/// What the second was told while the first's transaction was open, and what has become of the rows.
async fn race(
    (one, other, watcher): (&Client, &Client, &Client),
    (first, second, end): (&str, &str, &str),
    rows: &str,
) -> String {
    let process = pid(other).await.unwrap();
    let began = answer(one, &format!("BEGIN; {first}")).await;
    let mut told = String::new();
    {
        let mut second = pin!(answer(other, second));
        tokio::select! {
            // Not everybody has to wait for a mere lock.
            said = &mut second => {
                answer(one, end).await;
                told += &said;
            }
            waits = until_blocked(watcher, process) => {
                waits.unwrap();
                answer(one, end).await;
                told += &second.await;
            }
        }
    }
    answer(other, "ROLLBACK").await;
    // Of a row that it only locked PostgreSQL says so of either.
    let told = told.replace("concurrent delete", "concurrent update");
    format!("{began}\n{told}\n{}", answer(one, rows).await)
}

async fn answers_are_those_of_postgresql(races: &Races) {
    let every = std::env::var_os(EVERY).is_some();
    let twin = Twin::start(races.case).await.unwrap();
    twin.prepare().await.unwrap();
    let (other, other_alone) = (
        twin.another().await.unwrap(),
        twin.another_alone().await.unwrap(),
    );
    let watcher = twin.another_alone().await.unwrap();
    let rows = format!(
        "SELECT * FROM {} WHERE id < 20 OR id > 800 ORDER BY id",
        races.table
    );
    let differ = std::cell::RefCell::new(String::new());
    twin.in_every_phase(async |phase| {
        for (i, first) in races.firsts.iter().enumerate() {
            for (j, second) in races.seconds.iter().enumerate() {
                for (k, end) in ["COMMIT", "ROLLBACK"].into_iter().enumerate() {
                    // Each is met in two of the phases.
                    if !every && !(phase as usize + i + j + k).is_multiple_of(3) {
                        continue;
                    }
                    for client in [&twin.alone, &twin.proxied] {
                        let said = answer(client, races.reset).await;
                        assert!(said.contains("done"), "{phase} {said}");
                    }
                    let what = (*first, *second, end);
                    let expected = race((&twin.alone, &other_alone, &watcher), what, &rows).await;
                    let found = race((&twin.proxied, &other, &twin.direct), what, &rows).await;
                    if found != expected {
                        let at = expected.lines().zip(found.lines());
                        let at: Vec<_> = at.filter(|(a, b)| a != b).take(2).collect();
                        let line = format!("{phase}: {first}; {end}\n  {second}\n  {at:?}\n");
                        *differ.borrow_mut() += &line;
                    }
                }
            }
        }
    })
    .await
    .unwrap();
    let differ = differ.into_inner();
    assert!(differ.is_empty(), "{differ}");
}

#[tokio::test]
async fn whoever_waits_for_a_row_that_is_split_looks_at_it_again() {
    answers_are_those_of_postgresql(&OF_SETTINGS).await;
}

#[tokio::test]
async fn whoever_waits_for_a_row_of_several_tables_looks_at_it_again() {
    answers_are_those_of_postgresql(&OF_MEMBERS).await;
}

#[tokio::test]
async fn whoever_waits_for_a_row_that_moves_as_it_is_looks_at_it_again() {
    answers_are_those_of_postgresql(&Races {
        case: PLAIN,
        ..OF_MEMBERS
    })
    .await;
}

/// What it joins cannot be carried along, so nobody can look again.
#[tokio::test]
async fn whoever_joins_what_has_no_row_is_told_that_the_row_has_changed() {
    let twin = Twin::in_phase(MEMBERS, Phase::UnifiedOnly).await.unwrap();
    let other = twin.another().await.unwrap();
    let what = (
        "UPDATE members SET visits = 3 WHERE id = 1",
        "UPDATE members m SET visits = m.visits + g FROM unnest(ARRAY[1, 2]) AS g WHERE m.id = g",
        "COMMIT",
    );
    let clients = (&twin.proxied, &other, &twin.direct);
    let told = race(clients, what, "SELECT visits FROM members WHERE id = 1").await;
    assert!(told.contains("\n40001 "), "{told}");
    assert!(told.ends_with("\n3\ndone 1"), "{told}");
}

/// The rows that everybody counts up: of a person, and three of another.
const COUNTED: std::ops::RangeInclusive<i32> = 2..=5;

/// Counts until it is told to stop; how often it was told that it did, by row.
async fn count(client: Client, number: i32, stop: Arc<AtomicBool>) -> Vec<i64> {
    let mut counted = vec![0; 6];
    let mut turn = number;
    while !stop.load(Ordering::SeqCst) {
        turn += 1;
        let id = COUNTED.start() + turn % 4;
        let sql = match turn % 3 {
            0 => {
                format!("UPDATE user_settings SET user_version = user_version + 1 WHERE id = {id}")
            }
            // As an ORM that looks for stale objects.
            1 => {
                let read =
                    format!("SELECT user_version::bigint FROM user_settings WHERE id = {id}");
                let version = number_of(&client, &read).await;
                format!(
                    "UPDATE user_settings SET user_version = {}, language = 'c{turn}' \
                     WHERE id = {id} AND user_version = {version}",
                    version + 1
                )
            }
            _ => format!(
                "UPDATE user_settings s SET user_version = s.user_version + v.n FROM (VALUES ({id}, 1)) AS v (id, n) \
                 WHERE v.id = s.id AND s.language IS DISTINCT FROM 'never'"
            ),
        };
        match client.execute(&sql, &[]).await {
            Ok(rows) => counted[id as usize] += rows as i64,
            Err(error) => panic!("{sql}: {error:?}"),
        }
    }
    counted
}

async fn number_of(client: &Client, sql: &str) -> i64 {
    number(client, sql).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_wait_for_each_other_lose_no_count_from_the_first_phase_to_the_last() {
    let twin = Twin::start(USER_SETTINGS).await.unwrap();
    twin.prepare().await.unwrap();
    let versions =
        "SELECT user_version::bigint FROM user_settings WHERE id BETWEEN 2 AND 5 ORDER BY id";
    let read = async || -> Vec<i64> {
        let rows = twin.proxied.query(versions, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    let before = read().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for number in 0..4 {
        let client = twin.another().await.unwrap();
        writers.push(tokio::spawn(count(client, number * 5, Arc::clone(&stop))));
    }
    twin.carry_to(Phase::UnifiedOnly).await.unwrap();
    stop.store(true, Ordering::SeqCst);
    let mut expected = before;
    for writer in writers {
        let counted = writer.await.unwrap();
        for (at, expected) in expected.iter_mut().enumerate() {
            *expected += counted[at + 2];
        }
    }
    assert_eq!(read().await, expected);
}
