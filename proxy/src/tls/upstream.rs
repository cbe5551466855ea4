//! TLS towards a PostgreSQL server: asked for in the clear, or spoken from the first byte.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::verify::{self, AnyName};
use super::{ALPN, TlsError, certificates, provider};
use crate::config::{SslMode, SslNegotiation, UpstreamTls};
use crate::stream::Stream;
use crate::wire::startup::SSL_REQUEST_PACKET;

/// How connections to one server are encrypted.
#[derive(Clone)]
pub struct Encryption {
    mode: SslMode,
    negotiation: SslNegotiation,
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encryption({:?} for {:?})", self.mode, self.name)
    }
}

/// The configuration that verifies what the mode says.
pub(super) fn client_config(mode: SslMode, roots: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let roots = roots.map(read_roots).transpose()?;
    let verifier: Arc<dyn ServerCertVerifier> = match (mode, roots) {
        (SslMode::VerifyFull, roots) => {
            verify::full(roots.unwrap_or_else(RootCertStore::empty), &provider)?
        }
        (SslMode::VerifyCa, roots) => {
            let roots = roots.unwrap_or_else(RootCertStore::empty);
            Arc::new(AnyName::new(Some(roots), &provider)?)
        }
        (SslMode::Require, roots) => Arc::new(AnyName::new(roots, &provider)?),
        // A wish that anybody in between could deny is not worth a verification.
        (SslMode::Disable | SslMode::Prefer, _) => Arc::new(AnyName::new(None, &provider)?),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::Unusable {
            path: path.to_owned(),
            error,
        })?;
    }
    Ok(roots)
}

impl Encryption {
    /// `None` where none is wanted. `host` is the name to be found in the certificate, unless
    /// another one is configured.
    pub fn new(tls: &UpstreamTls, host: &str) -> Result<Option<Encryption>, TlsError> {
        if tls.sslmode == SslMode::Disable {
            return Ok(None);
        }
        let config = client_config(tls.sslmode, tls.root_certificates.as_deref())?;
        let name = tls.server_name.as_deref().unwrap_or(host);
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
        Ok(Some(Encryption {
            mode: tls.sslmode,
            negotiation: tls.sslnegotiation,
            connector: TlsConnector::from(Arc::new(config)),
            name,
        }))
    }

    /// Negotiates; the error's text is meant for the client. The caller bounds the time.
    pub async fn secure(&self, mut server: TcpStream) -> io::Result<Stream> {
        if self.negotiation == SslNegotiation::Postgres && !self.offered(&mut server).await? {
            return Ok(Stream::Tcp(server));
        }
        let stream = self.connector.connect(self.name.clone(), server).await?;
        let (_, connection) = stream.get_ref();
        if self.negotiation == SslNegotiation::Direct && connection.alpn_protocol() != Some(ALPN) {
            return Err(refused(
                "it spoke TLS without the ALPN protocol \"postgresql\"",
            ));
        }
        let shown = connection.peer_certificates().and_then(|all| all.first());
        let certificate = shown.map(|certificate| certificate.clone().into_owned());
        Ok(Stream::tls(
            tokio_rustls::TlsStream::Client(stream),
            certificate,
        ))
    }

    /// Whether the server answers the request for TLS with yes.
    async fn offered(&self, server: &mut TcpStream) -> io::Result<bool> {
        server.write_all(&SSL_REQUEST_PACKET).await?;
        let mut answer = [0];
        server.read_exact(&mut answer).await?;
        match answer {
            [b'S'] => {
                // What stands behind the answer was sent in the clear, by whom is not known: it
                // must never be taken for the server's words within TLS.
                match has_more(server) {
                    true => Err(refused("it sent unencrypted data before the TLS handshake")),
                    false => Ok(true),
                }
            }
            [b'N'] if self.mode == SslMode::Prefer => Ok(false),
            [b'N'] => Err(refused("it does not offer TLS")),
            // Nobody has proved yet who they are: an error's text is not passed on.
            _ => Err(refused("it did not answer the request for TLS")),
        }
    }
}

/// Whether bytes wait in the socket; they stay there.
pub fn has_more(stream: &TcpStream) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    // Not blocking: the socket is tokio's.
    socket2::SockRef::from(stream)
        .peek(&mut byte)
        .is_ok_and(|bytes| bytes > 0)
}

fn refused(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
