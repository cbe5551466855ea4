//! The connections of the admin listener: few, and none of them may dawdle.
//!
//! Whoever reaches the listener could otherwise hold every connection of it open and keep probes out, for want of which a
//! supervisor would end a proxy that serves well. So where there are too many, the one makes room that has been open
//! longest and is not being answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tower::ServiceExt;

/// What one connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// Of all connections: a few browsers, each with six, and what scrapes and probes.
    pub connections_max: usize,
    /// From the connection, or from the last answer, to the end of the next request's head. Prometheus asks every 15 s by
    /// default, over one connection.
    pub head: Duration,
    /// To read a request's body and to make the answer. The page waits for no step.
    pub request: Duration,
    /// Of the whole connection: who does not read its answers is ended by this.
    pub connection: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            connections_max: 100,
            head: Duration::from_secs(30),
            request: Duration::from_secs(30),
            connection: Duration::from_secs(600),
        }
    }
}

/// For an answer under way when the connection's time is up.
const FAREWELL: Duration = Duration::from_secs(5);
/// Out of sockets: trying at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The longest head: names and values of headers. Of a browser's, cookies of other services on the host are the most.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub SocketAddr);

/// Serves for as long as it is polled; dropped, it ends every connection.
pub(super) async fn serve(listener: TcpListener, paths: Router, limits: ConnectionLimits) {
    let mut open = Open::default();
    loop {
        // Accepting is cancel-safe, and so is to wait for one that has ended.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_ended) = open.tasks.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => open.take(limits.connections_max, |busy| {
                answer(stream, Peer(peer), paths.clone(), busy, limits)
            }),
            Err(error) => {
                tracing::warn!(%error, "the admin listener cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connections that are open, the oldest first.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    all: Vec<(AbortHandle, Arc<AtomicBool>)>,
}

impl Open {
    /// Takes one more, for which another may have to go. Where all are being answered it is not taken.
    fn take<F>(&mut self, connections_max: usize, connection: impl FnOnce(Arc<AtomicBool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.all.retain(|(task, _)| !task.is_finished());
        if self.all.len() >= connections_max {
            let idle = self.all.iter().position(|(_, busy)| !busy.load(Relaxed));
            let Some(idle) = idle else {
                tracing::warn!("too many connections to the admin listener");
                return;
            };
            self.all.remove(idle).0.abort();
        }
        let busy = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(connection(Arc::clone(&busy)));
        self.all.push((task, busy));
    }
}

/// Answers one connection until it ends or its time is up. What goes wrong with it is its own affair.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    paths: Router,
    busy: Arc<AtomicBool>,
    limits: ConnectionLimits,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let answered = paths.clone().oneshot(request);
        let busy = Arc::clone(&busy);
        async move {
            busy.store(true, Relaxed);
            let answered = tokio::time::timeout(limits.request, answered).await;
            busy.store(false, Relaxed);
            let late = |_| (StatusCode::REQUEST_TIMEOUT, "it took too long\n").into_response();
            let answered: Response = match answered {
                Ok(Ok(answered)) => answered,
                Ok(Err(never)) => match never {},
                Err(elapsed) => late(elapsed),
            };
            Ok::<Response, Infallible>(answered)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    if let Ok(ended) = tokio::time::timeout(limits.connection, connection.as_mut()).await {
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the admin listener broke");
        }
        return;
    }
    connection.as_mut().graceful_shutdown();
    // What is left when this is over is cut off.
    let _ = tokio::time::timeout(FAREWELL, connection).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    /// Later than any test lives.
    const NEVER: Duration = Duration::from_secs(3600);

    fn patient() -> ConnectionLimits {
        ConnectionLimits {
            connections_max: 2,
            head: NEVER,
            request: NEVER,
            connection: NEVER,
        }
    }

    async fn listening(limits: ConnectionLimits) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let paths = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/", post(|body: String| async move { body }))
            .route("/never", get(std::future::pending::<String>));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, paths, limits));
        (address, serving)
    }

    async fn asked(address: SocketAddr, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let sent = stream.write_all(request.as_bytes()).await;
        sent.expect("it is read");
        stream
    }

    /// Reads until the other side ends the connection.
    async fn said(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        // One that is cut off has said what it has said.
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn who_says_nothing_or_half_a_head_or_no_more_is_ended() {
        let limits = ConnectionLimits {
            connections_max: 3,
            head: SOON,
            ..patient()
        };
        let (address, _serving) = listening(limits).await;
        let mut silent = asked(address, "").await;
        let mut half = asked(address, "GET / HTTP/1.1\r\nHo").await;
        let mut idle = asked(address, "GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
        assert_eq!(said(&mut silent).await, "");
        said(&mut half).await;
        assert!(said(&mut idle).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn who_sends_half_a_body_is_told_that_it_took_too_long() {
        let limits = ConnectionLimits {
            request: SOON,
            ..patient()
        };
        let (address, _serving) = listening(limits).await;
        let half = "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nhalf";
        let mut half = asked(address, half).await;
        let told = said(&mut half).await;
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    }

    #[tokio::test]
    async fn a_connection_has_an_end() {
        let limits = ConnectionLimits {
            connection: SOON,
            ..patient()
        };
        let (address, _serving) = listening(limits).await;
        let mut silent = asked(address, "").await;
        assert_eq!(said(&mut silent).await, "");
    }

    #[tokio::test]
    async fn the_oldest_that_is_not_answered_makes_room_for_a_probe() {
        let (address, _serving) = listening(patient()).await;
        let mut first = asked(address, "").await;
        let mut second = asked(address, "GET / HTTP/1.1\r\nHo").await;
        let mut probe = asked(address, GET).await;
        assert!(said(&mut probe).await.starts_with("HTTP/1.1 200"));
        assert_eq!(said(&mut first).await, "");
        let mut probe = asked(address, GET).await;
        assert!(said(&mut probe).await.starts_with("HTTP/1.1 200"));
        drop(second.shutdown().await);
    }

    #[tokio::test]
    async fn where_all_are_being_answered_no_more_are_taken() {
        let (address, _serving) = listening(patient()).await;
        let never = "GET /never HTTP/1.1\r\nHost: here\r\n\r\n";
        let mut busy = vec![asked(address, never).await, asked(address, never).await];
        // Until both are answered one of them makes room.
        loop {
            let mut probe = asked(address, GET).await;
            if said(&mut probe).await.is_empty() {
                break;
            }
            busy.push(asked(address, never).await);
        }
    }
}
