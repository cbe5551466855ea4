//! One attempt: a request that is signed, or a program with the event on its standard input. What is said of its failure
//! holds neither the address nor the secret.
//!
//! ```text
//! POST /…  content-type: application/json
//!          x-crossfade-event: 17                      the event's id, the same in each attempt
//!          x-crossfade-timestamp: 1796040271          of this attempt
//!          x-crossfade-signature: sha256=5f2c…        HMAC-SHA256 of `1796040271.` and the body
//! ```

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use hyper::client::conn::http1;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use ring::hmac;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;

use crate::config::HookConfig;
use crate::control::history::Event;
use crate::tls::{TlsError, https};

/// A secret longer than this is some other file.
const SECRET_BYTES_MAX: u64 = 4096;
/// A shorter one could be guessed.
const SECRET_BYTES_MIN: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum HookError {
    #[error("hook.url is no address of http or https with a host in it")]
    Address,
    #[error("hook.secret_file {}: {said}", path.display())]
    Secret { path: PathBuf, said: String },
    #[error("hook.program {}: {said}", path.display())]
    Program { path: PathBuf, said: String },
    #[error("certificates for the hook: {0}")]
    Tls(#[from] TlsError),
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTold {
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("{host} cannot be reached: {said}")]
    Connect { host: String, said: String },
    #[error("{host} broke off: {said}")]
    Http { host: String, said: String },
    #[error("{host} answered {status}, and 2xx was expected")]
    Status { host: String, status: u16 },
    #[error("the program could not be run: {0}")]
    Run(std::io::Error),
    #[error("the program ended with {0}, and 0 was expected")]
    Ended(std::process::ExitStatus),
}

/// How events are told.
#[derive(Debug)]
pub(super) struct Sender {
    timeout: Duration,
    way: Way,
}

enum Way {
    Web(Box<Web>),
    Program(PathBuf),
}

/// Where requests go, and what signs them.
struct Web {
    uri: Uri,
    host: String,
    port: u16,
    /// `None`: in clear.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    key: hmac::Key,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Way::Web(web) => write!(f, "Web({})", web.host),
            Way::Program(path) => write!(f, "Program({})", path.display()),
        }
    }
}

impl Sender {
    /// `None` where there is no hook.
    pub fn of(hook: &HookConfig) -> Result<Option<Sender>, HookError> {
        let way = match (&hook.url, &hook.program) {
            (None, None) => return Ok(None),
            (Some(url), _) => web(url, hook)?,
            (None, Some(program)) => Way::Program(executable(program)?),
        };
        Ok(Some(Sender {
            timeout: Duration::from_millis(hook.timeout_ms),
            way,
        }))
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub async fn send(&self, event: &Event) -> Result<(), NotTold> {
        let body = serde_json::to_vec(event).unwrap_or_default();
        let sending = async {
            match &self.way {
                Way::Web(web) => {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH);
                    let timestamp = now.unwrap_or_default().as_secs();
                    let signature = signature(&web.key, timestamp, &body);
                    web.post(event.id, timestamp, &signature, body).await
                }
                Way::Program(program) => run(program, event, &body).await,
            }
        };
        let within = tokio::time::timeout(self.timeout, sending).await;
        within.unwrap_or(Err(NotTold::TimedOut(self.timeout)))
    }
}

fn web(url: &str, hook: &HookConfig) -> Result<Way, HookError> {
    let uri: Uri = url.parse().map_err(|_| HookError::Address)?;
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(HookError::Address);
    };
    let host = host.trim_matches(['[', ']']).to_owned();
    let tls = match scheme {
        "http" => None,
        "https" => {
            let name = ServerName::try_from(host.clone()).map_err(|_| HookError::Address)?;
            Some((https::connector(hook.root_certificates.as_deref())?, name))
        }
        _ => return Err(HookError::Address),
    };
    let default = if tls.is_some() { 443 } else { 80 };
    let path = hook.secret_file.as_deref().ok_or(HookError::Address)?;
    Ok(Way::Web(Box::new(Web {
        port: uri.port_u16().unwrap_or(default),
        key: hmac::Key::new(hmac::HMAC_SHA256, &secret(path)?),
        uri,
        host,
        tls,
    })))
}

/// A secret that nobody else on the host reads.
fn secret(path: &Path) -> Result<Vec<u8>, HookError> {
    let wrong = |said: String| HookError::Secret {
        path: path.to_owned(),
        said,
    };
    let failed = |error: std::io::Error| wrong(error.to_string());
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        let said = "others may read or write it; expected mode 0600";
        return Err(wrong(said.to_owned()));
    }
    let mut secret = Vec::new();
    let mut file = file.take(SECRET_BYTES_MAX + 1);
    file.read_to_end(&mut secret).map_err(failed)?;
    while matches!(secret.last(), Some(b'\n' | b'\r')) {
        secret.pop();
    }
    if secret.len() < SECRET_BYTES_MIN || secret.len() as u64 > SECRET_BYTES_MAX {
        return Err(wrong(format!(
            "it has {} bytes; expected {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}",
            secret.len()
        )));
    }
    Ok(secret)
}

fn executable(path: &Path) -> Result<PathBuf, HookError> {
    let wrong = |said: String| HookError::Program {
        path: path.to_owned(),
        said,
    };
    let metadata = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(wrong("it is no file that can be run".to_owned()));
    }
    Ok(path.to_owned())
}

fn signature(key: &hmac::Key, timestamp: u64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{timestamp}.").as_bytes());
    context.update(body);
    let tag = context.sign();
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256={}", digits.collect::<String>())
}

impl Web {
    async fn post(
        &self,
        event: i64,
        timestamp: u64,
        signature: &str,
        body: Vec<u8>,
    ) -> Result<(), NotTold> {
        let failed = |error: std::io::Error| NotTold::Connect {
            host: self.host.clone(),
            said: error.to_string(),
        };
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = match self.uri.port_u16() {
            Some(port) => format!("{}:{port}", self.uri.host().unwrap_or_default()),
            None => self.uri.host().unwrap_or_default().to_owned(),
        };
        let request = Request::post(path)
            .header("host", authority)
            .header("content-type", "application/json")
            .header(
                "user-agent",
                concat!("crossfade/", env!("CARGO_PKG_VERSION")),
            )
            .header("x-crossfade-event", event)
            .header("x-crossfade-timestamp", timestamp)
            .header("x-crossfade-signature", signature)
            .body(Body::from(body))
            .map_err(|error| self.broke(&error))?;
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(failed)?;
        match &self.tls {
            None => self.exchange(stream, request).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                self.exchange(stream.map_err(failed)?, request).await
            }
        }
    }

    async fn exchange<S>(&self, stream: S, request: Request<Body>) -> Result<(), NotTold>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| self.broke(&error))?;
        let driving = async {
            // How it ends, the exchange is told: an answer may have come with the end.
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        // The rest of an answer whose head has come is nobody's to read.
        let answered = tokio::select! {
            answered = sender.send_request(request) => answered,
            () = driving => return Err(NotTold::TimedOut(Duration::ZERO)),
        };
        let status = answered.map_err(|error| self.broke(&error))?.status();
        if status.is_success() {
            return Ok(());
        }
        Err(NotTold::Status {
            host: self.host.clone(),
            status: status.as_u16(),
        })
    }

    fn broke(&self, error: &dyn std::error::Error) -> NotTold {
        NotTold::Http {
            host: self.host.clone(),
            said: error.to_string(),
        }
    }
}

/// The event stands on its standard input, and its id, kind and migration in its environment. What it says goes nowhere:
/// the proxy's log is no place for it.
async fn run(program: &Path, event: &Event, body: &[u8]) -> Result<(), NotTold> {
    let mut child = Command::new(program)
        .env_remove("CROSSFADE_CONTROL_URL")
        .env_remove("PGPASSWORD")
        .env("CROSSFADE_EVENT_ID", event.id.to_string())
        .env("CROSSFADE_EVENT_KIND", &event.kind)
        .env("CROSSFADE_EVENT_MIGRATION", &event.migration)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(NotTold::Run)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it may do without.
        let _ = stdin.write_all(body).await;
    }
    let status = child.wait().await.map_err(NotTold::Run)?;
    match status.success() {
        true => Ok(()),
        false => Err(NotTold::Ended(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_other_programs() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a secret of 16 b");
        // printf '17.{"id":1}' | openssl dgst -sha256 -hmac 'a secret of 16 b'
        let expected = "sha256=f4845c08cc12d68d974f9b0c7e6e04727e98b90826131703323a4f96cd9807fb";
        assert_eq!(signature(&key, 17, b"{\"id\":1}"), expected);
    }

    #[test]
    fn a_secret_that_others_may_read_or_guess_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let mut said = Vec::new();
        for (text, mode) in [
            ("0123456789abcdef\n", 0o600),
            ("0123456789abcdef", 0o640),
            ("short\n", 0o600),
        ] {
            std::fs::write(&path, text).expect("it is written");
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).expect("it is ours");
            said.push(secret(&path).map_err(|error| error.to_string()));
        }
        assert_eq!(said[0].as_deref(), Ok(&b"0123456789abcdef"[..]));
        assert!(
            said[1]
                .as_ref()
                .is_err_and(|said| said.contains("others may read"))
        );
        assert!(said[2].as_ref().is_err_and(|said| said.contains("5 bytes")));
    }
}
