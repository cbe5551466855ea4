//! How fast a backfill may go: what the operator allows, and what the server has to do besides.
//!
//! Pure: it is told what was seen and answers with shares and rests.

use std::time::Duration;

use super::state::Wish;

/// What is wanted of a run, as its row says.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub wish: Wish,
    pub rows_per_second_max: Option<i64>,
    pub replica_lag_max_seconds: Option<f64>,
    /// What clients may wait for an answer, in the 99th percentile.
    pub p99_max_ms: Option<f64>,
    /// Whether it gives way to the application.
    pub yields: bool,
}

/// What the server does besides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerLoad {
    /// Sessions of others that are at work, on average of the last second or so.
    pub busy: f64,
    /// Of the replica that is furthest behind; `None`: there is none.
    pub replica_lag_seconds: Option<f64>,
    /// Of the proxy whose clients wait longest; `None`: too few ask.
    pub p99_ms: Option<f64>,
    /// The part of its time that the backfill is left with for that, see [`brake`].
    pub brake: f64,
}

/// What that means for each worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    pub wish: Wish,
    /// The next chunk has to wait.
    pub hold: bool,
    /// The part of its time in which a worker may work.
    pub share: f64,
    pub rows_per_second_max: Option<i64>,
    /// For the operator: what holds it back most.
    pub why: Option<String>,
}

/// For so many sessions at work one worker may take all its time: it is a tenth of all work then.
const BUSY_FOR_ONE_WORKER: f64 = 9.0;
/// Where less than half a session is at work there is room for everybody, on any machine.
const BUSY_MIN: f64 = 0.5;
/// It goes on, whatever happens.
const SHARE_MIN: f64 = 0.1;
/// It goes on even where clients wait for other reasons.
const BRAKE_MIN: f64 = 0.02;
/// A change of what is allowed is felt within this time.
pub const REST_MAX: Duration = Duration::from_secs(2);

/// A backfill that clients are slowed down by is heard of within seconds, not at once: it halves at
/// each look while they wait too long, and comes back by and by, so that it settles below the limit.
#[must_use]
pub fn brake(brake: f64, p99_ms: Option<f64>, p99_max_ms: Option<f64>) -> f64 {
    match (p99_ms, p99_max_ms) {
        (Some(p99), Some(max)) if p99 > max => (brake / 2.0).max(BRAKE_MIN),
        (_, Some(_)) => (brake * 1.25).min(1.0),
        (_, None) => 1.0,
    }
}

#[must_use]
pub fn allowed(settings: &Wanted, seen: ServerLoad, workers: usize) -> Allowed {
    let workers = workers.max(1) as f64;
    let mut allowed = Allowed {
        wish: settings.wish,
        hold: false,
        share: 1.0,
        rows_per_second_max: settings
            .rows_per_second_max
            .map(|max| ((max as f64 / workers) as i64).max(1)),
        why: settings
            .rows_per_second_max
            .map(|max| format!("throttled to {max} rows/s")),
    };
    if settings.yields && seen.busy >= BUSY_MIN {
        let total = (seen.busy / BUSY_FOR_ONE_WORKER).max(SHARE_MIN);
        allowed.share = (total / workers).min(1.0);
        if allowed.share < 1.0 && allowed.rows_per_second_max.is_none() {
            allowed.why = Some(format!(
                "at work {:.0} % of the time, {:.1} others are busy",
                allowed.share * 100.0,
                seen.busy
            ));
        }
    }
    if seen.brake < allowed.share {
        allowed.share = seen.brake;
        allowed.why = Some(format!(
            "at work {:.0} % of the time, the proxies' clients wait {:.1} ms (p99)",
            allowed.share * 100.0,
            seen.p99_ms.unwrap_or_default()
        ));
    }
    if let (Some(max), Some(lag)) = (settings.replica_lag_max_seconds, seen.replica_lag_seconds)
        && lag > max
    {
        allowed.hold = true;
        allowed.why = Some(format!("waits for a replica that is {lag:.1} s behind"));
    }
    allowed
}

impl Allowed {
    /// How long a worker rests after a chunk of so many rows that took so long.
    #[must_use]
    pub fn rest(&self, rows: i64, took: Duration) -> Duration {
        let by_rate = crate::pace::rest(rows, self.rows_per_second_max).saturating_sub(took);
        let by_share = took.mul_f64(1.0 / self.share.max(0.01) - 1.0);
        by_rate.max(by_share.min(REST_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Wanted {
        Wanted {
            wish: Wish::Run,
            rows_per_second_max: None,
            replica_lag_max_seconds: Some(5.0),
            p99_max_ms: Some(20.0),
            yields: true,
        }
    }

    fn busy(busy: f64) -> ServerLoad {
        ServerLoad {
            busy,
            replica_lag_seconds: None,
            p99_ms: None,
            brake: 1.0,
        }
    }

    #[test]
    fn all_workers_together_take_a_tenth_of_what_is_done() {
        for (others, workers) in [(1.0, 1), (3.0, 2), (8.0, 4), (30.0, 8)] {
            let share = allowed(&settings(), busy(others), workers).share * workers as f64;
            let part = share / (share + others);
            assert!((part - 0.1).abs() < 0.001, "{others} {workers}: {part}");
        }
    }

    #[test]
    fn an_idle_server_is_used_in_full_and_so_is_one_that_need_not_be_spared() {
        assert_eq!(allowed(&settings(), busy(0.2), 4).share, 1.0);
        let hard = Wanted {
            yields: false,
            ..settings()
        };
        let allowed = allowed(&hard, busy(20.0), 4);
        assert_eq!(allowed.share, 1.0);
        assert_eq!(
            allowed.rest(500, Duration::from_millis(100)),
            Duration::ZERO
        );
    }

    #[test]
    fn a_rest_follows_from_the_share_or_from_the_rate_whichever_is_longer() {
        let took = Duration::from_millis(100);
        let half = Allowed {
            share: 0.5,
            ..allowed(&settings(), busy(0.0), 1)
        };
        assert_eq!(half.rest(500, took), Duration::from_millis(100));
        let slow = Allowed {
            rows_per_second_max: Some(500),
            ..half
        };
        assert_eq!(slow.rest(500, took), Duration::from_millis(900));
    }

    #[test]
    fn a_rate_is_divided_among_the_workers() {
        let limited = Wanted {
            rows_per_second_max: Some(1_000),
            ..settings()
        };
        assert_eq!(
            allowed(&limited, busy(0.0), 4).rows_per_second_max,
            Some(250)
        );
    }

    #[test]
    fn a_replica_that_lags_is_waited_for() {
        let behind = |seconds| ServerLoad {
            replica_lag_seconds: Some(seconds),
            ..busy(0.0)
        };
        assert!(!allowed(&settings(), behind(4.0), 1).hold);
        let waits = allowed(&settings(), behind(6.0), 1);
        assert!(waits.hold);
        assert!(waits.why.is_some_and(|why| why.contains("6.0 s behind")));
    }

    #[test]
    fn a_backfill_that_clients_wait_for_halves_and_comes_back_and_never_stops() {
        let step = |before, p99| brake(before, Some(p99), Some(20.0));
        assert_eq!(step(1.0, 30.0), 0.5);
        assert_eq!(step(0.5, 10.0), 0.625);
        assert_eq!(step(1.0, 10.0), 1.0);
        assert_eq!((0..50).fold(1.0, |before, _| step(before, 90.0)), BRAKE_MIN);
        assert_eq!(
            brake(0.02, Some(90.0), None),
            1.0,
            "the limit was taken away"
        );
        assert_eq!(brake(0.8, None, Some(20.0)), 1.0, "nobody asks");
        let slow = ServerLoad {
            p99_ms: Some(33.0),
            brake: 0.25,
            ..busy(0.0)
        };
        let allowed = allowed(&settings(), slow, 2);
        assert_eq!(allowed.share, 0.25);
        assert!(!allowed.hold);
        assert!(allowed.why.is_some_and(|why| why.contains("33.0 ms")));
    }
}
