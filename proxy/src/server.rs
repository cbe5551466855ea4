//! Accepts clients and hands each to a worker; holds what all sessions share.
//!
//! A worker is a thread with a runtime of its own: a session never changes threads, so that
//! moving a message wakes nobody else and contends for nothing.

mod client;
mod door;
mod listeners;
mod peer;
mod worker;

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rewrite_rules::{RuleSet, SourceFile};
use tokio::sync::mpsc;

use crate::config::{Address, Config};
use crate::control::admission::Reasons;
use crate::counters::Counters;
use crate::generation::Generations;
use crate::held::Budget;
use crate::relay::Stop;
use crate::rules_dir::{self, RulesError};
use crate::served::{Served, ServedError};
use crate::session::Report;
use crate::shadow::ShadowRead;
use crate::supervisor;
use crate::tls::TlsError;
use crate::tls::client::Acceptor;
use crate::upstream::{Upstream, UpstreamError};
use crate::wire::backend;
use door::Door;
pub use listeners::ListenError;
use listeners::Listeners;
use peer::{Arrival, Peer};
use worker::Worker;

/// What every part of a serving proxy works with.
#[derive(Debug)]
pub struct Shared {
    pub config: Config,
    pub generations: Arc<Generations>,
    /// Of sessions for databases that the rules are not for: one generation without rules.
    pub(crate) elsewhere: Arc<Generations>,
    pub served: Served,
    pub counters: Counters,
    /// Where reads to be compared go, once somebody takes them.
    pub shadow: OnceLock<mpsc::Sender<ShadowRead>>,
    /// The texts behind the newest generation.
    pub(crate) loaded: Mutex<Loaded>,
    /// Why what the directory says is not in force.
    pub(crate) refused: Mutex<Reasons>,
    pub(crate) stop: Stop,
    pub(crate) upstream: Upstream,
    /// Where a certificate is configured.
    pub(crate) tls: Option<Acceptor>,
    door: Arc<Door>,
    held: Arc<Budget>,
    /// That SCRAM-SHA-256-PLUS is not offered has been logged.
    told_of_channel_binding: AtomicBool,
}

/// Rule files as they were read, and what tells them from others.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub files: Vec<SourceFile>,
    hash: String,
}

impl Loaded {
    /// Hashed once: who reports what is served does so each second.
    pub fn of(files: Vec<SourceFile>) -> Loaded {
        use std::hash::{DefaultHasher, Hash, Hasher};

        let mut hasher = DefaultHasher::new();
        for file in &files {
            file.text.hash(&mut hasher);
        }
        let hash = format!("{:016x}", hasher.finish());
        Loaded { files, hash }
    }
}

impl Shared {
    /// Tells rule sets apart: the same texts have the same hash in every proxy of this build.
    #[must_use]
    pub fn rules_hash(&self) -> String {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.hash.clone()
    }

    /// Why migrations are not in force as the directory has them.
    #[must_use]
    pub(crate) fn rules_refused(&self) -> Reasons {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reasons = refused.clone();
        drop(refused);
        let generation = self.generations.current();
        for (migration, misfit) in generation.misfits() {
            reasons.insert(
                migration.to_owned(),
                format!("its statements are refused: {misfit}"),
            );
        }
        reasons
    }

    /// Takes in what a session of a worker reported, whose client logged in as this role.
    fn take(&self, worker: usize, role: &Arc<str>, report: Report) {
        self.counters.add(worker, &report);
        let Some(events) = report.events else {
            return;
        };
        if events.channel_binding_stripped && !self.told_of_channel_binding.swap(true, Relaxed) {
            tracing::info!(
                "TLS ends here: SCRAM-SHA-256-PLUS, which binds a login to the TLS connection \
                 between client and server, is taken from the server's offer (said once)"
            );
        }
        for candidate in events.shadows {
            let Some(shadow) = self.shadow.get() else {
                return;
            };
            let role = Arc::clone(role);
            if shadow.try_send(ShadowRead { role, candidate }).is_err() {
                // The comparison is behind: the client's path does not wait for it.
                self.counters.shadow_dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

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
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

#[derive(Debug)]
pub struct Server {
    listeners: Listeners,
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
        let served = Served::of(&rules, config.control.url.as_deref())?;
        let tls = Acceptor::load(&config.tls)?;
        let upstream = Upstream::new(&config)?;
        let listeners = Listeners::open(&config).await?;
        let workers = match config.limits.worker_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let shared = Arc::new(Shared {
            door: Arc::new(Door::new(&config.limits)),
            held: Arc::new(Budget::new(
                config.limits.held_bytes_total_max,
                Duration::from_millis(config.limits.held_turn_timeout_ms),
            )),
            config,
            upstream,
            tls,
            told_of_channel_binding: AtomicBool::new(false),
            generations: Arc::new(Generations::new(rules)),
            elsewhere: Arc::new(Generations::new(RuleSet::empty())),
            served,
            counters: Counters::new(workers),
            shadow: OnceLock::new(),
            loaded: Mutex::new(Loaded::of(files)),
            refused: Mutex::default(),
            stop: Stop::default(),
        });
        Ok(Server {
            listeners,
            shared,
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
        let workers = (0..self.workers)
            .map(|number| Worker::start(number, Arc::clone(&self.shared)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(ServerError::Worker)?;
        rules_dir::log_phases(&self.shared);
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
