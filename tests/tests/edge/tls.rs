//! TLS on both sides: what is negotiated, what is verified, and what somebody in between can do.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossfade::config::{Config, SslMode};
use crossfade_testbed::process::Signal;
use crossfade_testbed::{Auth, Postgres};
use crossfade_tests::control::a_moment;
use crossfade_tests::world::USER;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::raw::{Proxy, Raw, frame, startup};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A root and certificates that it has signed, as files.
struct Authority {
    dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let dir = tempfile::tempdir().expect("directory");
        // The server runs as another user and must get at its files.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("mode");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // A certificate that bears its signer's name would be taken for self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "Crossfade test root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("root");
        std::fs::write(dir.path().join("root.crt"), issuer.pem()).expect("write");
        Authority { dir, issuer }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root.crt")
    }

    /// Certificate and key for a host.
    fn sign(&self, file: &str, host: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("key");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let path = |end: &str| self.dir.path().join(format!("{file}.{end}"));
        std::fs::write(path("crt"), certificate.pem()).expect("write");
        std::fs::write(path("key"), key.serialize_pem()).expect("write");
        (path("crt"), path("key"))
    }

    /// A server with TLS; its certificate is for `host`.
    async fn postgres(&self, host: &str) -> Postgres {
        let (certificate, key) = self.sign("server", host);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("mode");
        if key.metadata().expect("key").uid() == 0 {
            let id = std::process::Command::new("id")
                .args(["-u", "postgres"])
                .output();
            let id = String::from_utf8(id.expect("id").stdout).expect("text");
            chown(&key, Some(id.trim().parse().expect("uid")), None).expect("chown");
        }
        let text = |path: &Path| path.display().to_string();
        let (certificate, key) = (text(&certificate), text(&key));
        let settings = [
            ("ssl", "on"),
            ("ssl_cert_file", certificate.as_str()),
            ("ssl_key_file", key.as_str()),
        ];
        Postgres::start_with(&settings).await.expect("PostgreSQL")
    }

    fn connector(&self, alpn: &[&str]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.root()).expect("root"))
            .expect("usable");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

fn with_certificate(config: &mut Config, (certificate, key): (PathBuf, PathBuf)) {
    config.tls.certificate = Some(certificate);
    config.tls.key = Some(key);
}

/// What psql says, through an address and with more of a connection string.
async fn psql(postgres: &Postgres, address: &str, more: &str, sql: &str) -> Result<String, String> {
    let (_, port) = address.rsplit_once(':').expect("port");
    let url = format!("host=localhost hostaddr=127.0.0.1 port={port} dbname=postgres {more}");
    let output = tokio::process::Command::new(postgres.bin("psql"))
        .args(["-XAt", "-c", sql, &url])
        .env("PGPASSWORD", "secret")
        .output()
        .await
        .expect("psql runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

const TLS_OF_SERVER: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sslmode_towards_the_server_demands_what_it_says() {
    use SslMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};

    let ours = Authority::new();
    let others = Authority::new();
    let named = ours.postgres("127.0.0.1").await;
    let misnamed = ours.postgres("elsewhere.example").await;
    let plain = Postgres::start().await.expect("PostgreSQL");
    // Server, root certificates, mode, and whether TLS holds; None: no connection.
    for (what, server, roots, mode, expected) in [
        ("disable", &named, None, Disable, Some("f")),
        ("prefer", &named, None, Prefer, Some("t")),
        ("prefer without", &plain, None, Prefer, Some("f")),
        ("require", &named, None, Require, Some("t")),
        ("require without", &plain, None, Require, None),
        ("require, a stranger", &named, Some(&others), Require, None),
        ("ca", &named, Some(&ours), VerifyCa, Some("t")),
        (
            "ca, another name",
            &misnamed,
            Some(&ours),
            VerifyCa,
            Some("t"),
        ),
        ("ca, a stranger", &named, Some(&others), VerifyCa, None),
        ("full", &named, Some(&ours), VerifyFull, Some("t")),
        (
            "full, another name",
            &misnamed,
            Some(&ours),
            VerifyFull,
            None,
        ),
        ("full, a stranger", &named, Some(&others), VerifyFull, None),
    ] {
        let proxy = Proxy::start_with(server, |config| {
            config.upstream_tls.sslmode = mode;
            config.upstream_tls.root_certificates = roots.map(Authority::root);
        })
        .await;
        let said = psql(
            server,
            &proxy.address,
            "user=postgres sslmode=disable",
            TLS_OF_SERVER,
        )
        .await;
        match expected {
            Some(expected) => assert_eq!(said.as_deref(), Ok(expected), "{what}"),
            None => {
                let error = said.expect_err(what);
                assert!(error.contains("cannot reach"), "{what}: {error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_hosts_each_must_bear_its_own_name() {
    let authority = Authority::new();
    let misnamed = authority.postgres("elsewhere.example").await;
    let named = authority.postgres("127.0.0.1").await;
    let alone = misnamed.address();
    let both = format!("{alone}, {}", named.address());
    for (hosts, expected) in [(alone, None), (both, Some("t"))] {
        let proxy = Proxy::start_with(&named, |config| {
            config.upstream.0.clone_from(&hosts);
            config.upstream_tls.sslmode = SslMode::VerifyFull;
            config.upstream_tls.root_certificates = Some(authority.root());
        })
        .await;
        let url = "user=postgres sslmode=disable";
        let said = psql(&named, &proxy.address, url, TLS_OF_SERVER).await;
        match expected {
            Some(expected) => assert_eq!(said.as_deref(), Ok(expected), "{hosts}"),
            None => {
                let error = said.expect_err(&hosts);
                assert!(error.contains("cannot reach"), "{hosts}: {error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_get_tls_when_they_ask_and_must_when_it_is_required() {
    let authority = Authority::new();
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let files = authority.sign("proxy", "localhost");
    let proxy = Proxy::start_with(&postgres, |config| {
        with_certificate(config, files);
        config.tls.required = true;
    })
    .await;
    let full = format!(
        "user=postgres sslmode=verify-full sslrootcert={}",
        authority.root().display()
    );
    let long = "SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 3000)";
    assert_eq!(
        psql(&postgres, &proxy.address, &full, long)
            .await
            .as_deref(),
        Ok("3000000")
    );
    let bulk = "COPY (SELECT repeat('y', 1000) FROM generate_series(1, 5000)) TO STDOUT";
    let copied = psql(&postgres, &proxy.address, &full, bulk)
        .await
        .expect("copied");
    assert_eq!(copied.len(), 5000 * 1001 - 1);
    let refused = psql(
        &postgres,
        &proxy.address,
        "user=postgres sslmode=disable",
        "SELECT 1",
    )
    .await;
    assert!(refused.expect_err("no TLS").contains("without TLS"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn direct_tls_needs_the_protocols_name() {
    let authority = Authority::new();
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let files = authority.sign("proxy", "localhost");
    let proxy = Proxy::start_with(&postgres, |config| with_certificate(config, files)).await;
    for (alpn, served) in [
        (&["postgresql"][..], true),
        (&[], false),
        (&["http/1.1"], false),
    ] {
        let tcp = TcpStream::connect(&proxy.address).await.expect("connect");
        let connected = authority.connector(alpn).connect(localhost(), tcp).await;
        let Ok(mut stream) = connected else {
            assert!(!served, "{alpn:?}");
            continue;
        };
        // Errors show as nothing read.
        let _ = stream.write_all(&startup()).await;
        let mut first = [0];
        let read = stream.read_exact(&mut first).await;
        assert_eq!(read.is_ok() && first == *b"R", served, "{alpn:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_sends_in_the_clear_before_tls_ends_the_connection() {
    let authority = Authority::new();
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let files = authority.sign("proxy", "localhost");
    let proxy = Proxy::start_with(&postgres, |config| with_certificate(config, files)).await;
    let mut raw = Raw::dial(&proxy.address).await;
    raw.send(&[&SSL_REQUEST[..], &startup()].concat()).await;
    let mut came = Vec::new();
    raw.stream.read_to_end(&mut came).await.expect("closed");
    assert_eq!(
        came.first(),
        Some(&b'E'),
        "no TLS, and no session: {came:?}"
    );
    let totals = proxy.shared.counters.totals();
    assert_eq!(totals.sessions_open, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_the_clear_from_the_servers_side_is_not_taken_for_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    let postgres = Postgres::start().await.expect("PostgreSQL");
    for mode in [SslMode::Prefer, SslMode::Require] {
        let proxy = Proxy::start_with(&postgres, |config| {
            config.upstream.0 = address.clone();
            config.upstream_tls.sslmode = mode;
        })
        .await;
        let mut raw = Raw::dial(&proxy.address).await;
        raw.send(&startup()).await;
        let (mut server, _) = listener.accept().await.expect("accept");
        let mut asked = [0; 8];
        server.read_exact(&mut asked).await.expect("SSLRequest");
        assert_eq!(asked, SSL_REQUEST);
        let injected = [&b"S"[..], &frame('R', &[0; 4]), &frame('Z', b"I")].concat();
        server.write_all(&injected).await.expect("inject");
        assert_eq!(raw.last_error().await, "08006", "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channel_binding_is_offered_only_where_it_can_hold() {
    let authority = Authority::new();
    let postgres = authority.postgres("localhost").await;
    let same = ["crt", "key"].map(|end| authority.dir.path().join(format!("server.{end}")));
    let other = authority.sign("proxy", "localhost");
    postgres
        .create_user("binder", "secret", Auth::Scram)
        .await
        .expect("role");
    let require = |config: &mut Config| config.upstream_tls.sslmode = SslMode::Require;

    // In the clear towards the proxy: a client that is offered what it cannot do gives up.
    let proxy = Proxy::start_with(&postgres, require).await;
    let said = psql(
        &postgres,
        &proxy.address,
        "user=binder sslmode=disable",
        TLS_OF_SERVER,
    )
    .await;
    assert_eq!(said.as_deref(), Ok("t"));

    // Two certificates: there is nothing to bind to, and a client that insists is told.
    let proxy = Proxy::start_with(&postgres, |config| {
        require(config);
        with_certificate(config, other);
    })
    .await;
    let unbound = "user=binder sslmode=require channel_binding=disable";
    assert_eq!(
        psql(&postgres, &proxy.address, unbound, TLS_OF_SERVER)
            .await
            .as_deref(),
        Ok("t")
    );
    let bound = "user=binder sslmode=require channel_binding=require";
    assert!(
        psql(&postgres, &proxy.address, bound, "SELECT 1")
            .await
            .is_err()
    );

    // The same certificate on both sides: it holds right through, and nothing is taken away.
    let [certificate, key] = same;
    let proxy = Proxy::start_with(&postgres, |config| {
        require(config);
        with_certificate(config, (certificate, key));
    })
    .await;
    assert_eq!(
        psql(&postgres, &proxy.address, bound, TLS_OF_SERVER)
            .await
            .as_deref(),
        Ok("t")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crossfades_own_connection_is_encrypted_as_its_url_says() {
    let ours = Authority::new();
    let others = Authority::new();
    let postgres = ours.postgres("127.0.0.1").await;
    for (root, works) in [(&ours, true), (&others, false)] {
        let url = format!(
            "{}?sslmode=verify-full&sslrootcert={}",
            postgres.url("postgres"),
            root.root().display()
        );
        let connected = crossfade::control::connection::connect(&url, "test").await;
        assert_eq!(connected.is_ok(), works, "{:?}", connected.err());
        if let Ok(control) = connected {
            let row = control.query_one(TLS_OF_SERVER, &[]).await.expect("row");
            assert!(row.get::<_, bool>(0));
        }
    }
}

/// A TLS session, ready for a query.
async fn encrypted(authority: &Authority, port: u16) -> TlsStream<TcpStream> {
    let mut tcp = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connect");
    tcp.write_all(&SSL_REQUEST).await.expect("ask");
    assert_eq!(tcp.read_u8().await.expect("answer"), b'S');
    let connected = authority.connector(&[]).connect(localhost(), tcp).await;
    let mut stream = connected.expect("a certificate that the root has signed");
    stream.write_all(&startup()).await.expect("startup");
    until_ready(&mut stream).await;
    stream
}

async fn until_ready(stream: &mut TlsStream<TcpStream>) {
    let mut came = Vec::new();
    while !came.ends_with(&frame('Z', b"I")) {
        assert_ne!(stream.read_buf(&mut came).await.expect("read"), 0);
    }
}

/// The certificate that a new session is shown.
async fn shown(authority: &Authority, port: u16) -> CertificateDer<'static> {
    let stream = encrypted(authority, port).await;
    let chain = stream.get_ref().1.peer_certificates();
    chain.expect("certificates")[0].clone()
}

/// Puts both files in the place of the ones in use, each at once. Length and time of the files say
/// that nothing has changed.
fn put_in_place(from: (PathBuf, PathBuf), to: (&Path, &Path)) {
    const BYTES: usize = 4000;
    for (from, to) in [(from.0, to.0), (from.1, to.1)] {
        let mut pem = std::fs::read(&from).expect("read");
        pem.resize(BYTES, b'\n');
        std::fs::write(&from, pem).expect("write");
        let file = std::fs::File::options()
            .write(true)
            .open(&from)
            .expect("open");
        file.set_modified(std::time::UNIX_EPOCH)
            .expect("a time of its own");
        std::fs::rename(&from, to).expect("rename");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_to_new_sessions_and_a_broken_one_to_none() {
    let authority = Authority::new();
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let operator = postgres.connect("postgres").await.expect("operator");
    let app = format!("CREATE ROLE {USER} LOGIN");
    operator.batch_execute(&app).await.expect("role");
    let path = |name: &str| authority.dir.path().join(name);
    let (certificate, key) = (path("used.crt"), path("used.key"));
    let used = (certificate.as_path(), key.as_path());
    put_in_place(authority.sign("first", "localhost"), used);
    let tls = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
    let proxy = crossfade_tests::Proxy::with_config(&postgres, "postgres", &tls).expect("files");
    let proxy = proxy.serve().await.expect("proxy");
    let mut early = encrypted(&authority, proxy.port).await;
    let first = shown(&authority, proxy.port).await;

    // Nothing but the signal says that these are others.
    put_in_place(authority.sign("second", "localhost"), used);
    proxy.signal(Signal::Hangup).expect("SIGHUP");
    let mut second = shown(&authority, proxy.port).await;
    while second == first {
        second = shown(&authority, proxy.port).await;
    }

    // A certificate of another key, as between the writing of two files: what was in use stays.
    let (third, third_key) = authority.sign("third", "localhost");
    std::fs::rename(third, &certificate).expect("rename");
    while !proxy.log().contains("the certificate was not changed") {
        a_moment().await;
    }
    assert_eq!(shown(&authority, proxy.port).await, second);
    // Nobody says anything now: the files are watched.
    std::fs::rename(third_key, &key).expect("rename");
    while shown(&authority, proxy.port).await == second {}

    early
        .write_all(&crate::raw::query("SELECT 1"))
        .await
        .expect("ask");
    until_ready(&mut early).await;
}
