//! Somebody outside is told of what happens: once, signed, and again when he was not there.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use crossfade_tests::control::{self, a_moment, number, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_postgres::Client;
use tokio_rustls::TlsAcceptor;

const SECRET: &[u8] = b"a secret of 16 bytes or more";

/// A request as it came.
struct Request {
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut bytes = Vec::new();
    let (head, mut body) = loop {
        let mut chunk = [0; 4096];
        let count = stream
            .read(&mut chunk)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            break (head, bytes[end + 4..].to_vec());
        }
    };
    let mut lines = head.lines();
    let path = lines.next().unwrap().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    while body.len() < length {
        let mut chunk = [0; 4096];
        let count = stream
            .read(&mut chunk)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        body.extend_from_slice(&chunk[..count]);
    }
    Some(Request {
        path,
        headers,
        body,
    })
}

/// A web server that answers with these statuses, then 200; and what it was asked.
struct Listener {
    port: u16,
    requests: mpsc::UnboundedReceiver<Request>,
}

impl Listener {
    async fn answering(statuses: Vec<u16>, tls: Option<TlsAcceptor>) -> Listener {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tells, requests) = mpsc::unbounded_channel();
        let mut statuses = statuses.into_iter();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let status = statuses.next().unwrap_or(200);
                let tells = tells.clone();
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, status, &tells).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, status, &tells).await;
                            }
                        }
                    }
                });
            }
        });
        Listener { port, requests }
    }

    async fn next(&mut self) -> Request {
        self.requests.recv().await.unwrap()
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    status: u16,
    tells: &mpsc::UnboundedSender<Request>,
) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let said = format!("HTTP/1.1 {status} So\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    let _ = stream.write_all(said.as_bytes()).await;
    let _ = stream.shutdown().await;
    let _ = tells.send(request);
}

/// A proxy whose hook these lines say, behind its secret.
async fn hooked(world: &World, name: &str, lines: &str) -> Proxy {
    world.database(name).await.unwrap();
    let config = format!("[hook]\n{lines}\n");
    let proxy = Proxy::with_config(&world.postgres, name, &config).unwrap();
    put_secret(&proxy, 0o600);
    proxy.write_phase(Phase::LegacyOnly).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    proxy
}

fn put_secret(proxy: &Proxy, mode: u32) {
    let config = proxy.config();
    let path = config.parent().unwrap().join("hook.secret");
    std::fs::write(&path, [SECRET, b"\n"].concat()).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn web(port: u16) -> String {
    format!("url = \"http://127.0.0.1:{port}/t0ken?a=b\"\nsecret_file = \"hook.secret\"")
}

async fn sha256(client: &Client, bytes: Vec<u8>) -> Vec<u8> {
    let row = client.query_one("SELECT sha256($1)", &[&bytes]).await;
    row.unwrap().get(0)
}

/// HMAC as RFC 2104 has it, by the server's own hash.
async fn hmac(client: &Client, message: &[u8]) -> String {
    let mut key = SECRET.to_vec();
    key.resize(64, 0);
    let pad = |with: u8| key.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = sha256(client, [&pad(0x36), message].concat()).await;
    let outer = sha256(client, [pad(0x5c), inner].concat()).await;
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_step_is_told_signed_and_again_until_it_is_taken() {
    let world = World::start().await.unwrap();
    let mut listener = Listener::answering(vec![500, 302], None).await;
    let proxy = hooked(&world, "told", &web(listener.port)).await;
    let operator = world.postgres.connect("told").await.unwrap();
    // What happened before there was a hook, nobody hears.
    proxy
        .crossfade(&["backfill", "iso_agents", "--dry-run"])
        .await
        .unwrap();
    operator
        .batch_execute(
            "INSERT INTO crossfade.events (migration, kind, os_user, host) VALUES ('iso_agents', 'backfill', 'before', 'h')",
        )
        .await
        .unwrap();
    let proxy = proxy.serve().await.unwrap();
    until(&operator, "EXISTS (SELECT FROM crossfade.hook)")
        .await
        .unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let request = listener.next().await;
        assert_eq!(request.path, "POST /t0ken?a=b HTTP/1.1");
        let event = request.event();
        assert_eq!(
            (&event["kind"], &event["to"], &event["migration"]),
            (
                &"advance".into(),
                &"dual_write".into(),
                &"iso_agents".into()
            )
        );
        assert!(event["drained_at"].is_string(), "{event}");
        assert_eq!(
            request.headers["x-crossfade-event"],
            event["id"].to_string()
        );
        let timestamp = &request.headers["x-crossfade-timestamp"];
        let message = [timestamp.as_bytes(), b".", &request.body].concat();
        let signature = format!("sha256={}", hmac(&operator, &message).await);
        assert_eq!(request.headers["x-crossfade-signature"], signature);
        ids.insert(event["id"].as_i64().unwrap());
    }
    assert_eq!(ids.len(), 1, "the same event each time");
    until(
        &operator,
        "(SELECT bool_and(told_at IS NOT NULL AND attempts = 3) FROM crossfade.hook_deliveries)",
    )
    .await
    .unwrap();
    let log = proxy.log();
    assert!(
        log.contains("127.0.0.1 answered 500, and 2xx was expected"),
        "{log}"
    );
    assert!(
        !log.contains("t0ken") && !log.contains("a secret of"),
        "{log}"
    );
}

#[tokio::test]
async fn of_several_proxies_one_tells_each_event() {
    let world = World::start().await.unwrap();
    let mut listener = Listener::answering(vec![], None).await;
    let one = hooked(&world, "fleet", &web(listener.port)).await;
    let other = one.beside(&world.postgres).unwrap();
    // The same configuration, but for its own port.
    let config = std::fs::read_to_string(one.config()).unwrap();
    let config = config.replace(&one.port.to_string(), &other.port.to_string());
    std::fs::write(other.config(), config).unwrap();
    let operator = world.postgres.connect("fleet").await.unwrap();
    let (_one, _other) = (one.serve().await.unwrap(), other.serve().await.unwrap());
    until(&operator, "EXISTS (SELECT FROM crossfade.hook)")
        .await
        .unwrap();
    operator
        .batch_execute(
            "INSERT INTO crossfade.events (migration, kind, os_user, host) \
             SELECT 'iso_agents', 'backfill', 'u', 'h' FROM generate_series(1, 40)",
        )
        .await
        .unwrap();
    let mut ids = BTreeSet::new();
    for _ in 0..40 {
        ids.insert(listener.next().await.event()["id"].as_i64().unwrap());
    }
    assert_eq!(ids.len(), 40);
    until(
        &operator,
        "(SELECT count(*) = 40 AND bool_and(told_at IS NOT NULL AND attempts = 1) FROM crossfade.hook_deliveries)",
    )
    .await
    .unwrap();
    assert!(
        listener.requests.try_recv().is_err(),
        "nothing is told twice"
    );
}

#[tokio::test]
async fn whoever_is_never_there_is_given_up_and_the_doctor_says_so() {
    let world = World::start().await.unwrap();
    let mut listener = Listener::answering(vec![503], None).await;
    let proxy = hooked(&world, "gone", &web(listener.port)).await;
    let operator = world.postgres.connect("gone").await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    until(&operator, "EXISTS (SELECT FROM crossfade.hook)")
        .await
        .unwrap();
    // One has failed nineteen times already; of the other, twenty proxies have died.
    operator
        .batch_execute(
            "WITH e AS (INSERT INTO crossfade.events (migration, kind, os_user, host) \
                 VALUES ('iso_agents', 'canary_back', 'u', 'h'), ('iso_agents', 'backfill', 'u', 'h') \
                 RETURNING id, kind) \
             INSERT INTO crossfade.hook_deliveries (event, attempts) \
             SELECT id, CASE kind WHEN 'backfill' THEN 20 ELSE 19 END FROM e",
        )
        .await
        .unwrap();
    listener.next().await;
    until(
        &operator,
        "(SELECT bool_and(given_up_at IS NOT NULL) FROM crossfade.hook_deliveries)",
    )
    .await
    .unwrap();
    while !proxy
        .log()
        .contains("the hook was not told after 20 attempts")
    {
        a_moment().await;
    }
    let doctor = control::run(&proxy.config(), &["doctor"]).await.unwrap();
    assert!(!doctor.status.success());
    assert!(
        doctor.output.contains("the hook was not told of 2 events"),
        "{doctor:?}"
    );
    // Somebody has seen to it.
    let mended = control::run(&proxy.config(), &["doctor", "--mend"])
        .await
        .unwrap();
    let mut kinds = BTreeSet::new();
    for _ in 0..2 {
        kinds.insert(listener.next().await.event()["kind"].to_string());
    }
    assert_eq!(kinds.len(), 2, "{mended:?}");
    until(
        &operator,
        "(SELECT bool_and(told_at IS NOT NULL) FROM crossfade.hook_deliveries)",
    )
    .await
    .unwrap();
    proxy.crossfade(&["doctor"]).await.unwrap();
}

#[tokio::test]
async fn a_program_has_the_event_on_its_standard_input_and_no_password_in_its_environment() {
    let world = World::start().await.unwrap();
    let proxy = hooked(&world, "program", "program = \"hook.sh\"").await;
    let config = proxy.config();
    let directory = config.parent().unwrap();
    let said = directory.join("said");
    let script = format!(
        "#!/bin/sh\n{{ cat; echo; echo \"$CROSSFADE_EVENT_KIND $CROSSFADE_EVENT_MIGRATION ${{CROSSFADE_CONTROL_URL-none}}\"; }} >> {0}.new\n\
         test -e {0}.once || {{ touch {0}.once; exit 3; }}\nmv {0}.new {0}\n",
        said.display()
    );
    put_script(&directory.join("hook.sh"), &script);
    let operator = world.postgres.connect("program").await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    until(&operator, "EXISTS (SELECT FROM crossfade.hook)")
        .await
        .unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    until(
        &operator,
        "(SELECT count(*) = 2 AND bool_and(told_at IS NOT NULL) FROM crossfade.hook_deliveries)",
    )
    .await
    .unwrap();
    let said = std::fs::read_to_string(said).unwrap();
    assert!(
        said.contains("\"kind\":\"backfill\"") || said.contains("\"kind\":\"advance\""),
        "{said}"
    );
    assert!(said.contains(" iso_agents none\n"), "{said}");
    assert!(
        proxy
            .log()
            .contains("the program ended with exit status: 3"),
        "{}",
        proxy.log()
    );
}

fn put_script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn over_tls_the_certificate_must_be_of_the_named_authority_and_the_secret_ones_own() {
    let world = World::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let acceptor = |name: &str| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = directory.path().join(format!("{name}.crt"));
        std::fs::write(&file, made.cert.pem()).unwrap();
        let key =
            PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let certificate = CertificateDer::from_pem_file(&file).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        (TlsAcceptor::from(Arc::new(config)), file)
    };
    let ((ours, root), (strange, _)) = (acceptor("ours"), acceptor("strange"));
    let mut listener = Listener::answering(vec![], Some(ours)).await;
    let stranger = Listener::answering(vec![], Some(strange)).await;
    let lines = |port: u16| {
        format!(
            "url = \"https://localhost:{port}/\"\nsecret_file = \"hook.secret\"\nroot_certificates = \"{}\"",
            root.display()
        )
    };
    let event = "INSERT INTO crossfade.events (migration, kind, os_user, host) VALUES ('iso_agents', 'backfill', 'u', 'h')";
    for (name, port, is_told) in [
        ("ours", listener.port, true),
        ("strange", stranger.port, false),
    ] {
        let proxy = hooked(&world, name, &lines(port)).await;
        let operator = world.postgres.connect(name).await.unwrap();
        put_secret(&proxy, 0o644);
        let refused = control::run(&proxy.config(), &["serve"]).await.unwrap();
        assert!(
            refused.errors.contains("others may read or write it"),
            "{refused:?}"
        );
        put_secret(&proxy, 0o600);
        let proxy = proxy.serve().await.unwrap();
        until(&operator, "EXISTS (SELECT FROM crossfade.hook)")
            .await
            .unwrap();
        operator.batch_execute(event).await.unwrap();
        if is_told {
            assert_eq!(listener.next().await.event()["kind"], "backfill");
        } else {
            while !proxy.log().contains("localhost cannot be reached: ") {
                a_moment().await;
            }
            let told = "SELECT count(*) FROM crossfade.hook_deliveries WHERE told_at IS NOT NULL";
            assert_eq!(number(&operator, told).await.unwrap(), 0);
        }
    }
}
