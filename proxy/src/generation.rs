//! The generations of rules: which is the newest, and which ones running transactions still use.
//!
//! A session pins a generation for the length of a transaction. It publishes the pin first and
//! looks at the newest number again afterwards, and `install` publishes the number before anybody
//! reads the pins; so whoever finds no older pin after an install can rely on it that none will
//! appear.

pub mod ahead;
mod rules;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rewrite_rules::{Migration, Phase, RuleSet};
use tokio::sync::watch;

use crate::latency::{self, Latencies};
use crate::session::origin::Origins;
use crate::session::{Pin, ReadEnd};
use ahead::{Canaries, Canary, Seats, Who};
pub use rules::Generation;

/// Why migrations may not go into force, by their names; an empty name: a reason that is none of one.
pub type Reasons = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    #[error(
        "migration {migration}: cannot go from {from} to {to} in one step; \
         the steps from {from} are {steps}"
    )]
    Jump {
        migration: String,
        from: Phase,
        to: Phase,
        steps: String,
    },
    #[error(
        "migration {migration}: its rules are gone while it is in {from}; \
         bring it to legacy_only or retired first"
    )]
    Removed { migration: String, from: Phase },
}

#[derive(Debug)]
pub struct Generations {
    current: ArcSwap<Generation>,
    newest: AtomicU64,
    pins: Mutex<Pins>,
    /// One install at a time: the step is checked against what it replaces.
    installing: Mutex<()>,
    news: watch::Sender<()>,
    /// How long the sessions' exchanges took.
    pub latencies: Latencies,
}

#[derive(Debug, Default)]
struct Pins {
    next: u64,
    by_session: HashMap<u64, Arc<Pinned>>,
    /// The server's processes of sessions that ended a moment ago, the latest last.
    ended: VecDeque<(Instant, i32)>,
}

/// As long as it may take until it is decided who wrote around the proxies.
pub const ENDED_FOR: Duration = Duration::from_secs(60);
/// A thousand sessions that end each second, in a megabyte and a half.
const ENDED_MAX: usize = 60_000;

impl Pins {
    fn end(&mut self, backend: i32) {
        while let Some((at, _)) = self.ended.front()
            && (at.elapsed() > ENDED_FOR || self.ended.len() >= ENDED_MAX)
        {
            self.ended.pop_front();
        }
        self.ended.push_back((Instant::now(), backend));
    }
}

/// What one session shows to others.
#[derive(Debug, Default)]
struct Pinned {
    /// The generation of its transaction; 0 between transactions.
    generation: AtomicU64,
    /// The server's process that works for it, as that said at startup; 0 before.
    backend: AtomicI32,
    /// How many transactions have come to their end; written by its own thread alone.
    transactions: AtomicU64,
}

/// What others may see of a session's pin.
#[derive(Clone, Debug)]
pub struct PinView(Arc<Pinned>);

impl PinView {
    /// The generation of its transaction; `None`: between transactions.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        let number = self.0.generation.load(Ordering::SeqCst);
        (number != 0).then_some(number)
    }

    /// The server's process that works for it; `None`: none yet.
    #[must_use]
    pub fn backend(&self) -> Option<i32> {
        let backend = self.0.backend.load(Ordering::SeqCst);
        (backend != 0).then_some(backend)
    }

    /// Transactions that have come to their end, statements outside of a block included.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.0.transactions.load(Ordering::Relaxed)
    }
}

impl Generations {
    /// The first generation may be in any phase.
    #[must_use]
    pub fn new(rules: RuleSet) -> Generations {
        Generations {
            current: ArcSwap::from_pointee(Generation::first(rules)),
            newest: AtomicU64::new(1),
            pins: Mutex::default(),
            installing: Mutex::default(),
            news: watch::Sender::new(()),
            latencies: Latencies::default(),
        }
    }

    #[must_use]
    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Where result columns come from, for all sessions from now on.
    pub fn know_origins(&self, origins: Origins) {
        self.current.load().origins.store(Arc::new(origins));
    }

    #[must_use]
    #[inline]
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::SeqCst)
    }

    /// Puts a rule set into force for every transaction that begins from now on.
    pub fn install(&self, rules: RuleSet) -> Result<u64, InstallError> {
        let _one_at_a_time = lock(&self.installing);
        let running = self.current.load();
        check_steps(running.rules(), &rules)?;
        let wanted = running.canaries.wanted().to_vec();
        Ok(self.publish(running.after(Arc::new(rules), wanted)))
    }

    /// Has these canaries in force from the next transaction of every session on, as far as they hold by the rules in
    /// force. False: they are already.
    pub fn install_canaries(&self, wanted: Vec<Canary>) -> bool {
        let _one_at_a_time = lock(&self.installing);
        let running = self.current.load();
        if running.canaries.wanted() == wanted {
            return false;
        }
        let rules = Arc::clone(&running.rules);
        self.publish(running.after(rules, wanted));
        true
    }

    fn publish(&self, next: Generation) -> u64 {
        let number = next.number;
        self.current.store(Arc::new(next));
        self.newest.store(number, Ordering::SeqCst);
        self.news.send_replace(());
        number
    }

    /// Hears of each new generation, and of each transaction of an older one that ends: whoever waits for
    /// either need not look again and again.
    ///
    /// A transaction that ends while a generation is installed may do so unheard, for a session does not
    /// pay for a fence at each end; who waits for a drain looks by itself as well, now and then.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// A session no longer pins this generation; 0: it pinned none.
    #[inline]
    fn let_go(&self, number: u64) {
        if number != 0 && number != self.newest.load(Ordering::Relaxed) {
            self.news.send_replace(());
        }
    }

    /// Whether a rule set may follow the one in force.
    pub fn may_follow(&self, rules: &RuleSet) -> Result<(), InstallError> {
        check_steps(self.current.load().rules(), rules)
    }

    /// The oldest generation that a running transaction uses.
    #[must_use]
    pub fn oldest_pinned(&self) -> Option<u64> {
        let pins = lock(&self.pins);
        let pinned = pins.by_session.values();
        let numbers = pinned.map(|p| p.generation.load(Ordering::SeqCst));
        numbers.filter(|number| *number != 0).min()
    }

    /// The server's processes whose sessions hold on to a generation older than this one, at most
    /// `max` of them: who is waited for.
    #[must_use]
    pub fn backends_before(&self, number: u64, max: usize) -> Vec<i32> {
        let pins = lock(&self.pins);
        let mut backends: Vec<i32> = pins
            .by_session
            .values()
            .filter(|pinned| (1..number).contains(&pinned.generation.load(Ordering::SeqCst)))
            .map(|pinned| pinned.backend.load(Ordering::SeqCst))
            .collect();
        drop(pins);
        backends.sort_unstable();
        backends.truncate(max);
        backends
    }

    /// The server's processes of all sessions: those that are there, and those that ended a moment
    /// ago.
    #[must_use]
    pub fn backends(&self) -> (Vec<i32>, Vec<i32>) {
        let pins = lock(&self.pins);
        let there = pins.by_session.values();
        let there = there.map(|pinned| pinned.backend.load(Ordering::SeqCst));
        let ended = pins.ended.iter();
        let ended = ended.filter(|(at, _)| at.elapsed() <= ENDED_FOR);
        (
            there.filter(|backend| *backend != 0).collect(),
            ended.map(|(_, backend)| *backend).collect(),
        )
    }

    /// No transaction uses a generation older than this one, and none ever will.
    #[must_use]
    pub fn drained(&self, number: u64) -> bool {
        self.newest() >= number && self.oldest_pinned().is_none_or(|oldest| oldest >= number)
    }

    /// A session's part in this registry, for as long as it lives.
    #[must_use]
    pub fn session(self: &Arc<Self>, who: Who) -> SessionPin {
        let pinned = Arc::new(Pinned::default());
        let mut pins = lock(&self.pins);
        pins.next += 1;
        let id = pins.next;
        pins.by_session.insert(id, Arc::clone(&pinned));
        SessionPin {
            generations: Arc::clone(self),
            id,
            pinned,
            who,
            canaries: Arc::default(),
            seats: Seats::default(),
            exchanges: 0,
            asked_at: None,
        }
    }
}

/// Nothing that holds these locks can leave their content half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two sets may only run side by side if each migration's phases are the same or neighbours. A
/// migration that is new may start anywhere, as it may when the proxy starts; one whose epochs the database keeps is where that
/// says, for there the fences see to it.
fn check_steps(running: &RuleSet, next: &RuleSet) -> Result<(), InstallError> {
    for old in running.migrations() {
        let from = old.phase;
        let new = next.migrations().iter().find(|m| m.name == old.name);
        let kept = |migration: &Migration| migration.epoch().is_some();
        if kept(old) || new.is_some_and(kept) {
            continue;
        }
        let Some(new) = new else {
            match from {
                // Unmanaged is what these two are to a client already.
                Phase::LegacyOnly | Phase::Retired => continue,
                Phase::DualWrite
                | Phase::ShadowRead
                | Phase::DualRead
                | Phase::UnifiedRead
                | Phase::UnifiedOnly => {
                    return Err(InstallError::Removed {
                        migration: old.name.clone(),
                        from,
                    });
                }
            }
        };
        let to = new.phase;
        if to != from && from.next() != Some(to) && from.previous() != Some(to) {
            let steps = [from.previous(), from.next()];
            let steps: Vec<_> = steps.into_iter().flatten().map(Phase::name).collect();
            return Err(InstallError::Jump {
                migration: old.name.clone(),
                from,
                to,
                steps: steps.join(" and "),
            });
        }
    }
    Ok(())
}

/// One session's pin. Dropping it takes the session out of the registry.
#[derive(Debug)]
pub struct SessionPin {
    generations: Arc<Generations>,
    id: u64,
    pinned: Arc<Pinned>,
    who: Who,
    /// The canaries of the generation that it has, and which of them it is in.
    canaries: Arc<Canaries>,
    seats: Seats,
    exchanges: u32,
    /// When the exchange began, if it is one that is timed.
    asked_at: Option<Instant>,
}

impl SessionPin {
    /// What others may see of it, for as long as they look.
    #[must_use]
    pub fn view(&self) -> PinView {
        PinView(Arc::clone(&self.pinned))
    }

    /// What the session begins with.
    #[must_use]
    pub fn generation(&mut self) -> Arc<Generation> {
        let newest = self.generations.current().of(&self.who);
        self.canaries = Arc::clone(&newest.canaries);
        self.seats = newest.seats;
        newest
    }
}

impl SessionPin {
    #[inline]
    fn is_sampled(&self) -> bool {
        self.exchanges.is_multiple_of(latency::ONE_IN)
    }
}

impl Pin for SessionPin {
    type Rules = Generation;

    #[inline]
    fn newest(&self) -> u64 {
        self.generations.newest()
    }

    fn begin(&mut self, held: &mut Arc<Generation>) {
        loop {
            self.pinned.generation.store(held.number, Ordering::SeqCst);
            if self.generations.newest() == held.number {
                return;
            }
            *held = self.generation();
        }
    }

    #[inline]
    fn end(&mut self) {
        // Nobody else writes it.
        let number = self.pinned.generation.load(Ordering::Relaxed);
        self.pinned.generation.store(0, Ordering::Release);
        if number != 0 {
            let before = self.pinned.transactions.load(Ordering::Relaxed);
            self.pinned
                .transactions
                .store(before + 1, Ordering::Relaxed);
        }
        self.generations.let_go(number);
    }

    #[inline]
    fn asked(&mut self) {
        self.exchanges = self.exchanges.wrapping_add(1);
        // What canaries are compared by need not be a sample.
        if self.is_sampled() || !self.canaries.running().is_empty() {
            self.asked_at = Some(Instant::now());
        }
    }

    #[inline]
    fn is_timed(&self) -> bool {
        self.asked_at.is_some()
    }

    #[inline]
    fn answered(&mut self) -> Option<Duration> {
        let took = self.asked_at.take()?.elapsed();
        if self.is_sampled() {
            self.generations.latencies.took(took);
        }
        Some(took)
    }

    #[inline]
    fn read_ended(&mut self, migrations: &[String], end: ReadEnd) {
        if !self.canaries.running().is_empty() {
            self.canaries.count(self.seats, migrations, end);
        }
    }

    fn served_by(&mut self, backend: i32) {
        self.pinned.backend.store(backend, Ordering::SeqCst);
    }
}

impl Drop for SessionPin {
    fn drop(&mut self) {
        let backend = self.pinned.backend.load(Ordering::SeqCst);
        let mut pins = lock(&self.generations.pins);
        pins.by_session.remove(&self.id);
        if backend != 0 {
            pins.end(backend);
        }
        drop(pins);
        let number = self.pinned.generation.load(Ordering::Relaxed);
        self.generations.let_go(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_drained_when_the_last_older_transaction_ends() {
        let generations = Arc::new(Generations::new(RuleSet::empty()));
        let mut held = generations.current();
        let mut pin = generations.session(Who::new("app".into(), String::new()));
        pin.served_by(77);
        pin.begin(&mut held);
        assert_eq!(generations.oldest_pinned(), Some(1));
        assert!(!generations.drained(2), "2 is not even installed");

        let second = generations.install(RuleSet::empty()).expect("no step");
        assert!(!generations.drained(second));
        assert_eq!(generations.backends_before(second, 9), [77]);
        assert_eq!(generations.backends_before(1, 9), [0; 0]);
        pin.end();
        assert!(generations.drained(second));
        assert_eq!(generations.backends_before(second, 9), [0; 0]);
        pin.begin(&mut held);
        assert_eq!(held.number(), second);
        assert_eq!(generations.oldest_pinned(), Some(second));
        assert_eq!(generations.backends(), (vec![77], vec![]));
        drop(pin);
        assert_eq!(generations.oldest_pinned(), None);
        assert_eq!(generations.backends(), (vec![], vec![77]));
    }

    #[test]
    fn a_new_generation_and_the_end_of_an_older_transaction_are_heard_and_nothing_else() {
        let generations = Arc::new(Generations::new(RuleSet::empty()));
        let mut news = generations.news();
        let mut heard = || {
            let heard = news.has_changed().expect("its sender is there");
            news.mark_unchanged();
            heard
        };
        let mut held = generations.current();
        let (mut pin, mut other) = (
            generations.session(Who::new("app".into(), String::new())),
            generations.session(Who::new("app".into(), String::new())),
        );
        pin.begin(&mut held);
        pin.end();
        assert!(!heard(), "a transaction of the newest generation");
        pin.begin(&mut held);
        other.begin(&mut held);
        generations.install(RuleSet::empty()).expect("no step");
        assert!(heard(), "a new generation");
        pin.end();
        assert!(heard(), "a transaction of an older generation");
        pin.end();
        assert!(!heard(), "none");
        drop(other);
        assert!(heard(), "a session that ended in one");
        pin.begin(&mut held);
        drop(pin);
        assert!(!heard(), "a session of the newest");
    }

    #[test]
    fn no_pin_older_than_a_drained_generation_ever_appears() {
        let generations = Arc::new(Generations::new(RuleSet::empty()));
        let stop = Arc::new(AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut held = generations.current();
                    let mut pin = generations.session(Who::new("app".into(), String::new()));
                    while stop.load(Ordering::SeqCst) == 0 {
                        pin.begin(&mut held);
                        // What a running transaction relies on.
                        assert!(!generations.drained(held.number() + 1));
                        pin.end();
                    }
                });
            }
            for _ in 0..2_000 {
                let number = generations.install(RuleSet::empty()).expect("no step");
                while !generations.drained(number) {
                    std::hint::spin_loop();
                }
            }
            stop.store(1, Ordering::SeqCst);
        });
    }
}
