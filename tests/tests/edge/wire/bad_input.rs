//! Clients that break the protocol, or stall, harm nobody but themselves.

use crossfade_testbed::Postgres;

use crate::raw::{Message, Proxy, Raw, frame, query};

/// What PostgreSQL answers to bytes that begin no session: all of it, until it closes.
async fn answer_to(address: &str, bytes: &[u8]) -> Vec<Message> {
    let mut raw = Raw::dial(address).await;
    raw.send(bytes).await;
    raw.rest().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_startup_packet_is_answered_as_postgresql_answers_it() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    let terminate = [b'X', 0, 0, 0, 4];
    let too_long = [0, 1, 0, 0, 0, 3, 0, 0];
    let too_short = [0, 0, 0, 7, 0, 3, 0, 0];
    let without_end = [0, 0, 0, 13, 0, 3, 0, 0, b'u', b's', b'e', b'r', b'x'];
    for (what, bytes) in [
        ("a client that ends before it has begun", &terminate[..]),
        ("a browser", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (
            "a client that begins with TLS",
            &[0x16, 3, 1, 2, 0, 1, 0, 1],
        ),
        ("a packet that is too long", &too_long),
        ("a packet that is too short", &too_short),
        ("a packet whose parameters have no end", &without_end),
    ] {
        let fields = |messages: &[Message]| -> Vec<(String, String)> {
            let errors = messages.iter();
            errors.map(|m| (m.field('C'), m.field('M'))).collect()
        };
        let straight = fields(&answer_to(&postgres.address(), bytes).await);
        let through = fields(&answer_to(&proxy.address, bytes).await);
        assert_eq!(through, straight, "{what}");
    }
    // Whose words speak of versions.
    let mut raw = Raw::dial(&proxy.address).await;
    raw.send(&[0, 0, 0, 8, 0, 2, 0, 0]).await;
    assert_eq!(raw.last_error().await, "0A000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stalls_in_startup_is_closed() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| {
        config.limits.startup_timeout_ms = 100;
    })
    .await;
    let mut raw = Raw::dial(&proxy.address).await;
    raw.send(&[0, 0, 0, 30, 0, 3]).await;
    assert_eq!(raw.rest().await, []);
    // One that had its startup is not meant.
    let mut idle = Raw::session(&proxy.address).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(idle.query("SELECT 1").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_message_ends_its_session_and_no_other() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| {
        config.limits.statement_bytes_max = 1000;
    })
    .await;
    let mut bystander = Raw::session(&proxy.address).await;
    bystander.query("BEGIN").await;
    for (bytes, sqlstate) in [
        (frame('z', b""), "08P01"),
        (vec![b'Q', 0, 0, 0, 3], "08P01"),
        (vec![b'Q', 0xff, 0xff, 0xff, 0xff], "54000"),
        (query(&"x".repeat(1000)), "54000"),
        (frame('Q', b"no NUL"), "08P01"),
        (frame('P', b"\0SELECT 1\0\0\x05\0"), "08P01"),
        (frame('B', b"no names"), "08P01"),
        (frame('D', b"?\0"), "08P01"),
        (frame('E', b"\0"), "08P01"),
    ] {
        let mut raw = Raw::session(&proxy.address).await;
        raw.send(&bytes).await;
        assert_eq!(raw.last_error().await, sqlstate, "{bytes:?}");
    }
    let answers = bystander.query("COMMIT").await;
    assert_eq!(answers[0].body, b"COMMIT\0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_too_many_is_told_so() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| config.limits.connections_max = 1).await;
    let _first = Raw::session(&proxy.address).await;
    let mut second = Raw::dial(&proxy.address).await;
    second.send(&crate::raw::startup()).await;
    assert_eq!(second.last_error().await, "53300");
}
