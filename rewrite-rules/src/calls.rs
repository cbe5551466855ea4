//! How often texts came, and what came of them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Times are counted by powers of two of a microsecond, the last for whatever took longer than half a minute.
pub const TIMES: usize = 26;

/// What was counted of a text since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// The migration whose table it names; the first of several, empty where a body names it.
    pub migration: String,
    came: AtomicU64,
    ran: AtomicU64,
    rows: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    fallbacks: AtomicU64,
    micros: AtomicU64,
    /// Made when the first time is counted: most texts of a bulk load come once.
    times: OnceLock<Box<[AtomicU64; TIMES]>>,
    why: OnceLock<String>,
}

impl Calls {
    pub fn of(migration: String) -> Calls {
        Calls {
            migration,
            ..Calls::default()
        }
    }

    pub fn add(&self) {
        self.came.fetch_add(1, Relaxed);
    }

    pub fn ran(&self) {
        self.ran.fetch_add(1, Relaxed);
    }

    pub fn returned(&self, rows: u64) {
        self.rows.fetch_add(rows, Relaxed);
    }

    pub fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// `why`: in words that have no constant of the text.
    pub fn refused(&self, why: &str) {
        self.refused.fetch_add(1, Relaxed);
        self.why.get_or_init(|| why.to_owned());
    }

    pub fn fell_back(&self) {
        self.fallbacks.fetch_add(1, Relaxed);
    }

    pub fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Relaxed);
        let times = self.times.get_or_init(Box::default);
        times[place_of(micros)].fetch_add(1, Relaxed);
    }

    pub fn take(&self) -> Tally {
        let taken = |count: &AtomicU64| match count.load(Relaxed) {
            0 => 0,
            _ => count.swap(0, Relaxed),
        };
        let mut tally = Tally {
            calls: taken(&self.came),
            runs: taken(&self.ran),
            rows: taken(&self.rows),
            failed: taken(&self.failed),
            refused: taken(&self.refused),
            fallbacks: taken(&self.fallbacks),
            micros: taken(&self.micros),
            times: [0; TIMES],
            why: None,
        };
        if let Some(times) = self.times.get() {
            for (sum, count) in tally.times.iter_mut().zip(times.iter()) {
                *sum = taken(count);
            }
        }
        if tally.refused > 0 {
            tally.why = self.why.get().cloned();
        }
        tally
    }
}

/// The place among the counts of times.
fn place_of(micros: u64) -> usize {
    usize::try_from(micros.max(1).ilog2()).map_or(TIMES - 1, |power| power.min(TIMES - 1))
}

/// What came of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often they came; one that is prepared counts once.
    pub calls: u64,
    /// How often they ran to their end, prepared or not.
    pub runs: u64,
    /// Rows that were returned or written, as command tags tell them.
    pub rows: u64,
    /// Errors of the server's that clients were told.
    pub failed: u64,
    /// Errors of ours.
    pub refused: u64,
    /// Rows read from legacy because unified lacked them.
    pub fallbacks: u64,
    /// Of those that were timed: microseconds of all of them, and how many took less than twice so many microseconds as
    /// two to the power of the place.
    pub micros: u64,
    pub times: [u64; TIMES],
    /// Why the last of the refused was.
    pub why: Option<String>,
}

impl Tally {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Tally {
            calls,
            runs,
            rows,
            failed,
            refused,
            fallbacks,
            micros: _,
            times,
            why: _,
        } = self;
        [calls, runs, rows, failed, refused, fallbacks]
            .into_iter()
            .all(|count| *count == 0)
            && times.iter().all(|count| *count == 0)
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, more: Tally) {
        self.calls += more.calls;
        self.runs += more.runs;
        self.rows += more.rows;
        self.failed += more.failed;
        self.refused += more.refused;
        self.fallbacks += more.fallbacks;
        self.micros += more.micros;
        for (sum, count) in self.times.iter_mut().zip(more.times) {
            *sum += count;
        }
        self.why = more.why.or(self.why.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_not_counted_again_and_adds_up() {
        let calls = Calls::of("m".to_owned());
        calls.add();
        calls.ran();
        calls.ran();
        calls.returned(7);
        calls.failed();
        calls.refused("why");
        calls.fell_back();
        calls.took(Duration::from_micros(3));
        calls.took(Duration::from_secs(3_600));
        let taken = calls.take();
        assert_eq!((taken.calls, taken.runs), (1, 2));
        assert_eq!((taken.rows, taken.failed), (7, 1));
        assert_eq!((taken.refused, taken.fallbacks), (1, 1));
        assert_eq!(taken.why.as_deref(), Some("why"));
        assert_eq!((taken.times[1], taken.times[TIMES - 1]), (1, 1));
        assert!(calls.take().is_empty());
        let mut sum = taken.clone();
        sum += taken;
        assert_eq!((sum.rows, sum.times[1], sum.micros), (14, 2, 7_200_000_006));
    }

    #[test]
    fn a_time_is_counted_at_its_power_of_two() {
        for (micros, place) in [(0, 0), (1, 0), (2, 1), (1_023, 9), (1_024, 10)] {
            assert_eq!(place_of(micros), place, "{micros}");
        }
        assert_eq!(place_of(u64::MAX), TIMES - 1);
    }
}
