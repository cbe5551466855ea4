//! How many rows a chunk takes: as many as take about the target time.
//!
//! Pure: it is told how long chunks took and answers with a number.

use std::time::Duration;

/// Small enough to be unnoticed anywhere, large enough to measure.
pub const CHUNK_ROWS_START: i64 = 500;
/// Its keys are held in memory when a chunk has to be split; nothing is gained by more.
pub const CHUNK_ROWS_MAX: i64 = 50_000;
/// Rows stay locked for about this long: a wait that an application does not notice.
pub const CHUNK_TARGET: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    rows: i64,
}

impl Pace {
    #[must_use]
    pub fn start(rows: i64) -> Self {
        Pace {
            rows: rows.clamp(1, CHUNK_ROWS_MAX),
        }
    }

    #[must_use]
    pub fn chunk_rows(&self) -> i64 {
        self.rows
    }

    /// The size under a limit of rows in a second: at most a fifth of them at once, so that the
    /// rate is even and a change of it is felt soon.
    #[must_use]
    pub fn throttled_rows(&self, rows_per_second_max: Option<i64>) -> i64 {
        rows_per_second_max.map_or(self.rows, |max| self.rows.min((max / 5).max(1)))
    }

    /// A full chunk took so long. One chunk may have met a checkpoint or a cold cache, so the
    /// size at most doubles or halves.
    pub fn took(&mut self, time: Duration) {
        let ratio = CHUNK_TARGET.as_secs_f64() / time.as_secs_f64().max(1e-6);
        let rows = (self.rows as f64 * ratio.clamp(0.5, 2.0)).round() as i64;
        // Rounding must not hold a chunk of one row at one row.
        let rows = if ratio > 1.0 {
            rows.max(self.rows + 1)
        } else {
            rows
        };
        self.rows = rows.clamp(1, CHUNK_ROWS_MAX);
    }

    /// A row of the chunk is locked by somebody who keeps it: the next attempt locks fewer rows
    /// while it waits, in the end that one alone.
    pub fn blocked(&mut self) {
        self.rows = (self.rows / 4).max(1);
    }
}

/// How long a chunk of so many rows may take at the least.
#[must_use]
pub fn rest(rows: i64, rows_per_second_max: Option<i64>) -> Duration {
    rows_per_second_max.map_or(Duration::ZERO, |max| {
        Duration::from_secs_f64(rows.max(0) as f64 / max.max(1) as f64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_makes_chunks_small_and_rests_long() {
        let pace = Pace::start(CHUNK_ROWS_START);
        assert_eq!(pace.throttled_rows(None), CHUNK_ROWS_START);
        assert_eq!(pace.throttled_rows(Some(100)), 20);
        assert_eq!(pace.throttled_rows(Some(1)), 1);
        assert_eq!(rest(20, Some(100)), Duration::from_millis(200));
        assert_eq!(rest(20, None), Duration::ZERO);
    }

    #[test]
    fn the_size_settles_where_a_chunk_takes_the_target_time() {
        for microseconds_per_row in [1, 10, 100, 1_000, 50_000] {
            let mut pace = Pace::start(CHUNK_ROWS_START);
            for _ in 0..40 {
                let time = Duration::from_micros(microseconds_per_row) * pace.chunk_rows() as u32;
                pace.took(time);
            }
            let expected = (100_000 / microseconds_per_row as i64).min(CHUNK_ROWS_MAX);
            let error = (pace.chunk_rows() - expected).abs();
            assert!(
                error <= expected / 20 + 1,
                "{} for {expected}",
                pace.chunk_rows()
            );
        }
    }

    #[test]
    fn a_lock_shrinks_chunks_to_one_row_and_they_grow_again() {
        let mut pace = Pace::start(CHUNK_ROWS_START);
        for _ in 0..10 {
            pace.blocked();
        }
        assert_eq!(pace.chunk_rows(), 1);
        for _ in 0..12 {
            pace.took(Duration::from_millis(1));
        }
        assert!(pace.chunk_rows() > CHUNK_ROWS_START);
    }
}
