//! Who is logged in: sessions in this process's memory, so that a restart or a copied disk holds none.
//!
//! Of a session's cookie only the hash is kept, and it is compared as a whole: what memory tells is no way in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// A session ends when nobody has asked anything in it for so long.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// And after so long whatever happens: a working day.
pub(super) const LIFE_MAX: Duration = Duration::from_secs(12 * 3600);
/// Operators of one installation, in some browsers each. The one unused for longest makes room.
const SESSIONS_MAX: usize = 500;
/// What nobody guesses: 256 bits.
const TOKEN_BYTES: usize = 32;

/// One that is open.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub user: String,
    /// What forms of this session carry, so that no other site can fill them in.
    pub csrf: String,
    began: Instant,
    used: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: Mutex<HashMap<[u8; 32], Session>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the system has no random numbers")]
pub(super) struct NoRandomness;

impl Sessions {
    /// Opens one; what its cookie holds.
    pub fn open(&self, user: &str, now: Instant) -> Result<String, NoRandomness> {
        let token = random()?;
        let session = Session {
            user: user.to_owned(),
            csrf: random()?,
            began: now,
            used: now,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| session.is_open(now));
        while open.len() >= SESSIONS_MAX {
            let oldest = open.iter().min_by_key(|(_, session)| session.used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                break;
            };
            open.remove(&oldest);
        }
        open.insert(hash(&token), session);
        Ok(token)
    }

    /// The session of a cookie, which is used by this unless nobody has asked for it: a page that looks again by itself keeps
    /// no session open.
    pub fn of(&self, token: &str, now: Instant, by_itself: bool) -> Option<Session> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = hash(token);
        let session = open.get_mut(&key)?;
        if !session.is_open(now) {
            open.remove(&key);
            return None;
        }
        if !by_itself {
            session.used = now;
        }
        Some(session.clone())
    }

    pub fn close(&self, token: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&hash(token));
    }
}

impl Session {
    fn is_open(&self, now: Instant) -> bool {
        now.duration_since(self.used) < IDLE_MAX && now.duration_since(self.began) < LIFE_MAX
    }
}

fn random() -> Result<String, NoRandomness> {
    let mut bytes = [0; TOKEN_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_unused_or_old_or_closed() {
        let sessions = Sessions::default();
        let begin = Instant::now();
        let unused = sessions.open("ann", begin).expect("opened");
        let closed = sessions.open("ann", begin).expect("opened");
        let used = sessions.open("bea", begin).expect("opened");
        assert_eq!(
            sessions.of(&unused, begin, false).expect("open").user,
            "ann"
        );
        sessions.close(&closed);
        assert!(sessions.of(&closed, begin, false).is_none());
        let mut now = begin;
        while now + IDLE_MAX / 2 < begin + LIFE_MAX {
            now += IDLE_MAX / 2;
            assert_eq!(sessions.of(&used, now, false).expect("open").user, "bea");
            let by_itself = sessions.of(&unused, now, true);
            assert_eq!(by_itself.is_some(), now < begin + IDLE_MAX);
        }
        assert!(sessions.of(&used, begin + LIFE_MAX, false).is_none());
        assert!(sessions.of(&unused, begin + IDLE_MAX, false).is_none());
        assert!(sessions.of("", begin, false).is_none());
    }

    #[test]
    fn the_one_unused_for_longest_makes_room() {
        let sessions = Sessions::default();
        let begin = Instant::now();
        let first = sessions.open("ann", begin).expect("opened");
        let second = sessions.open("ann", begin).expect("opened");
        let later = begin + Duration::from_secs(1);
        sessions.of(&first, later, false).expect("open");
        for _ in 0..SESSIONS_MAX - 1 {
            sessions.open("bea", later).expect("opened");
        }
        assert!(sessions.of(&first, later, false).is_some());
        assert!(sessions.of(&second, later, false).is_none());
    }

    #[test]
    fn no_two_sessions_have_a_token_in_common() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let tokens = ["ann", "ann"].map(|user| sessions.open(user, now).expect("opened"));
        assert_ne!(tokens[0], tokens[1]);
        let csrf = tokens.map(|token| sessions.of(&token, now, false).expect("open").csrf);
        assert_ne!(csrf[0], csrf[1]);
    }
}
