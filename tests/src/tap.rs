//! A tap on a line: relays connections to another port and writes down what passes, apart for
//! each direction. It alters nothing and understands nothing.
//!
//! Two taps, one on each side of the proxy, show what the proxy made of every byte, with nothing
//! to mask: the process id that the server sent is the one that the client must get.

use std::sync::{Arc, Mutex, PoisonError};

use crossfade::wire::frame::{HEADER_BYTES, Header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use crate::raw::Message;

/// What passed on one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    pub from_client: Vec<u8>,
    pub from_server: Vec<u8>,
}

#[derive(Default)]
struct Record {
    conversations: Vec<Conversation>,
    /// Connections whose end has not been seen.
    open: usize,
}

type Recorded = Arc<Mutex<Record>>;

/// Dropping it cuts its connections.
pub struct Tap {
    pub port: u16,
    recorded: Recorded,
    closed: Arc<Notify>,
    listening: JoinHandle<()>,
}

impl Tap {
    pub async fn on(target: u16) -> anyhow::Result<Tap> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let recorded = Recorded::default();
        let closed = Arc::new(Notify::new());
        let listening = listen(listener, target, Arc::clone(&recorded), Arc::clone(&closed));
        let listening = tokio::spawn(listening);
        Ok(Tap {
            port,
            recorded,
            closed,
            listening,
        })
    }

    /// What has passed since the last call, once all connections are closed, in the order of
    /// their arrival.
    pub async fn take(&self) -> Vec<Conversation> {
        loop {
            let closed = self.closed.notified();
            {
                let mut record = lock(&self.recorded);
                if record.open == 0 {
                    return std::mem::take(&mut record.conversations);
                }
            }
            closed.await;
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn lock(recorded: &Recorded) -> std::sync::MutexGuard<'_, Record> {
    recorded.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(listener: TcpListener, target: u16, recorded: Recorded, closed: Arc<Notify>) {
    let mut relays = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let at = {
            let mut record = lock(&recorded);
            record.open += 1;
            record.conversations.push(Conversation::default());
            record.conversations.len() - 1
        };
        let (recorded, closed) = (Arc::clone(&recorded), Arc::clone(&closed));
        relays.spawn(async move {
            // A connection that fails shows in what was recorded of it.
            let _closed = relay(client, target, at, &recorded).await;
            lock(&recorded).open -= 1;
            // A permit is left when nobody waits yet.
            closed.notify_one();
        });
    }
}

async fn relay(
    client: TcpStream,
    target: u16,
    at: usize,
    recorded: &Recorded,
) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let side = |of_client: bool| {
        move |bytes: &[u8]| {
            let mut record = lock(recorded);
            let conversation = &mut record.conversations[at];
            if of_client {
                conversation.from_client.extend_from_slice(bytes);
            } else {
                conversation.from_server.extend_from_slice(bytes);
            }
        }
    };
    let up = pump(client_read, server_write, side(true));
    let down = pump(server_read, client_write, side(false));
    // One direction's failure must not hide what the other still carries.
    let (up, down) = tokio::join!(up, down);
    up.and(down)
}

/// Notes bytes before it passes them on, so that nobody can have an answer that is not noted.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    note: impl Fn(&[u8]),
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        note(&buffer[..read]);
        to.write_all(&buffer[..read]).await?;
    }
}

impl Conversation {
    /// The server's messages; what is left of one that was cut off is the last.
    #[must_use]
    pub fn answers(&self) -> Vec<Message> {
        messages(&self.from_server)
    }

    /// The client's messages after its startup packet.
    #[must_use]
    pub fn requests(&self) -> Vec<Message> {
        let packet = self
            .from_client
            .first_chunk()
            .map(|n| u32::from_be_bytes(*n));
        let after = packet.unwrap_or(0) as usize;
        messages(self.from_client.get(after..).unwrap_or_default())
    }
}

/// Cuts a stream into messages.
#[must_use]
pub fn messages(mut bytes: &[u8]) -> Vec<Message> {
    let mut all = Vec::new();
    while let Some(header) = Header::read(bytes) {
        let end = header.frame_bytes().clamp(HEADER_BYTES, bytes.len());
        all.push(Message {
            tag: header.tag,
            body: bytes[HEADER_BYTES..end].to_vec(),
        });
        bytes = &bytes[end..];
    }
    all
}
