//! A server that is away, comes back, or loses a session; a proxy that shuts down; a cancel.

use crossfade_testbed::Postgres;
use crossfade_testbed::process::{self, Signal};
use crossfade_tests::control::a_moment;
use tokio_postgres::NoTls;

use crate::raw::{Proxy, Raw, query, startup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_away_clients_are_told_and_later_served() {
    let mut postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| config.limits.upstream_wait_ms = 0).await;
    let mut before = Raw::session(&proxy.address).await;
    postgres.stop().await.expect("stop");
    assert_eq!(before.last_error().await, "57P01", "the server's own words");

    let mut during = Raw::dial(&proxy.address).await;
    during.send(&startup()).await;
    assert_eq!(during.last_error().await, "08006");

    postgres.start_again().await.expect("start");
    let mut after = Raw::session(&proxy.address).await;
    assert_eq!(after.query("SELECT 1").await.len(), 4);
}

async fn until_one_waits(proxy: &Proxy) {
    while proxy.shared.upstream.waiting() == 0 {
        a_moment().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_while_the_server_is_away_waits_for_it() {
    let mut postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    postgres.stop().await.expect("stop");
    let mut gives_up = Raw::dial(&proxy.address).await;
    gives_up.send(&startup()).await;
    until_one_waits(&proxy).await;
    drop(gives_up);
    while proxy.shared.upstream.waiting() > 0 {
        a_moment().await;
    }

    let mut waits = Raw::dial(&proxy.address).await;
    waits.send(&startup()).await;
    until_one_waits(&proxy).await;
    postgres.start_again().await.expect("start");
    waits.until('Z').await;
    assert_eq!(waits.query("SELECT 1").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_is_told_when_it_was_in_vain_and_when_the_proxy_ends() {
    let mut postgres = Postgres::start().await.expect("PostgreSQL");
    postgres.stop().await.expect("stop");
    let in_vain = Proxy::start_with(&postgres, |config| config.limits.upstream_wait_ms = 300).await;
    let mut raw = Raw::dial(&in_vain.address).await;
    raw.send(&startup()).await;
    assert_eq!(raw.last_error().await, "08006");

    let proxy = Proxy::start(&postgres).await;
    let mut raw = Raw::dial(&proxy.address).await;
    raw.send(&startup()).await;
    until_one_waits(&proxy).await;
    let stopped = proxy.stop();
    assert_eq!(raw.last_error().await, "57P01");
    stopped.await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_hosts_the_first_that_takes_connections_is_used_where_nobody_can_be_asked() {
    let mut first = Postgres::start().await.expect("PostgreSQL");
    let second = Postgres::start().await.expect("PostgreSQL");
    let hosts = format!("{}, {}", first.address(), second.address());
    let proxy = Proxy::start_with(&first, |config| config.upstream.0 = hosts).await;
    let port = |answer: Vec<crate::raw::Message>| {
        String::from_utf8_lossy(&answer[1].body[6..]).into_owned()
    };
    let ask = "SELECT inet_server_port()";
    let mut raw = Raw::session(&proxy.address).await;
    assert_eq!(port(raw.query(ask).await), first.port.to_string());
    first.stop().await.expect("stop");
    let mut raw = Raw::session(&proxy.address).await;
    assert_eq!(port(raw.query(ask).await), second.port.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_vanishes_without_a_word_is_a_lost_connection() {
    let mut postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    let mut raw = Raw::session(&proxy.address).await;
    let backend = raw.query("SELECT pg_backend_pid()").await;
    assert_eq!(backend[1].tag, 'D');
    let pid = String::from_utf8_lossy(&backend[1].body[6..]).into_owned();
    raw.send(&query("SELECT pg_sleep(60)")).await;
    process::send(pid.parse().expect("a process's number"), Signal::Kill).expect("kill");
    assert_eq!(raw.last_error().await, "08006");
    // Let recovery come to its end before the cluster is taken down.
    postgres.stop_immediate().await.expect("stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_reaches_the_statement_that_it_is_meant_for() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    let url = format!("postgres://postgres@{}/postgres", proxy.address);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("connect");
    tokio::spawn(connection);
    let cancel = client.cancel_token();
    let canceller = async {
        // The statement has to run before it can be cancelled.
        loop {
            let other = postgres.connect("postgres").await.expect("connect");
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'";
            let running: i64 = other.query_one(sql, &[]).await.expect("count").get(0);
            if running == 1 {
                break;
            }
        }
        cancel.cancel_query(NoTls).await.expect("cancel");
    };
    let (error, ()) = tokio::join!(client.batch_execute("SELECT pg_sleep(60)"), canceller);
    let error = error.expect_err("cancelled");
    assert_eq!(error.code().map(|code| code.code()), Some("57014"));
    client.batch_execute("SELECT 1").await.expect("goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_shutdown_a_transaction_may_finish_and_an_idle_session_ends() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    let mut idle = Raw::session(&proxy.address).await;
    idle.query("SELECT 1").await;
    let mut busy = Raw::session(&proxy.address).await;
    busy.query("BEGIN").await;
    let stopped = proxy.stop();
    assert_eq!(idle.last_error().await, "57P01");
    assert_eq!(busy.query("SELECT 1").await.len(), 4);
    assert_eq!(busy.query("COMMIT").await[0].body, b"COMMIT\0");
    assert_eq!(busy.last_error().await, "57P01");
    stopped.await.expect("stopped");
}
