//! The torture test's parts: clients that know what they were told, and an operator who steps,
//! copies, compares, reloads and kills while they work.
//!
//! A seed decides what each of them does next; what the machine makes of it in which order it
//! does not. Nothing here knows how one side maps to the other but [`model`], on its own authority.

pub mod act;
pub mod client;
pub mod dependents;
pub mod model;
pub mod operator;
pub mod tables;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Rows that every client counts up.
pub const SHARED_ROWS: usize = 3;
/// Of the operator's deeds that are told.
const NOTED: usize = 40;

/// What everybody sees: who may use unified names, what was counted, what went wrong.
#[derive(Debug, Default)]
pub struct Board {
    pub stopping: AtomicBool,
    /// Whether unified names may be used: from `dual_read` on, once everything is there. A client
    /// holds it while it uses them, so that nobody steps back under its feet.
    pub unified_names: tokio::sync::RwLock<bool>,
    /// Whether rows that have a phone keep their keys and stay: in `legacy_only` their unified rows
    /// would be left behind, phone and all. Held over each turn.
    pub keys_stay: tokio::sync::RwLock<bool>,
    pub shared: [Shared; SHARED_ROWS],
    pub figures: Figures,
    wrong: Mutex<Vec<String>>,
    /// What the operator did, and when.
    deeds: Mutex<Vec<String>>,
}

/// Increments of one shared row.
#[derive(Debug, Default)]
pub struct Shared {
    pub acknowledged: AtomicU64,
    pub unknown: AtomicU64,
}

#[derive(Debug, Default)]
pub struct Figures {
    pub statements: AtomicU64,
    pub commits: AtomicU64,
    pub conflicts: AtomicU64,
    pub connections_lost: AtomicU64,
    pub outcomes_unknown: AtomicU64,
    /// Refused as the model says: by a foreign key, by a unique one, for want of a right.
    pub referred_to: AtomicU64,
    pub taken: AtomicU64,
    pub forbidden: AtomicU64,
}

/// Seconds of the day, to put trails beside one another and beside logs.
fn now() -> String {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let (day, milliseconds) = (since.as_secs() % 86_400, since.subsec_millis());
    let (hours, minutes, seconds) = (day / 3600, day / 60 % 60, day % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}")
}

impl Board {
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The first wrong answer ends the run: what follows would follow from it.
    pub fn wrong(&self, what: String) {
        self.stopping.store(true, Ordering::SeqCst);
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.push(what);
    }

    #[must_use]
    pub fn wrongs(&self) -> Vec<String> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.clone()
    }

    pub fn note(&self, deed: &str) {
        let mut deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        deeds.push(format!("{} {deed}", now()));
    }

    /// The operator's latest deeds.
    #[must_use]
    pub fn noted(&self) -> String {
        let deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        let from = deeds.len().saturating_sub(NOTED);
        deeds[from..]
            .iter()
            .map(|deed| format!("  {deed}\n"))
            .collect()
    }

    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::SeqCst);
    }
}
