//! Whoever speaks to the console otherwise than a client should: he gets a clear error or a closed connection, takes no
//! place from others, and the proxy serves on.

use bytes::BytesMut;
use crossfade_tests::console::{self, Console, OPERATOR_PASSWORD};
use crossfade_tests::control::a_moment;
use crossfade_tests::{Proxy, World};
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A socket whose startup packet names the console.
async fn begun(proxy: &Proxy, user: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
    let mut out = BytesMut::new();
    frontend::startup_message([("user", user), ("database", "crossfade")], &mut out).unwrap();
    stream.write_all(&out).await.unwrap();
    stream
}

/// One message: its type and its body.
async fn message(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let tag = stream.read_u8().await.ok()?;
    let length = stream.read_u32().await.ok()?;
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await.ok()?;
    Some((tag, body))
}

/// A session that has got in, up to its first ReadyForQuery.
async fn entered(proxy: &Proxy) -> TcpStream {
    let mut stream = begun(proxy, "ann").await;
    let (tag, body) = message(&mut stream).await.unwrap();
    assert_eq!((tag, &body[..4]), (b'R', &[0, 0, 0, 10][..]));
    let mut scram = ScramSha256::new(b"op@er", ChannelBinding::unsupported());
    let mut out = BytesMut::new();
    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut out).unwrap();
    stream.write_all(&out).await.unwrap();
    let (_, body) = message(&mut stream).await.unwrap();
    scram.update(&body[4..]).unwrap();
    out.clear();
    frontend::sasl_response(scram.message(), &mut out).unwrap();
    stream.write_all(&out).await.unwrap();
    until(&mut stream, b'Z').await;
    stream
}

async fn until(stream: &mut TcpStream, tag: u8) -> Vec<u8> {
    loop {
        let (came, body) = message(stream).await.expect("the connection goes on");
        if came == tag {
            return body;
        }
    }
}

/// Everything up to the end of the connection, as text.
async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    // A reset says as much as an end.
    let _: Result<usize, std::io::Error> = stream.read_to_end(&mut rest).await;
    String::from_utf8_lossy(&rest).into_owned()
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag][..], &length, body].concat()
}

async fn still_serves(proxy: &Proxy) {
    let console = Console::operator(proxy).await.unwrap();
    console.rows("SHOW VERSION").await.unwrap();
    proxy
        .client()
        .await
        .unwrap()
        .batch_execute("SELECT 1")
        .await
        .unwrap();
    let log = proxy.log();
    for word in ["panicked", "by a defect"] {
        assert!(!log.contains(word), "{log}");
    }
}

#[tokio::test]
async fn whoever_breaks_the_login_is_told_and_gets_nowhere() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "login", "").await.unwrap();
    let sasl = |mechanism: &[u8], length: i32, data: &[u8]| {
        let body = [mechanism, &[0], &length.to_be_bytes(), data].concat();
        frame(b'p', &body)
    };
    let first = b"n,,n=,r=abcdef";
    let whole = i32::try_from(first.len()).unwrap();
    for (what, bytes, expected) in [
        (
            "a query in place of an answer",
            frame(b'Q', b"SHOW VERSION\0"),
            "08P01",
        ),
        ("an unknown message", frame(b'z', b""), "08P01"),
        ("no mechanism", frame(b'p', b"SCRAM-SHA-256"), "08P01"),
        ("another mechanism", sasl(b"PLAIN", whole, first), "08P01"),
        (
            "a binding that is not offered",
            sasl(b"SCRAM-SHA-256-PLUS", whole, first),
            "08P01",
        ),
        (
            "a bound message without binding",
            sasl(b"SCRAM-SHA-256", 12, b"p=x,,n=,r=ab"),
            "08P01",
        ),
        (
            "a length beyond the message",
            sasl(b"SCRAM-SHA-256", 1000, first),
            "08P01",
        ),
        (
            "a negative length",
            sasl(b"SCRAM-SHA-256", -1, b""),
            "08P01",
        ),
        (
            "no SCRAM",
            sasl(b"SCRAM-SHA-256", 4, b"\xff\xfe,,"),
            "08P01",
        ),
        ("a cleartext password", frame(b'p', b"op@er\0"), "08P01"),
        ("a length below the least", vec![b'p', 0, 0, 0, 3], "08P01"),
        ("a huge length", vec![b'p', 0x7f, 0xff, 0xff, 0xff], "08P01"),
    ] {
        let mut stream = begun(&proxy, "ann").await;
        stream.write_all(&bytes).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.contains(expected), "{what}: {said:?}");
        assert!(!said.contains("op@er"), "{what}: {said:?}");
    }
    still_serves(&proxy).await;
}

#[tokio::test]
async fn whoever_breaks_a_session_ends_that_one() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "broken", "").await.unwrap();
    for (what, bytes) in [
        ("an unknown message", frame(b'z', b"")),
        ("a length below the least", vec![b'Q', 0, 0, 0, 3]),
        ("a huge length", vec![b'Q', 0x3f, 0xff, 0xff, 0xff]),
        ("a text without an end", frame(b'Q', b"SHOW VERSION")),
        (
            "bytes behind the text's end",
            frame(b'Q', b"SHOW VERSION\0x"),
        ),
        ("a Parse without a text", frame(b'P', b"name\0")),
        (
            "a Parse whose types are missing",
            frame(b'P', b"\0SHOW VERSION\0\0\x01"),
        ),
        ("a Describe of nothing", frame(b'D', b"")),
        ("a Describe of something else", frame(b'D', b"X\0")),
        ("an Execute without a limit", frame(b'E', b"\0\0")),
    ] {
        let mut stream = entered(&proxy).await;
        stream.write_all(&bytes).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(
            said.contains("FATAL") && said.contains("08P01"),
            "{what}: {said:?}"
        );
    }
    // Half a message, and then nothing any more.
    let mut stream = entered(&proxy).await;
    stream.write_all(b"Q\0\0\x01\0SHOW").await.unwrap();
    drop(stream);
    still_serves(&proxy).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_statement_costs_that_statement_alone() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "wrong", "").await.unwrap();
    let mut stream = entered(&proxy).await;
    let long = "(".repeat(60_000);
    let deep = "/*".repeat(20_000);
    for (text, sqlstate) in [
        (&b"\xff\xfe\0"[..], "22021"),
        (b"'\0", "42601"),
        (b"SHOW \xf0\x9f\x98\x80\0", "42601"),
        ([long.as_bytes(), b"\0"].concat().as_slice(), "42601"),
        ([deep.as_bytes(), b"\0"].concat().as_slice(), "42601"),
        (b"KILL 99999999999999999999999999\0", "42601"),
    ] {
        stream.write_all(&frame(b'Q', text)).await.unwrap();
        let error = String::from_utf8_lossy(&until(&mut stream, b'E').await).into_owned();
        assert!(error.contains(sqlstate), "{error:?}");
        assert!(error.len() < 1_000, "{}", error.len());
        until(&mut stream, b'Z').await;
    }
    // An error of the extended protocol: everything up to Sync is passed over.
    let skipped = [
        frame(b'P', b"\0NONSENSE\0\0\0"),
        frame(b'B', b"\0\0\0\0\0\0\0\0"),
        frame(b'E', b"\0\0\0\0\0"),
        frame(b'S', b""),
    ];
    stream.write_all(&skipped.concat()).await.unwrap();
    until(&mut stream, b'E').await;
    let (tag, _) = message(&mut stream).await.unwrap();
    assert_eq!(tag, b'Z');
    // What it keeps is bounded.
    let many: Vec<Vec<u8>> = (0..200)
        .map(|n| [format!("s{n}\0SELECT 1\0").as_bytes(), &[0, 0]].concat())
        .map(|body| frame(b'P', &body))
        .chain([frame(b'S', b"")])
        .collect();
    stream.write_all(&many.concat()).await.unwrap();
    let error = until(&mut stream, b'E').await;
    assert!(String::from_utf8_lossy(&error).contains("54000"));
    until(&mut stream, b'Z').await;
    stream
        .write_all(&frame(b'Q', b"DEALLOCATE ALL\0"))
        .await
        .unwrap();
    until(&mut stream, b'Z').await;
    // Parameters are for statements that have some.
    let bound = [
        frame(b'P', b"\0SELECT 1\0\0\0"),
        frame(b'B', b"\0\0\0\0\0\x01\0\0\0\x01x\0\0"),
        frame(b'S', b""),
    ];
    stream.write_all(&bound.concat()).await.unwrap();
    let error = until(&mut stream, b'E').await;
    assert!(String::from_utf8_lossy(&error).contains("08P01"));
    until(&mut stream, b'Z').await;
    still_serves(&proxy).await;
}

#[tokio::test]
async fn strangers_take_no_place_in_the_console_and_users_only_so_many() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "places", "sessions_max = 2\n")
        .await
        .unwrap();
    // They ask for the console and say nothing more.
    let mut strangers = Vec::new();
    for _ in 0..50 {
        strangers.push(begun(&proxy, "ann").await);
    }
    let one = Console::operator(&proxy).await.unwrap();
    let other = Console::viewer(&proxy).await.unwrap();
    let url = proxy.url_as(&format!("ann:{OPERATOR_PASSWORD}"), "crossfade");
    let full = match Console::at(&url).await {
        Ok(_) => panic!("there is a third place"),
        Err(error) => console::told(error.downcast_ref().expect("an error of the driver's")),
    };
    assert_eq!(full.0, "53300", "{}", full.1);
    one.rows("SHOW VERSION").await.unwrap();
    other.rows("SHOW VERSION").await.unwrap();
    drop(strangers);
}

#[tokio::test]
async fn the_console_is_open_when_the_proxy_is_full() {
    let world = World::start().await.unwrap();
    let more = "[limits]\nconnections_max = 1\n";
    let proxy = console::serving(&world, "crowded", more).await.unwrap();
    // The first client there was may not be gone yet.
    let app = loop {
        match proxy.client().await {
            Ok(app) => break app,
            Err(_full) => a_moment().await,
        }
    };
    let refused = proxy.client().await.expect_err("full");
    assert!(
        format!("{refused:#}").contains("53300")
            || format!("{refused:?}").contains("clients already")
    );
    let console = Console::operator(&proxy).await.unwrap();
    let sessions = console.rows("SHOW SESSIONS").await.unwrap();
    let id = sessions.at(0, "id").unwrap().to_owned();
    console.rows(&format!("KILL {id}")).await.unwrap();
    let ended = app.batch_execute("SELECT 1").await.unwrap_err();
    assert!(
        ended.is_closed() || console::told(&ended).0 == "57P01",
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_proxy_that_stops_ends_the_console() {
    let world = World::start().await.unwrap();
    let mut proxy = console::serving(&world, "stopped", "").await.unwrap();
    let mut stream = entered(&proxy).await;
    proxy.stop();
    let said = rest(&mut stream).await;
    assert!(said.contains("57P01"), "{said:?}");
}
