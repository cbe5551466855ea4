//! What makes a dual write hard, each twice: the naive variant, which goes wrong, and ours.
//!
//! Ghosts of deletes at READ COMMITTED are in `control_ghosts`.

use crossfade_tests::control::{number, pid, until_blocked};
use crossfade_tests::{Proxy, World};
use rewrite_rules::lens::KeyRange;
use rewrite_rules::{Lens, Phase, RuleSet, SourceFile};
use serde_json::json;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const RULES: &str = include_str!("../../../rewrite-rules/rules/iso_agents.toml");

fn lens() -> Lens {
    let file = SourceFile {
        path: "iso_agents.toml".into(),
        text: RULES.to_owned(),
    };
    RuleSet::compile(vec![file]).unwrap().migrations()[0].tables[0].clone()
}

/// A database without any row in `users`, served in a phase.
async fn unfilled(world: &World, name: &str, phase: Phase) -> (Proxy, Client, Client) {
    world.database(name).await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, name, phase).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    let through = proxy.client().await.unwrap();
    let direct = world.client(&world.postgres.url(name)).await.unwrap();
    // Dependents would keep keys where they are.
    let dependents = "DELETE FROM requests; DELETE FROM client_profiles";
    direct.batch_execute(dependents).await.unwrap();
    (proxy, through, direct)
}

/// What a backfill chunk does with the row of `user_1`.
async fn copy_user_1(direct: &Client) {
    let sql = "SELECT id::text FROM iso_agents WHERE clerk_user_id = 'user_1'";
    let id: String = direct.query_one(sql, &[]).await.unwrap().get(0);
    let copied = direct
        .query_one(&lens().copy(KeyRange::One), &[&json!([id])])
        .await
        .unwrap();
    assert_eq!(copied.get::<_, i64>(1), 1, "the chunk has put the row");
}

fn code(error: &tokio_postgres::Error) -> &SqlState {
    error.code().unwrap_or_else(|| panic!("{error:?}"))
}

const REPEATABLE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM users";
const OF_USER_1: &str = "SELECT count(*) FROM users WHERE clerk_user_id = 'user_1'";

#[tokio::test]
async fn a_naive_delete_at_repeatable_read_leaves_a_ghost_that_is_read() {
    let world = World::start().await.unwrap();
    let (_proxy, reader, direct) = unfilled(&world, "rr_naive", Phase::DualRead).await;
    let deleter = world.client(&world.postgres.url("rr_naive")).await.unwrap();
    deleter.batch_execute(REPEATABLE).await.unwrap();
    copy_user_1(&direct).await;
    deleter
        .batch_execute(
            "WITH l AS (DELETE FROM iso_agents WHERE clerk_user_id = 'user_1' RETURNING *) \
             DELETE FROM users USING l WHERE users.id = l.id; COMMIT",
        )
        .await
        .unwrap();
    let seen = "SELECT count(*) FROM iso_agents WHERE clerk_user_id = 'user_1'";
    assert_eq!(number(&reader, seen).await.unwrap(), 1);
}

#[tokio::test]
async fn a_delete_at_repeatable_read_that_missed_a_chunk_fails_and_its_retry_leaves_no_ghost() {
    let world = World::start().await.unwrap();
    let (_proxy, deleter, direct) = unfilled(&world, "rr_delete", Phase::DualRead).await;
    let delete = "DELETE FROM iso_agents WHERE clerk_user_id = 'user_1'";
    deleter.batch_execute(REPEATABLE).await.unwrap();
    copy_user_1(&direct).await;
    let missed = deleter.execute(delete, &[]).await.unwrap_err();
    assert_eq!(code(&missed), &SqlState::T_R_SERIALIZATION_FAILURE);
    deleter.batch_execute("ROLLBACK").await.unwrap();

    deleter.batch_execute(REPEATABLE).await.unwrap();
    assert_eq!(deleter.execute(delete, &[]).await.unwrap(), 1);
    deleter.batch_execute("COMMIT").await.unwrap();
    assert_eq!(number(&direct, OF_USER_1).await.unwrap(), 0);
}

#[tokio::test]
async fn a_delete_at_repeatable_read_of_what_no_chunk_has_reached_leaves_nothing() {
    let world = World::start().await.unwrap();
    let (_proxy, deleter, direct) = unfilled(&world, "rr_early", Phase::DualRead).await;
    // A customer under the same key is somebody else's; a phone too long could never be put.
    direct
        .batch_execute(
            "INSERT INTO users (id, clerk_user_id, email, full_name) SELECT id, 'c', \
             'c@example.com', 'customer' FROM iso_agents WHERE clerk_user_id = 'user_2'; \
             UPDATE iso_agents SET metadata = '{\"phone\": \"+49 30 123456 ext. 99\"}' \
             WHERE clerk_user_id = 'user_3'",
        )
        .await
        .unwrap();
    deleter.batch_execute(REPEATABLE).await.unwrap();
    let delete = "DELETE FROM iso_agents WHERE clerk_user_id IN ('user_1', 'user_2', 'user_3')";
    // In dual_read the customer hides the agent: that one is not even found by other names.
    assert!(deleter.execute(delete, &[]).await.unwrap() >= 2);
    deleter.batch_execute("COMMIT").await.unwrap();
    let left = "SELECT count(*) FROM users";
    assert_eq!(number(&direct, left).await.unwrap(), 1);
    let customers = "SELECT count(*) FROM users WHERE role = 'customer' AND email LIKE 'c@%'";
    assert_eq!(number(&direct, customers).await.unwrap(), 1);
}

#[tokio::test]
async fn a_key_change_at_repeatable_read_that_missed_a_chunk_fails_and_its_retry_moves_the_row() {
    let world = World::start().await.unwrap();
    let (_proxy, mover, direct) = unfilled(&world, "rr_move", Phase::DualWrite).await;
    let change = "UPDATE iso_agents SET id = '00000000-0000-4000-8000-00000000000a' \
                  WHERE clerk_user_id = 'user_1'";
    mover.batch_execute(REPEATABLE).await.unwrap();
    copy_user_1(&direct).await;
    // The unified row as it was has the same e-mail address: without a look at what the snapshot
    // lacks this would be recorded as a duplicate, and the old row would stay.
    let missed = mover.execute(change, &[]).await.unwrap_err();
    assert_eq!(code(&missed), &SqlState::T_R_SERIALIZATION_FAILURE);
    mover.batch_execute("ROLLBACK").await.unwrap();

    mover.batch_execute(REPEATABLE).await.unwrap();
    assert_eq!(mover.execute(change, &[]).await.unwrap(), 1);
    mover.batch_execute("COMMIT").await.unwrap();
    assert_eq!(number(&direct, OF_USER_1).await.unwrap(), 1);
    let ledger = "SELECT count(*) FROM crossfade.divergence";
    assert_eq!(number(&direct, ledger).await.unwrap(), 0);
    let moved = "SELECT count(*) FROM users WHERE id = '00000000-0000-4000-8000-00000000000a'";
    assert_eq!(number(&direct, moved).await.unwrap(), 1);
}

#[tokio::test]
async fn a_naive_dual_update_that_waited_for_a_chunk_is_lost() {
    let world = World::start().await.unwrap();
    let (_proxy, _through, chunk) = unfilled(&world, "update", Phase::DualWrite).await;
    let writer = world.client(&world.postgres.url("update")).await.unwrap();
    let watcher = world.client(&world.postgres.url("update")).await.unwrap();
    let writing = pid(&writer).await.unwrap();
    chunk.batch_execute("BEGIN").await.unwrap();
    copy_user_1(&chunk).await;
    // An upsert would have seen the chunk's row; an UPDATE of its own does not.
    let naive = "WITH l AS (UPDATE iso_agents SET full_name = 'Changed' \
                 WHERE clerk_user_id = 'user_1' RETURNING *) \
                 UPDATE users SET full_name = l.full_name FROM l WHERE users.id = l.id";
    let (updated, ()) = tokio::join!(writer.execute(naive, &[]), async {
        until_blocked(&watcher, writing).await.unwrap();
        chunk.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(
        updated.unwrap(),
        0,
        "users was not updated, and nobody was told"
    );
}

#[tokio::test]
async fn an_update_at_repeatable_read_that_missed_a_chunk_fails_instead_of_being_lost() {
    let world = World::start().await.unwrap();
    let (_proxy, writer, direct) = unfilled(&world, "rr_update", Phase::DualWrite).await;
    let update = "UPDATE iso_agents SET full_name = 'Changed' WHERE clerk_user_id = 'user_1'";
    writer.batch_execute(REPEATABLE).await.unwrap();
    copy_user_1(&direct).await;
    let missed = writer.execute(update, &[]).await.unwrap_err();
    assert_eq!(code(&missed), &SqlState::T_R_SERIALIZATION_FAILURE);
    writer.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(writer.execute(update, &[]).await.unwrap(), 1);
    let both = "SELECT count(*) FROM iso_agents AS l JOIN users AS u USING (id, full_name) \
                WHERE l.full_name = 'Changed'";
    assert_eq!(number(&direct, both).await.unwrap(), 1);
}

#[tokio::test]
async fn a_key_change_that_only_puts_the_new_image_leaves_the_old_key_behind() {
    let world = World::start().await.unwrap();
    let (proxy, through, direct) = unfilled(&world, "rekey", Phase::DualWrite).await;
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    let id = "00000000-0000-4000-8000-00000000000b";
    // Naive: the upsert finds no row under the new key, and the old one's e-mail is in its way.
    let put = lens().put_from("l");
    let naive = format!(
        "WITH l AS (UPDATE iso_agents SET id = '{id}' WHERE clerk_user_id = 'user_1' \
         RETURNING *) {put}"
    );
    let refused = direct.execute(&naive, &[]).await.unwrap_err();
    assert_eq!(code(&refused), &SqlState::UNIQUE_VIOLATION);

    // What only users has moves along.
    direct
        .batch_execute("UPDATE users SET avatar_url = 'kept' WHERE clerk_user_id = 'user_1'")
        .await
        .unwrap();
    let ours = format!("UPDATE iso_agents SET id = '{id}' WHERE clerk_user_id = 'user_1'");
    assert_eq!(through.execute(&ours, &[]).await.unwrap(), 1);
    let kept = format!("SELECT count(*) FROM users WHERE id = '{id}' AND avatar_url = 'kept'");
    assert_eq!(number(&direct, &kept).await.unwrap(), 1);
    assert_eq!(number(&direct, OF_USER_1).await.unwrap(), 1);
}

#[tokio::test]
async fn a_mirror_that_carried_the_whole_image_would_undo_a_legacy_write() {
    let world = World::start().await.unwrap();
    let (_proxy, through, direct) = unfilled(&world, "stale", Phase::DualWrite).await;
    // Unified is stale, as it is while another proxy still serves legacy_only.
    let spoil = "UPDATE iso_agents SET full_name = 'Legacy decides' WHERE clerk_user_id = 'user_1'";
    let name = "SELECT count(*) FROM iso_agents WHERE full_name = 'Legacy decides'";
    copy_user_1(&direct).await;
    direct.batch_execute(spoil).await.unwrap();
    let naive = format!(
        "WITH u AS (UPDATE users SET email = 'new@example.com' WHERE clerk_user_id = 'user_1' \
         RETURNING *), i AS ({}) {}",
        lens().read_from("u"),
        lens().put_legacy_from("i", None)
    );
    direct
        .batch_execute(&format!("BEGIN; {naive}"))
        .await
        .unwrap();
    assert_eq!(
        number(&direct, name).await.unwrap(),
        0,
        "the legacy write is undone"
    );
    direct.batch_execute("ROLLBACK").await.unwrap();

    let ours = "UPDATE users SET email = 'new@example.com' WHERE clerk_user_id = 'user_1'";
    assert_eq!(through.execute(ours, &[]).await.unwrap(), 1);
    assert_eq!(number(&direct, name).await.unwrap(), 1);
    let email = "SELECT count(*) FROM iso_agents WHERE email = 'new@example.com'";
    assert_eq!(number(&direct, email).await.unwrap(), 1);
}

#[tokio::test]
async fn two_directions_that_each_write_their_own_side_first_deadlock() {
    let world = World::start().await.unwrap();
    world.database("lock_order").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "lock_order", Phase::DualRead).unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    let one = world
        .client(&world.postgres.url("lock_order"))
        .await
        .unwrap();
    let other = world
        .client(&world.postgres.url("lock_order"))
        .await
        .unwrap();
    let watcher = world
        .client(&world.postgres.url("lock_order"))
        .await
        .unwrap();
    let update =
        |table: &str| format!("UPDATE {table} SET full_name = 'x' WHERE clerk_user_id = 'user_1'");
    for client in [&one, &other] {
        client
            .batch_execute("BEGIN; SET LOCAL deadlock_timeout = 1")
            .await
            .unwrap();
    }
    one.batch_execute(&update("iso_agents")).await.unwrap();
    other.batch_execute(&update("users")).await.unwrap();
    let waiting = pid(&one).await.unwrap();
    let (legacy_first, unified_first) = (update("users"), update("iso_agents"));
    let (first, second) = tokio::join!(one.batch_execute(&legacy_first), async {
        until_blocked(&watcher, waiting).await.unwrap();
        other.batch_execute(&unified_first).await
    });
    let failed = first.and(second).unwrap_err();
    assert_eq!(code(&failed), &SqlState::T_R_DEADLOCK_DETECTED);
}

#[tokio::test]
async fn a_write_of_either_direction_waits_for_legacy_before_it_locks_anything() {
    let world = World::start().await.unwrap();
    for (name, phase) in [
        ("legacy_led", Phase::DualRead),
        ("unified_led", Phase::UnifiedRead),
    ] {
        let proxy = world.in_phase(name, phase).await.unwrap();
        let holder = world.client(&world.postgres.url(name)).await.unwrap();
        let watcher = world.client(&world.postgres.url(name)).await.unwrap();
        let id = "(SELECT id FROM iso_agents WHERE clerk_user_id = 'user_1')";
        for statement in [
            "UPDATE iso_agents SET full_name = 'x' WHERE clerk_user_id = 'user_1'",
            "UPDATE users SET full_name = 'x' WHERE clerk_user_id = 'user_1'",
            "DELETE FROM iso_agents WHERE clerk_user_id = 'user_1'",
        ] {
            let writer = proxy.client().await.unwrap();
            let writing = pid(&writer).await.unwrap();
            holder
                .batch_execute(&format!(
                    "BEGIN; SELECT FROM iso_agents WHERE id = {id} FOR UPDATE"
                ))
                .await
                .unwrap();
            writer.batch_execute("BEGIN").await.unwrap();
            let (written, ()) = tokio::join!(writer.execute(statement, &[]), async {
                until_blocked(&watcher, writing).await.unwrap();
                // The unified row is still anybody's.
                holder
                    .batch_execute(
                        "SELECT FROM users WHERE clerk_user_id = 'user_1' FOR UPDATE NOWAIT; COMMIT",
                    )
                    .await
                    .unwrap();
            });
            assert_eq!(written.unwrap(), 1, "{phase}: {statement}");
            writer.batch_execute("ROLLBACK").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_locking_read_over_both_sides_is_impossible_and_ours_locks_legacy() {
    let world = World::start().await.unwrap();
    let (_proxy, reader, direct) = unfilled(&world, "locking", Phase::DualRead).await;
    let naive = format!(
        "SELECT * FROM ({}) AS t FOR UPDATE",
        lens().read_with_fallback()
    );
    let refused = direct.batch_execute(&naive).await.unwrap_err();
    assert_eq!(code(&refused), &SqlState::FEATURE_NOT_SUPPORTED);

    reader.batch_execute("BEGIN").await.unwrap();
    let ours = "SELECT full_name FROM iso_agents WHERE clerk_user_id = 'user_1' FOR UPDATE";
    assert_eq!(reader.query(ours, &[]).await.unwrap().len(), 1);
    let taken = "SELECT FROM iso_agents WHERE clerk_user_id = 'user_1' FOR UPDATE NOWAIT";
    let locked = direct.batch_execute(taken).await.unwrap_err();
    assert_eq!(code(&locked), &SqlState::LOCK_NOT_AVAILABLE);
}

#[tokio::test]
async fn a_comparison_with_a_mapped_value_uses_the_unified_index() {
    let world = World::start().await.unwrap();
    let proxy = world
        .in_phase("inverted", Phase::UnifiedRead)
        .await
        .unwrap();
    let reader = proxy.client().await.unwrap();
    let plan = async |sql: &str| -> String {
        reader
            .batch_execute("SET enable_seqscan = off")
            .await
            .unwrap();
        let rows = reader.query(&format!("EXPLAIN {sql}"), &[]).await.unwrap();
        rows.iter()
            .map(|row| row.get::<_, String>(0) + "\n")
            .collect()
    };
    let naive = format!(
        "SELECT * FROM ({}) AS t WHERE role = 'admin'",
        lens().read()
    );
    let naive = plan(&naive).await;
    let index = "Index Cond: (role = 'admin'";
    assert!(!naive.contains(index), "{naive}");
    let ours = plan("SELECT * FROM iso_agents WHERE role = 'admin'").await;
    assert!(ours.contains(index), "{ours}");
}

/// What a statement is told that waits for another transaction, which commits.
async fn told_after(
    (one, other, watcher): (&Client, &Client, &Client),
    (first, second): (&str, &str),
) -> (String, String) {
    let waiting = pid(other).await.unwrap();
    one.batch_execute(&format!("BEGIN; {first}")).await.unwrap();
    let (told, ()) = tokio::join!(other.batch_execute(second), async {
        until_blocked(watcher, waiting).await.unwrap();
        one.batch_execute("COMMIT").await.unwrap();
    });
    let told = told.unwrap_err();
    let error = told.as_db_error().unwrap();
    let said = format!("{} {:?}", error.message(), error.detail());
    (error.code().code().to_owned(), said)
}

#[tokio::test]
async fn an_upsert_that_waits_for_a_row_that_is_hidden_hears_of_no_key() {
    let world = World::start().await.unwrap();
    for (name, phase) in [
        ("hidden_led", Phase::UnifiedRead),
        ("hidden_only", Phase::UnifiedOnly),
    ] {
        let proxy = world.in_phase(name, phase).await.unwrap();
        let (one, other) = (proxy.client().await.unwrap(), proxy.client().await.unwrap());
        let direct = world.client(&world.postgres.url(name)).await.unwrap();
        let id = "SELECT id::text FROM users WHERE clerk_user_id = 'user_1'";
        let id: String = direct.query_one(id, &[]).await.unwrap().get(0);
        let hide = "UPDATE users SET role = 'customer' WHERE clerk_user_id = 'user_1'";
        let upsert = "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
                      VALUES ('user_1', 'new@example.com', 'New') \
                      ON CONFLICT (clerk_user_id) DO UPDATE SET full_name = 'changed'";
        let clients = (&one, &other, &direct);
        let (code, said) = told_after(clients, (hide, upsert)).await;
        assert_eq!(code, "23505", "{phase}: {said}");
        assert!(!said.contains(&id), "{phase}: {said}");
        let changed = "SELECT count(*) FROM users WHERE full_name = 'changed'";
        assert_eq!(number(&direct, changed).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_key_change_that_lost_its_race_is_told_to_try_again() {
    let world = World::start().await.unwrap();
    for (name, phase) in [
        ("keys_written", Phase::DualWrite),
        ("keys_read", Phase::DualRead),
    ] {
        let proxy = world.in_phase(name, phase).await.unwrap();
        let (one, other) = (proxy.client().await.unwrap(), proxy.client().await.unwrap());
        let direct = world.client(&world.postgres.url(name)).await.unwrap();
        let dependents = "DELETE FROM requests; DELETE FROM client_profiles";
        direct.batch_execute(dependents).await.unwrap();
        let change = "UPDATE iso_agents SET id = gen_random_uuid() WHERE clerk_user_id = 'user_1'";
        let clients = (&one, &other, &direct);
        let (code, said) = told_after(clients, (change, change)).await;
        assert_eq!(code, "40001", "{phase}: {said}");
        other.batch_execute(change).await.unwrap();
    }
}
