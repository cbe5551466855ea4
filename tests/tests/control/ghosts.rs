//! Ghosts: unified rows whose legacy row was deleted by somebody who could not see them.

use crossfade_tests::control::{Running, number, pid, until, until_blocked};
use crossfade_tests::{Proxy, World};
use rewrite_rules::lens::KeyRange;
use rewrite_rules::{Lens, Phase, RuleSet, SourceFile};
use serde_json::{Value, json};
use tokio_postgres::Client;

const RULES: &str = include_str!("../../../rewrite-rules/rules/iso_agents.toml");

fn lens() -> Lens {
    let file = SourceFile {
        path: "iso_agents.toml".into(),
        text: RULES.to_owned(),
    };
    let rules = RuleSet::compile(vec![file]).unwrap();
    rules.migrations()[0].tables[0].clone()
}

async fn key_of(client: &Client, user: &str) -> Value {
    let sql = "SELECT id::text FROM iso_agents WHERE clerk_user_id = $1";
    json!([client
        .query_one(sql, &[&user])
        .await
        .unwrap()
        .get::<_, &str>(0)])
}

/// Runs a delete of one agent while a backfill chunk that has put it is about to commit.
async fn race(world: &World, database: &str, deleter: &Client, delete: &str) -> i64 {
    let chunk = world.client(&world.postgres.url(database)).await.unwrap();
    let watcher = world.client(&world.postgres.url(database)).await.unwrap();
    let key = key_of(&watcher, "user_1").await;
    let of_it = "SELECT count(*) FROM users WHERE clerk_user_id = 'user_1'";
    assert_eq!(number(&watcher, of_it).await.unwrap(), 0);
    let deleting = pid(deleter).await.unwrap();

    chunk.batch_execute("BEGIN").await.unwrap();
    let copied = chunk
        .query_one(&lens().copy(KeyRange::One), &[&key])
        .await
        .unwrap();
    assert_eq!(copied.get::<_, i64>(1), 1, "the chunk has put the row");
    let (deleted, ()) = tokio::join!(deleter.execute(delete, &[]), async {
        until_blocked(&watcher, deleting).await.unwrap();
        chunk.batch_execute("COMMIT").await.unwrap();
    });
    deleted.unwrap();
    let left = "SELECT count(*) FROM iso_agents WHERE clerk_user_id = 'user_1'";
    assert_eq!(number(&watcher, left).await.unwrap(), 0);
    number(&watcher, of_it).await.unwrap()
}

#[tokio::test]
async fn a_naive_delete_that_waited_for_a_chunk_leaves_a_ghost() {
    let world = World::start().await.unwrap();
    world.database("naive").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "naive", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let deleter = world.client(&world.postgres.url("naive")).await.unwrap();
    let ghosts = race(
        &world,
        "naive",
        &deleter,
        "WITH l AS (DELETE FROM iso_agents WHERE clerk_user_id = 'user_1' RETURNING *) \
         DELETE FROM users USING l WHERE users.id = l.id",
    )
    .await;
    assert_eq!(ghosts, 1, "the hazard that the dual write must avoid");
}

#[tokio::test]
async fn a_dual_delete_that_waited_for_a_chunk_leaves_no_ghost() {
    let world = World::start().await.unwrap();
    world.database("dual").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "dual", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    let application = proxy.client().await.unwrap();
    let delete = "DELETE FROM iso_agents WHERE clerk_user_id = 'user_1'";
    assert_eq!(race(&world, "dual", &application, delete).await, 0);
}

#[tokio::test]
async fn a_ghost_that_left_a_tombstone_is_swept_once_every_old_snapshot_is_gone() {
    let world = World::start().await.unwrap();
    world.database("swept").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "swept", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    // Past the proxy, whose deletes would rather fail: what is left where they could not look.
    let application = world.client(&world.postgres.url("swept")).await.unwrap();
    let watcher = world.client(&world.postgres.url("swept")).await.unwrap();
    // The unified side has a row of its own, which is nobody's ghost.
    watcher
        .batch_execute(
            "INSERT INTO users (clerk_user_id, email, full_name, role) \
             VALUES ('customer', 'customer@example.com', 'A customer', 'customer')",
        )
        .await
        .unwrap();
    let ghost = "SELECT count(*) FROM users WHERE clerk_user_id = 'user_1'";

    // The snapshot is from before the backfill.
    application
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM users")
        .await
        .unwrap();
    let mut backfill = Running::start(&proxy.config(), &["backfill", "iso_agents"]).unwrap();
    until(
        &watcher,
        "SELECT state = 'sweeping' FROM crossfade.backfill",
    )
    .await
    .unwrap();
    application
        .batch_execute(
            "WITH l AS (DELETE FROM iso_agents WHERE clerk_user_id = 'user_1' RETURNING *), \
             u AS (DELETE FROM users USING l WHERE users.id = l.id) \
             SELECT crossfade.tombstone('iso_agents', '\"public\".\"iso_agents\"', jsonb_build_array(id)) \
             FROM l",
        )
        .await
        .unwrap();
    backfill
        .says("a snapshot from before the last chunk is still in use")
        .await
        .unwrap();
    // It could not see the row: without the sweep this one would stay.
    assert_eq!(number(&watcher, ghost).await.unwrap(), 1);
    application.batch_execute("COMMIT").await.unwrap();
    let ended = backfill.end().await.unwrap();

    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.output.contains("1 ghosts removed"), "{ended:?}");
    assert_eq!(number(&watcher, ghost).await.unwrap(), 0);
    assert_eq!(
        number(&watcher, "SELECT count(*) FROM crossfade.tombstones")
            .await
            .unwrap(),
        0
    );
    let customers = "SELECT count(*) FROM users WHERE role = 'customer'";
    assert_eq!(number(&watcher, customers).await.unwrap(), 1);
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
}

/// Both sides' names of one agent; they must never differ.
const NAMES: &str = "SELECT count(*) FROM iso_agents AS l JOIN users AS u ON l.id = u.id \
     AND l.full_name = u.full_name AND l.updated_at = u.updated_at WHERE l.full_name = 'Changed'";
const CHANGE: &str = "UPDATE iso_agents SET full_name = 'Changed' WHERE clerk_user_id = 'user_1'";

#[tokio::test]
async fn an_update_that_waited_for_a_chunk_is_what_unified_keeps() {
    let world = World::start().await.unwrap();
    world.database("waits").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "waits", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    let application = proxy.client().await.unwrap();
    let chunk = world.client(&world.postgres.url("waits")).await.unwrap();
    let watcher = world.client(&world.postgres.url("waits")).await.unwrap();
    let updating = pid(&application).await.unwrap();
    let key = key_of(&watcher, "user_1").await;

    chunk.batch_execute("BEGIN").await.unwrap();
    chunk
        .query_one(&lens().copy(KeyRange::One), &[&key])
        .await
        .unwrap();
    let (updated, ()) = tokio::join!(application.execute(CHANGE, &[]), async {
        until_blocked(&watcher, updating).await.unwrap();
        chunk.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(updated.unwrap(), 1);
    assert_eq!(number(&watcher, NAMES).await.unwrap(), 1);
}

#[tokio::test]
async fn a_chunk_that_waited_for_an_update_copies_what_the_update_wrote() {
    let world = World::start().await.unwrap();
    world.database("rereads").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "rereads", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    // Past the proxy: nothing but the chunk brings this write to unified.
    let writer = world.client(&world.postgres.url("rereads")).await.unwrap();
    let chunk = world.client(&world.postgres.url("rereads")).await.unwrap();
    let watcher = world.client(&world.postgres.url("rereads")).await.unwrap();
    let copying = pid(&chunk).await.unwrap();
    let key = key_of(&watcher, "user_1").await;

    writer.batch_execute("BEGIN").await.unwrap();
    writer.execute(CHANGE, &[]).await.unwrap();
    let copy = lens().copy(KeyRange::One);
    let key: &[&(dyn tokio_postgres::types::ToSql + Sync)] = &[&key];
    let (copied, ()) = tokio::join!(chunk.query_one(&copy, key), async {
        until_blocked(&watcher, copying).await.unwrap();
        writer.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(copied.unwrap().get::<_, i64>(1), 1);
    assert_eq!(number(&watcher, NAMES).await.unwrap(), 1);
}

#[tokio::test]
async fn a_chunk_does_not_hold_up_a_row_that_refers_to_a_legacy_row() {
    let world = World::start().await.unwrap();
    world.database("refers").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "refers", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let chunk = world.client(&world.postgres.url("refers")).await.unwrap();
    let other = world.client(&world.postgres.url("refers")).await.unwrap();
    let key = key_of(&other, "user_1").await;
    chunk.batch_execute("BEGIN").await.unwrap();
    chunk
        .query_one(&lens().copy(KeyRange::One), &[&key])
        .await
        .unwrap();
    // NOWAIT has no form for inserts; a lock that had to be waited for would fail at once.
    other
        .batch_execute(
            "SET lock_timeout = 1; INSERT INTO client_profiles \
             (iso_agent_id, company_name, contact_name, email) \
             SELECT id, 'c', 'n', 'c@example.com' FROM iso_agents WHERE clerk_user_id = 'user_1'",
        )
        .await
        .unwrap();
    let update = format!("SET lock_timeout = 1; {CHANGE}");
    let blocked = other.batch_execute(&update).await.unwrap_err();
    assert_eq!(blocked.code().unwrap().code(), "55P03");
    chunk.batch_execute("ROLLBACK").await.unwrap();
}
