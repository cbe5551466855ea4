//! What strangers and clients may take, and what they are told when it is too much.

use crossfade_tests::alone::is_alone;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossfade_testbed::Postgres;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::raw::{Proxy, Raw, frame, query, startup};
use crossfade_tests::control::a_moment;

/// A server that takes connections and never says a word.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    (listener, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_so_many_sessions_and_gets_room_when_one_ends() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| {
        config.limits.connections_per_address_max = 1;
    })
    .await;
    let mut first = Raw::session(&proxy.address).await;
    let mut second = Raw::dial(&proxy.address).await;
    second.send(&startup()).await;
    let told = second.rest().await;
    assert_eq!(told[0].field('C'), "53300");
    assert!(told[0].field('H').contains("connections_per_address_max"));
    first.send(&frame('X', b"")).await;
    assert_eq!(first.rest().await, []);
    // The place is given back right after the socket is closed: ask until it is.
    loop {
        let mut next = Raw::dial(&proxy.address).await;
        next.send(&startup()).await;
        if next.until('Z').await.last().is_some_and(|m| m.tag == 'Z') {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_strangers_make_room_and_shut_nobody_out() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| {
        config.limits.handshakes_max = 20;
        config.limits.handshakes_per_address_max = 10;
        // They would be told in time, after this test.
        config.limits.startup_timeout_ms = 600_000;
    })
    .await;
    let mut guest = Raw::session(&proxy.address).await;
    // They say nothing, and so stay strangers.
    let mut strangers = Vec::new();
    for _ in 0..40 {
        strangers.push(Raw::dial(&proxy.address).await);
    }
    let mut next = Raw::session(&proxy.address).await;
    assert_eq!(next.query("SELECT 1").await.len(), 4);
    assert_eq!(guest.query("SELECT 1").await.len(), 4);
    assert_eq!(strangers[0].rest().await, [], "the oldest one is sent away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_that_have_said_what_they_want_are_not_displaced() {
    let (listener, address) = silent().await;
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| {
        config.upstream.0 = address;
        config.limits.handshakes_max = 1;
    })
    .await;
    let mut stranger = Raw::dial(&proxy.address).await;
    stranger.send(&startup()).await;
    // It has been heard when the server is asked.
    let (_server, _) = listener.accept().await.expect("accept");
    let mut refused = Raw::dial(&proxy.address).await;
    assert_eq!(refused.last_error().await, "53300");
}

/// Sends all but the last byte of a long statement, as far as it is taken, and tells the bytes.
async fn nearly_whole(address: &str, statement: &'static [u8], sent: Arc<AtomicUsize>) -> Raw {
    let mut raw = Raw::session(address).await;
    for piece in statement[..statement.len() - 1].chunks(1 << 16) {
        raw.send(piece).await;
        sent.fetch_add(piece.len(), Ordering::Relaxed);
    }
    raw
}

/// One for all that send it: its copies are then the proxy's.
fn long_statement(bytes: usize) -> &'static [u8] {
    query(&format!("SELECT length('{}')", "x".repeat(bytes))).leak()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_all_sessions_hold_of_long_statements_is_bounded() {
    if !is_alone("limits::what_all_sessions_hold_of_long_statements_is_bounded") {
        return;
    }
    const EACH: usize = 8 << 20;
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| {
        config.limits.held_bytes_total_max = 2 * EACH;
        // Nobody is refused before this test is over.
        config.limits.held_turn_timeout_ms = 600_000;
    })
    .await;
    let statement = long_statement(EACH);
    let sent = Arc::new(AtomicUsize::new(0));
    let before = most_resident_kb();
    let mut greedy = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let (address, sent) = (proxy.address.clone(), Arc::clone(&sent));
        greedy.spawn(async move { nearly_whole(&address, statement, sent).await });
    }
    // Until nothing moves any more. Were it to go on later, the others would only come early.
    let mut last = usize::MAX;
    while last != sent.load(Ordering::Relaxed) || last == 0 {
        last = sent.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mut small = Raw::session(&proxy.address).await;
    assert_eq!(
        small.query("SELECT 1").await.len(),
        4,
        "it waits for nobody"
    );
    let grown = most_resident_kb().saturating_sub(before) << 10;
    // The total, the statement whose turn it is, and what is ordinary of each.
    assert!(
        grown < 3 * EACH + (16 << 20),
        "{grown} bytes more were in use"
    );
    greedy.abort_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_makes_no_room_is_refused_and_the_others_come_to_their_end() {
    const EACH: usize = 1 << 20;
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| {
        config.limits.held_bytes_total_max = 2 * EACH;
        // Long enough for a busy machine to send one, and for each of the greedy ones a wait.
        config.limits.held_turn_timeout_ms = 2_000;
    })
    .await;
    let statement = long_statement(EACH);
    let mut greedy = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (address, sent) = (proxy.address.clone(), Arc::default());
        greedy.spawn(async move {
            let mut raw = nearly_whole(&address, statement, sent).await;
            raw.last_error().await
        });
    }
    // These wait their turn, and have it.
    let mut honest = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let address = proxy.address.clone();
        honest.spawn(async move {
            let mut raw = Raw::session(&address).await;
            raw.send(statement).await;
            let answers = raw.until('Z').await;
            answers
                .iter()
                .map(|message| message.tag)
                .collect::<String>()
        });
    }
    while let Some(tags) = honest.join_next().await {
        assert_eq!(tags.expect("it ends"), "TDCZ");
    }
    // Those that others waited for; whoever was alone at the end is left alone.
    let refused = greedy.join_next().await.expect("one").expect("it ends");
    assert_eq!(refused, "53200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_authenticate_in_time_is_told_so() {
    let (listener, address) = silent().await;
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| {
        config.upstream.0 = address;
        config.limits.authentication_timeout_ms = 100;
    })
    .await;
    let mut raw = Raw::dial(&proxy.address).await;
    raw.send(&startup()).await;
    assert_eq!(raw.last_error().await, "57014");
    drop(listener);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_authentication_no_message_may_be_large() {
    let (listener, address) = silent().await;
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| {
        config.upstream.0 = address;
        config.limits.authentication_bytes_max = 100;
    })
    .await;
    for tag in ['Q', 'P', 'B', 'F', 'd', 'p'] {
        let mut raw = Raw::dial(&proxy.address).await;
        raw.send(&startup()).await;
        raw.send(&frame(tag, &[b'x'; 97])).await;
        assert_eq!(raw.last_error().await, "54000", "{tag}");
    }
    drop(listener);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_authentication_each_type_has_a_limit_of_its_own() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| {
        config.limits.names_bytes_max = 100;
        config.limits.statement_bytes_max = 200;
        config.limits.values_bytes_max = 300;
    })
    .await;
    for (tag, bytes) in [
        ('D', 100),
        ('E', 100),
        ('C', 100),
        ('Q', 200),
        ('P', 200),
        ('B', 300),
        ('d', 300),
    ] {
        let mut raw = Raw::session(&proxy.address).await;
        raw.send(&frame(tag, &vec![b'x'; bytes - 3])).await;
        assert_eq!(raw.last_error().await, "54000", "{tag}");
    }
    let mut raw = Raw::session(&proxy.address).await;
    let answers = raw.query(&format!("SELECT '{}'", "x".repeat(180))).await;
    assert_eq!(answers.len(), 4, "one within the limit passes");
}

/// Whether a connection from this local port has a keepalive timer running, by the
/// kernel's own table: column `tr`, where 02 is keepalive.
fn kept_alive(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("table");
    let port = format!(":{port:04X}");
    table.lines().skip(1).any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let address = fields[1];
        fields[3] == "01" && address.ends_with(&port) && fields[5].starts_with("02")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_probes_both_sides_for_life() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start(&postgres).await;
    let mut raw = Raw::session(&proxy.address).await;
    let backend = raw.query("SELECT inet_client_port()").await;
    let towards_server = String::from_utf8_lossy(&backend[1].body[6..]).into_owned();
    let (_, towards_client) = proxy.address.rsplit_once(':').expect("port");
    for port in [towards_client, towards_server.as_str()] {
        let port = port.parse().expect("port");
        // Another timer is shown until the last bytes are acknowledged.
        while !kept_alive(port) {
            a_moment().await;
        }
    }
}

/// A server of the test's own: answers the startup packet, and the first query with these bytes.
async fn hostile(answer: Vec<u8>) -> String {
    let (listener, address) = silent().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut packet = vec![0; startup().len()];
                stream.read_exact(&mut packet).await?;
                stream.write_all(&frame('R', &[0; 4])).await?;
                stream.write_all(&frame('Z', b"I")).await?;
                // Whole: closing with bytes unread would reset what was answered.
                let mut asked = vec![0; query("SELECT 1").len()];
                stream.read_exact(&mut asked).await?;
                stream.write_all(&answer).await?;
                stream.shutdown().await
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_server_hurts_only_its_own_session() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let row = frame('D', b"\0\x01\0\0\0\x01x");
    let notice = frame('N', b"SNOTICE\0C00000\0Mflood\0\0");
    for (what, answer, sqlstate) in [
        ("garbage", vec![0xee; 500], "XX000"),
        ("a length that lies", vec![b'Z', 0, 0, 0, 3, b'I'], "XX000"),
        ("an answer to nothing", frame('1', b""), "XX000"),
        (
            "two ready for one",
            [frame('Z', b"I"), frame('Z', b"I")].concat(),
            "XX000",
        ),
        ("rows without an end", row.repeat(100_000), "08006"),
        ("notices without an end", notice.repeat(100_000), "08006"),
        ("silence", Vec::new(), "08006"),
    ] {
        let upstream = hostile(answer).await;
        let proxy = Proxy::start_with(&postgres, |config| config.upstream.0 = upstream).await;
        let mut bystander = Raw::session(&proxy.address).await;
        let mut raw = Raw::session(&proxy.address).await;
        raw.send(&query("SELECT 1")).await;
        assert_eq!(raw.last_error().await, sqlstate, "{what}");
        // The other session is still there: its own answer comes, whatever it is.
        bystander.send(&query("SELECT 1")).await;
        assert!(bystander.message().await.is_some(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_in_the_middle_of_a_message_adds_no_bytes_to_it() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let upstream = hostile(vec![b'D', 0, 0, 0, 100, 0, 1]).await;
    let proxy = Proxy::start_with(&postgres, |config| config.upstream.0 = upstream).await;
    let mut raw = Raw::session(&proxy.address).await;
    raw.send(&query("SELECT 1")).await;
    let mut came = Vec::new();
    raw.stream.read_to_end(&mut came).await.expect("closed");
    assert_eq!(
        came,
        [b'D', 0, 0, 0, 100, 0, 1],
        "an error in it would be taken for its values"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocol_3_2_and_its_long_cancel_keys_pass_as_they_are() {
    let (listener, address) = silent().await;
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let proxy = Proxy::start_with(&postgres, |config| config.upstream.0 = address).await;
    let mut packet = startup();
    packet[4..8].copy_from_slice(&0x0003_0002_u32.to_be_bytes());
    let mut raw = Raw::dial(&proxy.address).await;
    raw.send(&packet).await;
    let (mut server, _) = listener.accept().await.expect("accept");
    let mut came = vec![0; packet.len()];
    server.read_exact(&mut came).await.expect("startup");
    assert_eq!(came, packet);
    let key = [&7_u32.to_be_bytes()[..], &[0xab; 256]].concat();
    let greeting = [
        frame('v', b"\0\x03\0\0\0\0\0\x01_pq_.x\0"),
        frame('R', &[0; 4]),
        frame('K', &key),
        frame('Z', b"I"),
    ];
    server
        .write_all(&greeting.concat())
        .await
        .expect("greeting");
    let tags: Vec<_> = raw.until('Z').await;
    assert_eq!(tags.iter().map(|m| m.tag).collect::<String>(), "vRKZ");
    assert_eq!(tags[2].body, key);

    let code = 80_877_102_u32.to_be_bytes();
    let length = (8 + key.len() as u32).to_be_bytes();
    let cancel = [&length[..], &code, &key].concat();
    let mut canceller = TcpStream::connect(&proxy.address).await.expect("connect");
    canceller.write_all(&cancel).await.expect("send");
    let (mut server, _) = listener.accept().await.expect("accept");
    let mut came = vec![0; cancel.len()];
    server.read_exact(&mut came).await.expect("cancel");
    assert_eq!(came, cancel);
}

/// A server that floods whoever asks it something, as long as what it says is taken; and how much
/// of it was.
async fn flooding(message: Vec<u8>, bytes: usize) -> (String, Arc<AtomicUsize>) {
    let (listener, address) = silent().await;
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut packet = vec![0; startup().len()];
        stream.read_exact(&mut packet).await?;
        stream.write_all(&frame('R', &[0; 4])).await?;
        stream.write_all(&frame('Z', b"I")).await?;
        let mut asked = vec![0; query("SELECT 1").len()];
        stream.read_exact(&mut asked).await?;
        while counted.load(Ordering::Relaxed) < bytes {
            for piece in message.chunks(1 << 16) {
                stream.write_all(piece).await?;
                counted.fetch_add(piece.len(), Ordering::Relaxed);
            }
        }
        stream.write_all(&frame('C', b"SELECT 1\0")).await?;
        stream.write_all(&frame('Z', b"I")).await?;
        // Until the client has gone.
        stream.read(&mut asked).await
    });
    (address, taken)
}

/// The most memory that this process has ever used.
fn most_resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    number.and_then(|kb| kb.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_fills_no_memory_while_the_client_does_not_read() {
    if !is_alone("limits::a_flood_fills_no_memory_while_the_client_does_not_read") {
        return;
    }
    // More than the kernel keeps for the two connections, and what is allowed here, together.
    const FLOOD: usize = 64 << 20;
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let row = [&b"\0\x01\0\x7f\xff\xfa"[..], &vec![b'x'; 0x7f_fffa]].concat();
    let long = [b'x'; 1000];
    for (what, message) in [
        (
            "notices",
            frame('N', &[b"SNOTICE\0C00000\0M", &long[..], b"\0\0"].concat()),
        ),
        (
            "settings",
            frame('S', &[b"TimeZone\0", &long[..], b"\0"].concat()),
        ),
        (
            "notifications",
            frame('A', &[b"\0\0\0\x01c\0", &long[..], b"\0"].concat()),
        ),
        (
            "rows",
            frame('D', &[b"\0\x01\0\0\x03\xe8", &long[..]].concat()),
        ),
        ("rows of 8 MiB", frame('D', &row)),
        ("notices of 8 MiB", frame('N', &row)),
    ] {
        let (upstream, taken) = flooding(message.clone(), FLOOD).await;
        let proxy = Proxy::start_with(&postgres, |config| config.upstream.0 = upstream).await;
        let mut raw = Raw::session(&proxy.address).await;
        let before = most_resident_kb();
        raw.send(&query("SELECT 1")).await;
        // Until nothing moves any more. Were it to go on later, the client would only begin early.
        let mut last = usize::MAX;
        while last != taken.load(Ordering::Relaxed) || last == 0 {
            last = taken.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let mut came = 0;
        let mut buffer = vec![0; 1 << 16];
        while taken.load(Ordering::Relaxed) < FLOOD {
            let read = raw.stream.read(&mut buffer).await.expect("read");
            assert_ne!(read, 0, "{what}: the session ended");
            came += read;
        }
        assert!(came > 0, "{what}: all of it was taken while nobody read");
        let grown = most_resident_kb().saturating_sub(before);
        assert!(grown < 24 << 10, "{what}: {grown} kB more were in use");
    }
}
