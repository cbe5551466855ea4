//! Counts who is inside, and who is at the door: strangers that have not authenticated yet, and
//! sessions of one address.
//!
//! Where there are too many strangers, the oldest that has said nothing makes room for the one that has
//! just come: whoever means it says what it wants at once. No address takes more than its share, so that
//! one host's silence shuts nobody else out.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::config::Limits;

#[derive(Debug)]
pub(crate) struct Door {
    strangers: Mutex<Strangers>,
    handshakes_max: usize,
    /// 0: no limit.
    handshakes_per_address_max: usize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    /// 0: no limit.
    per_address_max: usize,
}

/// Those in their handshake, in the order in which they came.
#[derive(Debug, Default)]
struct Strangers {
    by_number: BTreeMap<u64, Stranger>,
    /// Who comes over a socket file has no address, and all of those are one.
    by_address: HashMap<Option<IpAddr>, usize>,
    next: u64,
}

#[derive(Debug)]
struct Stranger {
    address: Option<IpAddr>,
    /// As long as it has said nothing: dropped, it tells that its place is another one's.
    silent: Option<oneshot::Sender<()>>,
}

/// A connection's place among those that are still in their handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    door: Arc<Door>,
    number: u64,
    keeps_place: oneshot::Receiver<()>,
}

/// A session's place among those of its address.
#[derive(Debug)]
pub(crate) struct Guest {
    door: Arc<Door>,
    address: IpAddr,
}

/// The address has as many sessions as it may.
#[derive(Debug)]
pub(crate) struct Full {
    pub limit: usize,
}

impl Strangers {
    fn of(&self, address: Option<IpAddr>) -> usize {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    fn add(&mut self, address: Option<IpAddr>) -> (u64, oneshot::Receiver<()>) {
        let (silent, keeps_place) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        let silent = Some(silent);
        self.by_number.insert(number, Stranger { address, silent });
        *self.by_address.entry(address).or_default() += 1;
        (number, keeps_place)
    }

    fn remove(&mut self, number: u64) {
        let Some(gone) = self.by_number.remove(&number) else {
            return;
        };
        if let Entry::Occupied(mut count) = self.by_address.entry(gone.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Sends the oldest away that has said nothing, of those that are meant; false if there is none.
    fn displace(&mut self, is_meant: impl Fn(&Stranger) -> bool) -> bool {
        let mut all = self.by_number.iter();
        let oldest = all.find(|(_, stranger)| stranger.silent.is_some() && is_meant(stranger));
        let oldest = oldest.map(|(number, _)| *number);
        oldest.inspect(|number| self.remove(*number)).is_some()
    }
}

impl Door {
    pub fn new(limits: &Limits) -> Door {
        Door {
            strangers: Mutex::default(),
            handshakes_max: limits.handshakes_max,
            handshakes_per_address_max: limits.handshakes_per_address_max,
            by_address: Mutex::default(),
            per_address_max: limits.connections_per_address_max,
        }
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: too many strangers, all of whom have said what they want.
    pub fn knock(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Handshake> {
        let mut strangers = self.strangers();
        let share = self.handshakes_per_address_max;
        let has_its_share = share > 0 && strangers.of(address) >= share;
        let is_full = strangers.by_number.len() >= self.handshakes_max;
        let has_room = if has_its_share {
            strangers.displace(|stranger| stranger.address == address)
        } else {
            !is_full || strangers.displace(|_| true)
        };
        let (number, keeps_place) = has_room.then(|| strangers.add(address))?;
        drop(strangers);
        Some(Handshake {
            door: Arc::clone(self),
            number,
            keeps_place,
        })
    }

    /// A place for a session; one that comes over a socket file has no address to be counted by.
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Option<Guest>, Full> {
        let limit = self.per_address_max;
        let Some(address) = address.filter(|_| limit > 0) else {
            return Ok(None);
        };
        let mut counts = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= limit {
            return Err(Full { limit });
        }
        *count += 1;
        let door = Arc::clone(self);
        Ok(Some(Guest { door, address }))
    }
}

impl Handshake {
    /// Completes when its place is another one's, unless it has spoken before. Cancel-safe.
    pub async fn displaced(&mut self) {
        // Nothing is ever sent: the sender goes, and that is it.
        let _ = (&mut self.keeps_place).await;
    }

    /// Its startup packet has come: it stays until it is in, or its time is over.
    pub fn has_spoken(&self) {
        if let Some(stranger) = self.door.strangers().by_number.get_mut(&self.number) {
            stranger.silent = None;
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.door.strangers().remove(self.number);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let counts = self.door.by_address.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        // Addresses without sessions take no room.
        if let Entry::Occupied(mut count) = counts.entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_its_place_back_when_a_session_ends() {
        let limits = Limits {
            connections_per_address_max: 2,
            ..Limits::default()
        };
        let door = Arc::new(Door::new(&limits));
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|a| Some(a.parse().expect("address")));
        let first = door.enter(one).expect("room");
        let _second = door.enter(one).expect("room");
        assert!(door.enter(one).is_err());
        assert!(door.enter(other).is_ok());
        assert!(door.enter(None).is_ok(), "a socket file has no address");
        drop(first);
        assert!(door.enter(one).is_ok());
    }

    #[test]
    fn addresses_without_sessions_are_forgotten() {
        let limits = Limits {
            connections_per_address_max: 1,
            ..Limits::default()
        };
        let door = Arc::new(Door::new(&limits));
        for host in 0..100_u32 {
            drop(door.enter(Some(IpAddr::V4(host.into()))).expect("room"));
        }
        assert!(door.by_address.lock().expect("unpoisoned").is_empty());
    }

    fn door(handshakes_max: usize, handshakes_per_address_max: usize) -> Arc<Door> {
        Arc::new(Door::new(&Limits {
            handshakes_max,
            handshakes_per_address_max,
            ..Limits::default()
        }))
    }

    fn is_displaced(handshake: &mut Handshake) -> bool {
        use oneshot::error::TryRecvError;

        handshake.keeps_place.try_recv() == Err(TryRecvError::Closed)
    }

    #[test]
    fn the_oldest_that_has_said_nothing_makes_room() {
        let door = door(3, 0);
        let [first, mut second, mut third] = [(); 3].map(|()| door.knock(None).expect("room"));
        first.has_spoken();
        let mut fourth = door.knock(None).expect("the second makes room");
        assert!(is_displaced(&mut second));
        assert!(!is_displaced(&mut third) && !is_displaced(&mut fourth));
        drop(second);
        fourth.has_spoken();
        third.has_spoken();
        assert!(door.knock(None).is_none(), "all of them have spoken");
        drop(first);
        assert!(door.knock(None).is_some());
    }

    #[test]
    fn an_address_with_its_share_makes_room_among_its_own() {
        let door = door(10, 2);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|a| Some(a.parse().expect("address")));
        let mut elsewhere = door.knock(other).expect("room");
        let mut first = door.knock(one).expect("room");
        let second = door.knock(one).expect("room");
        let third = door.knock(one).expect("the first makes room");
        assert!(is_displaced(&mut first) && !is_displaced(&mut elsewhere));
        second.has_spoken();
        third.has_spoken();
        assert!(door.knock(one).is_none());
        assert!(door.knock(other).is_some());
        drop((first, second, third, elsewhere));
        let strangers = door.strangers();
        assert!(strangers.by_number.is_empty() && strangers.by_address.is_empty());
    }

    #[test]
    fn thousands_of_silent_ones_shut_nobody_out() {
        let limits = Limits::default();
        let door = Arc::new(Door::new(&limits));
        let attacker = Some("192.0.2.1".parse().expect("address"));
        let crowd: Vec<_> = (0..5_000).filter_map(|_| door.knock(attacker)).collect();
        assert_eq!(crowd.len(), 5_000);
        assert_eq!(
            door.strangers().by_number.len(),
            limits.handshakes_per_address_max
        );
        for host in 0..500_u32 {
            let guest = door.knock(Some(IpAddr::V4(host.into())));
            guest.expect("there is room").has_spoken();
        }
    }
}
