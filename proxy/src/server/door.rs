//! Counts who is inside, and turns away who would be too many: strangers that have not
//! authenticated yet, and sessions of one address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Limits;

#[derive(Debug)]
pub(super) struct Door {
    handshakes: AtomicUsize,
    handshakes_max: usize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    /// 0: no limit.
    per_address_max: usize,
}

/// A connection's place among those that are still in their handshake.
#[derive(Debug)]
pub(super) struct Handshake(Arc<Door>);

/// A session's place among those of its address.
#[derive(Debug)]
pub(super) struct Guest {
    door: Arc<Door>,
    address: IpAddr,
}

/// The address has as many sessions as it may.
#[derive(Debug)]
pub(super) struct Full {
    pub limit: usize,
}

impl Door {
    pub fn new(limits: &Limits) -> Door {
        Door {
            handshakes: AtomicUsize::new(0),
            handshakes_max: limits.handshakes_max,
            by_address: Mutex::default(),
            per_address_max: limits.connections_per_address_max,
        }
    }

    /// `None`: too many strangers.
    pub fn knock(self: &Arc<Self>) -> Option<Handshake> {
        let before = self.handshakes.fetch_add(1, SeqCst);
        // Made first, so that dropping it counts down whichever way this goes.
        let handshake = Handshake(Arc::clone(self));
        (before < self.handshakes_max).then_some(handshake)
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

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, SeqCst);
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

    #[test]
    fn strangers_have_places_of_their_own() {
        let limits = Limits {
            handshakes_max: 1,
            ..Limits::default()
        };
        let door = Arc::new(Door::new(&limits));
        let first = door.knock();
        assert!(first.is_some());
        assert!(door.knock().is_none());
        drop(first);
        assert!(door.knock().is_some());
    }
}
