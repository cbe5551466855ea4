//! What the proxy has done so far, for `status`, tests and metrics.
//!
//! Counters that change with every statement have one copy for each worker, so that workers do
//! not fight over a cache line; a reader adds the copies up.

pub mod reason;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use crate::session::{Notice, SessionReport};
use reason::Reason;

/// One worker's copy, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    passed: AtomicU64,
    rewritten: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
pub struct Counters {
    shards: Box<[Shard]>,
    migrations: Mutex<BTreeMap<String, MigrationTotals>>,
    /// What the functions in the database know and nobody else who might raise their notices.
    proof: ArcSwapOption<String>,
    pub sessions_open: AtomicU64,
    pub sessions_total: AtomicU64,
    /// Connections to the server that failed or broke without a word.
    pub upstream_failures: AtomicU64,
    /// Shadow reads not made because the queue was full.
    pub shadow_dropped: AtomicU64,
    /// Events that the hook was told of; attempts that failed; events that were given up.
    pub hook_told: AtomicU64,
    pub hook_failed: AtomicU64,
    pub hook_given_up: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MigrationTotals {
    /// Rows read from legacy because unified lacked them.
    pub fallbacks: u64,
    /// Those among them of sessions that were canaries.
    pub fallbacks_of_canaries: u64,
    /// Keys that entered the divergence ledger.
    pub divergences: u64,
    /// Shadow reads whose two results were the same, and were not.
    pub shadow_equal: u64,
    pub shadow_different: u64,
    /// Those that could not be had, by [`Reason`].
    pub not_comparable: [u64; Reason::ALL.len()],
}

impl MigrationTotals {
    /// Shadow reads whose results could not be had, for whatever reason.
    #[must_use]
    pub fn shadow_failed(&self) -> u64 {
        self.not_comparable.iter().sum()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Statements by what became of them.
    pub passed: u64,
    pub rewritten: u64,
    pub refused: u64,
    pub sessions_open: u64,
    pub sessions_total: u64,
    pub upstream_failures: u64,
    pub shadow_dropped: u64,
    pub migrations: BTreeMap<String, MigrationTotals>,
}

impl Counters {
    #[must_use]
    pub fn new(workers: usize) -> Counters {
        Counters {
            shards: (0..workers.max(1)).map(|_| Shard::default()).collect(),
            migrations: Mutex::default(),
            proof: ArcSwapOption::empty(),
            sessions_open: AtomicU64::new(0),
            sessions_total: AtomicU64::new(0),
            upstream_failures: AtomicU64::new(0),
            shadow_dropped: AtomicU64::new(0),
            hook_told: AtomicU64::new(0),
            hook_failed: AtomicU64::new(0),
            hook_given_up: AtomicU64::new(0),
        }
    }

    /// Adds what a session of this worker reported, its shadow reads excepted.
    pub fn add(&self, worker: usize, report: &SessionReport) {
        let shard = &self.shards[worker % self.shards.len()];
        for (counter, by) in [
            (&shard.passed, report.passed),
            (&shard.rewritten, report.rewritten),
            (&shard.refused, report.refused),
        ] {
            if by > 0 {
                counter.fetch_add(u64::from(by), Relaxed);
            }
        }
        let Some(events) = &report.events else {
            return;
        };
        let proof = self.proof.load();
        // Without a control connection nobody has told the proof, and nothing is decided by the count.
        let is_ours = |notice: &Notice| proof.as_ref().is_none_or(|proof| **proof == notice.proof);
        let fallbacks: Vec<_> = events
            .fallbacks
            .iter()
            .filter(|(n, _)| is_ours(n))
            .collect();
        let of_canaries: Vec<_> = events
            .fallbacks_of_canaries
            .iter()
            .filter(|(n, _)| is_ours(n))
            .collect();
        let divergences: Vec<_> = events
            .divergences
            .iter()
            .filter(|(n, _)| is_ours(n))
            .collect();
        if fallbacks.is_empty() && divergences.is_empty() {
            return;
        }
        let mut migrations = self
            .migrations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (notice, count) in fallbacks {
            totals_of(&mut migrations, &notice.migration).fallbacks += count;
        }
        for (notice, count) in of_canaries {
            totals_of(&mut migrations, &notice.migration).fallbacks_of_canaries += count;
        }
        for (notice, count) in divergences {
            totals_of(&mut migrations, &notice.migration).divergences += count;
        }
    }

    /// From now on only notices with this proof are counted.
    pub fn believe(&self, proof: String) {
        self.proof.store(Some(Arc::new(proof)));
    }

    /// Changes the totals of one migration.
    pub fn of_migration(&self, name: &str, change: impl FnOnce(&mut MigrationTotals)) {
        let mut migrations = self
            .migrations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(totals_of(&mut migrations, name));
    }

    #[must_use]
    pub fn totals(&self) -> Totals {
        let sum = |of: fn(&Shard) -> &AtomicU64| -> u64 {
            self.shards
                .iter()
                .map(|shard| of(shard).load(Relaxed))
                .sum()
        };
        Totals {
            passed: sum(|shard| &shard.passed),
            rewritten: sum(|shard| &shard.rewritten),
            refused: sum(|shard| &shard.refused),
            sessions_open: self.sessions_open.load(Relaxed),
            sessions_total: self.sessions_total.load(Relaxed),
            upstream_failures: self.upstream_failures.load(Relaxed),
            shadow_dropped: self.shadow_dropped.load(Relaxed),
            migrations: self
                .migrations
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}

/// Migrations are few, but anybody may raise a notice with our SQLSTATE and any text: such names
/// share one entry once there are more than any installation has.
fn totals_of<'a>(
    migrations: &'a mut BTreeMap<String, MigrationTotals>,
    name: &str,
) -> &'a mut MigrationTotals {
    const MIGRATIONS_MAX: usize = 1_000;
    let known = migrations.contains_key(name) || migrations.len() < MIGRATIONS_MAX;
    let name = if known { name } else { "(others)" };
    migrations.entry(name.to_owned()).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Events;

    fn report(passed: u32, notices: &[(&str, &str)]) -> SessionReport {
        let mut events = Events::default();
        for (migration, proof) in notices {
            events.fallbacks.add(migration.as_bytes(), proof.as_bytes());
        }
        SessionReport {
            passed,
            events: Some(Box::new(events)),
            ..SessionReport::default()
        }
    }

    #[test]
    fn totals_add_up_over_the_workers() {
        let counters = Counters::new(2);
        counters.add(0, &report(2, &[]));
        counters.add(1, &report(3, &[("a", ""), ("a", "")]));
        let totals = counters.totals();
        assert_eq!(totals.passed, 5);
        assert_eq!(totals.migrations["a"].fallbacks, 2);
    }

    #[test]
    fn a_notice_without_the_proof_counts_for_nothing() {
        let counters = Counters::new(1);
        counters.believe("secret".to_owned());
        counters.add(
            0,
            &report(
                0,
                &[("a", "secret"), ("a", ""), ("a", "secret "), ("b", "guess")],
            ),
        );
        let totals = counters.totals();
        assert_eq!(totals.migrations["a"].fallbacks, 1);
        assert_eq!(totals.migrations.len(), 1);
    }

    #[test]
    fn what_is_kept_of_notices_is_bounded() {
        let mut events = Events::default();
        for number in 0..1_000 {
            events.fallbacks.add(format!("m{number}").as_bytes(), b"");
            events.fallbacks.add(&[b'x'; 60_000], b"");
        }
        assert!(events.fallbacks.iter().count() < 100);
    }
}
