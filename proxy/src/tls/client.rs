//! TLS for clients: our certificate, taken anew from its files when they change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::{ALPN, TlsError, certificates, key, provider};
use crate::config::ClientTls;
use crate::stream::Stream;

/// How often the files are looked at: a certificate is renewed weeks before it runs out.
const POLL: Duration = Duration::from_secs(1);

/// How the client asked for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By an SSLRequest, in the clear.
    ByRequest,
    /// With its first byte, which only clients of PostgreSQL 17 and later do.
    Directly,
}

/// Takes TLS clients in with the newest certificate that could be used.
#[derive(Debug)]
pub struct Acceptor {
    certificate: PathBuf,
    key: PathBuf,
    loaded: ArcSwap<LoadedCertificate>,
}

#[derive(Debug)]
struct LoadedCertificate {
    config: Arc<ServerConfig>,
    leaf: CertificateDer<'static>,
    seen: Seen,
}

/// Length and modification time of both files.
type Seen = [Option<(u64, SystemTime)>; 2];

impl Acceptor {
    /// `None` where no certificate is configured.
    pub fn load(tls: &ClientTls) -> Result<Option<Acceptor>, TlsError> {
        let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else {
            return Ok(None);
        };
        Ok(Some(Acceptor {
            loaded: ArcSwap::from_pointee(LoadedCertificate::read(certificate, key)?),
            certificate: certificate.clone(),
            key: key.clone(),
        }))
    }

    /// Reads both files again. When they cannot be used, what was in use stays so.
    pub fn reload(&self) -> Result<(), TlsError> {
        let loaded = LoadedCertificate::read(&self.certificate, &self.key)?;
        self.loaded.store(Arc::new(loaded));
        Ok(())
    }

    /// The handshake. The caller bounds its time.
    pub async fn accept(&self, client: TcpStream, asked: Asked) -> io::Result<Stream> {
        let loaded = self.loaded.load_full();
        let acceptor = TlsAcceptor::from(Arc::clone(&loaded.config));
        let stream = acceptor.accept(client).await?;
        // Who speaks TLS at once and does not say that it means PostgreSQL may be tricked into
        // sending us what was meant for another protocol.
        if asked == Asked::Directly && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            let message = "direct TLS without the ALPN protocol \"postgresql\"";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let leaf = loaded.leaf.clone();
        Ok(Stream::tls(
            tokio_rustls::TlsStream::Server(stream),
            Some(leaf),
        ))
    }

    /// Follows both files until dropped; `asked` makes it read them at once (SIGHUP).
    pub async fn watch(&self, mut asked: mpsc::Receiver<()>) {
        let mut poll = tokio::time::interval(POLL);
        let mut tried = self.loaded.load().seen;
        loop {
            // Both are cancel-safe.
            let forced = tokio::select! {
                Some(()) = asked.recv() => true,
                _ = poll.tick() => false,
            };
            let now = seen(&self.certificate, &self.key);
            if !forced && now == tried {
                continue;
            }
            tried = now;
            match self.reload() {
                Ok(()) => tracing::info!("the certificate for clients was read again"),
                // Certificate and key are two files: between two writes they may not match.
                Err(error) => tracing::error!("the certificate was not changed: {error}"),
            }
        }
    }
}

impl LoadedCertificate {
    fn read(certificate: &Path, key_file: &Path) -> Result<LoadedCertificate, TlsError> {
        // Looked at before they are read: a change in between is then seen as one.
        let seen = seen(certificate, key_file);
        let chain = certificates(certificate)?;
        let leaf = chain[0].clone();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key(key_file)?)
            .map_err(|error| TlsError::Unusable {
                path: certificate.to_owned(),
                error,
            })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(LoadedCertificate {
            config: Arc::new(config),
            leaf,
            seen,
        })
    }
}

fn seen(certificate: &Path, key: &Path) -> Seen {
    [certificate, key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    })
}
