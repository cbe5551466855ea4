//! What PgBouncer's exporters ask of the console, in their own words; and holding clients back.

use std::collections::BTreeMap;

use crossfade_tests::console::{self, Console};
use crossfade_tests::control::a_moment;
use crossfade_tests::{World, python};

/// What prometheus-community's pgbouncer_exporter (0.12) looks for: with each query the columns that it takes as labels,
/// which must be texts or integers, and those that it takes as numbers.
const EXPORTER: [(&str, &[&str], &[&str]); 3] = [
    (
        "SHOW databases;",
        &[
            "name",
            "host",
            "port",
            "database",
            "force_user",
            "pool_mode",
        ],
        &[
            "pool_size",
            "reserve_pool_size",
            "max_connections",
            "current_connections",
            "paused",
            "disabled",
        ],
    ),
    (
        "SHOW stats_totals;",
        &["database"],
        &[
            "query_count",
            "query_time",
            "bytes_received",
            "bytes_sent",
            "wait_time",
            "xact_count",
            "xact_time",
            "client_parse_count",
            "server_parse_count",
            "bind_count",
            "server_assignment_count",
        ],
    ),
    (
        "SHOW pools;",
        &["database", "user"],
        &[
            "cl_active",
            "cl_active_cancel_req",
            "cl_waiting",
            "cl_waiting_cancel_req",
            "sv_active",
            "sv_active_cancel",
            "sv_being_canceled",
            "sv_idle",
            "sv_used",
            "sv_tested",
            "sv_login",
            "maxwait",
        ],
    ),
];

#[tokio::test]
async fn pgbouncers_exporters_find_what_they_look_for() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "exported", "").await.unwrap();
    let _app = proxy.client().await.unwrap();
    let console = Console::viewer(&proxy).await.unwrap();
    for (query, labels, numbers) in EXPORTER {
        let rows = console.rows(query).await.unwrap();
        assert!(!rows.rows.is_empty(), "{query}");
        for row in 0..rows.rows.len() {
            for label in labels {
                let _: Option<&str> = rows.at(row, label);
            }
            for number in numbers {
                let value = rows.at(row, number).expect("no NULL");
                value
                    .parse::<f64>()
                    .unwrap_or_else(|_| panic!("{query} {number}: {value}"));
            }
        }
    }
    // It takes the columns of these by their number.
    let lists = console.rows("SHOW LISTS;").await.unwrap();
    assert_eq!(lists.columns, ["list", "items"]);
    let config = console.rows("SHOW CONFIG;").await.unwrap();
    assert_eq!(config.columns, ["key", "value", "default", "changeable"]);
    let limit = config.find("key", "max_client_conn");
    assert_eq!(config.at(limit, "value"), Some("8000"));
    let limit = config.find("key", "max_user_connections");
    assert_eq!(config.at(limit, "value"), Some("0"));
    let version = console.rows("SHOW VERSION;").await.unwrap();
    assert_eq!(version.columns, ["version"]);
    assert!(version.at(0, "version").unwrap().starts_with("Crossfade "));
    let clients = console.rows("SHOW CLIENTS;").await.unwrap();
    for column in ["database", "user", "state", "application_name"] {
        assert!(clients.at(0, column).is_some(), "{column}");
    }
    // Telegraf's input takes every column of these for a number but a few.
    let stats = console.rows("SHOW STATS").await.unwrap();
    for column in stats.columns.iter().filter(|column| *column != "database") {
        let value = stats.at(0, column).expect("no NULL");
        value
            .parse::<i64>()
            .unwrap_or_else(|_| panic!("{column}: {value}"));
    }
}

#[tokio::test]
async fn the_counts_are_those_of_what_went_through() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "counted", "").await.unwrap();
    let console = Console::viewer(&proxy).await.unwrap();
    let counts = async || {
        let rows = console.rows("SHOW STATS_TOTALS").await.unwrap();
        let row = rows.find("database", "counted");
        let number = |column: &str| rows.at(row, column).unwrap().parse::<i64>().unwrap();
        let names = [
            "server_assignment_count",
            "xact_count",
            "query_count",
            "bytes_received",
            "bytes_sent",
        ];
        names
            .map(|name| (name, number(name)))
            .into_iter()
            .collect::<BTreeMap<_, _>>()
    };
    let app = proxy.client().await.unwrap();
    app.batch_execute("SELECT 1").await.unwrap();
    let before = counts().await;
    for _ in 0..10 {
        app.batch_execute("SELECT 1").await.unwrap();
    }
    app.batch_execute("BEGIN").await.unwrap();
    app.batch_execute("SELECT repeat('x', 10000)")
        .await
        .unwrap();
    app.batch_execute("COMMIT").await.unwrap();
    // Ten times `SELECT 1`, then three texts: a byte, a length and a NUL about each.
    let sent = 10 * (6 + 8) + (6 + 5) + (6 + 25) + (6 + 6);
    let expected = [
        ("server_assignment_count", 0),
        ("xact_count", 11),
        ("query_count", 13),
        ("bytes_received", sent),
    ];
    // A count is there a moment after the answer.
    let after = loop {
        let after = counts().await;
        if expected
            .iter()
            .all(|(name, more)| after[name] - before[name] == *more)
        {
            break after;
        }
        let past = |(name, more): &(&str, i64)| after[name] - before[name] > *more;
        assert!(!expected.iter().any(past), "{before:?} {after:?}");
        a_moment().await;
    };
    let more = after["bytes_sent"] - before["bytes_sent"];
    assert!((10_000..12_000).contains(&more), "{more}");
    let pools = console.rows("SHOW POOLS").await.unwrap();
    let pool = pools.find("database", "counted");
    let inside = pools.at(pool, "cl_active").unwrap().to_owned();
    assert_eq!(pools.at(pool, "sv_active"), Some(inside.as_str()));

    // What went through a session outlives it.
    drop(app);
    loop {
        let sessions = console.rows("SHOW SESSIONS").await.unwrap();
        if sessions.rows.is_empty() {
            break;
        }
        a_moment().await;
    }
    let ended = counts().await;
    assert_eq!(ended["query_count"], after["query_count"]);
    assert_eq!(ended["xact_count"], after["xact_count"]);
    let other = proxy.client().await.unwrap();
    other.batch_execute("SELECT 1").await.unwrap();
    assert_eq!(
        counts().await["server_assignment_count"],
        ended["server_assignment_count"] + 1
    );
}

#[tokio::test]
async fn a_pause_waits_for_transactions_holds_the_next_back_and_lets_them_go() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "paused", "pause_max_ms = 600000\n")
        .await
        .unwrap();
    let console = Console::operator(&proxy).await.unwrap();
    let other = Console::operator(&proxy).await.unwrap();
    let (app, busy) = (proxy.client().await.unwrap(), proxy.client().await.unwrap());
    busy.batch_execute("BEGIN; SELECT 1").await.unwrap();

    let pause = tokio::spawn(async move {
        console.rows("PAUSE").await.unwrap();
        console
    });
    loop {
        let state = other.rows("SHOW STATE").await.unwrap();
        if state.at(state.find("key", "paused"), "value") == Some("yes") {
            break;
        }
        a_moment().await;
    }
    assert!(!pause.is_finished(), "a transaction still runs");
    let (sqlstate, _) = other.refusal("PAUSE").await;
    assert_eq!(sqlstate, "55000");
    // What has begun goes on, and ends.
    busy.batch_execute("SELECT 2").await.unwrap();
    busy.batch_execute("COMMIT").await.unwrap();
    let console = pause.await.unwrap();
    let databases = console.rows("SHOW DATABASES").await.unwrap();
    assert_eq!(databases.at(0, "paused"), Some("1"));

    let held = tokio::spawn(async move { app.batch_execute("SELECT 3").await });
    let sessions = console.rows("SHOW SESSIONS").await.unwrap();
    let states: Vec<_> = (0..sessions.rows.len())
        .map(|row| sessions.at(row, "state"))
        .collect();
    assert!(
        states.iter().all(|state| *state == Some("idle")),
        "{states:?}"
    );
    assert!(!held.is_finished());
    console.rows("RESUME").await.unwrap();
    held.await.unwrap().unwrap();
    busy.batch_execute("SELECT 4").await.unwrap();
    console.rows("RESUME").await.unwrap();
    let told = console.notices();
    assert_eq!(
        told.last().map(String::as_str),
        Some("nobody was held back")
    );
}

#[tokio::test]
async fn a_pause_ends_by_itself_and_a_cancel_request_ends_one_that_waits() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "short", "pause_max_ms = 200\n")
        .await
        .unwrap();
    let console = Console::operator(&proxy).await.unwrap();
    let app = proxy.client().await.unwrap();
    console.rows("PAUSE").await.unwrap();
    // Nobody says RESUME.
    app.batch_execute("SELECT 1").await.unwrap();
    app.batch_execute("BEGIN; SELECT 1").await.unwrap();
    let (sqlstate, words) = console.refusal("PAUSE").await;
    assert_eq!(sqlstate, "57014", "{words}");
    app.batch_execute("COMMIT").await.unwrap();
    drop(proxy);

    let proxy = console::serving(&world, "long", "pause_max_ms = 600000\n")
        .await
        .unwrap();
    let console = Console::operator(&proxy).await.unwrap();
    let app = proxy.client().await.unwrap();
    app.batch_execute("BEGIN; SELECT 1").await.unwrap();
    let cancel = console.client.cancel_token();
    let pause = tokio::spawn(async move { console.refusal("PAUSE").await });
    let other = Console::viewer(&proxy).await.unwrap();
    loop {
        let state = other.rows("SHOW STATE").await.unwrap();
        if state.at(state.find("key", "paused"), "value") == Some("yes") {
            break;
        }
        a_moment().await;
    }
    cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
    assert_eq!(pause.await.unwrap().0, "57014");
    app.batch_execute("COMMIT").await.unwrap();
    app.batch_execute("SELECT 2").await.unwrap();
}

#[tokio::test]
async fn drivers_that_know_no_other_protocol_than_the_extended_one_read_the_types() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "typed", "").await.unwrap();
    let console = Console::viewer(&proxy).await.unwrap();
    let _app = proxy.client().await.unwrap();
    // The binary format, which tokio-postgres asks for.
    let row = console.client.query("SHOW SESSIONS", &[]).await.unwrap();
    let id: i64 = row[0].get("id");
    let user: &str = row[0].get("user");
    let tls: bool = row[0].get("tls");
    let connected: std::time::SystemTime = row[0].get("connected");
    assert!(id > 0 && !tls);
    assert_eq!(user, "app");
    assert!(connected.elapsed().is_ok());
    let p99 = console.client.query("SHOW INSTANCES", &[]).await.unwrap();
    let _: Option<f64> = p99[0].get("p99_ms");
    let one = console.client.query_one("SELECT 1", &[]).await.unwrap();
    assert_eq!(one.get::<_, i64>(0), 1);
    let error = console
        .client
        .query("SHOW NONSENSE", &[])
        .await
        .unwrap_err();
    assert_eq!(console::told(&error).0, "42601");
    console.client.query_one("SHOW VERSION", &[]).await.unwrap();

    for driver in ["psycopg", "psycopg2", "asyncpg", "pg8000"] {
        let url = proxy.url_as("bob:viewer", "crossfade");
        let said = python("console.py", &[driver, &url]).await.unwrap();
        assert!(said.succeeded, "{driver}:\n{}{}", said.output, said.errors);
        assert!(
            said.output.contains("iso_agents legacy_only"),
            "{driver}: {}",
            said.output
        );
        assert!(
            said.output.ends_with("42601\n"),
            "{driver}: {}",
            said.output
        );
    }
}
