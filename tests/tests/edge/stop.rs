//! Stopping, handing the port to a successor, socket files, and what a supervisor is told.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crossfade_testbed::Postgres;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::raw::{Proxy, Raw, frame, query, startup};
use crossfade_tests::control::a_moment;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_outlasts_the_drain_is_ended_with_a_word() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| config.limits.drain_timeout_ms = 100).await;
    let mut open = Raw::session(&proxy.address).await;
    open.query("BEGIN").await;
    let mut running = Raw::session(&proxy.address).await;
    running.send(&query("SELECT pg_sleep(60)")).await;
    let stopped = proxy.stop();
    assert_eq!(open.last_error().await, "57P01");
    assert_eq!(running.last_error().await, "57P01");
    stopped.await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_just_come_still_gets_the_first_transaction() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    let mut served = Raw::session(&proxy.address).await;
    served.query("SELECT 1").await;
    let mut new = Raw::session(&proxy.address).await;
    let stopped = proxy.stop();
    assert_eq!(served.last_error().await, "57P01");
    assert_eq!(new.query("SELECT 1").await.len(), 4);
    assert_eq!(new.last_error().await, "57P01");
    stopped.await.expect("stopped");
}

/// One connection and one transaction after the other, over whoever listens.
async fn come_and_go(address: String, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    while !stop.load(SeqCst) {
        let stream = TcpStream::connect(&address).await.expect("refused");
        stream.set_nodelay(true).expect("nodelay");
        let mut raw = Raw { stream };
        raw.send(&startup()).await;
        let greeting = raw.until('Z').await;
        assert_eq!(greeting.last().map(|m| m.tag), Some('Z'), "{greeting:?}");
        for sql in ["BEGIN", "INSERT INTO t VALUES (1)", "COMMIT"] {
            let answers = raw.query(sql).await;
            assert_eq!(
                answers.first().map(|m| m.tag),
                Some('C'),
                "{sql}: {answers:?}"
            );
        }
        done.fetch_add(1, SeqCst);
    }
}

/// Transactions over a connection that stays; closed between two of them it connects anew.
async fn stay(address: String, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    let mut raw = Raw::session(&address).await;
    while !stop.load(SeqCst) {
        // Told before its BEGIN was taken, nothing is lost.
        if raw.stream.write_all(&query("BEGIN")).await.is_err()
            || raw.until('Z').await.first().is_none_or(|m| m.tag != 'C')
        {
            raw = Raw::session(&address).await;
            continue;
        }
        for sql in ["INSERT INTO t VALUES (2)", "COMMIT"] {
            let answers = raw.query(sql).await;
            assert_eq!(
                answers.first().map(|m| m.tag),
                Some('C'),
                "{sql}: {answers:?}"
            );
        }
        done.fetch_add(1, SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_changes_hands_under_load_without_a_refusal_or_a_broken_transaction() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let admin = postgres.connect("postgres").await.expect("connect");
    admin
        .batch_execute("CREATE TABLE t (a int)")
        .await
        .expect("table");
    let mut proxy = Proxy::start_with(&postgres, |config| config.reuse_port = true).await;
    let address = proxy.address.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        clients.spawn(come_and_go(
            address.clone(),
            Arc::clone(&stop),
            Arc::clone(&done),
        ));
        clients.spawn(stay(address.clone(), Arc::clone(&stop), Arc::clone(&done)));
    }
    for _ in 0..3 {
        let next = Proxy::start_with(&postgres, |config| {
            config.listen.0.clone_from(&address);
            config.reuse_port = true;
        })
        .await;
        let old = std::mem::replace(&mut proxy, next);
        let before = done.load(SeqCst);
        old.stop().await.expect("stopped");
        // The successor alone must have served some before it is replaced in turn.
        let now = done.load(SeqCst);
        while done.load(SeqCst) < now + 50 {
            a_moment().await;
            if let Some(ended) = clients.try_join_next() {
                panic!("a client failed after {before} transactions: {ended:?}");
            }
        }
    }
    stop.store(true, SeqCst);
    while let Some(client) = clients.join_next().await {
        client.expect("no refusal and no broken transaction");
    }
    let rows: i64 = admin
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .expect("count")
        .get(0);
    assert_eq!(rows as usize, done.load(SeqCst), "each transaction once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_reuse_port_a_second_proxy_is_told_that_the_port_is_taken() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    let mut config = crossfade::config::Config::default();
    config.listen.0.clone_from(&proxy.address);
    let error = crossfade::server::Server::bind(config)
        .await
        .expect_err("taken");
    assert!(error.to_string().contains(&proxy.address), "{error}");
}

async fn over_socket(path: &std::path::Path, sql: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).await.expect("connect");
    let request = [startup(), query(sql), frame('X', b"")].concat();
    stream.write_all(&request).await.expect("send");
    let mut came = Vec::new();
    stream.read_to_end(&mut came).await.expect("answer");
    came
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_files_are_served_beside_tcp_and_reach_a_server_by_one() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("s");
    let (_, port) = postgres
        .address()
        .rsplit_once(':')
        .map(|(h, p)| (h.to_owned(), p.to_owned()))
        .expect("port");
    let upstream = postgres
        .socket_dir()
        .expect("a socket")
        .join(format!(".s.PGSQL.{port}"));
    let proxy = Proxy::start_with(&postgres, |config| {
        config.listen.0 = format!("127.0.0.1:0, unix:{}", path.display());
        config.upstream.0 = format!("unix:{}", upstream.display());
        config.unix_socket_permissions.0 = "0700".to_owned();
    })
    .await;
    let mode = path.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let sql = "SELECT 'by socket', inet_client_addr() IS NULL";
    let came = over_socket(&path, sql).await;
    let text = String::from_utf8_lossy(&came).into_owned();
    assert!(text.contains("by socket\0\0\0\u{1}t"), "{text:?}");
    let mut tcp = Raw::session(&proxy.address).await;
    assert_eq!(tcp.query("SELECT 1").await.len(), 4);
    tcp.send(&frame('X', b"")).await;
    proxy.stop().await.expect("stopped");
    assert!(!path.exists(), "the file is removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_file_is_taken_over_and_left_to_the_successor() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("s");
    let config = |config: &mut crossfade::config::Config| {
        config.listen.0 = format!("unix:{}", path.display());
        config.reuse_port = true;
    };
    let first = Proxy::start_with(&postgres, config).await;
    let second = Proxy::start_with(&postgres, config).await;
    first.stop().await.expect("stopped");
    assert!(path.exists());
    let came = over_socket(&path, "SELECT 'still here'").await;
    assert!(String::from_utf8_lossy(&came).contains("still here"));
    second.stop().await.expect("stopped");
    // A file that is no socket is somebody else's.
    std::fs::write(&path, "text").expect("write");
    let mut taken = crossfade::config::Config::default();
    config(&mut taken);
    assert!(crossfade::server::Server::bind(taken).await.is_err());
}
