//! The same bytes to the server and to the proxy are answered by the same bytes.

use crossfade_testbed::Postgres;
use tokio::io::AsyncWriteExt;

use crate::raw::{Message, Proxy, Raw, extended, frame, query};

/// Each is sent at once, behind each other, and ends with Terminate.
fn scripts() -> Vec<Vec<u8>> {
    let sync = frame('S', b"");
    let all = vec![
        vec![query("SELECT 1; SELECT 'two' AS b; ; SELECT 1/0; SELECT 3")],
        vec![
            query(""),
            query("BEGIN"),
            query("SELECT 1"),
            query("nonsense"),
            query("COMMIT"),
        ],
        vec![
            extended("SELECT 1"),
            extended("SELECT nope"),
            extended("SELECT 2"),
            sync.clone(),
        ],
        vec![
            extended("SELECT generate_series(1, 1000)"),
            frame('H', b""),
            frame('P', b"s\0SELECT $1::int + $2\0\0\x01\0\0\0\x17"),
            frame('D', b"Ss\0"),
            frame('B', b"p\0s\0\0\0\0\x02\0\0\0\x011\0\0\0\x012\0\x01\0\x01"),
            frame('D', b"Pp\0"),
            frame('E', b"p\0\0\0\0\0"),
            frame('P', b"s\0SELECT 1\0\0\0"),
            query("SELECT 'never read'"),
            sync.clone(),
            frame('C', b"Ss\0"),
            frame('C', b"Snone\0"),
            sync.clone(),
        ],
        vec![
            frame('P', b"\0SELECT generate_series(1, 10)\0\0\0"),
            frame('B', b"p\0\0\0\0\0\0\0\0"),
            frame('E', b"p\0\0\0\0\x03"),
            frame('E', b"p\0\0\0\0\x03"),
            frame('E', b"p\0\0\0\0\0"),
            frame('E', b"none\0\0\0\0\0"),
            sync.clone(),
        ],
        vec![
            query("CREATE TEMP TABLE t (a int)"),
            extended("COPY t FROM STDIN"),
            sync.clone(),
            frame('d', b"1\n2\n"),
            frame('c', b""),
            sync.clone(),
            extended("COPY t FROM STDIN"),
            frame('d', b"wrong\n"),
            frame('d', b"more\n"),
            frame('c', b""),
            sync.clone(),
            query("COPY t FROM STDIN"),
            frame('d', b"3\n"),
            frame('f', b"enough\0"),
            query("COPY t TO STDOUT"),
            query("SELECT count(*) FROM t"),
        ],
        vec![
            query("CREATE TEMP TABLE d (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"),
            extended("INSERT INTO d VALUES (1), (1)"),
            sync.clone(),
            query("SELECT count(*) FROM d"),
        ],
        vec![
            query("LISTEN c"),
            query("NOTIFY c, 'payload'"),
            query("DO $$BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'there'; END$$"),
            query("SET TimeZone TO 'Europe/Vienna'"),
            query("SET client_encoding TO 'LATIN1'"),
            frame('Q', b"SELECT '\xe9'\0"),
        ],
        vec![frame('F', b"\0\0\x05\x22\0\0\0\0\0\0"), query("SELECT 1")],
        vec![query("SELECT repeat('x', 300000), generate_series(1, 3)")],
    ];
    all.into_iter().map(|script| script.concat()).collect()
}

async fn answers(address: &str, script: &[u8], chunk: usize) -> Vec<Message> {
    let mut raw = Raw::session(address).await;
    let bytes = [script, &frame('X', b"")].concat();
    for part in bytes.chunks(chunk) {
        raw.stream.write_all(part).await.expect("send");
    }
    let mut all = raw.rest().await;
    for message in &mut all {
        if message.tag == 'A' {
            // The sender's process id is not the same in two sessions.
            message.body[..4].fill(0);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_is_answered_as_the_server_answers_it() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    for (number, script) in scripts().iter().enumerate() {
        let direct = answers(&postgres.address(), script, usize::MAX).await;
        assert!(direct.iter().any(|m| m.tag == 'Z'), "script {number}");
        for chunk in [usize::MAX, 1, 7] {
            let relayed = answers(&proxy.address, script, chunk).await;
            assert_eq!(relayed, direct, "script {number} in chunks of {chunk}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_closes_its_sending_half_still_gets_its_answer() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    let mut raw = Raw::session(&proxy.address).await;
    raw.send(&query("SELECT pg_sleep(0.1), 42")).await;
    raw.stream.shutdown().await.expect("half-close");
    let tags: String = raw.rest().await.iter().map(|m| m.tag).collect();
    assert_eq!(tags, "TDCZ");
}
