//! From a client's startup packet to a server that answers it. While the server is away the client waits: nothing has been
//! said to it, so the packet can be sent again to whichever host serves next.

use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::server::peer::Peer;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::upstream::Known;
use crate::wire::backend::{self, Fields};
use crate::wire::frame::{HEADER_BYTES, Header};

/// Between two attempts of one client, where nobody says that there is something new.
const RETRY: Duration = Duration::from_secs(1);
/// An answer to a startup packet is short; an error that is longer than this goes on to the client as it comes.
const ANSWER_BYTES_MAX: usize = 8 * 1024;
/// A client that waits for its login has little to say.
const SENT_BYTES_MAX: usize = 1024;

/// A server that has answered the startup packet.
#[derive(Debug)]
pub(super) struct Reached {
    pub client: Stream,
    pub server: Stream,
    /// What the client has said meanwhile.
    pub sent: Vec<u8>,
    /// What the server has said.
    pub said: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum NotReached {
    ClientGone,
    /// The client is to be told this.
    Told(Stream, Vec<u8>),
}

/// Why a host is not there for a client now.
#[derive(Debug)]
enum Away {
    /// It starts, stops or recovers (57P03): its own words.
    NotNow(Vec<u8>),
    /// It cannot be reached.
    Unreachable(io::Error),
}

/// Brings a client to the host in use. If none answers it waits for one, as long as `limits.upstream_wait_ms` says.
pub(super) async fn reach(
    shared: &Shared,
    mut client: Stream,
    packet: &[u8],
    peer: Peer,
) -> Result<Reached, NotReached> {
    let mut sent = Vec::new();
    let first = {
        let mut speaks = pin!(speaks(shared, &mut client, &mut sent));
        attempt(shared, packet, speaks.as_mut()).await
    };
    let away = match first {
        Ok((server, said)) => return Ok(reached(client, server, (sent, said))),
        Err(away) => away,
    };
    shared.upstream.doubt();
    let wait = shared.upstream.wait();
    let waits = away.as_ref().is_none_or(Away::may_pass);
    if wait.is_zero() || !waits {
        let words = words(shared, away.as_ref(), peer);
        return Err(NotReached::Told(client, words));
    }
    tracing::debug!(%peer, "a client waits for the server");
    let _waiting = shared.upstream.wait_along();
    let mut last = away;
    let arrived = async {
        loop {
            again(shared).await;
            match attempt(shared, packet, pin!(pending())).await {
                Ok(server) => return Some(server),
                Err(away) => {
                    let waits = away.as_ref().is_none_or(Away::may_pass);
                    last = away.or(last.take());
                    if !waits {
                        return None;
                    }
                }
            }
        }
    };
    let deadline = Instant::now() + wait;
    // None of these is gone on with once another has completed.
    let arrived = tokio::select! {
        arrived = tokio::time::timeout_at(deadline, arrived) => arrived.ok().flatten(),
        () = gone(&mut client, &mut sent) => return Err(NotReached::ClientGone),
        () = shared.stop.asked() => {
            let mut words = Vec::new();
            let message = "terminating connection because Crossfade is shutting down";
            backend::write_error(&mut words, "FATAL", "57P01", message, "");
            return Err(NotReached::Told(client, words));
        }
    };
    match arrived {
        Some((server, said)) => Ok(reached(client, server, (sent, said))),
        None => {
            let words = words(shared, last.as_ref(), peer);
            Err(NotReached::Told(client, words))
        }
    }
}

fn reached(client: Stream, server: Stream, (sent, said): (Vec<u8>, Vec<u8>)) -> Reached {
    Reached {
        client,
        server,
        sent,
        said,
    }
}

/// Until there is nothing to wait for in what the server has to say: the client speaks by itself, or it has taken as long as
/// a login may. The relay goes by the limits of either then.
async fn speaks(shared: &Shared, client: &mut Stream, sent: &mut Vec<u8>) {
    let limit = Duration::from_millis(shared.config.limits.authentication_timeout_ms);
    let _ = tokio::time::timeout(limit, client.read_buf(sent)).await;
}

/// One attempt with the host in use, or with each of them where whichever takes connections will do. An error without a
/// reason says that it is not known which host that is.
async fn attempt(
    shared: &Shared,
    packet: &[u8],
    mut enough: Pin<&mut impl Future<Output = ()>>,
) -> Result<(Stream, Vec<u8>), Option<Away>> {
    let upstream = &shared.upstream;
    let known = upstream.known();
    if upstream.is_chosen() {
        let host = known.usable().ok_or(None)?;
        // A host that hangs is given up as soon as another is in use.
        let answered = tokio::select! {
            answered = answer(shared, host, packet, enough) => answered,
            () = another_than(shared, host) => return Err(None),
        };
        return answered.map_err(|away| {
            upstream.lost(known.change);
            Some(away)
        });
    }
    let all = upstream.addresses().len();
    let begin = known.host.unwrap_or_default();
    let mut why = None;
    for host in (0..all).map(|nth| (begin + nth) % all) {
        match answer(shared, host, packet, enough.as_mut()).await {
            Ok(answered) => {
                upstream.found(host);
                return Ok(answered);
            }
            Err(away) => why = Some(away),
        }
    }
    upstream.lost(known.change);
    Err(why)
}

/// Until it is worth trying again.
async fn again(shared: &Shared) {
    let mut news = shared.upstream.news();
    let seen = *news.borrow_and_update();
    // A host that is in use already has just failed: it is not asked again at once.
    let is_new = |known: &Known| known.usable().is_some() && *known != seen;
    let _ = tokio::time::timeout(RETRY, news.wait_for(is_new)).await;
}

async fn another_than(shared: &Shared, host: usize) {
    let mut news = shared.upstream.news();
    let other = |known: &Known| known.usable().is_some_and(|usable| usable != host);
    if news.wait_for(other).await.is_err() {
        pending::<()>().await;
    }
}

/// Sends the packet to a host and reads the beginning of its answer, which is the session's unless it says that
/// nobody can connect now. Once it is `enough`, whatever has come of it.
async fn answer(
    shared: &Shared,
    host: usize,
    packet: &[u8],
    mut enough: Pin<&mut impl Future<Output = ()>>,
) -> Result<(Stream, Vec<u8>), Away> {
    let sent = async {
        let mut server = shared.upstream.connect(host).await?;
        server.write_all(packet).await?;
        server.flush().await?;
        Ok(server)
    };
    let mut server = sent.await.map_err(Away::Unreachable)?;
    let mut said = Vec::new();
    loop {
        let read = tokio::select! {
            read = server.read_buf(&mut said) => read.map_err(Away::Unreachable)?,
            () = enough.as_mut() => return Ok((server, said)),
        };
        if read == 0 && said.is_empty() {
            let message = "it closed the connection without a word";
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, message);
            return Err(Away::Unreachable(error));
        }
        let is_error = said.first() == Some(&b'E');
        if read == 0 || !is_error || said.len() > ANSWER_BYTES_MAX {
            return Ok((server, said));
        }
        let whole = Header::read(&said).map(Header::frame_bytes);
        let Some(frame) = whole.and_then(|bytes| said.get(..bytes)) else {
            continue;
        };
        let sqlstate = Fields::new(&frame[HEADER_BYTES..]).sqlstate();
        return match sqlstate {
            b"57P03" => Err(Away::NotNow(frame.to_vec())),
            _ => Ok((server, said)),
        };
    }
}

impl Away {
    /// Whether waiting may help. Against what a server says in a TLS handshake it does not.
    fn may_pass(&self) -> bool {
        match self {
            Away::NotNow(_) => true,
            Away::Unreachable(error) => !matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            ),
        }
    }
}

/// What a client is told that has waited long enough.
fn words(shared: &Shared, why: Option<&Away>, peer: Peer) -> Vec<u8> {
    use std::sync::atomic::Ordering::Relaxed;

    shared.counters.upstream_failures.fetch_add(1, Relaxed);
    let server: Vec<String> = shared.upstream.addresses().map(|a| a.to_string()).collect();
    let server = server.join(", ");
    let mut words = Vec::new();
    let message = match why {
        Some(Away::NotNow(own)) => {
            tracing::warn!(%peer, server, "the server takes no connections now");
            return own.clone();
        }
        Some(Away::Unreachable(error)) => {
            tracing::warn!(%peer, server, %error, "the server cannot be reached");
            format!("Crossfade cannot reach the PostgreSQL server at {server}: {error}")
        }
        None => {
            tracing::warn!(%peer, server, "no host is known to be the primary");
            format!("Crossfade knows no primary among the PostgreSQL servers at {server}")
        }
    };
    backend::write_error(&mut words, "FATAL", "08006", &message, "");
    words
}

/// Completes when the client has gone. What it says meanwhile is kept for its session; beyond a little of it nobody
/// listens any more.
async fn gone(client: &mut Stream, sent: &mut Vec<u8>) {
    while sent.len() < SENT_BYTES_MAX {
        match client.read_buf(sent).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    pending::<()>().await;
}
