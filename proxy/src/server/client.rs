//! One client, from its first byte to its last.

mod opening;
mod reaching;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use rewrite_rules::SearchPath;
use tokio::io::AsyncWriteExt;

use super::peer::Peer;
use crate::cancel;
use crate::door::{Full, Guest, Handshake};
use crate::generation::SessionPin;
use crate::generation::ahead::Who;
use crate::relay::{self, Ending, NewerRules, Relay};
use crate::serving::console::{self, Caller};
use crate::session::{Session, SessionReport, SessionSettings, Violation};
use crate::sessions::{Connected, Traffic};
use crate::shared::Shared;
use crate::stream::Stream;
use crate::wire::backend;
use crate::wire::frontend::MessageError;
use opening::{LoginPacket, Opening};
use reaching::{NotReached, Reached};

/// A client that does not take its last words within this time does without them.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn serve(
    worker: usize,
    shared: &Arc<Shared>,
    client: Stream,
    peer: Peer,
    mut handshake: Handshake,
) {
    let limits = &shared.config.limits;
    let timeout = Duration::from_millis(limits.startup_timeout_ms);
    let opening = opening::open(client, shared.tls.as_ref(), limits.startup_bytes_max);
    let opened = tokio::select! {
        opened = tokio::time::timeout(timeout, opening) => opened,
        () = handshake.displaced() => {
            tracing::info!(%peer, "a client that had said nothing yet makes room for another one");
            return;
        }
    };
    handshake.has_spoken();
    let opening = match opened {
        Ok(Ok(opening)) => opening,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a client went away during startup");
            return;
        }
        Err(_) => {
            tracing::info!(%peer, "a client did not finish its startup packet in time");
            return;
        }
    };
    match opening {
        Opening::Session {
            client,
            packet,
            login,
        } if console::is_meant(shared, &login.database) => {
            let caller = Caller {
                user: login.user,
                peer: peer.to_string(),
                packet,
                handshake,
            };
            console::serve(shared, client, caller).await;
        }
        Opening::Session {
            client,
            packet,
            login,
        } => {
            let _open = OpenSession::count(shared);
            match place(shared, &client, &login, peer) {
                Ok(guest) => {
                    let arrived = Arrived {
                        client,
                        peer,
                        packet,
                        login,
                        handshake,
                        _guest: guest,
                    };
                    session(worker, shared, arrived).await;
                }
                Err(no) => {
                    tracing::info!(%peer, message = no.message, "a client is turned away");
                    farewell(client, no.sqlstate, &no.message, no.hint).await;
                }
            }
        }
        Opening::Cancel { packet } if shared.own_keys.cancel(&packet) => {}
        Opening::Cancel { packet } => {
            if let Err(error) = cancel::forward(&packet, &shared.upstream).await {
                tracing::info!(%peer, %error, "a cancel request could not be handed on");
            }
        }
        Opening::Refused { client, error } => {
            tracing::info!(%peer, %error, "startup refused");
            if error.is_told() {
                farewell(client, error.sqlstate(), &error.to_string(), "").await;
            } else {
                // What came behind it is taken, or the client would see a reset.
                let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, relay::linger(client)).await;
            }
        }
    }
}

/// A client that wants a session and may have one.
struct Arrived {
    client: Stream,
    peer: Peer,
    packet: Vec<u8>,
    login: LoginPacket,
    handshake: Handshake,
    _guest: Option<Guest>,
}

/// Why a client gets no session.
struct No {
    sqlstate: &'static str,
    message: String,
    hint: &'static str,
}

fn place(
    shared: &Shared,
    client: &Stream,
    login: &LoginPacket,
    peer: Peer,
) -> Result<Option<Guest>, No> {
    let limits = &shared.config.limits;
    // It would read and compare what is rewritten: unified with itself.
    if login.is_own {
        return Err(No {
            sqlstate: "08004",
            message: "this is a Crossfade proxy, and the control URL must lead to the PostgreSQL server itself"
                .to_owned(),
            hint: "Give --control, or url in [control], the address that the proxy has as its upstream.",
        });
    }
    if shared.must_be_encrypted(client) {
        return Err(No {
            sqlstate: "28000",
            message: "Crossfade takes no connection without TLS here".to_owned(),
            hint: "Connect with sslmode=require or above.",
        });
    }
    if shared.counters.sessions_open.load(Relaxed) > limits.connections_max as u64 {
        return Err(No {
            sqlstate: "53300",
            message: format!("Crossfade has {} clients already", limits.connections_max),
            hint: "Raise limits.connections_max, or close connections.",
        });
    }
    shared
        .door
        .enter(peer.address())
        .map_err(|Full { limit }| No {
            sqlstate: "53300",
            message: format!("Crossfade has {limit} clients of this address already"),
            hint: "Raise limits.connections_per_address_max, or close connections.",
        })
}

/// Counts a session for as long as it lives.
struct OpenSession<'a>(&'a Shared);

impl<'a> OpenSession<'a> {
    fn count(shared: &'a Shared) -> OpenSession<'a> {
        shared.counters.sessions_open.fetch_add(1, Relaxed);
        shared.counters.sessions_total.fetch_add(1, Relaxed);
        OpenSession(shared)
    }
}

impl Drop for OpenSession<'_> {
    fn drop(&mut self) {
        self.0.counters.sessions_open.fetch_sub(1, Relaxed);
    }
}

async fn session(worker: usize, shared: &Shared, arrived: Arrived) {
    let Arrived {
        client,
        peer,
        packet,
        login,
        handshake,
        _guest,
    } = arrived;
    let reached = match reaching::reach(shared, client, &packet, peer).await {
        Ok(reached) => reached,
        Err(NotReached::ClientGone) => {
            tracing::debug!(%peer, "a client went away while it waited for the server");
            return;
        }
        Err(NotReached::Told(client, words)) => return last(client, &words).await,
    };
    let Reached {
        client,
        server,
        sent,
        said,
    } = reached;
    drop(packet);
    let is_served = shared.served.serves(&login.database);
    let generations = match is_served {
        true => &shared.generations,
        false => &shared.elsewhere,
    };
    let who = Who::new(Arc::clone(&login.user), login.application.clone());
    let mut pin = generations.session(who);
    let traffic = Arc::new(Traffic::default());
    let _seat = shared.sessions.enter(Connected {
        user: Arc::clone(&login.user),
        database: String::from_utf8_lossy(&login.database).into_owned(),
        application: login.application,
        peer: peer.to_string(),
        is_tls: client.is_tls(),
        since: SystemTime::now(),
        is_served,
        pin: pin.view(),
        traffic: Arc::clone(&traffic),
    });
    let generation = pin.generation();
    let session = Session::new(
        pin,
        generation,
        settings(shared, login.search_path, ends_here(&client, &server)),
    );
    let held = Arc::clone(&shared.held);
    let newer = NewerRules {
        news: generations.news(),
        wait: Duration::from_millis(shared.config.limits.rules_wait_ms),
    };
    let mut relay = Relay::new(client, server, session, newer, held, Arc::clone(&traffic));
    relay.has_read(sent, said);
    let take = |report: SessionReport| {
        traffic.statements(report.statements());
        shared.take(worker, &login.user, report);
    };
    let limit = Duration::from_millis(shared.config.limits.authentication_timeout_ms);
    let established = tokio::time::timeout(limit, relay.establish(&shared.stop, take)).await;
    drop(handshake);
    let ending = match established {
        Ok(Ok(())) => {
            traffic.establish();
            Ok(relay.run(&shared.stop, take).await)
        }
        Ok(Err(ending)) => Ok(ending),
        Err(elapsed) => Err(elapsed),
    };
    let last_words = match &ending {
        Ok(Ending::ClientGone(error)) => {
            tracing::debug!(%peer, %error, "a client went away");
            return;
        }
        Ok(ending) => last_words(shared, &relay, ending, peer),
        Err(_) => {
            tracing::info!(%peer, "a client did not authenticate in time");
            let mut words = Vec::new();
            let message = "canceling authentication due to timeout";
            backend::write_error(&mut words, "FATAL", "57014", message, "");
            words
        }
    };
    // A client that takes nothing any more has had its time.
    let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, relay.close(&last_words)).await;
}

/// Whether the two sides see different TLS connections, so that a login cannot be bound to one.
/// The binding is to the certificate: where both sides show the same, it holds right through.
fn ends_here(client: &Stream, server: &Stream) -> bool {
    server.is_tls()
        && (client.certificate().is_none() || client.certificate() != server.certificate())
}

fn settings(
    shared: &Shared,
    search_path: SearchPath,
    strip_channel_binding: bool,
) -> SessionSettings {
    // Which reads are compared need not be unpredictable, only different for each session.
    let seed = shared.counters.sessions_total.load(Relaxed) + 1;
    SessionSettings {
        limits: shared.config.limits.session(shared.config.cache.limits()),
        search_path,
        strip_channel_binding,
        comments: shared.config.comments.forward,
        shadow_sample: shared.config.shadow.sample,
        seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

/// What the client is told at the end, if the server has not told it.
fn last_words(shared: &Shared, relay: &Relay<SessionPin>, ending: &Ending, peer: Peer) -> Vec<u8> {
    let mut words = Vec::new();
    let mut say = |sqlstate, message: &str| {
        backend::write_error(&mut words, "FATAL", sqlstate, message, "");
    };
    match ending {
        Ending::ClientGone(_) => {}
        Ending::UpstreamClosed if relay.session.is_ending() || relay.client_has_closed() => {}
        Ending::UpstreamClosed => {
            shared.counters.upstream_failures.fetch_add(1, Relaxed);
            tracing::warn!(%peer, "the server closed a connection without a word");
            // Whoever watches the host need not wait for its next look.
            shared.upstream.doubt();
            say(
                "08006",
                "Crossfade has lost its connection to the PostgreSQL server",
            );
        }
        Ending::Violation(Violation::Client(error)) => {
            tracing::info!(%peer, %error, "a client broke the protocol");
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
            tracing::error!(%peer, %violation, "a session ended: its order of answers is broken");
            say(
                "XX000",
                &format!("Crossfade ended this session: {violation}"),
            );
        }
        Ending::NoRoom => {
            tracing::warn!(%peer, "a session ended: all together hold too much of long statements");
            say(
                "53200",
                "Crossfade holds too many long statements at once: see limits.held_bytes_total_max",
            );
        }
        Ending::Stopped => say(
            "57P01",
            "terminating connection because Crossfade is shutting down",
        ),
        Ending::Killed => {
            tracing::info!(%peer, "an operator has ended a session");
            say(
                "57P01",
                "terminating connection due to administrator command",
            );
        }
    }
    words
}

/// Refuses a client that has no relay yet.
async fn farewell(client: Stream, sqlstate: &str, message: &str, hint: &str) {
    let mut words = Vec::new();
    backend::write_error(&mut words, "FATAL", sqlstate, message, hint);
    last(client, &words).await;
}

async fn last(mut client: Stream, words: &[u8]) {
    let saying = async {
        client.write_all(words).await?;
        relay::linger(client).await
    };
    // A client that takes nothing any more has had its time.
    let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, saying).await;
}
