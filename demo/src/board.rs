//! What the demo's tasks tell each other: counts, troubles, the phase, the order to stop.
//! Knows nothing of where the numbers come from.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rewrite_rules::Phase;

/// The first troubles tell the story; the rest are its consequences.
const TROUBLES_KEPT_MAX: usize = 8;

/// Which version of the application sent a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Knows `iso_agents` only.
    Old,
    /// Knows `users`.
    New,
}

/// What became of the statements of one phase: of those that ended while it was in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub statements: u64,
    /// Those that Crossfade does not rewrite.
    pub refused: u64,
    /// Those that were not answered as by a database that was left alone.
    pub different: u64,
    /// How often a client tried again what had met somebody else's (40001, 40P01).
    pub retried: u64,
}

#[derive(Debug)]
pub struct Board {
    old_statements: AtomicU64,
    new_statements: AtomicU64,
    /// Acknowledged increments of the one row that all clients fight over.
    pub increments: AtomicU64,
    errors: AtomicU64,
    troubles: Mutex<Vec<String>>,
    phase: Mutex<Phase>,
    tallies: Mutex<[Tally; Phase::ALL.len()]>,
    stopping: AtomicBool,
}

impl Board {
    #[must_use]
    pub fn new(phase: Phase) -> Self {
        Board {
            old_statements: AtomicU64::new(0),
            new_statements: AtomicU64::new(0),
            increments: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            troubles: Mutex::new(Vec::new()),
            phase: Mutex::new(phase),
            tallies: Mutex::default(),
            stopping: AtomicBool::new(false),
        }
    }

    fn counter(&self, side: Side) -> &AtomicU64 {
        match side {
            Side::Old => &self.old_statements,
            Side::New => &self.new_statements,
        }
    }

    pub fn count(&self, side: Side, statements: u64) {
        self.counter(side).fetch_add(statements, Ordering::Relaxed);
        self.tally(|tally| tally.statements += statements);
    }

    /// A client tried something again, so often.
    pub fn retried(&self, times: u64) {
        self.tally(|tally| tally.retried += times);
    }

    /// A statement was refused.
    pub fn refused(&self) {
        self.tally(|tally| tally.refused += 1);
    }

    /// A statement was not answered as it should be.
    pub fn different(&self, text: &str) {
        self.tally(|tally| tally.different += 1);
        self.trouble(text);
    }

    fn tally(&self, add: impl FnOnce(&mut Tally)) {
        let phase = self.phase();
        let mut tallies = self.tallies.lock().unwrap_or_else(|held| held.into_inner());
        add(&mut tallies[phase as usize]);
    }

    /// Of each phase what became of its statements.
    #[must_use]
    pub fn tallies(&self) -> [(Phase, Tally); Phase::ALL.len()] {
        let tallies = self.tallies.lock().unwrap_or_else(|held| held.into_inner());
        Phase::ALL.map(|phase| (phase, tallies[phase as usize]))
    }

    #[must_use]
    pub fn statements(&self, side: Side) -> u64 {
        self.counter(side).load(Ordering::Relaxed)
    }

    /// A client got an error it did not provoke, or an answer that is not the right one.
    pub fn trouble(&self, text: &str) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let phase = self.phase();
        let mut troubles = self
            .troubles
            .lock()
            .unwrap_or_else(|held| held.into_inner());
        if troubles.len() < TROUBLES_KEPT_MAX {
            troubles.push(format!("in {phase}: {text}"));
        }
    }

    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.troubles
            .lock()
            .unwrap_or_else(|held| held.into_inner())
            .clone()
    }

    pub fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(|held| held.into_inner()) = phase;
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(|held| held.into_inner())
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
