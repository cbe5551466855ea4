//! Clients that break the protocol, or stall, harm nobody but themselves.

use crossfade::testbed::Postgres;

use crate::raw::{Proxy, Raw, frame, query};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_startup_packets_get_a_clean_error() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    for (packet, sqlstate) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "08P01"),
        (&[0, 0, 0, 7, 0, 3, 0, 0], "08P01"),
        (&[0, 0, 0, 8, 0, 2, 0, 0], "0A000"),
        (&[0, 0, 0, 12, 0, 3, 0, 0, b'u', b's', b'e', b'r'], "08P01"),
        (&[0x16, 3, 1, 2, 0, 1, 0, 1], "08P01"),
    ] {
        let mut raw = Raw::dial(&proxy.address).await;
        raw.send(packet).await;
        assert_eq!(raw.last_error().await, sqlstate, "{packet:?}");
    }
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
