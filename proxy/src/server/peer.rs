//! Who connects: the socket on its way to its worker, and a name for the log.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpStream, UnixStream};

use crate::config::Tcp;
use crate::stream::{self, Stream};

/// A connection that belongs to no thread yet.
#[derive(Debug)]
pub(super) enum Arrival {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Arrival {
    /// Registers it with the runtime of the thread that this is called on.
    pub fn settle(self, tcp: &Tcp) -> io::Result<Stream> {
        match self {
            Arrival::Tcp(stream) => {
                let stream = TcpStream::from_std(stream)?;
                stream::prepare(&stream, tcp)?;
                Ok(Stream::Tcp(stream))
            }
            Arrival::Unix(stream) => Ok(Stream::Unix(UnixStream::from_std(stream)?)),
        }
    }

    /// Writes what fits and closes: for those who get no task of their own.
    pub fn turn_away(self, words: &[u8]) {
        use std::io::Write;

        // Neither blocks, and who does not hear it sees the connection closed.
        let _ = match self {
            Arrival::Tcp(mut stream) => stream.write(words),
            Arrival::Unix(mut stream) => stream.write(words),
        };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Tcp(SocketAddr),
    Unix,
}

impl Peer {
    /// What counts as one client address. An IPv6 host has a whole network of 64 bits to itself.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Peer::Unix => None,
            Peer::Tcp(address) => match address.ip().to_canonical() {
                IpAddr::V4(v4) => Some(IpAddr::V4(v4)),
                IpAddr::V6(v6) => {
                    let network = v6.to_bits() & (u128::MAX << 64);
                    Some(IpAddr::V6(network.into()))
                }
            },
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix => f.write_str("a unix socket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_is_one_address_however_it_is_spelled() {
        let address = |text: &str| {
            let socket: SocketAddr = text.parse().expect(text);
            Peer::Tcp(socket).address()
        };
        assert_eq!(address("192.0.2.1:5"), address("[::ffff:192.0.2.1]:6"));
        assert_ne!(address("192.0.2.1:5"), address("192.0.2.2:5"));
        assert_eq!(address("[2001:db8::1]:5"), address("[2001:db8::ffff:2]:6"));
        assert_ne!(address("[2001:db8::1]:5"), address("[2001:db8:0:1::1]:5"));
        assert_eq!(Peer::Unix.address(), None);
    }
}
