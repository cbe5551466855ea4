//! Bounds on what clients can take, each with the reason for its default.

use serde::Deserialize;

use crate::session::{CacheLimits, SessionLimits};
use crate::wire::frontend::MessageLimits;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub startup_timeout_ms: u64,
    pub startup_bytes_max: u32,
    pub authentication_timeout_ms: u64,
    pub authentication_bytes_max: u32,
    pub handshakes_max: usize,
    pub handshakes_per_address_max: usize,
    pub names_bytes_max: u32,
    pub statement_bytes_max: u32,
    pub held_bytes_total_max: usize,
    pub held_turn_timeout_ms: u64,
    pub values_bytes_max: u32,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub prepared_statements_max: usize,
    pub prepared_bytes_max: usize,
    pub upstream_connect_timeout_ms: u64,
    pub upstream_wait_ms: u64,
    pub rules_wait_ms: u64,
    pub drain_timeout_ms: u64,
    pub worker_threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let messages = MessageLimits::DEFAULT;
        Limits {
            // A client that opens a connection and says nothing holds a slot only this long; a
            // TLS handshake is within it.
            startup_timeout_ms: 15_000,
            // The server's own limit for a startup packet.
            startup_bytes_max: 10_000,
            // The server's authentication_timeout is 60 s and its words are better than ours.
            authentication_timeout_ms: 65_000,
            authentication_bytes_max: messages.authentication_bytes_max,
            // Strangers: they may cost sockets, but never those of the clients that are in.
            handshakes_max: 1_000,
            // Half of them: a host whose pool connects at once has room, and the others too.
            handshakes_per_address_max: 500,
            names_bytes_max: messages.names_bytes_max,
            statement_bytes_max: messages.statement_bytes_max,
            // Four of the longest statements, on a machine that has a GiB for the proxy.
            held_bytes_total_max: 256 * 1024 * 1024,
            // The longest statement, at 4 MB a second.
            held_turn_timeout_ms: 15_000,
            values_bytes_max: messages.values_bytes_max,
            // Two sockets each: stays below a usual limit of 16,384 open files.
            connections_max: 8_000,
            // 0: no limit of its own. One host with a large pool may be the only client there is.
            connections_per_address_max: 0,
            // Far above what any driver caches (pgjdbc 256, asyncpg 1024).
            prepared_statements_max: 10_000,
            // Texts kept to prepare statements anew when a phase changes.
            prepared_bytes_max: 4 * 1024 * 1024,
            // Three attempts of TCP within one network, while a client still waits.
            upstream_connect_timeout_ms: 5_000,
            // A restart with its checkpoint, or the promotion of a standby with the time in which it is decided.
            upstream_wait_ms: 30_000,
            // Proxies look for them once a second, and a database that does not answer may take a look's five.
            rules_wait_ms: 5_000,
            // Below the ten seconds after which container runtimes kill.
            drain_timeout_ms: 5_000,
            // 0: one for each core.
            worker_threads: 0,
        }
    }
}

impl Limits {
    /// What a session has to know of them, and of the cache's.
    #[must_use]
    pub fn session(&self, cache: CacheLimits) -> SessionLimits {
        SessionLimits {
            messages: MessageLimits {
                authentication_bytes_max: self.authentication_bytes_max,
                names_bytes_max: self.names_bytes_max,
                statement_bytes_max: self.statement_bytes_max,
                values_bytes_max: self.values_bytes_max,
            },
            prepared_statements_max: self.prepared_statements_max,
            prepared_bytes_max: self.prepared_bytes_max,
            cache,
        }
    }
}
