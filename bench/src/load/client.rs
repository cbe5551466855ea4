//! A client of the least weight: sends ready-made bytes, reads until the server is ready again.

use anyhow::{bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// As libpq begins with.
const BUFFER_BYTES: usize = 16 * 1024;

/// Bulk data arrives in larger pieces once a message has shown that there is such data.
const BULK_BUFFER_BYTES: usize = 128 * 1024;

/// Errors and notices are read whole; PostgreSQL's are far shorter.
const ERROR_BYTES_MAX: usize = 64 * 1024;

pub struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// Of `buffer`: what has been received and not walked yet.
    unread: std::ops::Range<usize>,
    /// Received and sent so far.
    pub bytes: u64,
}

impl Client {
    /// Connects as the throwaway server's superuser, who needs no password: `host:port`, or `host:port/database`.
    pub async fn connect(address: &str) -> anyhow::Result<Client> {
        let (address, database) = address.split_once('/').unwrap_or((address, "postgres"));
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let mut client = Client {
            socket,
            buffer: vec![0; BUFFER_BYTES],
            unread: 0..0,
            bytes: 0,
        };
        let mut startup = vec![0, 0, 0, 0, 0, 3, 0, 0];
        let said = format!("user\0postgres\0database\0{database}\0\0");
        startup.extend_from_slice(said.as_bytes());
        let length = u32::try_from(startup.len())?;
        startup[..4].copy_from_slice(&length.to_be_bytes());
        client.round_trip(&startup, &[]).await?;
        Ok(client)
    }

    /// Sends a request that ends in Sync, Query or a startup packet, and waits for ReadyForQuery.
    /// Should the server ask for COPY data, it gets `copy_data`, which ends the COPY as well.
    pub async fn round_trip(&mut self, request: &[u8], copy_data: &[u8]) -> anyhow::Result<()> {
        self.socket.write_all(request).await?;
        self.bytes += request.len() as u64;
        loop {
            let Some((tag, body_bytes)) = self.header().await? else {
                continue;
            };
            match tag {
                b'E' => {
                    let body = self.body(body_bytes).await?;
                    bail!("the server says: {}", readable(&body));
                }
                b'G' => {
                    ensure!(!copy_data.is_empty(), "the server asks for COPY data");
                    self.skip(body_bytes).await?;
                    self.socket.write_all(copy_data).await?;
                    self.bytes += copy_data.len() as u64;
                }
                _ => self.skip(body_bytes).await?,
            }
            if tag == b'Z' {
                return Ok(());
            }
        }
    }

    /// The next message's type and the bytes of its body.
    async fn header(&mut self) -> anyhow::Result<Option<(u8, usize)>> {
        if self.unread.len() < 5 {
            self.fill().await?;
            return Ok(None);
        }
        let at = self.unread.start;
        let header = &self.buffer[at..at + 5];
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        ensure!(length >= 4, "a message of {length} bytes");
        self.unread.start += 5;
        Ok(Some((header[0], length - 4)))
    }

    async fn skip(&mut self, mut bytes: usize) -> anyhow::Result<()> {
        while bytes > self.unread.len() {
            bytes -= self.unread.len();
            self.unread = 0..0;
            self.fill().await?;
        }
        self.unread.start += bytes;
        Ok(())
    }

    async fn body(&mut self, bytes: usize) -> anyhow::Result<Vec<u8>> {
        ensure!(bytes <= ERROR_BYTES_MAX, "an error of {bytes} bytes");
        while self.unread.len() < bytes {
            self.fill().await?;
        }
        let body = self.buffer[self.unread.start..][..bytes].to_vec();
        self.unread.start += bytes;
        Ok(body)
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.unread.end == self.buffer.len() {
            self.buffer
                .resize(ERROR_BYTES_MAX.max(BULK_BUFFER_BYTES), 0);
        }
        let read = self
            .socket
            .read(&mut self.buffer[self.unread.end..])
            .await?;
        ensure!(read > 0, "the connection was closed");
        if self.unread.start + read == self.buffer.len() && read < BULK_BUFFER_BYTES {
            self.buffer.resize(BULK_BUFFER_BYTES, 0);
        }
        self.unread.end += read;
        self.bytes += read as u64;
        Ok(())
    }
}

/// An ErrorResponse's fields, one after the other.
fn readable(body: &[u8]) -> String {
    let fields = body.split(|&byte| byte == 0).filter(|f| f.len() > 1);
    let texts: Vec<_> = fields.map(String::from_utf8_lossy).collect();
    texts.join(" | ")
}
