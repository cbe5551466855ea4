//! The admin listener, asked by Prometheus' own parser and by plain HTTP.

use std::collections::{BTreeMap, BTreeSet};

use crossfade_testbed::free_port;
use crossfade_testbed::process::Signal;
use crossfade_tests::control::a_moment;
use crossfade_tests::world::CLERK;
use crossfade_tests::{Proxy, World, python};
use rewrite_rules::Phase;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A proxy with an admin listener, and its port.
async fn observed(world: &World, name: &str, phase: Phase) -> (Proxy, u16) {
    world.database(name).await.unwrap();
    let port = free_port().unwrap();
    let admin = format!("[admin]\nlisten = \"127.0.0.1:{port}\"\n");
    let proxy = Proxy::with_config(&world.postgres, name, &admin).unwrap();
    proxy.write_phase(phase).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    (proxy.serve().await.unwrap(), port)
}

/// Samples by name and labels.
async fn metrics(port: u16) -> BTreeMap<(String, String), f64> {
    let url = format!("http://127.0.0.1:{port}/metrics");
    let said = python("metrics.py", &[&url]).await.unwrap();
    assert!(said.succeeded, "{}", said.errors);
    let lines = said.output.lines();
    let samples = lines.map(|line| serde_json::from_str::<(String, String, f64)>(line).unwrap());
    samples
        .map(|(name, labels, value)| ((name, labels), value))
        .collect()
}

/// The status and the body.
async fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

#[tokio::test]
async fn metrics_are_what_a_client_has_counted() {
    let world = World::start().await.unwrap();
    let (proxy, port) = observed(&world, "counted", Phase::DualRead).await;
    let client = proxy.client().await.unwrap();
    let before = metrics(port).await;
    for _ in 0..7 {
        client.batch_execute("SELECT 1").await.unwrap();
    }
    for _ in 0..5 {
        let read = "SELECT id FROM iso_agents LIMIT 1";
        client.batch_execute(read).await.unwrap();
    }
    for _ in 0..3 {
        let refused = "SELECT * FROM iso_agents TABLESAMPLE SYSTEM (10)";
        client.batch_execute(refused).await.unwrap_err();
    }
    // What is copied to unified later is read from legacy now.
    let rows = client.query("SELECT FROM iso_agents", &[]).await.unwrap();
    let after = metrics(port).await;
    let of = |name: &str, labels: &str| {
        let key = (name.to_owned(), labels.to_owned());
        after.get(&key).copied().unwrap_or(f64::NAN) - before.get(&key).copied().unwrap_or(0.0)
    };
    assert_eq!(
        of("crossfade_statements_total", "outcome=passed"),
        7.0,
        "{after:?}"
    );
    assert_eq!(of("crossfade_statements_total", "outcome=refused"), 3.0);
    assert_eq!(of("crossfade_statements_total", "outcome=rewritten"), 6.0);
    let fallbacks = of("crossfade_fallback_rows_total", "migration=iso_agents");
    assert!(
        fallbacks >= rows.len() as f64,
        "{fallbacks} of {} rows",
        rows.len()
    );
    let gauge = |name: &str, labels: &str| after[&(name.to_owned(), labels.to_owned())];
    assert_eq!(gauge("crossfade_sessions", ""), 1.0);
    // The first, and the same with its epoch.
    assert_eq!(gauge("crossfade_generation", ""), 2.0);
    for phase in Phase::ALL {
        let labels = format!("migration=iso_agents,phase={phase}");
        let is = f64::from(u8::from(phase == Phase::DualRead));
        assert_eq!(gauge("crossfade_migration_phase", &labels), is, "{phase}");
    }
    assert!(gauge("process_cpu_seconds_total", "") > 0.0);
    let timed = gauge("crossfade_exchange_seconds_count", "");
    assert!(timed > 0.0);
    assert_eq!(gauge("crossfade_exchange_seconds_bucket", "le=+Inf"), timed);
}

#[tokio::test]
async fn the_reads_of_canaries_are_told_apart_from_those_of_others() {
    let world = World::start().await.unwrap();
    let (proxy, port) = observed(&world, "apart", Phase::DualRead).await;
    let args = ["--user", CLERK, "--force", "--reason", "test"];
    let canary = [&["canary", "iso_agents", "12.5%"], &args[..]].concat();
    proxy.crossfade(&canary).await.unwrap();
    while !proxy.log().contains("a canary runs") {
        a_moment().await;
    }
    let clerk = proxy.client_of(CLERK).await.unwrap();
    let read = "SELECT id FROM iso_agents LIMIT 1";
    for _ in 0..3 {
        clerk.batch_execute(read).await.unwrap();
    }
    let wrong = "SELECT 1 / (count(*) - count(*)) FROM iso_agents";
    assert!(clerk.batch_execute(wrong).await.is_err());
    // Neither a write nor what names no managed table.
    clerk
        .batch_execute("UPDATE iso_agents SET email = email WHERE clerk_user_id = 'user_1'")
        .await
        .unwrap();
    clerk.batch_execute("SELECT 1").await.unwrap();
    let told = metrics(port).await;
    let of = |name: &str, words: &[&str]| -> f64 {
        let found = told.iter().filter(|((known, labels), _)| {
            known == name && words.iter().all(|word| labels.contains(word))
        });
        let found: Vec<f64> = found.map(|(_, value)| *value).collect();
        assert_eq!(found.len(), 1, "{name} {words:?}: {told:?}");
        found[0]
    };
    let reads = "crossfade_canary_reads_total";
    assert_eq!(of(reads, &["canary", "answered"]), 3.0);
    assert_eq!(of(reads, &["canary", "failed"]), 1.0);
    assert_eq!(of("crossfade_canary_read_seconds_count", &["canary"]), 3.0);
    assert_eq!(of("crossfade_canary_share", &["iso_agents"]), 0.125);
    assert_eq!(of("crossfade_canary_fallback_rows_total", &["canary"]), 0.0);
    assert_eq!(of("crossfade_hook_deliveries_total", &["told"]), 0.0);
}

/// Names of metrics in a text, as they stand there.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let of_ours = |word: &&str| word.starts_with("crossfade_") || word.starts_with("process_");
    words.filter(of_ours).collect()
}

#[tokio::test]
async fn what_alerts_and_the_dashboard_name_is_told_and_every_alert_is_explained() {
    let world = World::start().await.unwrap();
    let (_proxy, port) = observed(&world, "named", Phase::DualRead).await;
    let (_, told) = get(port, "/metrics").await;
    let mut known = BTreeSet::new();
    for line in told.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        known.insert(name.to_owned());
        if kind == "histogram" {
            known.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
    }
    let rules = include_str!("../../../deploy/prometheus-rules.yaml");
    let dashboard = include_str!("../../../deploy/grafana-dashboard.json");
    let running = include_str!("../../../docs/running.md");
    let table = running.lines().filter(|line| line.starts_with("| `"));
    let table: Vec<&str> = table.map(|line| line.split('|').nth(1).unwrap()).collect();
    for (file, text) in [
        ("rules", rules),
        ("dashboard", dashboard),
        ("the table", &table.join("\n")),
    ] {
        let unknown: Vec<&str> = names(text)
            .into_iter()
            .filter(|name| !known.contains(*name))
            .collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?} of {known:?}");
    }
    // Each panel asks something.
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let asked = panel["targets"][0]["expr"].as_str().unwrap();
        assert!(
            asked.contains("crossfade_") || asked.contains("process_"),
            "{panel}"
        );
    }
    let explained = include_str!("../../../docs/alerts.md");
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<String> = alerts.map(|alert| format!("## {alert}")).collect();
    let headings = explained.lines().filter(|line| line.starts_with("## "));
    assert_eq!(alerts, headings.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_proxy_is_ready_while_its_rules_are_in_force() {
    let world = World::start().await.unwrap();
    let (proxy, port) = observed(&world, "ready", Phase::DualWrite).await;
    assert_eq!(get(port, "/healthz").await, (200, "ok\n".to_owned()));
    let (status, body) = get(port, "/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["migrations"]["iso_agents"], "dual_write");
    assert_eq!(get(port, "/elsewhere").await.0, 404);

    // What a file proposes is told, and is no reason to send clients elsewhere.
    proxy.write_rules("iso_agents", "[migration]\n").unwrap();
    let (status, body) = loop {
        let (status, body) = get(port, "/readyz").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        if body["rules_refused"][0].is_string() {
            break (status, body);
        }
        a_moment().await;
    };
    assert_eq!(
        (status, &body["ready"]),
        (200, &Value::Bool(true)),
        "{body}"
    );
    assert_eq!(body["migrations"]["iso_agents"], "dual_write");
}

#[tokio::test]
async fn a_proxy_that_cannot_serve_what_is_in_force_is_not_ready_until_it_can() {
    let world = World::start().await.unwrap();
    let (first, _) = observed(&world, "unready", Phase::DualWrite).await;
    let direct = world.client(&world.postgres.url("unready")).await.unwrap();
    let renamed = "ALTER TABLE users RENAME COLUMN full_name TO whole_name";
    direct.batch_execute(renamed).await.unwrap();
    let port = free_port().unwrap();
    let admin = format!("[admin]\nlisten = \"127.0.0.1:{port}\"\n");
    let second = Proxy::with_config(&world.postgres, "unready", &admin).unwrap();
    let second = second.serve_what_is_in_force().await.unwrap();
    let (status, body) = get(port, "/readyz").await;
    assert_eq!(status, 503, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["ready"], false);
    let why = body["why_not"][0].as_str().unwrap();
    assert!(why.starts_with("iso_agents: "), "{body}");
    let back = "ALTER TABLE users RENAME COLUMN whole_name TO full_name";
    direct.batch_execute(back).await.unwrap();
    second.signal(Signal::Hangup).unwrap();
    drop(first);
    while get(port, "/readyz").await.0 != 200 {
        a_moment().await;
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_at_the_start() {
    let world = World::start().await.unwrap();
    world.database("taken").await.unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = format!("[admin]\nlisten = \"{}\"\n", taken.local_addr().unwrap());
    let proxy = Proxy::with_config(&world.postgres, "taken", &admin).unwrap();
    let ended = crossfade_tests::control::run(&proxy.config(), &["serve"])
        .await
        .unwrap();
    assert!(!ended.status.success());
    assert!(ended.errors.contains("([admin] listen)"), "{ended:?}");
}
