//! A client that shows every byte: for comparing what two servers answer, message by message.
//!
//! It logs in without a password (as the throwaway server's superuser) and knows just enough of
//! the protocol to send statements and cut the answers into messages.

use anyhow::{Context, bail};
use bytes::{Buf, BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One message of the server's: its type byte and what follows the length.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub tag: u8,
    pub body: Vec<u8>,
}

pub struct RawClient {
    stream: TcpStream,
    received: BytesMut,
}

/// What Parse declares and Bind gives: values in text format.
pub type Parameters<'a> = &'a [Option<&'a str>];

impl RawClient {
    pub async fn connect(port: u16, database: &str) -> anyhow::Result<RawClient> {
        Self::connect_with(port, database, &[("client_encoding", "UTF8")]).await
    }

    /// The same with other settings in the startup packet.
    pub async fn connect_with(
        port: u16,
        database: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<RawClient> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut client = RawClient {
            stream,
            received: BytesMut::new(),
        };
        let mut startup = BytesMut::new();
        let who = [
            ("user", crossfade_testbed::SUPERUSER),
            ("database", database),
        ];
        let parameters = who.into_iter().chain(settings.iter().copied());
        frontend::startup_message(parameters, &mut startup)?;
        client.stream.write_all(&startup).await?;
        client.until_ready().await.context("login")?;
        Ok(client)
    }

    /// One Query message and all that the server answers, ReadyForQuery included.
    pub async fn simple(&mut self, sql: &str) -> anyhow::Result<Vec<Message>> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out)?;
        self.stream.write_all(&out).await?;
        self.until_ready().await
    }

    /// Parse, Describe statement, Bind, Describe portal, Execute and Sync in one segment.
    pub async fn extended(
        &mut self,
        sql: &str,
        values: Parameters<'_>,
    ) -> anyhow::Result<Vec<Message>> {
        let mut out = BytesMut::new();
        frontend::parse("", sql, [], &mut out)?;
        frontend::describe(b'S', "", &mut out)?;
        bind("", values, &mut out)?;
        frontend::describe(b'P', "", &mut out)?;
        frontend::execute("", 0, &mut out)?;
        frontend::sync(&mut out);
        self.stream.write_all(&out).await?;
        self.until_ready().await
    }

    /// Parse and Sync.
    pub async fn prepare(&mut self, name: &str, sql: &str) -> anyhow::Result<Vec<Message>> {
        let mut out = BytesMut::new();
        frontend::parse(name, sql, [], &mut out)?;
        frontend::sync(&mut out);
        self.stream.write_all(&out).await?;
        self.until_ready().await
    }

    /// Bind, Describe portal, Execute and Sync of what was prepared, without parameters.
    pub async fn run(&mut self, name: &str) -> anyhow::Result<Vec<Message>> {
        let mut out = BytesMut::new();
        bind(name, &[], &mut out)?;
        frontend::describe(b'P', "", &mut out)?;
        frontend::execute("", 0, &mut out)?;
        frontend::sync(&mut out);
        self.stream.write_all(&out).await?;
        self.until_ready().await
    }

    /// As [`RawClient::extended`], with a format for each parameter and one for all results.
    pub async fn extended_in_formats(
        &mut self,
        sql: &str,
        values: &[(Option<&[u8]>, bool)],
        binary_results: bool,
    ) -> anyhow::Result<Vec<Message>> {
        let mut out = BytesMut::new();
        frontend::parse("", sql, [], &mut out)?;
        frontend::describe(b'S', "", &mut out)?;
        frontend::bind(
            "",
            "",
            values.iter().map(|(_, binary)| i16::from(*binary)),
            values.iter().map(|(value, _)| *value),
            |value, buffer| {
                Ok(match value {
                    Some(bytes) => {
                        buffer.put_slice(bytes);
                        IsNull::No
                    }
                    None => IsNull::Yes,
                })
            },
            [i16::from(binary_results)],
            &mut out,
        )
        .map_err(|_| anyhow::anyhow!("the parameters do not fit a Bind message"))?;
        frontend::describe(b'P', "", &mut out)?;
        frontend::execute("", 0, &mut out)?;
        frontend::sync(&mut out);
        self.stream.write_all(&out).await?;
        self.until_ready().await
    }

    /// A Query message that begins a COPY FROM STDIN, its data and its end in one segment.
    pub async fn copy_in(&mut self, sql: &str, data: &str) -> anyhow::Result<Vec<Message>> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out)?;
        frontend::CopyData::new(data.as_bytes())?.write(&mut out);
        frontend::copy_done(&mut out);
        self.stream.write_all(&out).await?;
        self.until_ready().await
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads up to and including the next ReadyForQuery.
    pub async fn until_ready(&mut self) -> anyhow::Result<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            let message = self.message().await?;
            let fatal = message.tag == b'E' && message.field(b'S').is_some_and(|s| s == "FATAL");
            let ready = message.tag == b'Z';
            messages.push(message);
            if fatal {
                bail!("the server ended the session: {:?}", messages.last());
            }
            if ready {
                return Ok(messages);
            }
        }
    }

    /// Reads up to and including the next message of a kind.
    pub async fn until(&mut self, tag: u8) -> anyhow::Result<Message> {
        loop {
            let message = self.message().await?;
            if message.tag == tag {
                return Ok(message);
            }
            if message.tag == b'E' {
                bail!("an error instead: {message:?}");
            }
        }
    }

    async fn message(&mut self) -> anyhow::Result<Message> {
        loop {
            if self.received.len() >= 5 {
                let length = (&self.received[1..5]).get_u32() as usize;
                if self.received.len() > length {
                    let mut frame = self.received.split_to(length + 1);
                    let tag = frame.get_u8();
                    frame.advance(4);
                    return Ok(Message {
                        tag,
                        body: frame.to_vec(),
                    });
                }
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the connection was closed");
            }
        }
    }
}

fn bind(statement: &str, values: Parameters<'_>, out: &mut BytesMut) -> anyhow::Result<()> {
    frontend::bind(
        "",
        statement,
        [0],
        values,
        |value, buffer| {
            Ok(match value {
                Some(text) => {
                    buffer.put_slice(text.as_bytes());
                    IsNull::No
                }
                None => IsNull::Yes,
            })
        },
        [0],
        out,
    )
    .map_err(|_| anyhow::anyhow!("the parameters do not fit a Bind message"))
}

impl Message {
    /// A field of an ErrorResponse or NoticeResponse.
    #[must_use]
    pub fn field(&self, code: u8) -> Option<String> {
        self.body
            .split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&code))
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
    }

    /// The text of a CommandComplete.
    #[must_use]
    pub fn tag_text(&self) -> String {
        String::from_utf8_lossy(self.body.strip_suffix(&[0]).unwrap_or(&self.body)).into_owned()
    }

    /// A RowDescription's columns: name, type oid, type length, type modifier, format. The table
    /// a column comes from is left out: it is where the row lives, not what it is.
    #[must_use]
    pub fn columns(&self) -> Vec<(String, u32, i16, i32, i16)> {
        let mut body = &self.body[..];
        let count = body.get_u16();
        (0..count)
            .map(|_| {
                let end = body
                    .iter()
                    .position(|byte| *byte == 0)
                    .unwrap_or(body.len());
                let name = String::from_utf8_lossy(&body[..end]).into_owned();
                body.advance(end + 1 + 4 + 2);
                (
                    name,
                    body.get_u32(),
                    body.get_i16(),
                    body.get_i32(),
                    body.get_i16(),
                )
            })
            .collect()
    }

    /// A RowDescription's columns by name, and where each comes from: the numbers of a table and of a
    /// column of it.
    #[must_use]
    pub fn origins(&self) -> Vec<(String, u32, i16)> {
        let mut body = &self.body[..];
        let count = body.get_u16();
        (0..count)
            .map(|_| {
                let end = body.iter().position(|byte| *byte == 0);
                let end = end.unwrap_or(body.len());
                let name = String::from_utf8_lossy(&body[..end]).into_owned();
                body.advance(end + 1);
                let origin = (name, body.get_u32(), body.get_i16());
                body.advance(4 + 2 + 4 + 2);
                origin
            })
            .collect()
    }

    /// A DataRow's values.
    #[must_use]
    pub fn values(&self) -> Vec<Option<String>> {
        let mut body = &self.body[..];
        let count = body.get_u16();
        (0..count)
            .map(|_| {
                let length = usize::try_from(body.get_i32()).ok()?;
                let value = String::from_utf8_lossy(&body[..length]).into_owned();
                body.advance(length);
                Some(value)
            })
            .collect()
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}:{}",
            self.tag as char,
            String::from_utf8_lossy(&self.body).escape_debug()
        )
    }
}
