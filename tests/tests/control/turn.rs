//! The step by which reads turn to unified, beside writes whose unified half fails.

use std::time::Duration;

use crossfade::fault;
use crossfade_tests::control::{Running, number};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Of a user whom legacy readers do not see.
const TAKEN: &str = "INSERT INTO users (clerk_user_id, email, full_name, role) \
                     VALUES ('hidden', 'taken@example.com', 'Hidden', 'customer')";
/// Legacy takes it, unified does not.
const FAILS: &str = "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
                     VALUES ('another', 'taken@example.com', 'Another')";
const ADVANCE: [&str; 2] = ["advance", "iso_agents"];
const RECORDED: &str = "SELECT count(*) FROM crossfade.divergence";

/// By a step that was seen to be drained: the next one waits for no writer before it looks.
async fn in_shadow_read(world: &World, name: &str) -> (Proxy, Client) {
    let proxy = world.in_phase(name, Phase::DualWrite).await.unwrap();
    proxy.crossfade(&ADVANCE).await.unwrap();
    assert_eq!(phase(&proxy), "shadow_read");
    let operator = world.client(&world.postgres.url(name)).await.unwrap();
    operator.batch_execute(TAKEN).await.unwrap();
    (proxy, operator)
}

fn phase(proxy: &Proxy) -> String {
    let file = proxy.rules_dir().join("iso_agents.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, rest) = text.split_once("\nphase = \"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// A step that dies when it has forbidden to record.
async fn forbid(proxy: &Proxy) {
    let ends = [(fault::VARIABLE, fault::READS_TURN)];
    let killed = Running::start_with(&proxy.config(), &ADVANCE, &ends).unwrap();
    assert!(!killed.end().await.unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_cannot_be_recorded_while_reads_turn_is_to_be_tried_again() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = in_shadow_read(&world, "again").await;
    forbid(&proxy).await;
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    assert!(status.contains("nothing is recorded now"), "{status}");
    let new = proxy.client().await.unwrap();
    let error = new.batch_execute(FAILS).await.unwrap_err();
    assert_eq!(
        error.code(),
        Some(&SqlState::T_R_SERIALIZATION_FAILURE),
        "{error}"
    );
    assert_eq!(number(&operator, RECORDED).await.unwrap(), 0);
    let stands = ["advance", "iso_agents", "--to", "shadow_read"];
    proxy.crossfade(&stands).await.unwrap();
    new.batch_execute(FAILS).await.unwrap();
    assert_eq!(number(&operator, RECORDED).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_from_before_the_turn_records_nothing_either() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = in_shadow_read(&world, "older").await;
    let older = proxy.client().await.unwrap();
    older
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM users")
        .await
        .unwrap();
    forbid(&proxy).await;
    let error = older.batch_execute(FAILS).await.unwrap_err();
    assert_eq!(
        error.code(),
        Some(&SqlState::T_R_SERIALIZATION_FAILURE),
        "{error}"
    );
    older.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(number(&operator, RECORDED).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_turn_only_when_those_who_have_recorded_are_gone() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = in_shadow_read(&world, "gone").await;
    let open = proxy.client().await.unwrap();
    open.batch_execute(&format!("BEGIN; {FAILS}"))
        .await
        .unwrap();
    let step = Running::start(&proxy.config(), &ADVANCE).unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%crossfade.recording%'";
    while number(&operator, waits).await.unwrap() == 0 {
        assert_eq!(phase(&proxy), "shadow_read");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    open.batch_execute("COMMIT").await.unwrap();
    let ended = step.end().await.unwrap();
    assert!(
        ended.errors.contains("1 key whose unified row"),
        "{ended:#?}"
    );
    assert_eq!(phase(&proxy), "shadow_read");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_can_be_put_by_now_do_not_hold_up_the_turn() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = in_shadow_read(&world, "now").await;
    let client = proxy.client().await.unwrap();
    client.batch_execute(FAILS).await.unwrap();
    assert_eq!(number(&operator, RECORDED).await.unwrap(), 1);
    let refused = proxy.crossfade(&ADVANCE).await.unwrap_err().to_string();
    assert!(refused.contains("1 key whose unified row"), "{refused}");
    // It is allowed again.
    client
        .batch_execute(
            "UPDATE iso_agents SET full_name = 'Once more' WHERE clerk_user_id = 'another'",
        )
        .await
        .unwrap();
    operator
        .batch_execute("DELETE FROM users WHERE clerk_user_id = 'hidden'")
        .await
        .unwrap();
    let said = proxy.crossfade(&ADVANCE).await.unwrap();
    assert!(
        said.contains("1 keys of the ledger") || said.contains("dual_read"),
        "{said}"
    );
    assert_eq!(number(&operator, RECORDED).await.unwrap(), 0);
    let there = "SELECT count(*) FROM users WHERE full_name = 'Once more'";
    assert_eq!(number(&operator, there).await.unwrap(), 1);
}
