//! How sockets are made and guarded: keepalive, TLS on either side, sharing the port.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// TCP's own probes, on the sockets of both sides: a peer that vanished is noticed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tcp {
    pub keepalive_idle_s: u64,
    pub keepalive_interval_s: u64,
    pub keepalive_probes: u32,
}

impl Default for Tcp {
    fn default() -> Self {
        // A client that vanished is noticed after two minutes instead of the kernel's two hours,
        // and firewalls that forget idle connections (after five minutes and more) do not.
        Tcp {
            keepalive_idle_s: 60,
            keepalive_interval_s: 10,
            keepalive_probes: 6,
        }
    }
}

/// TLS for clients. Without a certificate they are told that there is none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTls {
    /// PEM, the server's own certificate first.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Turns clients away that come over TCP without TLS.
    pub required: bool,
}

/// TLS towards the server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTls {
    pub sslmode: SslMode,
    /// PEM; who may have signed the server's certificate.
    pub root_certificates: Option<PathBuf>,
    /// The name the certificate must bear, if it is not the upstream's host.
    pub server_name: Option<String>,
    pub sslnegotiation: SslNegotiation,
}

/// Which of several hosts will do, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetSessionAttrs {
    /// The first that takes connections.
    Any,
    /// One whose transactions may write unless they say otherwise.
    ReadWrite,
    /// One that is no standby.
    Primary,
}

/// The words of libpq, with its meanings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    #[default]
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslNegotiation {
    /// Asked for in the clear first, which every version understands.
    #[default]
    Postgres,
    /// From the first byte; PostgreSQL 17 and later.
    Direct,
}

impl SslMode {
    /// As a connection string spells it.
    #[must_use]
    pub fn named(name: &str) -> Option<SslMode> {
        match name {
            "disable" => Some(SslMode::Disable),
            "prefer" => Some(SslMode::Prefer),
            "require" => Some(SslMode::Require),
            "verify-ca" => Some(SslMode::VerifyCa),
            "verify-full" => Some(SslMode::VerifyFull),
            _ => None,
        }
    }
}

impl ClientTls {
    pub(super) fn relative_to(&mut self, dir: &Path) {
        for path in [&mut self.certificate, &mut self.key].into_iter().flatten() {
            *path = dir.join(&*path);
        }
    }
}

impl UpstreamTls {
    pub(super) fn relative_to(&mut self, dir: &Path) {
        if let Some(path) = &mut self.root_certificates {
            *path = dir.join(&*path);
        }
    }
}
