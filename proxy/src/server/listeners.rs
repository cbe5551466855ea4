//! The listening sockets: opened here or handed over by a supervisor, shared with a successor,
//! and closed so that no connection is lost between two owners.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;

use listenfd::ListenFd;
use socket2::{Domain, SockFilter, SockRef, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::peer::{Arrival, Peer};
use crate::config::{Address, Config};

/// As many as the kernel lets wait (net.core.somaxconn is 4096 by default).
const BACKLOG: i32 = 4096;

/// For handshakes that have begun to come to their end before the socket closes: a round trip.
const HANDSHAKE_GRACE: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct ListenError {
    address: String,
    error: io::Error,
}

#[derive(Debug)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    /// The one to ask first next time, so that a busy one cannot starve the others.
    next: usize,
    /// A successor may be listening beside us.
    shared_port: bool,
}

#[derive(Debug)]
struct Listener {
    address: Address,
    socket: Socketed,
    /// The socket file that we made.
    file: Option<(u64, u64)>,
    /// A supervisor's own: it goes on listening when we have gone.
    inherited: bool,
}

#[derive(Debug)]
enum Socketed {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listeners {
    /// Takes what a supervisor hands over (LISTEN_FDS), or else opens what is configured.
    pub async fn open(config: &Config) -> Result<Listeners, ListenError> {
        let mut all = inherited().map_err(|error| ListenError {
            address: "a socket of LISTEN_FDS".to_owned(),
            error,
        })?;
        if all.is_empty() {
            let addresses = config.listen.addresses().map_err(|error| ListenError {
                address: config.listen.0.clone(),
                error: io::Error::new(io::ErrorKind::InvalidInput, error),
            })?;
            for address in addresses {
                let opened = open(&address, config).await;
                all.push(opened.map_err(|error| ListenError {
                    address: address.to_string(),
                    error,
                })?);
            }
        }
        Ok(Listeners {
            all,
            next: 0,
            shared_port: config.reuse_port,
        })
    }

    /// Where they listen, with the ports that were chosen.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.all.iter().map(|listener| &listener.address)
    }

    /// The next connection of any of them. Cancel-safe: what is not taken stays in the backlog.
    pub async fn accept(&mut self) -> io::Result<(Arrival, Peer)> {
        poll_fn(|cx| {
            for _ in 0..self.all.len() {
                let listener = &self.all[self.next];
                self.next = (self.next + 1) % self.all.len();
                let accepted = match &listener.socket {
                    Socketed::Tcp(socket) => socket.poll_accept(cx).map_ok(|(stream, address)| {
                        (stream.into_std().map(Arrival::Tcp), Peer::Tcp(address))
                    }),
                    Socketed::Unix(socket) => socket
                        .poll_accept(cx)
                        .map_ok(|(stream, _)| (stream.into_std().map(Arrival::Unix), Peer::Unix)),
                };
                if let Poll::Ready(accepted) = accepted {
                    let (arrival, peer) = accepted?;
                    return Poll::Ready(Ok((arrival?, peer)));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Closes them, handing `take` every connection that was made with us before.
    pub async fn close(mut self, mut take: impl FnMut(Arrival, Peer)) {
        // A supervisor's sockets are still open elsewhere: what waits in them is the successor's.
        self.all.retain(|listener| !listener.inherited);
        let mut waits = false;
        for listener in &self.all {
            match &listener.socket {
                Socketed::Tcp(socket) if self.shared_port => match refuse_new(socket) {
                    Ok(()) => waits = true,
                    Err(error) => {
                        tracing::warn!(%error, "connections may be reset while the port changes hands");
                    }
                },
                Socketed::Tcp(_) => {}
                Socketed::Unix(_) => listener.unlink(),
            }
        }
        if !waits {
            self.all
                .retain(|listener| matches!(listener.socket, Socketed::Unix(_)));
        }
        self.next = 0;
        if self.all.is_empty() {
            return;
        }
        let grace = if waits {
            HANDSHAKE_GRACE
        } else {
            Duration::ZERO
        };
        let grace = tokio::time::sleep(grace);
        let mut grace = std::pin::pin!(grace);
        loop {
            // In this order: what has come is taken before the end of the grace is.
            tokio::select! {
                biased;
                Ok((arrival, peer)) = self.accept() => take(arrival, peer),
                () = &mut grace => return,
            }
        }
    }
}

impl Listener {
    /// Removes the socket file, unless a successor has put its own in its place.
    fn unlink(&self) {
        if let (Address::Unix(path), Some(ours)) = (&self.address, self.file)
            && identity(path) == Some(ours)
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "the socket file stays behind");
        }
    }
}

/// Tells a socket file from another one under the same name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

async fn open(address: &Address, config: &Config) -> io::Result<Listener> {
    let mut file = None;
    let (address, socket) = match address {
        Address::Tcp(text) => {
            let socket = open_tcp(text, config.reuse_port).await?;
            let local = Address::Tcp(socket.local_addr()?.to_string());
            (local, Socketed::Tcp(socket))
        }
        Address::Unix(path) => {
            let mode = config.unix_socket_permissions.mode().unwrap_or(0o700);
            let socket = open_unix(path, mode, config.reuse_port)?;
            file = identity(path);
            (address.clone(), Socketed::Unix(socket))
        }
    };
    Ok(Listener {
        address,
        socket,
        file,
        inherited: false,
    })
}

async fn open_tcp(text: &str, reuse_port: bool) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host(text).await? {
        match listen(address, reuse_port) {
            Ok(listener) => return TcpListener::from_std(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen(address: SocketAddr, reuse_port: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart must not wait for the connections of the process before to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds beside the path and moves the file over it: a client finds the old socket or the new
/// one, never none.
fn open_unix(path: &Path, mode: u32, share: bool) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let message = "the file there is no socket";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Ok(_) if !share && std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(_) | Err(_) => {}
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let listener = StdUnixListener::bind(&beside)?;
    let moved = std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode))
        .and_then(|()| std::fs::rename(&beside, path));
    if let Err(error) = moved {
        // It helps nobody; that it is there matters less than why.
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// What a supervisor hands over, none if there is none.
fn inherited() -> io::Result<Vec<Listener>> {
    let mut handed = ListenFd::from_env();
    let mut all = Vec::new();
    for index in 0..handed.len() {
        // A socket of the wrong kind is an error and stays where it is: so ask in turn.
        let (address, socket) = match handed.take_tcp_listener(index) {
            Ok(Some(listener)) => {
                listener.set_nonblocking(true)?;
                let address = Address::Tcp(listener.local_addr()?.to_string());
                (address, Socketed::Tcp(TcpListener::from_std(listener)?))
            }
            Ok(None) => continue,
            Err(_) => {
                let Some(listener) = handed.take_unix_listener(index)? else {
                    continue;
                };
                listener.set_nonblocking(true)?;
                let bound = listener.local_addr()?;
                let path = bound.as_pathname().unwrap_or(Path::new("")).to_owned();
                (
                    Address::Unix(path),
                    Socketed::Unix(UnixListener::from_std(listener)?),
                )
            }
        };
        all.push(Listener {
            address,
            socket,
            file: None,
            inherited: true,
        });
    }
    Ok(all)
}

/// Makes the kernel drop requests for new connections, so that a client repeats its own a second
/// later and finds the successor. Handshakes that have begun come to their end: closing at once
/// would reset them.
fn refuse_new(socket: &TcpListener) -> io::Result<()> {
    // A program for the kernel's packet filter, from the TCP header on: flags (byte 13) with SYN
    // (bit 1) set are dropped, everything else is taken whole.
    let drop_syn = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(AND, 0, 0, 0b10),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0b10),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    SockRef::from(socket).attach_filter(&drop_syn)
}

/// Opcodes of the classic packet filter.
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
