//! Connections to the PostgreSQL server.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::config::{Address, AddressError, Config, Tcp};
use crate::stream::{self, Stream};
use crate::tls::TlsError;
use crate::tls::upstream::Encryption;

/// Where the server is and how it is spoken to.
#[derive(Debug)]
pub struct Upstream {
    address: Address,
    encryption: Option<Encryption>,
    timeout: Duration,
    tcp: Tcp,
}

#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("upstream = {0}")]
    Address(#[from] AddressError),
    #[error("TLS towards the server: {0}")]
    Tls(#[from] TlsError),
}

impl Upstream {
    pub fn new(config: &Config) -> Result<Upstream, UpstreamError> {
        let address = config.upstream.address()?;
        // A socket file is the kernel's own: the server offers no TLS on it.
        let encryption = match address.host() {
            Some(host) => Encryption::new(&config.upstream_tls, host)?,
            None => None,
        };
        Ok(Upstream {
            address,
            encryption,
            timeout: Duration::from_millis(config.limits.upstream_connect_timeout_ms),
            tcp: config.tcp.clone(),
        })
    }

    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encryption.is_some()
    }

    /// Connects within the time given; the error's text is meant for the client.
    pub async fn connect(&self) -> io::Result<Stream> {
        match tokio::time::timeout(self.timeout, self.open()).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {} ms", self.timeout.as_millis()),
            )),
        }
    }

    async fn open(&self) -> io::Result<Stream> {
        let address = match &self.address {
            Address::Unix(path) => return Ok(Stream::Unix(UnixStream::connect(path).await?)),
            Address::Tcp(address) => address,
        };
        let server = TcpStream::connect(address).await?;
        stream::prepare(&server, &self.tcp)?;
        match &self.encryption {
            Some(encryption) => encryption.secure(server).await,
            None => Ok(Stream::Tcp(server)),
        }
    }
}
