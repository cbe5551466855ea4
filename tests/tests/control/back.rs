//! The ways back, and repair: reverse backfill, the gates of what a side missed, throttle and pause.

use crossfade_tests::control::{self, Running, number, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const STALE_DELETE: &str = "DELETE FROM iso_agents WHERE clerk_user_id = 'user_2'";
const CHANGE: &str = "UPDATE iso_agents SET full_name = 'Changed' WHERE clerk_user_id = 'user_3'";

const UNTIE: &str = "\
    ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey; \
    ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey";

async fn refused(proxy: &Proxy, args: &[&str], text: &str) {
    let ended = control::run(&proxy.config(), args).await.unwrap();
    assert!(!ended.status.success(), "{args:?}: {ended:?}");
    assert!(ended.errors.contains(text), "`{text}` in {ended:?}");
}

async fn steps(proxy: &Proxy, commands: &[&str]) {
    for command in commands {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.insert(1, "iso_agents");
        proxy.crossfade(&args).await.unwrap();
    }
}

async fn served(world: &World, name: &str) -> (Proxy, Client, Client) {
    world.database(name).await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, name, Phase::LegacyOnly).unwrap();
    let proxy = proxy.serve().await.unwrap();
    let through = proxy.client().await.unwrap();
    let direct = world.client(&world.postgres.url(name)).await.unwrap();
    (proxy, through, direct)
}

#[tokio::test]
async fn what_unified_took_alone_is_in_legacy_after_a_reverse_backfill() {
    let world = World::start().await.unwrap();
    let (proxy, through, direct) = served(&world, "reverse").await;
    steps(
        &proxy,
        &[
            "advance", "backfill", "verify", "advance", "advance", "advance",
        ],
    )
    .await;
    refused(&proxy, &["backfill", "iso_agents"], "unified decides now").await;
    // What the dependents' foreign keys do is another test's matter.
    direct.batch_execute(UNTIE).await.unwrap();
    steps(&proxy, &["advance"]).await;
    through.execute(STALE_DELETE, &[]).await.unwrap();
    through.execute(CHANGE, &[]).await.unwrap();
    // Takes the name of the row that legacy still has.
    let insert = "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
                  VALUES ('user_2', 'agent.2@example.com', 'Again')";
    through.execute(insert, &[]).await.unwrap();
    let stale = "SELECT count(*) FROM iso_agents WHERE full_name IN ('Changed', 'Again')";
    assert_eq!(number(&direct, stale).await.unwrap(), 0);

    refused(
        &proxy,
        &["backfill", "iso_agents", "--reverse"],
        "runs in unified_read",
    )
    .await;
    steps(&proxy, &["rollback"]).await;
    let back = ["rollback", "iso_agents"];
    refused(&proxy, &back, "`crossfade backfill iso_agents --reverse`").await;
    steps(&proxy, &["backfill --reverse"]).await;
    refused(&proxy, &back, "verify").await;
    steps(&proxy, &["verify", "rollback"]).await;
    assert_eq!(number(&direct, stale).await.unwrap(), 2);
    steps(&proxy, &["verify", "rollback"]).await;
}

#[tokio::test]
async fn unified_that_missed_writes_in_legacy_only_is_not_read_again_before_it_was_copied() {
    let world = World::start().await.unwrap();
    let (proxy, through, direct) = served(&world, "missed").await;
    steps(&proxy, &["advance", "backfill", "verify", "rollback"]).await;
    through.execute(STALE_DELETE, &[]).await.unwrap();
    through.execute(CHANGE, &[]).await.unwrap();
    steps(&proxy, &["advance", "advance"]).await;
    let forward = ["advance", "iso_agents"];
    refused(&proxy, &forward, "legacy_only was visited").await;
    steps(&proxy, &["backfill"]).await;
    refused(&proxy, &forward, "`crossfade verify iso_agents --repair`").await;
    steps(&proxy, &["verify --repair", "advance", "verify"]).await;
    let seen = "SELECT count(*) FROM iso_agents WHERE clerk_user_id = 'user_2' \
                OR clerk_user_id = 'user_3' AND full_name <> 'Changed'";
    assert_eq!(number(&through, seen).await.unwrap(), 0);
    let unified = "SELECT count(*) FROM users WHERE clerk_user_id = 'user_2'";
    assert_eq!(number(&direct, unified).await.unwrap(), 0);
}

/// Rows that take the unique values of rows which `unified_only` removed: under both names, new
/// and changed.
const TAKES_THE_VALUES: [&str; 4] = [
    "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
     VALUES ('user_2', 'agent.2@example.com', 'Taken')",
    "UPDATE iso_agents SET clerk_user_id = 'user_4', email = 'agent.4@example.com', \
     full_name = 'Taken' WHERE clerk_user_id = 'user_5'",
    "INSERT INTO users (clerk_user_id, email, full_name, role) \
     VALUES ('user_6', 'agent.6@example.com', 'Taken', 'sales_rep') RETURNING id",
    "UPDATE users SET clerk_user_id = 'user_8', email = 'agent.8@example.com', \
     full_name = 'Taken' WHERE clerk_user_id = 'user_9'",
];

#[tokio::test]
async fn a_stale_legacy_row_does_not_fail_a_write_that_unified_accepts() {
    let world = World::start().await.unwrap();
    let (proxy, through, direct) = served(&world, "stale").await;
    direct.batch_execute(UNTIE).await.unwrap();
    steps(
        &proxy,
        &[
            "advance", "backfill", "verify", "advance", "advance", "advance",
        ],
    )
    .await;
    // Legacy is in step here, and what it refuses is refused.
    direct
        .batch_execute("ALTER TABLE users DROP CONSTRAINT users_email_key")
        .await
        .unwrap();
    let twice = "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
                 VALUES ('twice', 'agent.2@example.com', 'Twice')";
    let error = through.execute(twice, &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
    direct
        .batch_execute("ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email)")
        .await
        .unwrap();

    steps(&proxy, &["advance"]).await;
    let remove = "DELETE FROM iso_agents \
                  WHERE clerk_user_id IN ('user_2', 'user_4', 'user_6', 'user_8')";
    assert_eq!(through.execute(remove, &[]).await.unwrap(), 4);
    steps(&proxy, &["rollback"]).await;
    for sql in TAKES_THE_VALUES {
        assert_eq!(through.execute(sql, &[]).await.unwrap(), 1, "{sql}");
    }
    let ledger = "SELECT count(*) FROM crossfade.divergence WHERE sqlstate = '23505'";
    assert_eq!(number(&direct, ledger).await.unwrap(), 4);
    // One of them goes again before legacy ever had it.
    through
        .execute("DELETE FROM iso_agents WHERE clerk_user_id = 'user_6'", &[])
        .await
        .unwrap();

    refused(&proxy, &["rollback", "iso_agents"], "--reverse").await;
    steps(&proxy, &["backfill --reverse"]).await;
    assert_eq!(number(&direct, ledger).await.unwrap(), 0);
    steps(&proxy, &["verify", "rollback"]).await;
    let taken = "SELECT count(*) FROM iso_agents WHERE full_name = 'Taken'";
    assert_eq!(number(&direct, taken).await.unwrap(), 3);
}

/// What says that legacy rows follow within the statement.
const IN_STEP: &str = "SELECT count(*) FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace \
     WHERE p.proname = 'in_step' AND n.nspname ~ '^crossfade_e[0-9]+_iso_agents$'";

#[tokio::test]
async fn legacy_follows_within_the_statement_only_while_nobody_has_written_unified_alone() {
    let world = World::start().await.unwrap();
    let (proxy, through, direct) = served(&world, "in_step").await;
    steps(
        &proxy,
        &["advance", "backfill", "verify", "advance", "advance"],
    )
    .await;
    assert_eq!(number(&direct, IN_STEP).await.unwrap(), 0);
    steps(&proxy, &["advance"]).await;
    assert_eq!(number(&direct, IN_STEP).await.unwrap(), 1);
    let id: String = through
        .query_one(
            "SELECT id::text FROM iso_agents WHERE clerk_user_id = 'user_3'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let by_key = format!("UPDATE iso_agents SET full_name = 'By key' WHERE id = '{id}'");
    let all = "UPDATE iso_agents SET full_name = full_name || '!'";
    let same = "SELECT count(*) FROM iso_agents AS l JOIN users AS u USING (id) \
                WHERE l.full_name = u.full_name AND l.full_name LIKE 'By key%'";
    through.batch_execute(&by_key).await.unwrap();
    assert_eq!(number(&direct, same).await.unwrap(), 1);
    // A row that legacy has not got comes whole.
    direct.batch_execute(UNTIE).await.unwrap();
    let lacks = format!("DELETE FROM iso_agents WHERE id = '{id}'");
    direct.batch_execute(&lacks).await.unwrap();
    through.batch_execute(&by_key).await.unwrap();
    assert_eq!(number(&direct, same).await.unwrap(), 1);
    direct.batch_execute(&lacks).await.unwrap();
    through.batch_execute(all).await.unwrap();
    assert_eq!(number(&direct, same).await.unwrap(), 1);

    // What was deleted around the proxy is seen; both sides are alike again.
    steps(&proxy, &["verify"]).await;
    steps(&proxy, &["advance"]).await;
    assert_eq!(number(&direct, IN_STEP).await.unwrap(), 0);
    steps(&proxy, &["rollback"]).await;
    assert_eq!(number(&direct, IN_STEP).await.unwrap(), 0);
    through.batch_execute(&by_key).await.unwrap();
    assert_eq!(number(&direct, same).await.unwrap(), 1);
    steps(&proxy, &["backfill --reverse", "verify", "rollback"]).await;
    steps(&proxy, &["advance"]).await;
    assert_eq!(number(&direct, IN_STEP).await.unwrap(), 1);
}

#[tokio::test]
async fn a_write_that_waited_while_others_began_to_write_unified_alone_minds_stale_rows() {
    let world = World::start().await.unwrap();
    let (proxy, through, direct) = served(&world, "waited").await;
    direct.batch_execute(UNTIE).await.unwrap();
    steps(
        &proxy,
        &[
            "advance", "backfill", "verify", "advance", "advance", "advance",
        ],
    )
    .await;
    let holder = world.client(&world.postgres.url("waited")).await.unwrap();
    holder
        .batch_execute("BEGIN; SELECT FROM users WHERE clerk_user_id = 'user_3' FOR UPDATE")
        .await
        .unwrap();
    let id: String = direct
        .query_one(
            "SELECT id::text FROM users WHERE clerk_user_id = 'user_3'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let waiting = proxy.client().await.unwrap();
    let takes = format!("UPDATE iso_agents SET email = 'agent.2@example.com' WHERE id = '{id}'");
    let waits = tokio::spawn(async move { waiting.batch_execute(&takes).await });
    let blocked = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                   AND query LIKE '%agent.2@example.com%' AND pid <> pg_backend_pid()";
    until(&direct, blocked).await.unwrap();
    let step = Running::start(&proxy.config(), &["advance", "iso_agents"]).unwrap();
    let visited = "SELECT EXISTS (SELECT FROM crossfade.instances WHERE phase = 'unified_only')";
    until(&direct, visited).await.unwrap();
    through.execute(STALE_DELETE, &[]).await.unwrap();
    holder.batch_execute("COMMIT").await.unwrap();
    waits.await.unwrap().unwrap();
    let ended = step.end().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

#[tokio::test]
async fn a_snapshot_from_before_the_visit_to_unified_only_is_refused_as_too_old() {
    let world = World::start().await.unwrap();
    let (proxy, through, direct) = served(&world, "snapshot").await;
    direct.batch_execute(UNTIE).await.unwrap();
    steps(
        &proxy,
        &[
            "advance", "backfill", "verify", "advance", "advance", "advance",
        ],
    )
    .await;
    // Two transactions stay behind in unified_read.
    let old = proxy.client().await.unwrap();
    let read = "SELECT count(*) FROM iso_agents";
    old.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    number(&old, read).await.unwrap();
    let fresh = proxy.client().await.unwrap();
    fresh.batch_execute("BEGIN").await.unwrap();
    number(&fresh, read).await.unwrap();
    let step = Running::start(&proxy.config(), &["advance", "iso_agents"]).unwrap();
    let visited = "SELECT EXISTS (SELECT FROM crossfade.instances WHERE phase = 'unified_only')";
    until(&direct, visited).await.unwrap();
    let remove = "DELETE FROM iso_agents WHERE clerk_user_id IN ('user_2', 'user_4')";
    assert_eq!(through.execute(remove, &[]).await.unwrap(), 2);

    let takes = "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
                 VALUES ('user_2', 'agent.2@example.com', 'Taken')";
    let error = old.execute(takes, &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE));
    old.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(fresh.execute(takes, &[]).await.unwrap(), 1);
    fresh.batch_execute("COMMIT").await.unwrap();
    let ended = step.end().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

/// Differences of each kind, in both directions' eyes.
const SPOIL: &str = "ALTER TABLE users DISABLE TRIGGER USER; \
     DELETE FROM users WHERE clerk_user_id = 'user_3'; \
     INSERT INTO users (clerk_user_id, email, full_name, role) \
     VALUES ('e1', 'e1@example.com', 'extra', 'admin'); \
     UPDATE users SET full_name = 'Other' WHERE clerk_user_id = 'user_4'; \
     UPDATE users SET updated_at = '2001-01-01' WHERE clerk_user_id = 'user_5'; \
     ALTER TABLE users ENABLE TRIGGER USER";

#[tokio::test]
async fn a_repair_follows_the_side_that_decides() {
    let world = World::start().await.unwrap();
    for (name, phase, of_legacy) in [
        ("repair_legacy", Phase::ShadowRead, true),
        ("repair_unified", Phase::UnifiedRead, false),
    ] {
        let (proxy, _through, direct) = served(&world, name).await;
        steps(&proxy, &["advance", "backfill", "verify", "advance"]).await;
        if phase == Phase::UnifiedRead {
            steps(&proxy, &["advance", "advance"]).await;
        }
        direct.batch_execute(SPOIL).await.unwrap();
        refused(&proxy, &["verify", "iso_agents"], "").await;
        let preview = proxy
            .crossfade(&["backfill", "iso_agents", "--dry-run"])
            .await
            .unwrap();
        assert!(
            preview.contains("would insert 1 rows and change 2; 1 left alone"),
            "{preview}"
        );
        let repaired = proxy
            .crossfade(&["verify", "iso_agents", "--repair"])
            .await
            .unwrap();
        assert!(repaired.contains("iso_agents: clean"), "{repaired}");
        for (sql, in_legacy) in [
            (
                "SELECT count(*) FROM users WHERE clerk_user_id = 'user_3'",
                1,
            ),
            ("SELECT count(*) FROM users WHERE full_name = 'extra'", 0),
            (
                "SELECT count(*) FROM iso_agents WHERE full_name = 'Other'",
                0,
            ),
        ] {
            let expected = if of_legacy { in_legacy } else { 1 - in_legacy };
            assert_eq!(
                number(&direct, sql).await.unwrap(),
                expected,
                "{phase}: {sql}"
            );
        }
    }
}

#[tokio::test]
async fn a_running_backfill_is_paused_throttled_anew_and_cancelled() {
    let world = World::start().await.unwrap();
    world.database("paused").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "paused", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let client = world.client(&world.postgres.url("paused")).await.unwrap();
    let start = ["backfill", "iso_agents", "--throttle", "5"];
    let backfill = Running::start(&proxy.config(), &start).unwrap();
    until(&client, "SELECT rows_done > 0 FROM crossfade.backfill")
        .await
        .unwrap();
    proxy
        .crossfade(&["backfill", "iso_agents", "--pause"])
        .await
        .unwrap();
    let wish = "SELECT wish = 'pause' AND rows_done < 300 FROM crossfade.backfill";
    until(&client, wish).await.unwrap();
    proxy
        .crossfade(&["backfill", "iso_agents", "--cancel"])
        .await
        .unwrap();
    let ended = backfill.end().await.unwrap();
    assert!(ended.errors.contains("was cancelled"), "{ended:?}");
    // It goes on where it stopped, under the old limit until that is taken away.
    let backfill = Running::start(&proxy.config(), &["backfill", "iso_agents"]).unwrap();
    until(&client, "SELECT wish = 'run' FROM crossfade.backfill")
        .await
        .unwrap();
    proxy
        .crossfade(&["backfill", "iso_agents", "--adjust", "--throttle", "0"])
        .await
        .unwrap();
    let ended = backfill.end().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let done = "SELECT rows_done FROM crossfade.backfill WHERE state = 'complete'";
    assert_eq!(number(&client, done).await.unwrap(), 301);
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    refused(
        &proxy,
        &["backfill", "iso_agents", "--pause"],
        "no backfill",
    )
    .await;
}
