//! What every part of a serving proxy works with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rewrite_rules::RuleSet;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use crate::cancel::OwnKeys;
use crate::config::Config;
use crate::control::plans::InPhase;
use crate::counters::Counters;
use crate::door::Door;
use crate::generation::{Generations, Reasons};
use crate::held::Budget;
use crate::relay::Stop;
use crate::served::Served;
use crate::session::{SessionReport, ShadowCandidate};
use crate::sessions::Sessions;
use crate::sources::Sources;
use crate::stream::Stream;
use crate::tls::client::Acceptor;
use crate::upstream::Upstream;

/// A read to compare, and whose it was.
#[derive(Clone, Debug)]
pub struct ShadowRead {
    /// The role that the client logged in as. What it can do as another one since, it can do as this.
    pub role: Arc<str>,
    pub candidate: ShadowCandidate,
}

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
    pub(crate) loaded: Mutex<LoadedRules>,
    /// Why what the directory says is not in force.
    pub(crate) refused: Mutex<Reasons>,
    /// How many wrote around the proxies, of each migration, as the database tells it.
    pub(crate) around: Mutex<BTreeMap<String, u64>>,
    /// How many statements would be planned worse in each phase to come, as the last comparison of plans found it.
    pub(crate) plans: Mutex<BTreeMap<InPhase, u64>>,
    pub(crate) stop: Stop,
    pub(crate) sessions: Sessions,
    /// Of sessions that the proxy itself answers.
    pub(crate) own_keys: OwnKeys,
    /// How many of those there are.
    pub(crate) consoles_open: AtomicUsize,
    /// Somebody wants rule files and certificates to be read again.
    pub(crate) reload: Notify,
    /// Who holds transactions back, and until when.
    pub(crate) pause: Mutex<Option<Pause>>,
    pub upstream: Upstream,
    /// Where a certificate is configured.
    pub(crate) tls: Option<Acceptor>,
    pub(crate) door: Arc<Door>,
    pub(crate) held: Arc<Budget>,
    /// Of the program, beside the workers' own: for what no session is to wait for.
    pub(crate) runtime: Handle,
    /// That SCRAM-SHA-256-PLUS is not offered has been logged.
    told_of_channel_binding: AtomicBool,
}

/// Transactions are held back, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub by: String,
    /// Nobody is held any longer than until then.
    pub until: Instant,
}

/// Rules as they were read, and what tells them from others.
#[derive(Debug)]
pub(crate) struct LoadedRules {
    pub sources: Sources,
    hash: String,
}

impl LoadedRules {
    /// Hashed once: who reports what is served does so each second.
    pub fn of(sources: Sources) -> LoadedRules {
        use std::hash::{DefaultHasher, Hash, Hasher};

        let mut hasher = DefaultHasher::new();
        for file in &sources.files {
            file.text.hash(&mut hasher);
        }
        let hash = format!("{:016x}", hasher.finish());
        LoadedRules { sources, hash }
    }
}

impl Shared {
    /// What sessions share before the first of them begins. Called within the program's runtime.
    #[must_use]
    pub(crate) fn new(
        config: Config,
        (rules, sources): (RuleSet, Sources),
        served: Served,
        tls: Option<Acceptor>,
        upstream: Upstream,
        workers: usize,
    ) -> Shared {
        Shared {
            door: Arc::new(Door::new(&config.limits)),
            held: Arc::new(Budget::new(
                config.limits.held_bytes_total_max,
                Duration::from_millis(config.limits.held_turn_timeout_ms),
            )),
            config,
            upstream,
            tls,
            runtime: Handle::current(),
            told_of_channel_binding: AtomicBool::new(false),
            generations: Arc::new(Generations::new(rules)),
            elsewhere: Arc::new(Generations::new(RuleSet::empty())),
            served,
            counters: Counters::new(workers),
            shadow: OnceLock::new(),
            loaded: Mutex::new(LoadedRules::of(sources)),
            refused: Mutex::default(),
            around: Mutex::default(),
            plans: Mutex::default(),
            stop: Stop::default(),
            sessions: Sessions::default(),
            own_keys: OwnKeys::default(),
            consoles_open: AtomicUsize::new(0),
            reload: Notify::new(),
            pause: Mutex::default(),
        }
    }

    /// Whether a client must come another way: over TCP, and without TLS.
    #[must_use]
    pub(crate) fn must_be_encrypted(&self, client: &Stream) -> bool {
        self.config.tls.required && matches!(client, Stream::Tcp(_))
    }

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
    pub(crate) fn take(&self, worker: usize, role: &Arc<str>, report: SessionReport) {
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
