//! TLS on either side of the proxy: certificates, keys and what is verified. Knows no session.

pub mod client;
pub mod control;
pub mod https;
pub mod upstream;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// PostgreSQL's name in the application-layer protocol negotiation.
pub const ALPN: &[u8] = b"postgresql";

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {what} in {path}: {error}")]
    Read {
        what: &'static str,
        path: PathBuf,
        error: pem::Error,
    },
    #[error("{path} holds no {what}; expected PEM")]
    Empty { what: &'static str, path: PathBuf },
    #[error("{path} cannot be used: {error}")]
    Unusable { path: PathBuf, error: rustls::Error },
    #[error("{0:?} is no host name that a certificate could bear")]
    Name(String),
    #[error(transparent)]
    Verifier(#[from] rustls::client::VerifierBuilderError),
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificate";
    let read = |error| TlsError::Read {
        what,
        path: path.to_owned(),
        error,
    };
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .collect::<Result<_, _>>()
        .map_err(read)?;
    if all.is_empty() {
        let path = path.to_owned();
        return Err(TlsError::Empty { what, path });
    }
    Ok(all)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::Read {
        what: "private key",
        path: path.to_owned(),
        error,
    })
}
