//! Steps between phases: gates, the rule file, the drain.

use crossfade_testbed::iso_agents::carry_over;
use crossfade_tests::control::{self, Running, number, pid, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

fn file(proxy: &Proxy) -> String {
    std::fs::read_to_string(proxy.rule_file()).unwrap()
}

#[tokio::test]
async fn a_step_changes_one_word_of_the_file_and_the_proxy_follows() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("follows", Phase::LegacyOnly).await.unwrap();
    let client = world.client(&world.postgres.url("follows")).await.unwrap();
    let serves = |phase| format!("SELECT phase = '{phase}' AND drained FROM crossfade.instances");
    until(
        &client,
        "SELECT to_regclass('crossfade.instances') IS NOT NULL",
    )
    .await
    .unwrap();
    until(&client, &serves("legacy_only")).await.unwrap();

    for (command, phase) in [
        ("advance", Phase::DualWrite),
        ("advance", Phase::ShadowRead),
        ("rollback", Phase::DualWrite),
    ] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
        assert_eq!(file(&proxy), Proxy::rules_in(phase));
        // No waiting here: the command returned because this is so.
        let now = number(
            &client,
            &format!("SELECT ({})::int::int8", serves(phase.name())),
        )
        .await;
        assert_eq!(now.unwrap(), 1, "{phase}");
    }
    let recorded =
        "SELECT count(*) FROM crossfade.events WHERE drained_at IS NOT NULL AND NOT forced";
    assert_eq!(number(&client, recorded).await.unwrap(), 3);
}

#[tokio::test]
async fn a_step_waits_for_a_proxy_that_has_yet_to_say_that_it_serves() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("unsaid", Phase::LegacyOnly).await.unwrap();
    let client = world.client(&world.postgres.url("unsaid")).await.unwrap();
    until(
        &client,
        "SELECT to_regclass('crossfade.instances') IS NOT NULL",
    )
    .await
    .unwrap();
    until(&client, "SELECT count(*) = 1 FROM crossfade.instances")
        .await
        .unwrap();
    // As it stands when the database was prepared just now: the next heartbeat is the first.
    client
        .batch_execute("DELETE FROM crossfade.instances")
        .await
        .unwrap();
    let said = proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    assert!(said.contains("drained (1 serving"), "{said}");
}

#[tokio::test]
async fn an_instance_that_stops_cleanly_is_gone_at_once() {
    let world = World::start().await.unwrap();
    let mut proxy = world.in_phase("gone", Phase::DualWrite).await.unwrap();
    let client = world.client(&world.postgres.url("gone")).await.unwrap();
    until(&client, "SELECT count(*) = 1 FROM crossfade.instances")
        .await
        .unwrap();
    proxy.stop();
    assert_eq!(
        number(&client, "SELECT count(*) FROM crossfade.instances")
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_refused_step_names_every_gate_and_what_settles_it() {
    let world = World::start().await.unwrap();
    world.database("gates").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "gates", Phase::DualRead).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let client = world.client(&world.postgres.url("gates")).await.unwrap();
    let record = "SELECT crossfade.record_divergence('iso_agents', '\"public\".\"iso_agents\"', \
                  jsonb_build_array(id), 'planted', 'XX000') FROM iso_agents LIMIT 1";
    client.batch_execute(record).await.unwrap();

    let refused = control::run(&proxy.config(), &["advance", "iso_agents"])
        .await
        .unwrap();
    assert!(!refused.status.success());
    for text in [
        "stays in dual_read",
        "1 key whose unified row is known to be wrong",
        "public.iso_agents was never backfilled",
        "`crossfade backfill iso_agents`",
        "never verified",
        "`crossfade verify iso_agents`",
    ] {
        assert!(refused.errors.contains(text), "`{text}` in {refused:?}");
    }
    assert_eq!(file(&proxy), Proxy::rules_in(Phase::DualRead));
    assert_eq!(
        number(&client, "SELECT count(*) FROM crossfade.events")
            .await
            .unwrap(),
        0
    );

    // A verify that is older than the backfill proves nothing about it.
    let early = control::run(&proxy.config(), &["verify", "iso_agents"])
        .await
        .unwrap();
    assert_eq!(early.status.code(), Some(1));
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    let refused = control::run(&proxy.config(), &["advance", "iso_agents"])
        .await
        .unwrap();
    assert!(
        refused.errors.contains("the last verify found"),
        "{refused:?}"
    );
    assert!(!refused.errors.contains("never backfilled"), "{refused:?}");

    let proxy = proxy.serve().await.unwrap();
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    assert_eq!(file(&proxy), Proxy::rules_in(Phase::UnifiedRead));
}

#[tokio::test]
async fn a_visit_to_legacy_only_voids_the_backfill() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("void", Phase::LegacyOnly).await.unwrap();
    let client = world.client(&world.postgres.url("void")).await.unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    until(&client, "SELECT state = 'complete' FROM crossfade.backfill")
        .await
        .unwrap();
    // Past `rollback`: the proxy that serves it says so.
    proxy
        .turn_to("iso_agents", Phase::LegacyOnly)
        .await
        .unwrap();
    until(&client, "SELECT state = 'void' FROM crossfade.backfill")
        .await
        .unwrap();
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    assert!(status.contains("public.iso_agents: void"), "{status}");
}

#[tokio::test]
async fn legacy_that_missed_writes_is_not_read_again_unless_forced() {
    let world = World::start().await.unwrap();
    world.database("stale").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "stale", Phase::UnifiedRead).unwrap();
    let client = world.client(&world.postgres.url("stale")).await.unwrap();
    client
        .batch_execute("DROP TABLE requests, client_profiles")
        .await
        .unwrap();
    carry_over(&client).await.unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    proxy.crossfade(&["rollback", "iso_agents"]).await.unwrap();
    let refused = control::run(&proxy.config(), &["rollback", "iso_agents"])
        .await
        .unwrap();
    assert!(
        refused
            .errors
            .contains("`crossfade backfill iso_agents --reverse`"),
        "{refused:?}"
    );
    let without = control::run(&proxy.config(), &["rollback", "iso_agents", "--force"])
        .await
        .unwrap();
    assert!(without.errors.contains("--reason"), "{without:?}");
    let forced = [
        "rollback",
        "iso_agents",
        "--force",
        "--reason",
        "a rehearsal",
    ];
    proxy.crossfade(&forced).await.unwrap();
    assert_eq!(file(&proxy), Proxy::rules_in(Phase::DualRead));
    let recorded = "SELECT count(*) FROM crossfade.events WHERE forced AND reason = 'a rehearsal' \
                    AND gates @> '[{\"met\": false}]'";
    assert_eq!(number(&client, recorded).await.unwrap(), 1);
}

#[tokio::test]
async fn a_step_waits_for_a_writer_that_goes_around_the_proxy() {
    let world = World::start().await.unwrap();
    world.database("around").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "around", Phase::LegacyOnly).unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    let writer = world.client(&world.postgres.url("around")).await.unwrap();
    let pid = pid(&writer).await.unwrap();
    writer
        .batch_execute(
            "BEGIN; UPDATE iso_agents SET full_name = 'around' WHERE clerk_user_id = 'user_1'",
        )
        .await
        .unwrap();
    let mut step = Running::start(&proxy.config(), &["advance", "iso_agents"]).unwrap();
    let blocker = step.says("an earlier writer is still there").await.unwrap();
    assert!(
        blocker.contains(&format!("pid {pid} (user postgres")),
        "{blocker}"
    );
    assert!(blocker.contains("UPDATE iso_agents"), "{blocker}");
    assert_eq!(file(&proxy), Proxy::rules_in(Phase::ShadowRead));
    assert!(!step.is_over().unwrap());
    // A later writer began in the new phase and is not waited for.
    let later = world.client(&world.postgres.url("around")).await.unwrap();
    later
        .batch_execute(
            "BEGIN; UPDATE iso_agents SET full_name = 'later' WHERE clerk_user_id = 'user_2'",
        )
        .await
        .unwrap();
    writer.batch_execute("COMMIT").await.unwrap();
    let ended = step.end().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert!(
        ended.output.contains("1 earlier writers waited for"),
        "{ended:?}"
    );
    later.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_step_that_is_killed_in_its_drain_leaves_a_phase_that_status_can_tell() {
    let world = World::start().await.unwrap();
    world.database("half").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "half", Phase::LegacyOnly).unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    let writer = world.client(&world.postgres.url("half")).await.unwrap();
    writer
        .batch_execute("BEGIN; LOCK TABLE users IN ROW EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut step = Running::start(&proxy.config(), &["advance", "iso_agents"]).unwrap();
    step.says("an earlier writer").await.unwrap();
    step.kill().await.unwrap();

    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    assert!(
        status.contains("shadow_read (epoch 3), NOT drained"),
        "{status}"
    );
    assert!(status.contains("its drain was not seen to end"), "{status}");
    assert!(status.contains("LOCK TABLE users"), "{status}");
    // The next step waits for what this one did not see the end of.
    let args = ["advance", "iso_agents", "--drain-timeout-seconds", "0"];
    let next = control::run(&proxy.config(), &args).await.unwrap();
    assert!(
        next.errors
            .contains("stays in shadow_read, which is not drained yet"),
        "{next:?}"
    );
    assert_eq!(file(&proxy), Proxy::rules_in(Phase::ShadowRead));
}

#[tokio::test]
async fn a_step_that_is_taken_while_a_proxy_starts_is_served() {
    let world = World::start().await.unwrap();
    world.database("starts").await.unwrap();
    let files = Proxy::with_rules(&world.postgres, "starts", Phase::LegacyOnly).unwrap();
    files.crossfade(&["prepare"]).await.unwrap();
    let direct = world.client(&world.postgres.url("starts")).await.unwrap();
    // A proxy reads its rules, prepares the database for them, and then watches the directory: the
    // lock of the preparation holds it up in between.
    direct
        .batch_execute("BEGIN; LOCK TABLE crossfade.version IN SHARE ROW EXCLUSIVE MODE")
        .await
        .unwrap();
    let starting = tokio::spawn(files.beside(&world.postgres).unwrap().serve());
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'crossfade.version'::regclass \
                 AND NOT granted)";
    until(&direct, waits).await.unwrap();
    files.turn_to("iso_agents", Phase::DualWrite).await.unwrap();
    direct.batch_execute("COMMIT").await.unwrap();
    let _proxy = starting.await.unwrap().unwrap();
    until(
        &direct,
        "SELECT phase = 'dual_write' AND drained FROM crossfade.instances",
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_step_that_waits_for_a_session_says_whose_it_is_and_so_does_status() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("whose", Phase::LegacyOnly).await.unwrap();
    let client = world.client(&world.postgres.url("whose")).await.unwrap();
    let session = proxy.client().await.unwrap();
    session.batch_execute("BEGIN; SELECT 42").await.unwrap();
    let pid = pid(&session).await.unwrap();

    let args = ["advance", "iso_agents", "--drain-timeout-seconds", "1"];
    let waited = control::run(&proxy.config(), &args).await.unwrap();
    assert!(!waited.status.success(), "{waited:#?}");
    let who = format!("it waits for pid {pid} (user app, application test)");
    for text in [
        who.as_str(),
        "(idle in transaction), last: SELECT pg_backend_pid()",
        "transactions of an earlier generation",
    ] {
        assert!(waited.errors.contains(text), "{text}: {waited:#?}");
    }
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    assert!(
        status.contains(&format!("waits for   pid {pid}")),
        "{status}"
    );

    session.batch_execute("COMMIT").await.unwrap();
    until(
        &client,
        "SELECT drained AND held_by = '{}' FROM crossfade.instances",
    )
    .await
    .unwrap();
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    assert!(!status.contains("waits for"), "{status}");
}
