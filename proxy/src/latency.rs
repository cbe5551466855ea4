//! How long the server takes to answer: a histogram of exchanges, each from a client's first message
//! to the ReadyForQuery that leaves nothing outstanding.
//!
//! One exchange in [`ONE_IN`] is timed, which costs no more than a look at the clock now and then.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Two looks at the clock for each exchange would be seen in a profile, for one in four they are not.
pub const ONE_IN: u32 = 4;

/// Buckets of a power of two, each divided into so many: a figure is right within an eighth.
const PARTS: u64 = 8;
/// From 1 µs to some hours.
const BUCKETS: usize = 34 * PARTS as usize;

#[derive(Debug)]
pub struct Latencies {
    buckets: Box<[AtomicU64]>,
    /// Microseconds of all of them.
    sum: AtomicU64,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }
}

impl Latencies {
    pub fn took(&self, time: Duration) {
        self.buckets[bucket(time)].fetch_add(1, Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum.fetch_add(micros, Relaxed);
    }

    /// Seconds of all that were timed.
    #[must_use]
    pub fn sum(&self) -> f64 {
        Duration::from_micros(self.sum.load(Relaxed)).as_secs_f64()
    }

    /// How many took at most so many seconds and longer than the bound before, a bound for each power of two.
    #[must_use]
    pub fn by_bound(&self) -> Vec<(f64, u64)> {
        let counts = self.counts();
        let powers = counts.chunks(PARTS as usize).enumerate();
        powers
            .map(|(power, counts)| {
                let last = (power + 1) * PARTS as usize - 1;
                (longest_ms(last) / 1000.0, counts.iter().sum())
            })
            .collect()
    }

    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.buckets
            .iter()
            .map(|count| count.load(Relaxed))
            .collect()
    }
}

fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros())
        .unwrap_or(u64::MAX)
        .max(PARTS);
    let power = u64::from(micros.ilog2());
    // The three bits below the highest one.
    let part = (micros >> (power - PARTS.ilog2() as u64)) & (PARTS - 1);
    let bucket = (power - PARTS.ilog2() as u64) * PARTS + part;
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The longest time that a bucket stands for.
#[must_use]
pub fn longest_ms(bucket: usize) -> f64 {
    let (power, part) = (bucket as u64 / PARTS, bucket as u64 % PARTS);
    ((PARTS + part + 1) << power) as f64 / 1000.0
}

/// The 99th percentile of the last moments, from counts that are looked at again and again.
#[derive(Debug, Default)]
pub struct Window {
    looks: VecDeque<Vec<u64>>,
}

/// Looks back: with one in a second the figure is that of the last five.
const LOOKS: usize = 5;
/// Fewer say nothing of one in a hundred; a handful still tells a slow server from a quick one.
const COUNT_MIN: u64 = 10;

impl Window {
    /// Takes the newest counts; milliseconds, or `None` where too little was going on.
    pub fn p99_ms(&mut self, counts: Vec<u64>) -> Option<f64> {
        let oldest = self.looks.front();
        let recent: Vec<u64> = match oldest {
            Some(oldest) => counts
                .iter()
                .zip(oldest)
                .map(|(now, then)| now - then)
                .collect(),
            None => vec![0; counts.len()],
        };
        self.looks.push_back(counts);
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        let total: u64 = recent.iter().sum();
        if total < COUNT_MIN {
            return None;
        }
        let mut above = total / 100;
        for (bucket, count) in recent.iter().enumerate().rev() {
            if *count > above {
                return Some(longest_ms(bucket));
            }
            above -= count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_within_an_eighth_of_what_its_bucket_says() {
        for micros in [8_u64, 9, 100, 999, 12_345, 1_000_000, 3_600_000_000] {
            let said = longest_ms(bucket(Duration::from_micros(micros))) * 1000.0;
            let (least, most) = (micros as f64, micros as f64 * 1.125 + 1.0);
            assert!((least..=most).contains(&said), "{micros}: {said}");
        }
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn one_in_a_hundred_is_left_out_and_old_times_are_forgotten() {
        let latencies = Latencies::default();
        let mut window = Window::default();
        assert_eq!(window.p99_ms(latencies.counts()), None);
        for _ in 0..990 {
            latencies.took(Duration::from_millis(1));
        }
        for _ in 0..10 {
            latencies.took(Duration::from_secs(9));
        }
        let fast = window.p99_ms(latencies.counts()).expect("enough");
        assert!((1.0..1.2).contains(&fast), "{fast}");
        for _ in 0..20 {
            latencies.took(Duration::from_millis(50));
        }
        let slow = window.p99_ms(latencies.counts()).expect("enough");
        assert!(slow > 50.0, "{slow}");
        for _ in 0..LOOKS {
            window.p99_ms(latencies.counts());
        }
        assert_eq!(window.p99_ms(latencies.counts()), None);
    }
}
