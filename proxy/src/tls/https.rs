//! TLS towards web servers: the certificate bears the name, and somebody who is trusted has signed it.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::{TlsError, certificates, provider};

/// Where systems keep the certificates that they trust.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Trusts whom this file names; without one, whom the system trusts.
pub fn connector(roots: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let system = || SYSTEM.iter().map(Path::new).find(|path| path.exists());
    let path = roots.or_else(system).unwrap_or(Path::new(SYSTEM[0]));
    let mut store = RootCertStore::empty();
    // A system's list may hold some that this library cannot use.
    let (added, _) = store.add_parsable_certificates(certificates(path)?);
    if added == 0 {
        return Err(TlsError::Empty {
            what: "certificate that can be used",
            path: path.to_owned(),
        });
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
