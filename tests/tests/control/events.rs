//! `crossfade events`, and commands whose reader goes away.

use std::process::Stdio;

use crossfade_tests::{Proxy, World, binary, control};
use rewrite_rules::Phase;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

async fn prepared(world: &World, name: &str) -> Proxy {
    world.database(name).await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, name, Phase::LegacyOnly).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    proxy
}

fn objects(text: &str) -> Vec<Value> {
    let parsed = text.lines().map(serde_json::from_str);
    parsed.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn events_say_who_stepped_and_what_the_gates_found() {
    let world = World::start().await.unwrap();
    let proxy = prepared(&world, "told").await;
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    let said = proxy.crossfade(&["events", "--json"]).await.unwrap();
    let said = objects(&said);
    let step = said.iter().find(|event| event["kind"] == "advance");
    let step = step.unwrap_or_else(|| panic!("no step among {said:?}"));
    assert_eq!(step["from"], "legacy_only");
    assert_eq!(step["to"], "dual_write");
    assert_eq!(step["forced"], false);
    assert!(step["drained_at"].is_string(), "{step}");
    assert!(!step["gates"].as_array().unwrap().is_empty(), "{step}");
    for who in ["db_user", "os_user", "host"] {
        assert!(!step[who].as_str().unwrap().is_empty(), "{step}");
    }
    let text = proxy.crossfade(&["events", "iso_agents"]).await.unwrap();
    assert!(text.contains("legacy_only -> dual_write\n"), "{text}");
    let of_another = proxy.crossfade(&["events", "no_such"]).await.unwrap();
    assert_eq!(of_another, "");
}

#[tokio::test]
async fn events_since_are_those_of_a_time_or_of_an_interval_until_now() {
    let world = World::start().await.unwrap();
    let proxy = prepared(&world, "since").await;
    let client = world.client(&world.postgres.url("since")).await.unwrap();
    let plant = "INSERT INTO crossfade.events (at, migration, kind, os_user, host) VALUES \
                 ('2001-01-01', 'old', 'planted', 'u', 'h'), (now() - interval '3 hours', 'newer', 'planted', 'u', 'h')";
    client.batch_execute(plant).await.unwrap();
    for (since, expected) in [
        ("2000-12-31", vec!["old", "newer"]),
        ("2001-01-02", vec!["newer"]),
        ("4 hours", vec!["newer"]),
        ("2 hours", vec![]),
    ] {
        let args = ["events", "--json", "--since", since];
        let said = objects(&proxy.crossfade(&args).await.unwrap());
        let planted = said.iter().filter(|event| event["kind"] == "planted");
        let of: Vec<&str> = planted.map(|e| e["migration"].as_str().unwrap()).collect();
        assert_eq!(of, expected, "{since}");
    }
    let args = ["events", "--since", "some day"];
    let refused = control::run(&proxy.config(), &args).await.unwrap();
    assert!(!refused.status.success());
    assert!(refused.errors.contains("some day"), "{refused:?}");
}

#[tokio::test]
async fn more_events_than_one_look_takes_come_whole_and_in_order() {
    let world = World::start().await.unwrap();
    let proxy = prepared(&world, "many").await;
    let client = world.client(&world.postgres.url("many")).await.unwrap();
    let plant = "INSERT INTO crossfade.events (migration, kind, details, os_user, host) \
                 SELECT 'm', 'planted', to_jsonb(n), 'u', 'h' FROM generate_series(1, 2500) AS n";
    client.batch_execute(plant).await.unwrap();
    let said = objects(&proxy.crossfade(&["events", "m", "--json"]).await.unwrap());
    let numbers: Vec<i64> = said
        .iter()
        .map(|e| e["details"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=2500).collect::<Vec<i64>>());
}

#[tokio::test]
async fn whoever_follows_sees_the_next_step() {
    let world = World::start().await.unwrap();
    let proxy = prepared(&world, "followed").await;
    let mut following = Command::new(binary::crossfade())
        .args(["events", "--json", "--follow", "--config"])
        .arg(proxy.config())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    for (command, to) in [("advance", "dual_write"), ("rollback", "legacy_only")] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["kind"] == command {
                assert_eq!(event["to"], to);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_reader_that_went_away_ends_no_command_half_way() {
    let world = World::start().await.unwrap();
    let proxy = prepared(&world, "unread").await;
    for args in [
        &["rules"][..],
        &["schema"],
        &["instances"],
        &["status"],
        &["events"],
        &["advance", "iso_agents"],
    ] {
        let (reader, answer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(binary::crossfade());
        command.args(args).stdout(answer);
        if args != ["schema"] {
            command.arg("--config").arg(proxy.config());
        }
        let ended = command.stderr(Stdio::piped()).output();
        let ended = ended.await.unwrap();
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{args:?}: {errors}");
        assert!(!errors.contains("panicked"), "{args:?}: {errors}");
    }
    let said = proxy.crossfade(&["events", "--json"]).await.unwrap();
    let step = objects(&said).into_iter().find(|e| e["kind"] == "advance");
    assert!(step.unwrap()["drained_at"].is_string());
}
