//! PostgreSQL's own regression scripts, straight and through the proxy with rules loaded: what
//! enters the proxy leaves it, byte for byte in both directions, and psql prints the same.
//!
//! `CROSSFADE_REGRESS_DIR` names another directory of scripts, for instance the whole suite.

use crossfade::wire::frame::Header;
use crossfade_testbed::SUPERUSER;
use crossfade_tests::line::{Line, ready_to_write_both};
use crossfade_tests::protocol_scripts::corpus::V3_0;
use crossfade_tests::protocol_scripts::messages::{extended, frame, startup_with, sync, terminate};
use crossfade_tests::raw::Message;
use crossfade_tests::tap::Conversation;
use crossfade_tests::{properties, regress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DATABASE: &str = "regression";
/// Statements in one segment, when they are sent before any answer is read.
const PIPELINE: usize = 16;

/// Numbers of five digits and more are oids and process ids, which two servers do not share.
fn without_numbers(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut digits = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        masked.push_str(if digits.len() < 5 { &digits } else { "#####" });
        digits.clear();
        masked.push(c);
    }
    masked
}

/// A notice has the number of the line that psql had come to when it arrived. While COPY's data are
/// on their way that is a matter of moments.
fn without_moments(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let notice = line.find(": NOTICE: ");
        match notice.filter(|_| line.starts_with("psql:")) {
            Some(at) => &line[at..],
            None => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn first_difference(one: &str, other: &str) -> Option<String> {
    if one == other {
        return None;
    }
    let pairs = one.lines().zip(other.lines());
    let differing = pairs.filter(|(one, other)| one != other).take(1);
    let shown: Vec<String> = differing
        .map(|(one, other)| format!("straight: {one}\n through: {other}"))
        .collect();
    Some(format!("{}\n(or one text is longer)", shown.join("\n")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_prints_the_regression_scripts_alike_and_no_byte_is_altered() {
    let (straight, _files) = ready_to_write_both(DATABASE).await.unwrap();
    let line = Line::lay(DATABASE).await.unwrap();
    let psql = straight.postgres.bin("psql");
    let (mut statements, mut read, mut answers, mut differing) = (0, 0, 0, Vec::new());
    let rules = properties::reader::rules(1);
    for script in regress::scripts().unwrap() {
        let name = script.display().to_string();
        let (expected, came) = tokio::try_join!(
            regress::run(&psql, &script, straight.postgres.port, DATABASE),
            regress::run(&psql, &script, line.client_side.port, DATABASE),
        )
        .unwrap();
        for conversation in line.passed_unaltered(&name).await {
            let queries = queries(&conversation);
            statements += queries.len();
            read += queries.iter().filter(|text| rules.must_read(text)).count();
            answers += conversation.answers().len();
        }
        let [expected, came] =
            [expected, came].map(|text| without_numbers(&without_moments(&text)));
        if let Some(difference) = first_difference(&expected, &came) {
            differing.push(format!("{name}\n{difference}"));
        }
    }
    println!("{statements} statements, of which the rules read {read}; {answers} answers");
    // A psql that could not connect would print the same text on both sides.
    assert!(statements > 10_000, "only {statements} statements");
    assert!(read > 100, "the rules had only {read} texts to read");
    assert!(
        differing.is_empty(),
        "psql printed otherwise:\n{}",
        differing.join("\n")
    );
    let log = line.end();
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_regression_statements_pass_in_every_protocol_and_segmentation() {
    let line = Line::lay(DATABASE).await.unwrap();
    let psql = line.world.postgres.bin("psql");
    let port = line.client_side.port;
    let (mut alone, mut pipelined, mut whole, mut bytes) = (0, 0, 0, 0);
    let scripts = regress::scripts().unwrap();
    let chosen = scripts
        .iter()
        .enumerate()
        .filter(|(at, _)| *at == 0 || at % EACH == 1);
    for (_, script) in chosen {
        let name = script.display().to_string();
        regress::run(&psql, script, port, DATABASE).await.unwrap();
        for conversation in line.passed_unaltered(&name).await {
            let queries = queries(&conversation);
            let segments: Vec<Vec<u8>> = queries.iter().map(|text| in_extended(text)).collect();
            alone += speak(port, &segments, true).await;
            line.passed_unaltered(&format!("{name}, extended")).await;

            // A COPY would take its neighbours in the pipeline for data.
            let copies = |text: &&Vec<u8>| {
                let text = text.to_ascii_lowercase();
                text.windows(4).any(|word| word == b"copy")
            };
            let all = queries.iter().filter(|text| !copies(text));
            let all: Vec<Vec<u8>> = all.map(|text| in_extended(text)).collect();
            let segments: Vec<Vec<u8>> = all.chunks(PIPELINE).map(<[_]>::concat).collect();
            pipelined += speak(port, &segments, false).await;
            line.passed_unaltered(&format!("{name}, pipelined")).await;

            whole += replay(port, &conversation.from_client, usize::MAX).await;
            line.passed_unaltered(&format!("{name}, at once")).await;
            if conversation.from_client.len() < BYTE_BY_BYTE_MAX {
                bytes += replay(port, &conversation.from_client, 1).await;
                line.passed_unaltered(&format!("{name}, byte by byte"))
                    .await;
            }
        }
    }
    println!("answers to Sync: {alone} alone, {pipelined} pipelined");
    println!("answers: {whole} to whole sessions in one piece, {bytes} byte by byte");
    assert!(alone > 3_000 && pipelined > 2_000 && whole > 5_000 && bytes > 500);
    let log = line.end();
    assert!(!log.contains("ERROR"), "{log}");
}

/// Of the scripts after the first, which makes the tables, every fourth is sent in every way: all of
/// them would take minutes.
const EACH: usize = 4;
/// Longer sessions are not sent byte by byte: each byte costs a system call on four programs.
const BYTE_BY_BYTE_MAX: usize = 5_000;

fn queries(conversation: &Conversation) -> Vec<Vec<u8>> {
    let requests = conversation.requests().into_iter();
    requests
        .filter(|message| message.tag == b'Q')
        .filter_map(|message| Some(message.body.strip_suffix(b"\0")?.to_vec()))
        .collect()
}

fn in_extended(text: &[u8]) -> Vec<u8> {
    [extended(text), sync()].concat()
}

async fn login(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let options: &[(&str, &[u8])] = &[("options", b"-c statement_timeout=20s")];
    let packet = startup_with(V3_0, SUPERUSER, DATABASE, options);
    stream.write_all(&packet).await.unwrap();
    while next(&mut stream).await.unwrap().tag != b'Z' {}
    stream
}

async fn next(stream: &mut TcpStream) -> Option<Message> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).await.ok()?;
    let header = Header::read(&header)?;
    let mut body = vec![0; header.frame_bytes() - 5];
    stream.read_exact(&mut body).await.ok()?;
    Some(Message {
        tag: header.tag,
        body,
    })
}

/// Sends each segment, takes its answers while it does, and ends the session; a COPY is given up.
async fn speak(port: u16, segments: &[Vec<u8>], copies: bool) -> usize {
    let mut stream = login(port).await;
    let mut ready = 0;
    'session: for segment in segments {
        let mut owed = frames(segment, b'S');
        // A few KiB: the socket's buffers take them, whatever the server does meanwhile.
        if stream.write_all(segment).await.is_err() {
            break;
        }
        while owed > 0 {
            let Some(message) = next(&mut stream).await else {
                break 'session;
            };
            match message.tag {
                b'Z' => {
                    owed -= 1;
                    ready += 1;
                }
                // The Sync behind the request went by unheard.
                b'G' if copies => {
                    let given_up = [frame('f', b"no data\0"), sync()].concat();
                    stream.write_all(&given_up).await.unwrap();
                }
                _ => {}
            }
        }
    }
    let _closed = stream.write_all(&terminate()).await;
    while next(&mut stream).await.is_some() {}
    ready
}

fn frames(mut bytes: &[u8], tag: u8) -> usize {
    let mut count = 0;
    while let Some(header) = Header::read(bytes) {
        count += usize::from(header.tag == tag);
        bytes = bytes.get(header.frame_bytes()..).unwrap_or_default();
    }
    count
}

/// Sends a whole session's bytes, in pieces of a size, before any answer is waited for.
async fn replay(port: u16, bytes: &[u8], piece: usize) -> usize {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut read, mut write) = stream.into_split();
    let mut came = Vec::new();
    let sending = async {
        for part in bytes.chunks(piece.min(bytes.len())) {
            // A server that ends the session takes no more.
            if write.write_all(part).await.is_err() {
                break;
            }
        }
    };
    let (_closed, ()) = tokio::join!(read.read_to_end(&mut came), sending);
    crossfade_tests::tap::messages(&came).len()
}
