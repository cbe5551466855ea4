//! Accepts clients and hands each to a worker; holds what all sessions share.
//!
//! A worker is a thread with a runtime of its own: a session never changes threads, so that
//! moving a message wakes nobody else and contends for nothing.

mod client;
mod worker;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rewrite_rules::{RuleSet, SourceFile};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::counters::Counters;
use crate::generation::Generations;
use crate::relay::Stop;
use crate::rules_dir::{self, RulesError};
use crate::session::{Report, ShadowCandidate};
use worker::Worker;

/// What every part of a serving proxy works with.
#[derive(Debug)]
pub struct Shared {
    pub config: Config,
    pub generations: Arc<Generations>,
    pub counters: Counters,
    /// Where reads to be compared go, once somebody takes them.
    pub shadow: OnceLock<mpsc::Sender<ShadowCandidate>>,
    /// The texts behind the newest generation.
    pub(crate) loaded: Mutex<Vec<SourceFile>>,
    pub(crate) stop: Stop,
}

impl Shared {
    /// Tells rule sets apart: the same texts have the same hash in every proxy of this build.
    #[must_use]
    pub fn rules_hash(&self) -> String {
        use std::hash::{DefaultHasher, Hash, Hasher};

        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hasher = DefaultHasher::new();
        for file in &*loaded {
            file.text.hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }

    /// Takes in what a session of a worker reported.
    fn take(&self, worker: usize, report: Report) {
        self.counters.add(worker, &report);
        for candidate in report.shadows {
            let Some(shadow) = self.shadow.get() else {
                return;
            };
            if shadow.try_send(candidate).is_err() {
                // The comparison is behind: the client's path does not wait for it.
                self.counters.shadow_dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen on {address}: {error}")]
    Listen { address: String, error: io::Error },
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
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
        let listen = |error| ServerError::Listen {
            address: config.listen.0.clone(),
            error,
        };
        let listener = TcpListener::bind(&config.listen.0).await.map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;
        let workers = match config.limits.worker_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let shared = Arc::new(Shared {
            config,
            generations: Arc::new(Generations::new(rules)),
            counters: Counters::new(workers),
            shadow: OnceLock::new(),
            loaded: Mutex::new(files),
            stop: Stop::default(),
        });
        Ok(Server {
            listener,
            local_addr,
            shared,
            workers,
        })
    }

    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Serves until `shutdown` completes, then lets sessions finish their transactions for the
    /// configured grace and ends them.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let workers = (0..self.workers)
            .map(|number| Worker::start(number, Arc::clone(&self.shared)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(ServerError::Worker)?;
        rules_dir::log_phases(&self.shared);
        tracing::info!("listening on {}", self.local_addr);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            // Accepting is cancel-safe: a connection not taken stays in the backlog.
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            match accepted {
                Ok((client, address)) => worker::hand_over(&workers, client, address),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        tracing::info!("shutting down");
        self.shared.stop.set();
        for worker in workers {
            worker.finish().await;
        }
        Ok(())
    }
}
