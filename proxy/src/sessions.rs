//! Who is connected, and what has gone through each session: for operators who look, and to end one. A session writes its
//! own counts, which nobody else does, so that counting takes no lock and no shared cache line.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::generation::PinView;

/// Clients name databases; of those that somebody got into, an installation has fewer.
const DATABASES_MAX: usize = 1_000;

/// What has gone through one session so far. Written by its own thread alone.
#[derive(Debug, Default)]
pub struct Traffic {
    from_client: AtomicU64,
    to_client: AtomicU64,
    statements: AtomicU64,
    /// The server has let it in.
    established: AtomicBool,
    killed: AtomicBool,
}

impl Traffic {
    /// Bytes so far. Called by the session's own thread.
    #[inline]
    pub fn moved(&self, from_client: u64, to_client: u64) {
        self.from_client.store(from_client, Relaxed);
        self.to_client.store(to_client, Relaxed);
    }

    /// Statements that came. Called by the session's own thread.
    pub fn statements(&self, more: u64) {
        let before = self.statements.load(Relaxed);
        self.statements.store(before + more, Relaxed);
    }

    /// The server has let the session in.
    pub fn establish(&self) {
        self.established.store(true, Relaxed);
    }

    /// An operator wants it to end.
    #[inline]
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.killed.load(Relaxed)
    }
}

/// A session as it began.
#[derive(Debug)]
pub struct Connected {
    pub user: Arc<str>,
    pub database: String,
    pub application: String,
    /// The client's address; of a socket file its kind.
    pub peer: String,
    pub is_tls: bool,
    pub since: SystemTime,
    /// The rules hold for it.
    pub is_served: bool,
    pub pin: PinView,
    pub traffic: Arc<Traffic>,
}

/// A session at one moment.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub id: u64,
    pub user: Arc<str>,
    pub database: String,
    pub application: String,
    pub peer: String,
    pub is_tls: bool,
    pub since: SystemTime,
    pub is_served: bool,
    pub is_established: bool,
    /// The server's process that works for it; `None`: none yet.
    pub backend: Option<i32>,
    /// The generation of its transaction; `None`: between transactions.
    pub generation: Option<u64>,
    pub counts: Counts,
}

/// What went through sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub sessions: u64,
    pub transactions: u64,
    pub statements: u64,
    pub bytes_from_clients: u64,
    pub bytes_to_clients: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.sessions += more.sessions;
        self.transactions += more.transactions;
        self.statements += more.statements;
        self.bytes_from_clients += more.bytes_from_clients;
        self.bytes_to_clients += more.bytes_to_clients;
    }
}

/// All sessions of a proxy.
#[derive(Debug, Default)]
pub struct Sessions {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    last: u64,
    live: BTreeMap<u64, Connected>,
    /// What went through those that have ended, by database.
    ended: BTreeMap<String, Counts>,
}

/// A session's place among them, for as long as it lives.
#[derive(Debug)]
pub struct SessionSeat<'a> {
    sessions: &'a Sessions,
    id: u64,
}

impl Sessions {
    pub fn enter(&self, session: Connected) -> SessionSeat<'_> {
        let mut known = self.lock();
        known.last += 1;
        let id = known.last;
        known.live.insert(id, session);
        SessionSeat { sessions: self, id }
    }

    /// Those that are there now, the oldest first.
    #[must_use]
    pub fn rows(&self) -> Vec<SessionRow> {
        let known = self.lock();
        known.live.iter().map(|(id, of)| row(*id, of)).collect()
    }

    /// What went through the sessions that were let in, by database.
    #[must_use]
    pub fn by_database(&self) -> BTreeMap<String, Counts> {
        let known = self.lock();
        let mut all = known.ended.clone();
        for of in known.live.values().filter(|of| is_established(of)) {
            *all.entry(of.database.clone()).or_default() += counts(of);
        }
        all
    }

    /// Marks a session that is to end; whoever drives it must be woken to see it. False: there is none of this number.
    #[must_use]
    pub fn kill(&self, id: u64) -> bool {
        let known = self.lock();
        let of = known.live.get(&id);
        of.inspect(|of| of.traffic.killed.store(true, Relaxed))
            .is_some()
    }

    /// Nothing that holds the lock can leave what it guards half-changed.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_established(of: &Connected) -> bool {
    of.traffic.established.load(Relaxed)
}

fn counts(of: &Connected) -> Counts {
    Counts {
        sessions: 1,
        transactions: of.pin.transactions(),
        statements: of.traffic.statements.load(Relaxed),
        bytes_from_clients: of.traffic.from_client.load(Relaxed),
        bytes_to_clients: of.traffic.to_client.load(Relaxed),
    }
}

fn row(id: u64, of: &Connected) -> SessionRow {
    SessionRow {
        id,
        user: Arc::clone(&of.user),
        database: of.database.clone(),
        application: of.application.clone(),
        peer: of.peer.clone(),
        is_tls: of.is_tls,
        since: of.since,
        is_served: of.is_served,
        is_established: is_established(of),
        backend: of.pin.backend(),
        generation: of.pin.generation(),
        counts: counts(of),
    }
}

impl Drop for SessionSeat<'_> {
    fn drop(&mut self) {
        let mut known = self.sessions.lock();
        let Some(of) = known.live.remove(&self.id) else {
            return;
        };
        if !is_established(&of) {
            return;
        }
        let is_known = known.ended.contains_key(&of.database);
        let has_room = is_known || known.ended.len() < DATABASES_MAX;
        let name = if has_room { &of.database } else { "(others)" };
        *known.ended.entry(name.to_owned()).or_default() += counts(&of);
    }
}

#[cfg(test)]
mod tests {
    use rewrite_rules::RuleSet;

    use super::*;
    use crate::generation::Generations;
    use crate::generation::ahead::Who;
    use crate::session::Pin;

    fn who() -> Who {
        Who::new("app".into(), String::new())
    }

    fn connected(database: &str, pin: PinView) -> Connected {
        Connected {
            user: "app".into(),
            database: database.to_owned(),
            application: String::new(),
            peer: "127.0.0.1:5".to_owned(),
            is_tls: false,
            since: SystemTime::UNIX_EPOCH,
            is_served: true,
            pin,
            traffic: Arc::default(),
        }
    }

    #[test]
    fn what_went_through_a_session_outlives_it() {
        let generations = Arc::new(Generations::new(RuleSet::empty()));
        let mut held = generations.current();
        let mut pin = generations.session(who());
        let sessions = Sessions::default();
        let of = connected("app", pin.view());
        let traffic = Arc::clone(&of.traffic);
        let seat = sessions.enter(of);
        let stranger = sessions.enter(connected("guessed", generations.session(who()).view()));
        traffic.establish();
        traffic.moved(10, 20);
        traffic.statements(2);
        pin.begin(&mut held);
        assert_eq!(sessions.rows()[0].generation, Some(1));
        pin.end();
        assert_eq!(sessions.rows()[0].generation, None);
        let expected = Counts {
            sessions: 1,
            transactions: 1,
            statements: 2,
            bytes_from_clients: 10,
            bytes_to_clients: 20,
        };
        let of_app = || sessions.by_database().get("app").copied();
        assert_eq!(of_app(), Some(expected));
        drop((seat, stranger));
        assert_eq!(of_app(), Some(expected));
        assert_eq!(
            sessions.by_database().len(),
            1,
            "whoever was not let in counts for nothing"
        );
        assert!(sessions.rows().is_empty());
    }

    #[test]
    fn only_a_session_that_is_there_can_be_killed() {
        let generations = Arc::new(Generations::new(RuleSet::empty()));
        let sessions = Sessions::default();
        let of = connected("app", generations.session(who()).view());
        let traffic = Arc::clone(&of.traffic);
        let seat = sessions.enter(of);
        let id = sessions.rows()[0].id;
        assert!(!sessions.kill(id + 1));
        assert!(!traffic.is_killed());
        assert!(sessions.kill(id));
        assert!(traffic.is_killed());
        drop(seat);
        assert!(!sessions.kill(id));
    }
}
