//! Backfill: complete, resumable, and no match for rows that cannot be moved.

use crossfade_tests::control::{self, Running, number, pid, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

async fn world(name: &str, phase: Phase) -> (World, Proxy, Client) {
    let world = World::start().await.unwrap();
    world.database(name).await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, name, phase).unwrap();
    let client = world.client(&world.postgres.url(name)).await.unwrap();
    (world, proxy, client)
}

#[tokio::test]
async fn a_killed_backfill_goes_on_where_it_stopped_and_copies_no_row_twice() {
    let (world, proxy, client) = world("killed", Phase::DualWrite).await;
    let total = number(&client, "SELECT count(*) FROM iso_agents")
        .await
        .unwrap();
    // A locked row in the middle: the backfill comes that far and no further.
    client
        .batch_execute("ALTER DATABASE killed SET deadlock_timeout = '40ms'")
        .await
        .unwrap();
    let holder = world.client(&world.postgres.url("killed")).await.unwrap();
    holder
        .batch_execute(
            "BEGIN; SELECT FROM iso_agents WHERE id = \
             (SELECT id FROM iso_agents ORDER BY id OFFSET 150 LIMIT 1) FOR UPDATE",
        )
        .await
        .unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let backfill = Running::start(&proxy.config(), &["backfill", "iso_agents"]).unwrap();
    until(&client, "SELECT rows_done = 150 FROM crossfade.backfill")
        .await
        .unwrap();
    backfill.kill().await.unwrap();

    let copied = "SELECT count(*) FROM users";
    assert_eq!(number(&client, copied).await.unwrap(), 150);
    // Its session in the database may outlive it, waiting for the row; the next one needs its lock.
    until(
        &client,
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'crossfade backfill')",
    )
    .await
    .unwrap();
    // A trigger would see a row that is put again, and so would the counts.
    client
        .batch_execute(
            "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE 'row % was written twice', NEW.id; END $$; \
             CREATE TRIGGER again BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION again()",
        )
        .await
        .unwrap();
    holder.batch_execute("ROLLBACK").await.unwrap();
    let ended = control::run(&proxy.config(), &["backfill", "iso_agents"])
        .await
        .unwrap();

    assert!(ended.status.success(), "{ended:?}");
    assert!(
        ended.errors.contains("goes on where it stopped"),
        "{ended:?}"
    );
    for column in ["rows_done", "rows_put"] {
        let sql = format!("SELECT {column} FROM crossfade.backfill WHERE state = 'complete'");
        assert_eq!(number(&client, &sql).await.unwrap(), total, "{column}");
    }
    let verify = control::run(&proxy.config(), &["verify", "iso_agents"])
        .await
        .unwrap();
    assert!(verify.status.success(), "{verify:?}");
}

#[tokio::test]
async fn a_row_that_cannot_be_put_is_set_aside_and_leaves_the_ledger_once_it_is_mended() {
    let (_world, proxy, client) = world("aside", Phase::DualWrite).await;
    client
        .batch_execute(
            "INSERT INTO iso_agents (clerk_user_id, email, full_name, metadata) VALUES \
             ('long', 'long@example.com', 'Long', '{\"phone\": \"+49 30 123456 ext. 99\"}')",
        )
        .await
        .unwrap();
    let total = number(&client, "SELECT count(*) FROM iso_agents")
        .await
        .unwrap();

    let backfill = control::run(&proxy.config(), &["backfill", "iso_agents"])
        .await
        .unwrap();

    assert!(backfill.status.success(), "{backfill:?}");
    assert!(backfill.output.contains("1 could not be"), "{backfill:?}");
    assert_eq!(
        number(&client, "SELECT count(*) FROM users").await.unwrap(),
        total - 1
    );
    let row = client
        .query_one(
            "SELECT key = jsonb_build_array((SELECT id FROM iso_agents WHERE clerk_user_id = 'long')), \
             sqlstate, reason FROM crossfade.divergence",
            &[],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, &str>(1), "22001");
    assert!(row.get::<_, &str>(2).contains("character varying(20)"));
    let verify = control::run(&proxy.config(), &["verify", "iso_agents"])
        .await
        .unwrap();
    assert_eq!(verify.status.code(), Some(1), "{verify:?}");

    client
        .batch_execute("UPDATE iso_agents SET metadata = '{}' WHERE clerk_user_id = 'long'")
        .await
        .unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    assert_eq!(
        number(&client, "SELECT count(*) FROM crossfade.divergence")
            .await
            .unwrap(),
        0
    );
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
}

#[tokio::test]
async fn a_backfill_again_writes_only_what_differs() {
    let (_world, proxy, client) = world("again", Phase::DualWrite).await;
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    client
        .batch_execute(
            "DELETE FROM users WHERE clerk_user_id = 'user_7'; \
             UPDATE users SET is_active = NULL WHERE clerk_user_id = 'user_8'; \
             UPDATE users SET metadata = '{}' WHERE clerk_user_id = 'user_10'",
        )
        .await
        .unwrap();
    proxy
        .crossfade(&["backfill", "iso_agents", "--restart"])
        .await
        .unwrap();
    assert_eq!(
        number(&client, "SELECT rows_put FROM crossfade.backfill")
            .await
            .unwrap(),
        3
    );
}

#[tokio::test]
async fn a_backfill_is_refused_where_a_copy_of_legacy_would_do_harm() {
    let (_world, proxy, _client) = world("refused", Phase::LegacyOnly).await;
    proxy.crossfade(&["prepare"]).await.unwrap();
    for (phase, reason) in [
        (Phase::LegacyOnly, "would be missed"),
        (Phase::UnifiedRead, "could undo its writes"),
        (Phase::UnifiedOnly, "could undo its writes"),
        (Phase::Retired, "could undo its writes"),
    ] {
        proxy.turn_to("iso_agents", phase).await.unwrap();
        let ended = control::run(&proxy.config(), &["backfill", "iso_agents"])
            .await
            .unwrap();
        assert!(!ended.status.success(), "{phase}");
        assert!(ended.errors.contains(reason), "{phase}: {ended:?}");
    }
}

#[tokio::test]
async fn workers_share_the_key_and_any_number_of_them_takes_up_an_interrupted_run() {
    let (_world, proxy, client) = world("workers", Phase::DualWrite).await;
    // Enough for several ranges.
    client
        .batch_execute(
            "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
             SELECT 'w' || n, 'w' || n || '@example.com', 'w' FROM generate_series(1, 70000) AS n; \
             ANALYZE iso_agents; \
             CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE 'row % was written twice', NEW.id; END $$; \
             CREATE TRIGGER again BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION again()",
        )
        .await
        .unwrap();
    let total = number(&client, "SELECT count(*) FROM iso_agents")
        .await
        .unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let slowly = [
        "backfill",
        "iso_agents",
        "--workers",
        "3",
        "--throttle",
        "3000",
    ];
    let backfill = Running::start(&proxy.config(), &slowly).unwrap();
    let all_at_it = "SELECT count(*) = 3 FROM crossfade.backfill_parts WHERE NOT done AND \
                     last_key IS DISTINCT FROM (SELECT p.highest_key FROM crossfade.backfill_parts \
                     AS p WHERE p.part = backfill_parts.part - 1)";
    until(&client, all_at_it).await.unwrap();
    backfill.kill().await.unwrap();
    let alone = [
        "backfill",
        "iso_agents",
        "--workers",
        "1",
        "--throttle",
        "0",
        "--full-speed",
    ];
    let ended = control::run(&proxy.config(), &alone).await.unwrap();

    assert!(ended.status.success(), "{ended:?}");
    for column in ["rows_done", "rows_put"] {
        let sql = format!("SELECT {column} FROM crossfade.backfill WHERE state = 'complete'");
        assert_eq!(number(&client, &sql).await.unwrap(), total, "{column}");
    }
    let left = "SELECT count(*) FROM crossfade.backfill_parts WHERE NOT done";
    assert_eq!(number(&client, left).await.unwrap(), 0);
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxys_clients_wait_is_seen_and_holds_a_backfill_back() {
    let (world, proxy, client) = world("p99", Phase::DualWrite).await;
    let proxy = proxy.serve().await.unwrap();
    // Each of them waits a twentieth of a second, again and again, until the test ends.
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let session = proxy.client().await.unwrap();
        waiting.spawn(async move {
            while session.batch_execute("SELECT pg_sleep(0.05)").await.is_ok() {}
        });
    }
    let seen = "SELECT max(p99_ms) > 50 FROM crossfade.instances";
    until(&client, seen).await.unwrap();
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    assert!(status.contains("its clients wait "), "{status}");

    // Slow enough to be there for a while, and to be told of.
    let args = ["backfill", "iso_agents", "--throttle", "20", "--p99", "10"];
    let mut backfill = Running::start(&proxy.config(), &args).unwrap();
    backfill.says("the proxies' clients wait").await.unwrap();
    let adjust = [
        "backfill",
        "iso_agents",
        "--adjust",
        "--p99",
        "0",
        "--throttle",
        "0",
    ];
    proxy.crossfade(&adjust).await.unwrap();
    let ended = backfill.end().await.unwrap();
    assert!(ended.status.success(), "{ended:#?}");
    drop(world);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_become_of_the_rows_and_writes_nothing() {
    let world = World::start().await.unwrap();
    world.database("dry").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "dry", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let client = world.client(&world.postgres.url("dry")).await.unwrap();
    crossfade_testbed::iso_agents::carry_over(&client)
        .await
        .unwrap();
    // One that users cannot hold, one that it lacks, one that it has otherwise, one that is its own.
    client
        .batch_execute(
            "UPDATE iso_agents SET metadata = '{\"phone\": \"123456789012345678901\"}' \
             WHERE clerk_user_id = 'user_1'; \
             DELETE FROM users WHERE clerk_user_id IN ('user_1', 'user_2'); \
             UPDATE users SET full_name = 'x' WHERE clerk_user_id = 'user_3'; \
             INSERT INTO users (clerk_user_id, email, full_name, role) \
             VALUES ('own', 'own@example.com', 'own', 'admin')",
        )
        .await
        .unwrap();
    let state = "SELECT md5(string_agg(u::text, '|' ORDER BY id)) FROM users AS u";
    let before: String = client.query_one(state, &[]).await.unwrap().get(0);
    let args = ["backfill", "iso_agents", "--dry-run"];
    let said = proxy.crossfade(&args).await.unwrap();
    for text in [
        "would insert 2 rows and change 1; 1 left alone in unified",
        "298 rows are what they should be; 3 of the others were tried, 1 of these would be set aside",
        "value too long for type character varying(20)",
        "full_name: legacy",
    ] {
        assert!(said.contains(text), "`{text}`: {said}");
    }
    let after: String = client.query_one(state, &[]).await.unwrap().get(0);
    assert_eq!(before, after);
    let noted = "SELECT (SELECT count(*) FROM crossfade.divergence) \
                 + (SELECT count(*) FROM crossfade.backfill)";
    assert_eq!(number(&client, noted).await.unwrap(), 0);
    let json = proxy.crossfade(&[&args[..], &["--json"]].concat()).await;
    let json: serde_json::Value = serde_json::from_str(&json.unwrap()).unwrap();
    assert_eq!(
        json["set_aside"].as_array().map(Vec::len),
        Some(1),
        "{json}"
    );
    assert_eq!(json["inserted"], 2);
}

/// Whether somebody waits for this process's transaction.
fn waits_for(pid: i32) -> String {
    format!(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE {pid} = ANY (pg_blocking_pids(pid)))"
    )
}

#[tokio::test]
async fn a_row_that_somebody_puts_in_the_same_instant_is_no_row_that_cannot_be_put() {
    let (world, proxy, client) = world("instant", Phase::DualWrite).await;
    // The chunk waits for the other transaction as long as it takes.
    client
        .batch_execute("ALTER DATABASE instant SET deadlock_timeout = '10min'")
        .await
        .unwrap();
    let holder = world.client(&world.postgres.url("instant")).await.unwrap();
    let other = world.client(&world.postgres.url("instant")).await.unwrap();
    holder
        .batch_execute("BEGIN; SELECT FROM iso_agents WHERE clerk_user_id = 'user_1' FOR UPDATE")
        .await
        .unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let backfill = Running::start(&proxy.config(), &["backfill", "iso_agents"]).unwrap();
    let holding = pid(&holder).await.unwrap();
    until(&client, &waits_for(holding)).await.unwrap();
    other
        .batch_execute(
            "BEGIN; INSERT INTO users (id, clerk_user_id, email, full_name, role) \
             SELECT id, clerk_user_id, email, 'Somebody Else', 'sales_rep' FROM iso_agents \
             WHERE clerk_user_id = 'user_1'",
        )
        .await
        .unwrap();
    holder.batch_execute("ROLLBACK").await.unwrap();
    let putting = pid(&other).await.unwrap();
    until(&client, &waits_for(putting)).await.unwrap();
    other.batch_execute("COMMIT").await.unwrap();
    let ended = backfill.end().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");

    let aside = "SELECT sum(rows_set_aside)::bigint FROM crossfade.backfill";
    assert_eq!(number(&client, aside).await.unwrap(), 0);
    let ledger = "SELECT count(*) FROM crossfade.divergence";
    assert_eq!(number(&client, ledger).await.unwrap(), 0);
    let legacys = "SELECT count(*) FROM users JOIN iso_agents USING (id, full_name) WHERE users.clerk_user_id = 'user_1'";
    assert_eq!(number(&client, legacys).await.unwrap(), 1);
}
