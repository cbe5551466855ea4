//! The PostgreSQL server: its hosts, which of them is in use, and connections to it.
//!
//! Which host that is, somebody beside the sessions finds out (`serving/primary`) and says here. Sessions say when a host
//! is not there for them, and wait for the next word.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, watch};

use crate::config::{Address, AddressError, Config, TargetSessionAttrs, Tcp};
use crate::stream::{self, Stream};
use crate::tls::TlsError;
use crate::tls::upstream::Encryption;

/// Where the server is and how it is spoken to.
#[derive(Debug)]
pub struct Upstream {
    hosts: Vec<Host>,
    wanted: TargetSessionAttrs,
    known: watch::Sender<Known>,
    doubts: Notify,
    waiting: AtomicUsize,
    timeout: Duration,
    wait: Duration,
    tcp: Tcp,
}

#[derive(Debug)]
struct Host {
    address: Address,
    encryption: Option<Encryption>,
}

/// What is known of the host in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The host, by its place among all; `None` while none can be used.
    pub host: Option<usize>,
    /// Rises with each change, so that what is said of an earlier host harms no later one.
    pub change: u64,
    /// Which rules are in force has been read from this host, or need not be.
    pub is_followed: bool,
}

impl Known {
    /// The host that new sessions may begin on.
    #[must_use]
    pub fn usable(self) -> Option<usize> {
        self.host.filter(|_| self.is_followed)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("upstream = {0}")]
    Address(#[from] AddressError),
    #[error("TLS towards the server: {0}")]
    Tls(#[from] TlsError),
}

/// Counts somebody who waits for a host.
#[derive(Debug)]
pub struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Upstream {
    pub fn new(config: &Config) -> Result<Upstream, UpstreamError> {
        let mut hosts = Vec::new();
        for address in config.upstream.addresses()? {
            // A socket file is the kernel's own: the server offers no TLS on it.
            let encryption = match address.host() {
                Some(host) => Encryption::new(&config.upstream_tls, host)?,
                None => None,
            };
            hosts.push(Host {
                address,
                encryption,
            });
        }
        let wanted = config.wanted();
        let is_chosen = wanted != TargetSessionAttrs::Any;
        let known = Known {
            host: if is_chosen { None } else { Some(0) },
            change: 0,
            is_followed: !is_chosen,
        };
        Ok(Upstream {
            hosts,
            wanted,
            known: watch::Sender::new(known),
            doubts: Notify::new(),
            waiting: AtomicUsize::new(0),
            timeout: Duration::from_millis(config.limits.upstream_connect_timeout_ms),
            wait: Duration::from_millis(config.limits.upstream_wait_ms),
            tcp: config.tcp.clone(),
        })
    }

    pub fn addresses(&self) -> impl ExactSizeIterator<Item = &Address> {
        self.hosts.iter().map(|host| &host.address)
    }

    #[must_use]
    pub fn wanted(&self) -> TargetSessionAttrs {
        self.wanted
    }

    /// Whether a host is found by what it says of itself, not by its taking connections.
    #[must_use]
    pub fn is_chosen(&self) -> bool {
        self.wanted != TargetSessionAttrs::Any
    }

    /// How long a client may wait for a host.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.wait
    }

    #[must_use]
    pub fn known(&self) -> Known {
        *self.known.borrow()
    }

    /// The host in use.
    #[must_use]
    pub fn in_use(&self) -> Option<&Address> {
        let host = self.known().usable()?;
        Some(&self.hosts.get(host)?.address)
    }

    /// Whether it is spoken to by TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        let host = self.known().host.unwrap_or(0);
        self.hosts
            .get(host)
            .is_some_and(|host| host.encryption.is_some())
    }

    /// Hears of each change.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// How many wait for a host.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Counts somebody who waits.
    #[must_use]
    pub fn wait_along(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(&self.waiting)
    }

    /// The host of this change is not there for somebody. One that was chosen stays in use until whoever chose it knows better.
    pub fn lost(&self, change: u64) {
        let is_chosen = self.is_chosen();
        self.known.send_if_modified(|known| {
            let is_news = !is_chosen && known.change == change && known.host.is_some();
            if is_news {
                known.host = None;
                known.change += 1;
            }
            is_news
        });
        self.doubt();
    }

    /// Has whoever watches the host look at once.
    pub fn doubt(&self) {
        self.doubts.notify_one();
    }

    /// Completes when somebody has been told that a host is not there, or was told so since the last time.
    pub async fn doubted(&self) {
        self.doubts.notified().await;
    }

    /// No host can be used.
    pub fn gone(&self) {
        self.known.send_if_modified(|known| {
            let was_there = known.host.take().is_some();
            known.change += u64::from(was_there);
            was_there
        });
    }

    /// A host is in use from now on. One that was chosen is, once the rules in force have been read from it.
    pub fn found(&self, host: usize) {
        let is_chosen = self.is_chosen();
        self.known.send_if_modified(|known| {
            let is_news = known.host != Some(host);
            if is_news {
                *known = Known {
                    host: Some(host),
                    change: known.change + 1,
                    is_followed: !is_chosen,
                };
            }
            is_news
        });
    }

    /// Which rules are in force has been asked after this change.
    pub fn followed(&self, change: u64) {
        self.known.send_if_modified(|known| {
            let is_news = known.change == change && !known.is_followed;
            known.is_followed |= is_news;
            is_news
        });
    }

    /// Connects to one of the hosts within the time given; the error's text is meant for the client.
    pub async fn connect(&self, host: usize) -> io::Result<Stream> {
        let Some(host) = self.hosts.get(host) else {
            return Err(io::Error::other("there is no such host"));
        };
        match tokio::time::timeout(self.timeout, self.open(host)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {} ms", self.timeout.as_millis()),
            )),
        }
    }

    async fn open(&self, host: &Host) -> io::Result<Stream> {
        let address = match &host.address {
            Address::Unix(path) => return Ok(Stream::Unix(UnixStream::connect(path).await?)),
            Address::Tcp(address) => address,
        };
        let server = TcpStream::connect(address).await?;
        stream::prepare(&server, &self.tcp)?;
        match &host.encryption {
            Some(encryption) => encryption.secure(server).await,
            None => Ok(Stream::Tcp(server)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(chosen: bool) -> Upstream {
        let mut config = Config::default();
        config.upstream.0 = "a:1, b:2".to_owned();
        config.control.url = chosen.then(|| "postgres://a:1,b:2/d".to_owned());
        Upstream::new(&config).expect("valid")
    }

    #[test]
    fn a_host_that_was_chosen_is_usable_once_the_rules_were_read_from_it() {
        let upstream = upstream(true);
        assert_eq!(upstream.known().usable(), None);
        upstream.found(1);
        assert_eq!(upstream.known().usable(), None);
        let change = upstream.known().change;
        upstream.followed(change - 1);
        assert_eq!(upstream.known().usable(), None, "of another host");
        upstream.followed(change);
        assert_eq!(upstream.known().usable(), Some(1));
        // A session that could not be had is no proof; who watches the host knows.
        upstream.lost(change);
        assert_eq!(upstream.known().usable(), Some(1));
        upstream.gone();
        upstream.found(0);
        upstream.followed(change);
        assert_eq!(upstream.known().usable(), None);
    }

    #[test]
    fn the_first_host_that_answers_is_used_until_it_does_not() {
        let upstream = upstream(false);
        assert_eq!(upstream.known().usable(), Some(0));
        let change = upstream.known().change;
        upstream.lost(change);
        assert_eq!(upstream.known().usable(), None);
        upstream.found(1);
        assert_eq!(upstream.known().usable(), Some(1));
        upstream.lost(change);
        assert_eq!(upstream.known().usable(), Some(1), "said of the one before");
    }
}
