//! Cancel requests: a connection of their own, whose key is the server's own key, so they are
//! handed on as they came. But for those of sessions that the proxy itself answers.
//!
//! Which host gave a key out, nobody here knows: a session may have begun on a host that is not in use any more, or behind
//! another proxy. So each host is sent the request. One whose key it is not ignores it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::upstream::Upstream;

/// The server answers nothing and closes once the signal is sent; it does so at once.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Once one host has the request, the client waits so long for hosts that are perhaps not there.
const OTHERS_GRACE: Duration = Duration::from_secs(1);

/// Sends the request on and waits for the server to close, which tells the client that its
/// cancel has arrived. An error if no host could be sent it: of one of them.
pub async fn forward(packet: &[u8], upstream: &Upstream) -> io::Result<()> {
    let hosts = 0..upstream.addresses().len();
    let mut asked: FuturesUnordered<_> = hosts.map(|host| ask(packet, upstream, host)).collect();
    let mut failed = Ok(());
    while let Some(result) = asked.next().await {
        match result {
            Ok(()) => {
                let others = async { while asked.next().await.is_some() {} };
                // Whoever is not there has no session either.
                let _ = tokio::time::timeout(OTHERS_GRACE, others).await;
                return Ok(());
            }
            Err(error) => failed = Err(error),
        }
    }
    failed
}

async fn ask(packet: &[u8], upstream: &Upstream, host: usize) -> io::Result<()> {
    let mut server = upstream.connect(host).await?;
    server.write_all(packet).await?;
    server.flush().await?;
    let mut nothing = [0; 16];
    let closed = async { while server.read(&mut nothing).await.is_ok_and(|n| n > 0) {} };
    // If it does not close, the request has been made all the same.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
    Ok(())
}

/// What a cancel request has behind its length and code: a process and its secret.
type Key = [u8; 8];
const KEY_AT: usize = 8;

/// The keys of sessions that the proxy itself answers.
#[derive(Debug, Default)]
pub struct OwnKeys {
    by_key: Mutex<HashMap<Key, Arc<Notify>>>,
}

/// A session's key, for as long as it lives.
#[derive(Debug)]
pub struct OwnKey<'a> {
    keys: &'a OwnKeys,
    key: Key,
    cancelled: Arc<Notify>,
}

impl OwnKeys {
    /// A key that nobody can guess, and that no other session has; an error where the system has no random bytes.
    pub fn make(&self) -> io::Result<OwnKey<'_>> {
        let mut key = Key::default();
        SystemRandom::new()
            .fill(&mut key)
            .map_err(|_| io::Error::other("the system has no random bytes"))?;
        // Clients take the process for a signed number, and some show it.
        key[0] &= 0x7f;
        let cancelled = Arc::new(Notify::new());
        // Of 63 random bits there is no second one.
        self.lock().insert(key, Arc::clone(&cancelled));
        Ok(OwnKey {
            keys: self,
            key,
            cancelled,
        })
    }

    /// Whether a cancel request was for one of these; then that one has heard of it.
    pub fn cancel(&self, packet: &[u8]) -> bool {
        let Some(key) = packet.get(KEY_AT..).and_then(|key| Key::try_from(key).ok()) else {
            return false;
        };
        let keys = self.lock();
        let found = keys.get(&key);
        found.inspect(|found| found.notify_waiters()).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Notify>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnKey<'_> {
    /// The process and the secret, as the client is told them.
    #[must_use]
    pub fn told(&self) -> (i32, i32) {
        let [a, b, c, d, e, f, g, h] = self.key;
        (
            i32::from_be_bytes([a, b, c, d]),
            i32::from_be_bytes([e, f, g, h]),
        )
    }

    /// Completes at a cancel request that comes while this is waited for; one that came before is for a statement that is
    /// over.
    pub async fn cancelled(&self) {
        self.cancelled.notified().await;
    }
}

impl Drop for OwnKey<'_> {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_living_sessions_own_key_cancels() {
        let keys = OwnKeys::default();
        let key = keys.make().expect("random bytes");
        let (process, secret) = key.told();
        let packet = |process: i32, secret: i32| {
            let mut packet = vec![0, 0, 0, 16, 4, 210, 22, 46];
            packet.extend_from_slice(&process.to_be_bytes());
            packet.extend_from_slice(&secret.to_be_bytes());
            packet
        };
        assert!(process >= 0);
        assert!(keys.cancel(&packet(process, secret)));
        assert!(!keys.cancel(&packet(process, secret.wrapping_add(1))));
        assert!(!keys.cancel(&packet(process, secret)[..15]));
        assert!(!keys.cancel(b""));
        drop(key);
        assert!(!keys.cancel(&packet(process, secret)));
    }
}
