//! The protocol's corners, straight and through the proxy with rules loaded: the same bytes come.

use crossfade_testbed::{Postgres, SUPERUSER};
use crossfade_tests::control::a_moment;
use crossfade_tests::line::Line;
use crossfade_tests::properties;
use crossfade_tests::properties::session::Fed;
use crossfade_tests::protocol_scripts::corpus::{FIXTURE, V3_0, V3_2, corpus};
use crossfade_tests::protocol_scripts::messages::{copy_done, query, startup_with, terminate};
use crossfade_tests::protocol_scripts::{Cut, Played, Script, Turn, Until};
use crossfade_tests::raw::Message;
use crossfade_tests::tap::{Tap, messages};
use crossfade_tests::{Proxy, newer};
use rewrite_rules::{Phase, RuleSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DATABASE: &str = "scripts";

async fn with_fixture() -> Line {
    with_fixture_and_cache(0).await
}

async fn with_fixture_and_cache(cached_statements: usize) -> Line {
    let line = Line::lay_with(DATABASE, cached_statements).await.unwrap();
    let client = line.world.postgres.connect(DATABASE).await.unwrap();
    client.batch_execute(FIXTURE).await.unwrap();
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_is_answered_as_the_server_answers_it() {
    let line = with_fixture().await;
    let (mut plays, mut answers) = (0, 0);
    for script in corpus(DATABASE) {
        let straight = script
            .play(line.world.postgres.port, Cut::Turns)
            .await
            .unwrap();
        let expected = straight.comparable();
        assert!(!expected.is_empty(), "{}", script.name);
        let cuts = if script.server_ends {
            vec![Cut::Turns]
        } else {
            vec![Cut::Turns, Cut::Bytes]
        };
        for cut in cuts {
            let through = script.play(line.client_side.port, cut).await.unwrap();
            line.passed_unaltered(script.name).await;
            assert_eq!(
                through.comparable(),
                expected,
                "{}, cut at {cut:?}",
                script.name
            );
            plays += 1;
            answers += expected.len();
        }
    }
    println!("{plays} scripts played, {answers} answers compared");
    assert!(
        plays > 80 && answers > 10_000,
        "{plays} scripts, {answers} answers"
    );
    let log = line.end();
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cache_changes_no_answer_of_any_script() {
    // Two: so that statements are also put out of it.
    for cached_statements in [2, 100] {
        let line = with_fixture_and_cache(cached_statements).await;
        for script in corpus(DATABASE) {
            let port = line.world.postgres.port;
            let straight = script.play(port, Cut::Turns).await.unwrap();
            let through = script.play(line.proxy.port, Cut::Turns).await.unwrap();
            assert_eq!(
                through.comparable(),
                straight.comparable(),
                "{}, {cached_statements} cached",
                script.name
            );
        }
        let log = line.end();
        assert!(!log.contains("ERROR"), "{log}");
    }
}

/// The conversation fed to a session, each turn of both sides in the pieces that `cut` makes.
fn refeed(
    rules: &RuleSet,
    played: &Played,
    cut: impl Fn(&[u8]) -> Vec<Vec<u8>>,
) -> (Vec<u8>, Vec<u8>) {
    let mut fed = Fed::new(rules.with_phase(None, Phase::DualWrite));
    fed.server(&played.greeting).unwrap();
    for (sent, came) in &played.turns {
        for piece in cut(sent) {
            fed.client(&piece).unwrap();
        }
        for piece in cut(came) {
            fed.server(&piece).unwrap();
        }
    }
    (fed.to_server, fed.to_client)
}

/// A turn longer than this is cut into pieces of every size, but not once at every byte.
const CUT_BYTES_MAX: usize = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_cut_at_any_byte_on_either_side_passes_the_session_unaltered() {
    let line = with_fixture().await;
    let rules = properties::reader::rules(1);
    assert_eq!(rules.migrations()[0].phase, Phase::DualWrite);
    let mut cuts = 0;
    for script in corpus(DATABASE) {
        let played = script
            .play(line.world.postgres.port, Cut::Turns)
            .await
            .unwrap();
        let sent = played.turns.iter().flat_map(|turn| &turn.0).copied();
        let came = played.turns.iter().flat_map(|turn| &turn.1);
        let came = played.greeting.iter().chain(came).copied();
        let expected: (Vec<u8>, Vec<u8>) = (sent.collect(), came.collect());
        for size in 1..40 {
            let outcome = refeed(rules, &played, |turn| {
                turn.chunks(size).map(<[u8]>::to_vec).collect()
            });
            assert!(outcome == expected, "{}: in pieces of {size}", script.name);
            cuts += 1;
        }
        // Every turn of either side is cut at once: each place of each turn comes up all the same.
        let turns = || {
            let sides = played.turns.iter();
            sides.flat_map(|(sent, came)| [sent.len(), came.len()])
        };
        let longest = turns().max().unwrap_or(0).min(CUT_BYTES_MAX);
        for place in 1..longest {
            let outcome = refeed(rules, &played, |turn| {
                let place = if place < turn.len() { place } else { 0 };
                vec![turn[..place].to_vec(), turn[place..].to_vec()]
            });
            assert!(outcome == expected, "{}: cut at {place}", script.name);
            cuts += turns().filter(|bytes| place < *bytes).count();
        }
    }
    println!("{cuts} ways to cut");
    assert!(cuts > 20_000, "{cuts}");
}

/// Everything up to and including a message of a type.
async fn until(stream: &mut TcpStream, came: &mut Vec<u8>, tag: u8) -> Vec<Message> {
    loop {
        let all = messages(came);
        if all.iter().any(|message| message.tag == tag) {
            came.clear();
            return all;
        }
        assert_ne!(
            stream.read_buf(came).await.unwrap(),
            0,
            "closed after {all:?}"
        );
    }
}

/// A session that sleeps is cancelled by its own key; what it is told. A key that is nearly right
/// has been tried before.
async fn cancelled(postgres: &Postgres, port: u16, version: u32) -> (usize, Vec<Message>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut came = Vec::new();
    let startup = startup_with(version, SUPERUSER, "postgres", &[]);
    stream.write_all(&startup).await.unwrap();
    let greeting = until(&mut stream, &mut came, b'Z').await;
    let key = greeting.into_iter().find(|message| message.tag == b'K');
    let key = key.expect("a cancel key").body;
    let text = "SELECT 'asleep', pg_sleep(600)";
    stream.write_all(&query(text)).await.unwrap();
    let watcher = postgres.connect("postgres").await.unwrap();
    let pid = i32::from_be_bytes(*key.first_chunk().unwrap());
    let asleep = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
    while watcher.query(asleep, &[&pid]).await.unwrap().is_empty() {
        a_moment().await;
    }
    let mut wrong = key.clone();
    *wrong.last_mut().unwrap() ^= 1;
    cancel(port, &wrong).await;
    assert!(!watcher.query(asleep, &[&pid]).await.unwrap().is_empty());
    cancel(port, &key).await;
    let answers = until(&mut stream, &mut came, b'Z').await;
    stream.write_all(&query("SELECT 'on'")).await.unwrap();
    let after = until(&mut stream, &mut came, b'Z').await;
    (key.len(), [answers, after].concat())
}

/// Returns when the server has closed, which is when the signal is sent.
async fn cancel(port: u16, key: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut packet = (8 + key.len() as u32).to_be_bytes().to_vec();
    packet.extend_from_slice(&80_877_102_u32.to_be_bytes());
    packet.extend_from_slice(key);
    stream.write_all(&packet).await.unwrap();
    let mut nothing = Vec::new();
    stream.read_to_end(&mut nothing).await.unwrap();
    assert_eq!(nothing, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_reaches_its_own_session_only() {
    let line = with_fixture().await;
    let postgres = &line.world.postgres;
    let straight = cancelled(postgres, postgres.port, V3_0).await;
    let through = cancelled(postgres, line.client_side.port, V3_0).await;
    assert_eq!(through, straight);
    let sqlstates: Vec<_> = straight.1.iter().filter_map(|m| m.field(b'C')).collect();
    assert!(sqlstates.contains(&"57014".to_owned()), "{straight:?}");
    line.passed_unaltered("cancel").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replication_connection_is_relayed() {
    let line = with_fixture().await;
    let client = line.world.postgres.connect(DATABASE).await.unwrap();
    // What has been written but not flushed cannot be streamed yet, and would be an error.
    let now = "SELECT pg_current_wal_flush_lsn()::text";
    let now: String = client.query_one(now, &[]).await.unwrap().get(0);
    let turn = |sent, until| Turn { sent, until };
    let script = Script {
        name: "replication",
        startup: startup_with(V3_0, SUPERUSER, DATABASE, &[("replication", b"database")]),
        turns: vec![
            turn(query("IDENTIFY_SYSTEM"), Until::Ready(1)),
            turn(query("SELECT 'SQL as well'"), Until::Ready(1)),
            turn(query("SHOW wal_level"), Until::Ready(1)),
            turn(
                query(&format!("START_REPLICATION PHYSICAL {now}")),
                Until::Comes(b'W'),
            ),
            turn(copy_done(), Until::Ready(1)),
            turn(
                query("CREATE_REPLICATION_SLOT nothing LOGICAL none"),
                Until::Ready(1),
            ),
            turn(terminate(), Until::Closed),
        ],
        server_ends: false,
    };
    // Which WAL comes before the client ends the stream is chance: kinds of messages are not.
    let kinds = |played: Played| -> String {
        let all = played.comparable();
        let all = all.iter().map(|message| message.tag as char);
        all.filter(|tag| *tag != 'd').collect()
    };
    let port = line.world.postgres.port;
    let straight = kinds(script.play(port, Cut::Turns).await.unwrap());
    for cut in [Cut::Turns, Cut::Bytes] {
        let through = script.play(line.client_side.port, cut).await.unwrap();
        assert_eq!(kinds(through), straight, "{cut:?}");
        line.passed_unaltered(script.name).await;
    }
    assert!(
        straight.contains('W') && straight.contains('c'),
        "{straight}"
    );
}

/// Wishes for encryption, then a session without; the answer to the wish, and the kinds of the
/// messages that follow.
async fn unencrypted_after(port: u16, wish: u32) -> (u8, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let packet = [8_u32.to_be_bytes(), wish.to_be_bytes()].concat();
    stream.write_all(&packet).await.unwrap();
    let answer = stream.read_u8().await.unwrap();
    let startup = startup_with(V3_0, SUPERUSER, DATABASE, &[]);
    let rest = [startup, query("SELECT 1"), terminate()].concat();
    stream.write_all(&rest).await.unwrap();
    let mut came = Vec::new();
    stream.read_to_end(&mut came).await.unwrap();
    let kinds = messages(&came).iter().map(|m| m.tag as char).collect();
    (answer, kinds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_for_encryption_is_declined_as_the_server_without_it_declines() {
    const SSL: u32 = 80_877_103;
    const GSS: u32 = 80_877_104;
    let line = with_fixture().await;
    let straight = unencrypted_after(line.world.postgres.port, SSL).await;
    assert_eq!(straight.0, b'N');
    // A server may know GSS where the proxy does not: it is the word for "no" that counts.
    for wish in [SSL, GSS] {
        let through = unencrypted_after(line.client_side.port, wish).await;
        assert_eq!(through, straight, "{wish}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocol_3_2_and_its_longer_cancel_keys_pass() {
    let Some(binaries) = newer::postgresql() else {
        return;
    };
    let postgres = Postgres::start_from(binaries, &[]).await.unwrap();
    let server_side = Tap::on(postgres.port).await.unwrap();
    let proxy = Proxy::with_config(&postgres, "postgres", "").unwrap();
    proxy.detach(server_side.port, 0).unwrap();
    postgres
        .connect("postgres")
        .await
        .unwrap()
        .batch_execute("CREATE ROLE app LOGIN SUPERUSER")
        .await
        .unwrap();
    let proxy = proxy.serve().await.unwrap();
    for (version, key_bytes) in [(V3_0, 8), (V3_2, 36)] {
        let straight = cancelled(&postgres, postgres.port, version).await;
        let through = cancelled(&postgres, proxy.port, version).await;
        assert_eq!(through, straight);
        assert_eq!(straight.0, key_bytes);
    }
    for (version, more) in [
        (V3_2, &[("_pq_.something", &b"on"[..])][..]),
        (3 << 16 | 9999, &[]),
        (V3_0, &[("_pq_.something", &b"on"[..])]),
    ] {
        let script = Script {
            name: "negotiation",
            startup: startup_with(version, SUPERUSER, "postgres", more),
            turns: vec![Turn {
                sent: [query("SELECT 1"), terminate()].concat(),
                until: Until::Closed,
            }],
            server_ends: false,
        };
        let straight = script.play(postgres.port, Cut::Turns).await.unwrap();
        let through = script.play(proxy.port, Cut::Turns).await.unwrap();
        assert_eq!(through.comparable(), straight.comparable());
        let negotiated = straight.comparable().iter().any(|m| m.tag == b'v');
        assert!(negotiated, "{version}: {more:?}");
    }
}
