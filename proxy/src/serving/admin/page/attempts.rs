//! Logins that failed, and how long whoever goes on has to wait.
//!
//! Counted by user and address together, so that whoever guesses elsewhere does not lock the user out, and by each of them
//! alone, with more patience: an address may be a reverse proxy's, and a user is worth guessing from many.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many may fail before anybody has to wait.
const FREE_OF_PAIR: u32 = 5;
const FREE_OF_ONE: u32 = 50;
/// The first wait; each further failure doubles it.
const WAIT_FIRST: Duration = Duration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// What failed so long ago does not count.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// Names are anybody's to make up. The one that failed longest ago makes room.
const KEPT_MAX: usize = 10_000;
/// Longer names are no user's; what is kept of one is no more than this.
const NAME_BYTES_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Attempts {
    failed: Mutex<HashMap<Of, Failed>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Of {
    Pair(String, IpAddr),
    User(String),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    last: Instant,
}

impl Attempts {
    /// How long this user at this address has to wait before a password is looked at; zero: not at all.
    pub fn wait(&self, user: &str, address: IpAddr, now: Instant) -> Duration {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = of(user, address).map(|of| {
            let known = failed.get(&of);
            known.map_or(Duration::ZERO, |failed| failed.wait(&of, now))
        });
        waits.into_iter().max().unwrap_or_default()
    }

    pub fn failed(&self, user: &str, address: IpAddr, now: Instant) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() + of(user, address).len() > KEPT_MAX {
            failed.retain(|_, failed| failed.counts(now));
        }
        for of in of(user, address) {
            while failed.len() >= KEPT_MAX && !failed.contains_key(&of) {
                let oldest = failed.iter().min_by_key(|(_, failed)| failed.last);
                let Some(oldest) = oldest.map(|(of, _)| of.clone()) else {
                    break;
                };
                failed.remove(&oldest);
            }
            let one = failed.entry(of).or_insert(Failed {
                times: 0,
                last: now,
            });
            if !one.counts(now) {
                one.times = 0;
            }
            one.times = one.times.saturating_add(1);
            one.last = now;
        }
    }

    /// Whoever has proved to be the user begins anew at this address.
    pub fn succeeded(&self, user: &str, address: IpAddr) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let [pair, _, _] = of(user, address);
        failed.remove(&pair);
    }
}

impl Failed {
    fn counts(self, now: Instant) -> bool {
        now.duration_since(self.last) < FORGOTTEN_AFTER
    }

    fn wait(self, of: &Of, now: Instant) -> Duration {
        let free = match of {
            Of::Pair(..) => FREE_OF_PAIR,
            Of::User(_) | Of::Address(_) => FREE_OF_ONE,
        };
        if self.times < free || !self.counts(now) {
            return Duration::ZERO;
        }
        let doublings = (self.times - free).min(16);
        let wait = WAIT_FIRST.saturating_mul(1 << doublings).min(WAIT_MAX);
        wait.saturating_sub(now.duration_since(self.last))
    }
}

fn of(user: &str, address: IpAddr) -> [Of; 3] {
    let user: String = user.chars().take(NAME_BYTES_MAX / 4).collect();
    let address = network(address);
    [
        Of::Pair(user.clone(), address),
        Of::User(user),
        Of::Address(address),
    ]
}

/// Of IPv6 everybody has a /64 to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            IpAddr::V6(bits.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "192.0.2.1";
    const THERE: &str = "192.0.2.2";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn who_fails_often_waits_ever_longer_and_others_do_not() {
        let attempts = Attempts::default();
        let mut now = Instant::now();
        for _ in 0..FREE_OF_PAIR {
            assert_eq!(attempts.wait("ann", ip(HERE), now), Duration::ZERO);
            attempts.failed("ann", ip(HERE), now);
        }
        assert_eq!(attempts.wait("ann", ip(HERE), now), WAIT_FIRST);
        assert_eq!(attempts.wait("ann", ip(THERE), now), Duration::ZERO);
        assert_eq!(attempts.wait("bea", ip(HERE), now), Duration::ZERO);
        now += WAIT_FIRST;
        assert_eq!(attempts.wait("ann", ip(HERE), now), Duration::ZERO);
        attempts.failed("ann", ip(HERE), now);
        assert_eq!(attempts.wait("ann", ip(HERE), now), WAIT_FIRST * 2);
        for _ in 0..60 {
            attempts.failed("ann", ip(HERE), now);
        }
        assert_eq!(attempts.wait("ann", ip(HERE), now), WAIT_MAX);
        assert_eq!(
            attempts.wait("ann", ip(HERE), now + FORGOTTEN_AFTER),
            Duration::ZERO
        );
    }

    #[test]
    fn who_proves_to_be_the_user_begins_anew() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for _ in 0..FREE_OF_PAIR {
            attempts.failed("ann", ip(HERE), now);
        }
        attempts.succeeded("ann", ip(HERE));
        assert_eq!(attempts.wait("ann", ip(HERE), now), Duration::ZERO);
    }

    #[test]
    fn one_user_from_many_addresses_and_many_users_from_one_wait_as_well() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for number in 0..FREE_OF_ONE {
            attempts.failed("ann", ip(&format!("198.51.100.{number}")), now);
            attempts.failed(&format!("user{number}"), ip(HERE), now);
        }
        assert_eq!(attempts.wait("ann", ip(THERE), now), WAIT_FIRST);
        assert_eq!(attempts.wait("bea", ip(HERE), now), WAIT_FIRST);
        assert_eq!(attempts.wait("bea", ip(THERE), now), Duration::ZERO);
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for number in 0..FREE_OF_PAIR {
            attempts.failed("ann", ip(&format!("2001:db8::{number}")), now);
        }
        assert_eq!(attempts.wait("ann", ip("2001:db8::ffff"), now), WAIT_FIRST);
        assert_eq!(
            attempts.wait("ann", ip("2001:db8:0:1::1"), now),
            Duration::ZERO
        );
        for _ in 0..FREE_OF_PAIR {
            attempts.failed("bea", ip("::ffff:192.0.2.1"), now);
        }
        assert_eq!(attempts.wait("bea", ip(HERE), now), WAIT_FIRST);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for number in 0..KEPT_MAX {
            let user = format!("{number:0>100}");
            attempts.failed(&user, ip(HERE), now);
        }
        let failed = attempts.failed.lock().expect("not poisoned");
        assert!(failed.len() <= KEPT_MAX, "{}", failed.len());
    }
}
