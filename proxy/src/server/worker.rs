//! A worker: a thread that owns sessions and their sockets.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use super::client;
use super::peer::{Arrival, Peer};
use crate::door::Handshake;
use crate::shared::Shared;

/// The SQL grammar recurses in proportion to a statement's nesting, and so does everybody who goes through its
/// tree: most of all the decoder of the parser's answer, which takes 40 kB for a node within a node, while the
/// parser takes less than 5,000 of these (a test of hostile statements reads each form as deep as that). This is
/// address space, not memory: pages are only taken when a statement is nested that deep.
pub const STACK_BYTES: usize = 256 * 1024 * 1024;

/// A connection on its way to its worker's thread.
#[derive(Debug)]
struct Delivery {
    arrival: Arrival,
    peer: Peer,
    handshake: Handshake,
    seat: Seat,
}

#[derive(Debug)]
pub(super) struct Worker {
    // Unbounded, but everything in it has its place under `handshakes_max`.
    arrivals: mpsc::UnboundedSender<Delivery>,
    sessions: Arc<AtomicUsize>,
    finished: oneshot::Receiver<()>,
}

/// Counts a session to its worker for as long as it lives.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(sessions: &Arc<AtomicUsize>) -> Seat {
        sessions.fetch_add(1, Relaxed);
        Seat(Arc::clone(sessions))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Worker {
    pub fn start(number: usize, shared: Arc<Shared>) -> io::Result<Worker> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (arrivals, queue) = mpsc::unbounded_channel();
        let (finish, finished) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || {
                runtime.block_on(work(number, shared, queue));
                drop(finish);
            })?;
        Ok(Worker {
            arrivals,
            sessions: Arc::default(),
            finished,
        })
    }

    /// Takes no more clients from now on; what is returned waits for the last one.
    pub fn finish(self) -> impl Future<Output = ()> {
        drop(self.arrivals);
        async {
            // The sender is dropped, never used: an error is the sign.
            let _ = self.finished.await;
        }
    }
}

/// Gives a connection to the worker with the fewest.
pub(super) fn hand_over(workers: &[Worker], arrival: Arrival, peer: Peer, handshake: Handshake) {
    let Some(worker) = workers.iter().min_by_key(|w| w.sessions.load(Relaxed)) else {
        return;
    };
    let delivery = Delivery {
        arrival,
        peer,
        handshake,
        seat: Seat::take(&worker.sessions),
    };
    if worker.arrivals.send(delivery).is_err() {
        tracing::error!(%peer, "a worker is gone; the connection is closed");
    }
}

/// Serves until no more can come and the last one has gone. How long those that are there may
/// stay is the server's to say.
async fn work(number: usize, shared: Arc<Shared>, mut queue: mpsc::UnboundedReceiver<Delivery>) {
    let mut sessions = JoinSet::new();
    loop {
        // Both are cancel-safe.
        tokio::select! {
            delivery = queue.recv() => {
                let Some(delivery) = delivery else { break };
                sessions.spawn(serve(number, Arc::clone(&shared), delivery));
            }
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => note(ended),
        }
    }
    while let Some(ended) = sessions.join_next().await {
        note(ended);
    }
}

async fn serve(number: usize, shared: Arc<Shared>, delivery: Delivery) {
    let Delivery {
        arrival,
        peer,
        handshake,
        seat: _seat,
    } = delivery;
    match arrival.settle(&shared.config.tcp) {
        Ok(client) => client::serve(number, &shared, client, peer, handshake).await,
        Err(error) => tracing::warn!(%peer, %error, "cannot take a connection"),
    }
}

/// A session that panicked is a defect of ours; it has harmed nobody but its client.
fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a session ended by a defect");
    }
}
