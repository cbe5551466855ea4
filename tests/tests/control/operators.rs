//! Two operators at once, one and a job that is run again, and one who connects to the wrong place.

use std::fs::read_to_string;

use crossfade_tests::control::{self, Ended, Running, number, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use serde_json::Value;
use tokio_postgres::Client;

const STEPS: &str = "SELECT count(*) FROM crossfade.events WHERE to_phase IS NOT NULL";

async fn prepared(world: &World, name: &str, phase: Phase) -> (Proxy, Client) {
    world.database(name).await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, name, phase).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let client = world.client(&world.postgres.url(name)).await.unwrap();
    (proxy, client)
}

/// Runs two commands that have both read the rules before either goes on.
async fn at_once(proxy: &Proxy, client: &mut Client, args: &[&str]) -> Vec<Ended> {
    let held = client.transaction().await.unwrap();
    held.batch_execute("LOCK TABLE crossfade.version IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let running: Vec<Running> = (0..2)
        .map(|_| Running::start(&proxy.config(), args).unwrap())
        .collect();
    until(
        held.client(),
        "SELECT count(*) = 2 FROM pg_locks WHERE relation = 'crossfade.version'::regclass AND NOT granted",
    )
    .await
    .unwrap();
    held.commit().await.unwrap();
    let mut ended = Vec::new();
    for command in running {
        ended.push(command.end().await.unwrap());
    }
    ended
}

#[tokio::test]
async fn two_steps_at_once_are_one_step() {
    let world = World::start().await.unwrap();
    let (proxy, mut client) = prepared(&world, "once", Phase::LegacyOnly).await;
    let ended = at_once(&proxy, &mut client, &["advance", "iso_agents"]).await;
    let refused: Vec<&Ended> = ended.iter().filter(|e| !e.status.success()).collect();
    assert_eq!(refused.len(), 1, "{ended:?}");
    let said = &refused[0].errors;
    assert!(
        said.contains("was in legacy_only when this command began and is in dual_write now"),
        "{said}"
    );
    let file = read_to_string(proxy.rule_file()).unwrap();
    assert_eq!(file, Proxy::rules_in(Phase::DualWrite));
    assert_eq!(number(&client, STEPS).await.unwrap(), 1);
}

#[tokio::test]
async fn a_step_to_a_phase_is_done_once_however_often_it_is_asked_for() {
    let world = World::start().await.unwrap();
    let (proxy, client) = prepared(&world, "again", Phase::LegacyOnly).await;
    let args = ["advance", "iso_agents", "--to", "shadow_read", "--json"];
    for steps in [vec!["dual_write", "shadow_read"], vec![]] {
        let said = proxy.crossfade(&args).await.unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["phase"], "shadow_read");
        let taken = said["steps"].as_array().unwrap().iter();
        let taken: Vec<&str> = taken.map(|step| step["to"].as_str().unwrap()).collect();
        assert_eq!(taken, steps);
        assert_eq!(number(&client, STEPS).await.unwrap(), 2);
    }
    let past = ["advance", "iso_agents", "--to", "dual_write"];
    let refused = control::run(&proxy.config(), &past).await.unwrap();
    assert!(!refused.status.success());
    let way = "`crossfade rollback iso_agents --to dual_write`";
    assert!(refused.errors.contains(way), "{refused:?}");
    let back = ["rollback", "iso_agents", "--to", "legacy_only"];
    proxy.crossfade(&back).await.unwrap();
    assert_eq!(number(&client, STEPS).await.unwrap(), 4);
}

#[tokio::test]
async fn a_step_that_was_killed_in_its_drain_is_completed_by_asking_for_its_phase() {
    let world = World::start().await.unwrap();
    let (proxy, client) = prepared(&world, "killed", Phase::LegacyOnly).await;
    let args = ["advance", "iso_agents", "--to", "dual_write"];
    let ends = [("CROSSFADE_ENDS_AT", "file: replaced")];
    let killed = Running::start_with(&proxy.config(), &args, &ends).unwrap();
    assert!(!killed.end().await.unwrap().status.success());
    let open = "SELECT count(*) FROM crossfade.events WHERE drained_at IS NULL";
    assert_eq!(number(&client, open).await.unwrap(), 1);
    proxy.crossfade(&args).await.unwrap();
    assert_eq!(number(&client, open).await.unwrap(), 0);
    assert_eq!(number(&client, STEPS).await.unwrap(), 1);
}

#[tokio::test]
async fn a_step_that_waits_for_its_gates_is_taken_when_they_are_met() {
    let world = World::start().await.unwrap();
    let (proxy, client) = prepared(&world, "waits", Phase::ShadowRead).await;
    // A row that unified cannot take.
    let record = "ALTER TABLE users ADD CONSTRAINT barred CHECK (full_name <> 'planted') NOT VALID; \
                  UPDATE iso_agents SET full_name = 'planted' WHERE id = (SELECT min(id::text)::uuid FROM iso_agents); \
                  SELECT crossfade.record_divergence('iso_agents', '\"public\".\"iso_agents\"', \
                  jsonb_build_array(id), 'planted', 'XX000') FROM iso_agents WHERE full_name = 'planted'";
    client.batch_execute(record).await.unwrap();
    let args = ["advance", "iso_agents", "--wait", "600"];
    let mut waiting = Running::start(&proxy.config(), &args).unwrap();
    waiting.says("known to be wrong").await.unwrap();
    client
        .batch_execute("ALTER TABLE users DROP CONSTRAINT barred")
        .await
        .unwrap();
    let ended = waiting.end().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(number(&client, STEPS).await.unwrap(), 1);
}

#[tokio::test]
async fn a_control_url_that_leads_to_a_proxy_is_refused() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("wrong", Phase::DualWrite).await.unwrap();
    let url = proxy.url();
    for command in [
        "prepare", "check", "status", "verify", "backfill", "advance",
    ] {
        let named = ["iso_agents"];
        let named = named
            .iter()
            .filter(|_| !["prepare", "status"].contains(&command));
        let args: Vec<&str> = std::iter::once(command)
            .chain(named.copied())
            .chain(["--control", &url])
            .collect();
        let refused = control::run(&proxy.config(), &args).await.unwrap();
        assert!(!refused.status.success(), "{command}");
        let said = "this is a Crossfade proxy";
        assert!(refused.errors.contains(said), "{command}: {refused:?}");
    }
}
