//! TLS for Crossfade's own connections. The driver knows `sslmode` up to `require`; what libpq
//! knows beyond, and `sslrootcert`, is taken from the connection string here.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;

use super::TlsError;
use super::upstream::client_config;
use crate::config::SslMode;

/// A connection string without what the driver does not know, and that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    pub url: String,
    pub sslmode: SslMode,
    pub sslrootcert: Option<PathBuf>,
    pub passfile: Option<PathBuf>,
}

/// An `sslmode` that is none of libpq's that are supported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its sslmode is none of disable, prefer, require, verify-ca and verify-full")]
pub struct UnknownMode;

impl Wishes {
    /// Reads both `postgres://…?a=b&c=d` and `a=b c=d`.
    pub fn read(url: &str) -> Result<Wishes, UnknownMode> {
        let (head, parameters, separator) = match url.contains("://") {
            true => match url.split_once('?') {
                Some((head, parameters)) => (format!("{head}?"), parameters, '&'),
                None => (url.to_owned(), "", '&'),
            },
            false => (String::new(), url, ' '),
        };
        let mut wishes = Wishes {
            url: head,
            // libpq's default, and the driver's.
            sslmode: SslMode::Prefer,
            sslrootcert: None,
            passfile: None,
        };
        let mut kept = Vec::new();
        for parameter in parameters.split(separator) {
            match parameter.split_once('=') {
                Some(("sslmode", mode)) => {
                    let known = SslMode::named(mode);
                    wishes.sslmode = known.ok_or(UnknownMode)?;
                }
                Some(("sslrootcert", path)) => wishes.sslrootcert = Some(path.into()),
                Some(("passfile", path)) => wishes.passfile = Some(path.into()),
                Some(_) | None => kept.push(parameter),
            }
        }
        wishes.url.push_str(&kept.join(&separator.to_string()));
        Ok(wishes)
    }

    /// The driver's own word for it.
    #[must_use]
    pub fn driver_mode(&self) -> tokio_postgres::config::SslMode {
        match self.sslmode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                tokio_postgres::config::SslMode::Require
            }
        }
    }

    pub fn connect(&self) -> Result<Connect, TlsError> {
        let config = client_config(self.sslmode, self.sslrootcert.as_deref())?;
        Ok(Connect(TlsConnector::from(Arc::new(config))))
    }
}

/// Gives the driver its TLS.
#[derive(Clone)]
pub struct Connect(TlsConnector);

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connect")
    }
}

#[derive(Debug)]
pub struct ConnectTo {
    connect: Connect,
    name: ServerName<'static>,
}

impl<S> MakeTlsConnect<S> for Connect
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type TlsConnect = ConnectTo;
    type Error = TlsError;

    fn make_tls_connect(&mut self, host: &str) -> Result<ConnectTo, TlsError> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        let connect = self.clone();
        Ok(ConnectTo { connect, name })
    }
}

impl<S> TlsConnect<S> for ConnectTo
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let stream = self.connect.0.connect(self.name, stream).await?;
            Ok(Encrypted(stream))
        })
    }
}

#[derive(Debug)]
pub struct Encrypted<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for Encrypted<S> {
    /// The login is not bound to the connection; it is verified by its certificate, if at all.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_does_not_know_is_taken_out_of_the_connection_string() {
        for (url, without, sslmode, root) in [
            (
                "postgres://u@h/d",
                "postgres://u@h/d",
                SslMode::Prefer,
                None,
            ),
            (
                "postgres://u@h/d?sslmode=verify-full&sslrootcert=/r.crt&options=x",
                "postgres://u@h/d?options=x",
                SslMode::VerifyFull,
                Some("/r.crt"),
            ),
            (
                "host=h sslmode=disable user=u",
                "host=h user=u",
                SslMode::Disable,
                None,
            ),
        ] {
            let wishes = Wishes::read(url).expect(url);
            assert_eq!(wishes.url, without);
            assert_eq!(wishes.sslmode, sslmode);
            assert_eq!(wishes.sslrootcert, root.map(PathBuf::from));
        }
        assert!(Wishes::read("host=h sslmode=allow").is_err());
    }
}
