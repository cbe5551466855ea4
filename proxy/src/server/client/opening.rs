//! A client's first packets: encryption asked for and answered, then what it came for.

use std::io;
use std::sync::Arc;

use rewrite_rules::SearchPath;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::control::connection::is_own;
use crate::stream::Stream;
use crate::tls::client::{Acceptor, Asked};
use crate::tls::upstream::has_more;
use crate::wire::startup::{self, Parameters, Startup, StartupError, TLS_HANDSHAKE};

/// Each kind of encryption may be asked for once before the session's own packet.
const NEGOTIATIONS_MAX: usize = 2;

/// What a client's first packets came to.
pub(super) enum Opening {
    Session {
        client: Stream,
        packet: Vec<u8>,
        login: LoginPacket,
    },
    Cancel {
        packet: Vec<u8>,
    },
    Refused {
        client: Stream,
        error: StartupError,
    },
}

/// What a session's own packet says that the proxy has to know.
pub(super) struct LoginPacket {
    /// The role. One that is not UTF-8 is none that a control connection could become.
    pub user: Arc<str>,
    pub database: Vec<u8>,
    /// What it calls itself.
    pub application: String,
    pub search_path: SearchPath,
    /// It is one of Crossfade's own, which must reach the server itself.
    pub is_own: bool,
}

impl LoginPacket {
    fn of(parameters: &Parameters<'_>) -> LoginPacket {
        LoginPacket {
            user: String::from_utf8_lossy(parameters.user).into(),
            database: parameters.database().to_owned(),
            application: String::from_utf8_lossy(parameters.application_name).into_owned(),
            search_path: if parameters.sets_search_path {
                SearchPath::Unknown
            } else {
                SearchPath::AsDeclared
            },
            is_own: is_own(parameters.application_name),
        }
    }
}

/// Reads byte for byte no more than the packets are: what follows is the session's. The caller
/// bounds the time.
pub(super) async fn open(
    client: Stream,
    tls: Option<&Acceptor>,
    bytes_max: u32,
) -> io::Result<Opening> {
    let mut client = directly(client, tls).await?;
    for _ in 0..=NEGOTIATIONS_MAX {
        let mut length = [0; 4];
        client.read_exact(&mut length).await?;
        let bytes = match startup::packet_bytes(length, bytes_max) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Opening::Refused { client, error }),
        };
        let mut packet = vec![0; bytes];
        packet[..4].copy_from_slice(&length);
        client.read_exact(&mut packet[4..]).await?;
        match Startup::read(&packet) {
            Ok(Startup::Ssl) => match (client, tls) {
                (Stream::Tcp(mut tcp), Some(tls)) => {
                    // Whatever stands behind the request came in the clear, perhaps from somebody
                    // in between: it must never be taken for the client's words within TLS.
                    if has_more(&tcp) {
                        let error = StartupError::UnencryptedData;
                        let client = Stream::Tcp(tcp);
                        return Ok(Opening::Refused { client, error });
                    }
                    tcp.write_all(b"S").await?;
                    client = tls.accept(tcp, Asked::ByRequest).await?;
                }
                (other, _) => {
                    client = other;
                    client.write_all(b"N").await?;
                }
            },
            // A client that insists on it closes.
            Ok(Startup::Gss) => client.write_all(b"N").await?,
            Ok(Startup::Cancel) => return Ok(Opening::Cancel { packet }),
            Ok(Startup::Session(parameters)) => {
                let login = LoginPacket::of(&parameters);
                return Ok(Opening::Session {
                    client,
                    packet,
                    login,
                });
            }
            Err(error) => return Ok(Opening::Refused { client, error }),
        }
        client.flush().await?;
    }
    let error = StartupError::Negotiations;
    Ok(Opening::Refused { client, error })
}

/// Takes a client in that speaks TLS with its first byte.
async fn directly(client: Stream, tls: Option<&Acceptor>) -> io::Result<Stream> {
    match (client, tls) {
        (Stream::Tcp(tcp), Some(tls)) => {
            let mut first = [0];
            tcp.peek(&mut first).await?;
            if first == [TLS_HANDSHAKE] {
                tls.accept(tcp, Asked::Directly).await
            } else {
                Ok(Stream::Tcp(tcp))
            }
        }
        (other, _) => Ok(other),
    }
}
