//! A worker: a thread that owns sessions and their sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use super::{Shared, client};

/// The SQL grammar recurses in proportion to a statement's nesting. This is address space, not
/// memory: pages are only taken when a statement is nested that deep.
pub const STACK_BYTES: usize = 256 * 1024 * 1024;

/// A connection on its way to its worker's thread.
type Arrival = (std::net::TcpStream, SocketAddr, Seat);

#[derive(Debug)]
pub(super) struct Worker {
    // Unbounded, but the kernel's accept backlog bounds what arrives between two turns of a
    // worker, and each session takes its place under `connections_max` before it costs anything.
    arrivals: mpsc::UnboundedSender<Arrival>,
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

    /// Takes no more clients and waits for the last one; the grace is the worker's own.
    pub async fn finish(self) {
        drop(self.arrivals);
        // The sender is dropped, never used: an error is the sign.
        let _ = self.finished.await;
    }
}

/// Gives a connection to the worker with the fewest.
pub(super) fn hand_over(workers: &[Worker], client: TcpStream, address: SocketAddr) {
    let fewest = workers.iter().min_by_key(|w| w.sessions.load(Relaxed));
    let (Some(worker), Ok(client)) = (fewest, client.into_std()) else {
        return;
    };
    let seat = Seat::take(&worker.sessions);
    if worker.arrivals.send((client, address, seat)).is_err() {
        tracing::error!(%address, "a worker is gone; the connection is closed");
    }
}

async fn work(number: usize, shared: Arc<Shared>, mut queue: mpsc::UnboundedReceiver<Arrival>) {
    let mut sessions = JoinSet::new();
    loop {
        // Both are cancel-safe.
        tokio::select! {
            arrival = queue.recv() => {
                let Some((client, address, seat)) = arrival else { break };
                let shared = Arc::clone(&shared);
                sessions.spawn(async move {
                    let _seat = seat;
                    match TcpStream::from_std(client) {
                        Ok(client) => client::serve(number, &shared, client, address).await,
                        Err(error) => tracing::warn!(%address, %error, "cannot take a connection"),
                    }
                });
            }
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => note(ended),
        }
    }
    let grace = Duration::from_millis(shared.config.limits.shutdown_grace_ms);
    let all = async {
        while let Some(ended) = sessions.join_next().await {
            note(ended);
        }
    };
    if tokio::time::timeout(grace, all).await.is_err() {
        tracing::warn!(
            worker = number,
            sessions = sessions.len(),
            "ending sessions that are still in a transaction"
        );
    }
}

/// A session that panicked is a defect of ours; it has harmed nobody but its client.
fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a session ended by a defect");
    }
}
