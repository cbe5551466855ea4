//! Accepts clients and hands each to a worker.
//!
//! A worker is a thread with a runtime of its own: a session never changes threads, so that
//! moving a message wakes nobody else and contends for nothing.

mod client;
mod listeners;
mod peer;
mod worker;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rewrite_rules::RuleSet;

use crate::config::{Address, Config};
use crate::control::ControlError;
use crate::control::primary::Candidate;
use crate::rules_dir::{self, RulesError};
use crate::served::{Served, ServedError};
use crate::serving::{follow, primary};
use crate::shared::Shared;
use crate::sources::Sources;
use crate::supervisor;
use crate::tls::TlsError;
use crate::tls::client::Acceptor;
use crate::upstream::{Upstream, UpstreamError};
use crate::wire::backend;
pub use listeners::ListenError;
use listeners::Listeners;
use peer::{Arrival, Peer};
use worker::Worker;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("TLS for clients: {0}")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Served(#[from] ServedError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

#[derive(Debug)]
pub struct Server {
    listeners: Listeners,
    shared: Arc<Shared>,
    /// The upstream's hosts, where the primary among them is looked for.
    candidates: Vec<Candidate>,
    workers: usize,
}

/// Out of sockets or memory: the listener recovers by itself, trying at once would only burn CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Server {
    /// Loads the rules and opens the listening socket; port 0 takes a free one.
    pub async fn bind(config: Config) -> Result<Server, ServerError> {
        let files = match &config.rules {
            Some(dir) => rules_dir::read(dir)?,
            None => Vec::new(),
        };
        let rules = if files.is_empty() {
            RuleSet::empty()
        } else {
            RuleSet::compile(files.clone()).map_err(RulesError::from)?
        };
        let served = Served::of(&rules, config.control.url.as_deref())?;
        let tls = Acceptor::load(&config.tls)?;
        let upstream = Upstream::new(&config)?;
        let listeners = Listeners::open(&config).await?;
        let workers = match config.limits.worker_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let shared = Arc::new(Shared::new(
            config,
            (rules, Sources::of_files(files)),
            served,
            tls,
            upstream,
            workers,
        ));
        let candidates = primary::candidates(&shared)?;
        Ok(Server {
            listeners,
            shared,
            candidates,
            workers,
        })
    }

    /// The first address it listens on, with the port that was chosen.
    #[must_use]
    pub fn local_addr(&self) -> String {
        let first = self.addresses().next();
        first.map(Address::to_string).unwrap_or_default()
    }

    /// All of them.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.listeners.addresses()
    }

    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Serves until `shutdown` completes, then takes no more clients, lets those that are there
    /// finish their transactions until `drain_timeout_ms`, and ends them.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let shared = Arc::clone(&self.shared);
        let candidates = std::mem::take(&mut self.candidates);
        tokio::select! {
            served = self.serve(shutdown) => served,
            () = primary::watch(&shared, candidates) => Ok(()),
        }
    }

    async fn serve(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let workers = (0..self.workers)
            .map(|number| Worker::start(number, Arc::clone(&self.shared)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(ServerError::Worker)?;
        follow::log_phases(&self.shared);
        for address in self.addresses() {
            tracing::info!("listening on {address}");
        }
        supervisor::ready();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            // Accepting is cancel-safe: a connection not taken stays in the backlog.
            let accepted = tokio::select! {
                accepted = self.listeners.accept() => accepted,
                () = &mut shutdown => break,
            };
            match accepted {
                Ok((arrival, peer)) => admit(&self.shared, &workers, arrival, peer),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        tracing::info!("shutting down");
        supervisor::stopping();
        self.shared.stop.after_service();
        let shared = &self.shared;
        self.listeners
            .close(|arrival, peer| admit(shared, &workers, arrival, peer))
            .await;
        drain(shared, workers).await;
        Ok(())
    }
}

/// Gives a connection to a worker, unless there are too many strangers already.
fn admit(shared: &Shared, workers: &[Worker], arrival: Arrival, peer: Peer) {
    let Some(handshake) = shared.door.knock(peer.address()) else {
        tracing::warn!(%peer, "too many connections that have not authenticated yet");
        let mut words = Vec::new();
        let message = "Crossfade has too many connections that have not authenticated yet";
        backend::write_error(&mut words, "FATAL", "53300", message, "");
        return arrival.turn_away(&words);
    };
    worker::hand_over(workers, arrival, peer, handshake);
}

/// Whoever has just come asks within this, or did not come for one transaction.
const NEWCOMERS_GRACE: Duration = Duration::from_secs(1);

/// For the last words of sessions that are ended.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// Waits for all sessions; the longer it takes, the more urgent it gets.
async fn drain(shared: &Shared, workers: Vec<Worker>) {
    let all = async {
        // None of them takes any more, then each is waited for.
        let ends: Vec<_> = workers.into_iter().map(Worker::finish).collect();
        for end in ends {
            end.await;
        }
    };
    let mut all = std::pin::pin!(all);
    let limit = Duration::from_millis(shared.config.limits.drain_timeout_ms);
    let newcomers = limit.min(NEWCOMERS_GRACE);
    if tokio::time::timeout(newcomers, &mut all).await.is_ok() {
        return;
    }
    shared.stop.when_idle();
    if tokio::time::timeout(limit - newcomers, &mut all)
        .await
        .is_ok()
    {
        return;
    }
    let sessions = shared.counters.sessions_open.load(Relaxed);
    tracing::warn!(sessions, "ending sessions that are still in a transaction");
    shared.stop.now();
    if tokio::time::timeout(FAREWELL, &mut all).await.is_err() {
        tracing::warn!("some sessions are cut off");
    }
}
