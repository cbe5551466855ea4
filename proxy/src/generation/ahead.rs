//! Canaries: some sessions read a migration as in its next phase, while it stays in its own. Who is one of them, and what
//! came of their reads and of everybody else's.
//!
//! A session draws a number when it begins. Hashed with the migration's name it is a place between 0 and 1 that the session
//! keeps, and whoever is below the share is in: raising the share lets others in and nobody out. Who began a transaction as
//! a canary ends it as one, for it keeps its generation.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rewrite_rules::{Epoch, Phase, RuleSet};

use crate::latency::Latencies;
use crate::session::ReadEnd;

/// Each set of them that a session may be in is a set of rules of its own: sixteen of these are kept at most.
pub const CANARIES_MAX: usize = 4;

/// Who reads a migration as in its next phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// The row of `crossfade.canary`.
    pub id: i64,
    pub migration: String,
    /// It ends with this epoch.
    pub epoch: Epoch,
    /// Of all sessions, 0 to 1.
    pub share: f64,
    /// And all of these roles, as they logged in.
    pub users: Vec<String>,
    /// And all of those that called themselves so when they connected.
    pub applications: Vec<String>,
}

impl Canary {
    fn takes(&self, who: &Who) -> bool {
        who.place(&self.migration) < self.share
            || self.users.iter().any(|user| **user == *who.user)
            || self.applications.contains(&who.application)
    }

    /// Whether it holds by these rules: another epoch is another phase, or other rules.
    fn holds(&self, rules: &RuleSet) -> bool {
        let migration = rules.migration(&self.migration);
        migration.is_some_and(|m| {
            m.epoch() == Some(self.epoch) && m.misfit.is_none() && may_read_ahead(m.phase)
        })
    }
}

/// Whether some sessions may read as in the phase that comes next: both sides are kept, and the next phase writes as this
/// one does or turns the direction alone.
#[must_use]
pub fn may_read_ahead(phase: Phase) -> bool {
    match phase {
        Phase::ShadowRead | Phase::DualRead => true,
        Phase::LegacyOnly
        | Phase::DualWrite
        | Phase::UnifiedRead
        | Phase::UnifiedOnly
        | Phase::Retired => false,
    }
}

/// A session, as far as it decides what it is.
#[derive(Clone, Debug)]
pub struct Who {
    drawn: u64,
    pub user: Arc<str>,
    pub application: String,
}

impl Who {
    #[must_use]
    pub fn new(user: Arc<str>, application: String) -> Who {
        Who {
            // Seeded anew each time, by the system's own source.
            drawn: RandomState::new().hash_one(0_u8),
            user,
            application,
        }
    }

    /// 0 to 1, the same each time.
    fn place(&self, migration: &str) -> f64 {
        let mut hasher = DefaultHasher::new();
        (self.drawn, migration).hash(&mut hasher);
        (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Whose reads are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Canary,
    Rest,
}

impl Group {
    pub const ALL: [Group; 2] = [Group::Canary, Group::Rest];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Group::Canary => "canary",
            Group::Rest => "rest",
        }
    }
}

/// Plain reads of the migration in one of the groups, since the canary began in this proxy.
#[derive(Debug, Default)]
pub struct ReadCounts {
    answered: AtomicU64,
    failed: AtomicU64,
    /// How long exchanges took that were one such read.
    pub times: Latencies,
}

impl ReadCounts {
    fn add(&self, end: ReadEnd) {
        match end {
            ReadEnd::Answered => _ = self.answered.fetch_add(1, Relaxed),
            ReadEnd::Failed => _ = self.failed.fetch_add(1, Relaxed),
            ReadEnd::Took(time) => self.times.took(time),
        }
    }

    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }
}

/// A canary and its counts.
#[derive(Clone, Debug)]
pub struct RunningCanary {
    pub canary: Canary,
    counts: Arc<[ReadCounts; 2]>,
}

impl RunningCanary {
    #[must_use]
    pub fn counts(&self, group: Group) -> &ReadCounts {
        &self.counts[group as usize]
    }
}

/// Which of them a session is in: a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seats(u64);

impl Seats {
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn has(self, at: usize) -> bool {
        self.0 >> at & 1 == 1
    }
}

/// The canaries of a generation.
#[derive(Debug, Default)]
pub struct Canaries {
    /// Those that somebody wants, whether or not they hold.
    wanted: Vec<Canary>,
    running: Vec<RunningCanary>,
}

impl Canaries {
    /// Of those that are wanted the ones that hold by these rules; what was counted of them before stays counted.
    pub(super) fn of(wanted: Vec<Canary>, rules: &RuleSet, before: &Canaries) -> Canaries {
        let held = wanted.iter().filter(|canary| canary.holds(rules));
        let running = held.take(CANARIES_MAX).map(|canary| {
            let known = before.running.iter().find(|b| b.canary.id == canary.id);
            RunningCanary {
                canary: canary.clone(),
                counts: known.map_or_else(Arc::default, |known| Arc::clone(&known.counts)),
            }
        });
        Canaries {
            running: running.collect(),
            wanted,
        }
    }

    pub(super) fn wanted(&self) -> &[Canary] {
        &self.wanted
    }

    pub fn running(&self) -> &[RunningCanary] {
        &self.running
    }

    pub(super) fn seats(&self, who: &Who) -> Seats {
        let all = self.running.iter().enumerate();
        let taken = all.filter(|(_, running)| running.canary.takes(who));
        Seats(taken.fold(0, |seats, (at, _)| seats | 1 << at))
    }

    /// A session that is in one alone, for each.
    pub(super) fn single(&self) -> impl Iterator<Item = Seats> {
        (0..self.running.len()).map(|at| Seats(1 << at))
    }

    /// Whether one of these migrations is read ahead from there.
    pub(super) fn reads_any(&self, seats: Seats, is: impl Fn(&str) -> bool) -> bool {
        let mut all = self.running.iter().enumerate();
        all.any(|(at, running)| seats.has(at) && is(&running.canary.migration))
    }

    /// The migrations that are read ahead from there.
    pub(super) fn names(&self, seats: Seats) -> Vec<&str> {
        let all = self.running.iter().enumerate();
        let taken = all.filter(|(at, _)| seats.has(*at));
        taken.map(|(_, r)| r.canary.migration.as_str()).collect()
    }

    /// A read of these migrations has ended.
    pub(super) fn count(&self, seats: Seats, migrations: &[String], end: ReadEnd) {
        for (at, running) in self.running.iter().enumerate() {
            if migrations.contains(&running.canary.migration) {
                let group = match seats.has(at) {
                    true => Group::Canary,
                    false => Group::Rest,
                };
                running.counts(group).add(end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(share: f64) -> Canary {
        Canary {
            id: 1,
            migration: "m".to_owned(),
            epoch: Epoch(7),
            share,
            users: vec!["tester".to_owned()],
            applications: vec!["report".to_owned()],
        }
    }

    fn who() -> Who {
        Who::new("app".into(), "web".to_owned())
    }

    #[test]
    fn whoever_is_in_stays_in_when_the_share_grows_and_about_as_many_are_in_as_it_says() {
        let all: Vec<Who> = (0..2_000).map(|_| who()).collect();
        let mut before = 0;
        let mut inside = vec![false; all.len()];
        for share in [0.0, 0.05, 0.3, 1.0] {
            let canary = canary(share);
            for (who, was) in all.iter().zip(&mut inside) {
                let is = canary.takes(who);
                assert!(is || !*was, "{share}");
                *was = is;
            }
            let count = inside.iter().filter(|is| **is).count();
            let expected = share * all.len() as f64;
            // Six standard deviations of the widest.
            assert!((count as f64 - expected).abs() < 135.0, "{share}: {count}");
            assert!(count >= before);
            before = count;
        }
        assert_eq!(before, all.len());
    }

    #[test]
    fn named_users_and_applications_are_in_whatever_the_share() {
        let canary = canary(0.0);
        assert!(!canary.takes(&who()));
        assert!(canary.takes(&Who::new("tester".into(), String::new())));
        assert!(canary.takes(&Who::new("app".into(), "report".to_owned())));
        assert!(!canary.takes(&Who::new("Tester".into(), "reports".to_owned())));
    }

    #[test]
    fn the_places_of_a_session_in_two_migrations_are_not_the_same() {
        let who = who();
        assert_eq!(who.place("a").to_bits(), who.place("a").to_bits());
        assert_ne!(who.place("a").to_bits(), who.place("b").to_bits());
    }
}
