//! One connection, whatever it is made of: TCP, a socket file, or TLS over TCP.
//!
//! An enum, not a trait object: the plain sockets' path stays a compare and a direct call.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

use crate::config;

#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Tls>),
}

#[derive(Debug)]
pub struct Tls {
    stream: TlsStream<TcpStream>,
    /// What the server's side of this connection has shown: ours to a client, the upstream's to us.
    certificate: Option<CertificateDer<'static>>,
}

impl Stream {
    #[must_use]
    pub fn tls(
        stream: impl Into<TlsStream<TcpStream>>,
        certificate: Option<CertificateDer<'static>>,
    ) -> Stream {
        let stream = stream.into();
        Stream::Tls(Box::new(Tls {
            stream,
            certificate,
        }))
    }

    #[must_use]
    #[inline]
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// A TLS stream takes bytes before its socket does: they must be flushed.
    #[must_use]
    #[inline]
    pub fn holds_back(&self) -> bool {
        self.is_tls()
    }

    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => None,
            Stream::Tls(tls) => tls.certificate.as_ref(),
        }
    }
}

/// What every TCP connection gets, on either side.
pub fn prepare(stream: &TcpStream, tcp: &config::Tcp) -> io::Result<()> {
    // Small messages in both directions wait for each other: Nagle's algorithm would add 40 ms.
    stream.set_nodelay(true)?;
    if tcp.keepalive_idle_s == 0 {
        return Ok(());
    }
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(tcp.keepalive_idle_s))
        .with_interval(Duration::from_secs(tcp.keepalive_interval_s))
        .with_retries(tcp.keepalive_probes);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(cx),
        }
    }
}
