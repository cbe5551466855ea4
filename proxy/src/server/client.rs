//! One client, from its first byte to its last.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rewrite_rules::SearchPath;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Shared;
use crate::relay::{self, Ending, Relay};
use crate::session::{Session, SessionLimits, Settings, Violation};
use crate::wire::backend;
use crate::wire::frontend::MessageError;
use crate::wire::startup::{self, Startup, StartupError};
use crate::{cancel, upstream};

/// A client that does not take its last words within this time does without them.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// Each kind of encryption may be asked for once before the session's own packet.
const NEGOTIATIONS_MAX: usize = 2;

/// What a client's first packets came to.
enum Opening {
    Session {
        packet: Vec<u8>,
        search_path: SearchPath,
    },
    Cancel {
        packet: Vec<u8>,
    },
    Refused(StartupError),
}

pub(super) async fn serve(
    worker: usize,
    shared: &Shared,
    mut client: TcpStream,
    address: SocketAddr,
) {
    let limits = &shared.config.limits;
    let timeout = Duration::from_millis(limits.startup_timeout_ms);
    // Small messages in both directions wait for each other: Nagle's algorithm would add 40 ms.
    if client.set_nodelay(true).is_err() {
        return;
    }
    let opening = open(&mut client, limits.startup_bytes_max);
    let opening = match tokio::time::timeout(timeout, opening).await {
        Ok(Ok(opening)) => opening,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "a client went away during startup");
            return;
        }
        Err(_) => {
            tracing::info!(%address, "a client did not finish its startup packet in time");
            return;
        }
    };
    match opening {
        Opening::Session {
            packet,
            search_path,
        } => {
            let _open = Open::count(shared);
            session(worker, shared, client, address, &packet, search_path).await;
        }
        Opening::Cancel { packet } => {
            if let Err(error) = cancel::forward(&packet, &shared.config).await {
                tracing::info!(%address, %error, "a cancel request could not be handed on");
            }
        }
        Opening::Refused(error) => {
            tracing::info!(%address, %error, "startup refused");
            farewell(client, error.sqlstate(), &error.to_string(), "").await;
        }
    }
}

/// Counts a session for as long as it lives.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn count(shared: &'a Shared) -> Open<'a> {
        shared.counters.sessions_open.fetch_add(1, Relaxed);
        shared.counters.sessions_total.fetch_add(1, Relaxed);
        Open(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.counters.sessions_open.fetch_sub(1, Relaxed);
    }
}

/// Reads the first packets, byte for byte no more than they are: what follows is the session's.
async fn open(client: &mut TcpStream, bytes_max: u32) -> io::Result<Opening> {
    for _ in 0..=NEGOTIATIONS_MAX {
        let mut length = [0; 4];
        client.read_exact(&mut length).await?;
        let bytes = match startup::packet_bytes(length, bytes_max) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Opening::Refused(error)),
        };
        let mut packet = vec![0; bytes];
        packet[..4].copy_from_slice(&length);
        client.read_exact(&mut packet[4..]).await?;
        match Startup::read(&packet) {
            // No encryption yet; a client that insists on it closes.
            Ok(Startup::Ssl | Startup::Gss) => client.write_all(b"N").await?,
            Ok(Startup::Cancel) => return Ok(Opening::Cancel { packet }),
            Ok(Startup::Session(parameters)) => {
                let search_path = if parameters.sets_search_path {
                    SearchPath::Unknown
                } else {
                    SearchPath::AsDeclared
                };
                return Ok(Opening::Session {
                    packet,
                    search_path,
                });
            }
            Err(error) => return Ok(Opening::Refused(error)),
        }
    }
    Ok(Opening::Refused(StartupError::Malformed(
        "encryption was asked for too often",
    )))
}

async fn session(
    worker: usize,
    shared: &Shared,
    client: TcpStream,
    address: SocketAddr,
    packet: &[u8],
    search_path: SearchPath,
) {
    let limits = &shared.config.limits;
    if shared.counters.sessions_open.load(Relaxed) > limits.connections_max as u64 {
        let message = format!("Crossfade has {} clients already", limits.connections_max);
        let hint = "Raise limits.connections_max, or close connections.";
        return farewell(client, "53300", &message, hint).await;
    }
    let server = match connected(shared, packet).await {
        Ok(server) => server,
        Err(error) => {
            shared.counters.upstream_failures.fetch_add(1, Relaxed);
            let server = &shared.config.upstream.0;
            tracing::warn!(%address, server, %error, "the server cannot be reached");
            let message =
                format!("Crossfade cannot reach the PostgreSQL server at {server}: {error}");
            return farewell(client, "08006", &message, "").await;
        }
    };
    let session = Session::new(
        shared.generations.session(),
        shared.generations.current(),
        settings(shared, search_path, address),
    );
    let mut relay = Relay::new(client, server, session);
    let ending = relay
        .run(&shared.stop, |report| shared.take(worker, report))
        .await;
    let last_words = last_words(shared, &relay, &ending, address);
    if let Ending::ClientGone(error) = &ending {
        tracing::debug!(%address, %error, "a client went away");
        return;
    }
    // A client that takes nothing any more has had its time.
    let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, relay.close(&last_words)).await;
}

async fn connected(shared: &Shared, packet: &[u8]) -> io::Result<TcpStream> {
    let config = &shared.config;
    let timeout_ms = config.limits.upstream_connect_timeout_ms;
    let mut server = upstream::connect(&config.upstream.0, timeout_ms).await?;
    server.write_all(packet).await?;
    Ok(server)
}

fn settings(shared: &Shared, search_path: SearchPath, address: SocketAddr) -> Settings {
    let limits = &shared.config.limits;
    // Which reads are compared need not be unpredictable, only different for each session.
    let seed = shared.counters.sessions_total.load(Relaxed) << 16 | u64::from(address.port());
    Settings {
        limits: SessionLimits {
            statement_bytes_max: limits.statement_bytes_max,
            prepared_statements_max: limits.prepared_statements_max,
            prepared_bytes_max: limits.prepared_bytes_max,
            cached_statements_max: shared.config.cache.statements,
        },
        search_path,
        shadow_sample: shared.config.shadow.sample,
        seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

/// What the client is told at the end, if the server has not told it.
fn last_words(
    shared: &Shared,
    relay: &Relay<crate::generation::SessionPin>,
    ending: &Ending,
    address: SocketAddr,
) -> Vec<u8> {
    let mut words = Vec::new();
    let mut say = |sqlstate, message: &str| {
        backend::write_error(&mut words, "FATAL", sqlstate, message, "");
    };
    match ending {
        Ending::ClientGone(_) => {}
        Ending::UpstreamClosed if relay.session.is_ending() || relay.client_has_closed() => {}
        Ending::UpstreamClosed => {
            shared.counters.upstream_failures.fetch_add(1, Relaxed);
            tracing::warn!(%address, "the server closed a connection without a word");
            say(
                "08006",
                "Crossfade has lost its connection to the PostgreSQL server",
            );
        }
        Ending::Violation(Violation::Client(error)) => {
            tracing::info!(%address, %error, "a client broke the protocol");
            match error {
                MessageError::TooLong { .. } => say("54000", &error.to_string()),
                MessageError::UnknownType(_)
                | MessageError::Length { .. }
                | MessageError::Malformed { .. } => say("08P01", &error.to_string()),
            }
        }
        Ending::Violation(
            violation @ (Violation::OutOfOrder { .. } | Violation::ServerLength { .. }),
        ) => {
            tracing::error!(%address, %violation, "a session ended: its order of answers is broken");
            say(
                "XX000",
                &format!("Crossfade ended this session: {violation}"),
            );
        }
        Ending::Stopped => say(
            "57P01",
            "terminating connection because Crossfade is shutting down",
        ),
    }
    words
}

/// Refuses a client that has no relay yet.
async fn farewell(mut client: TcpStream, sqlstate: &str, message: &str, hint: &str) {
    let mut words = Vec::new();
    backend::write_error(&mut words, "FATAL", sqlstate, message, hint);
    let saying = async {
        client.write_all(&words).await?;
        relay::linger(client).await
    };
    // A client that takes nothing any more has had its time.
    let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, saying).await;
}
