//! Large values pass without being held, and idle sessions are small. One test, for both look at
//! the memory of this process.

use crossfade_testbed::Postgres;
use crossfade_tests::alone::is_alone;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::raw::{Proxy, Raw, extended, frame, query};

const VALUE_BYTES: usize = 100_000_000;

/// Resident memory of this process in KB: now, or at its highest.
fn resident_kb(key: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with(key));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.expect("a number").parse().expect("KB")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_100_mb_pass_and_idle_sessions_take_less_than_32_kb() {
    if !is_alone("wire::size::values_of_100_mb_pass_and_idle_sessions_take_less_than_32_kb") {
        return;
    }
    let settings = [("max_connections", "450")];
    let postgres = Postgres::start_with(&settings).await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;

    let mut raw = Raw::session(&proxy.address).await;
    let before = resident_kb("VmRSS");
    large_result(&mut raw).await;
    large_value(&mut raw).await;
    let grown = resident_kb("VmHWM").saturating_sub(before);
    assert!(grown < 20_000, "grew by {grown} KB");

    // Prepared statements included, as a driver leaves them behind.
    const SESSIONS: usize = 400;
    let before = resident_kb("VmRSS");
    let mut idle = Vec::new();
    for _ in 0..SESSIONS {
        let mut raw = Raw::session(&proxy.address).await;
        raw.send(&[extended("SELECT 1"), frame('S', b"")].concat())
            .await;
        raw.until('Z').await;
        idle.push(raw);
    }
    let each = resident_kb("VmRSS").saturating_sub(before) / SESSIONS;
    assert!(each < 32, "{each} KB for each session");
    assert_eq!(
        proxy.shared.counters.totals().sessions_open,
        SESSIONS as u64 + 1
    );
}

/// Read as it comes, so that this end does not hold it either.
async fn large_result(raw: &mut Raw) {
    let sql = format!("SELECT repeat('x', {VALUE_BYTES})");
    raw.send(&query(&sql)).await;
    let description = raw.message().await.expect("RowDescription");
    assert_eq!(description.tag, 'T');
    // Type, length, one column, and the value's own length.
    let mut head = [0; 11];
    raw.stream.read_exact(&mut head).await.expect("DataRow");
    assert_eq!(head[0], b'D');
    let mut chunk = [0; 10_000];
    for _ in 0..VALUE_BYTES / chunk.len() {
        raw.stream.read_exact(&mut chunk).await.expect("value");
    }
    assert_eq!(chunk, [b'x'; 10_000]);
    let tags: String = raw.until('Z').await.iter().map(|m| m.tag).collect();
    assert_eq!(tags, "CZ");
}

/// A Bind whose one parameter is large.
async fn large_value(raw: &mut Raw) {
    raw.send(&frame('P', b"\0SELECT length($1::text)\0\0\0"))
        .await;
    let names_and_counts = b"\0\0\0\0\0\x01";
    let length = 4 + names_and_counts.len() + 4 + VALUE_BYTES + 2;
    let mut head = vec![b'B'];
    head.extend_from_slice(&(length as u32).to_be_bytes());
    head.extend_from_slice(names_and_counts);
    head.extend_from_slice(&(VALUE_BYTES as u32).to_be_bytes());
    raw.send(&head).await;
    let part = [b'y'; 10_000];
    for _ in 0..VALUE_BYTES / part.len() {
        raw.stream.write_all(&part).await.expect("send");
    }
    raw.send(&[b"\0\0".to_vec(), frame('E', b"\0\0\0\0\0"), frame('S', b"")].concat())
        .await;
    let answers = raw.until('Z').await;
    let row = answers.iter().find(|m| m.tag == 'D').expect("a row");
    assert!(row.body.ends_with(VALUE_BYTES.to_string().as_bytes()));
}
