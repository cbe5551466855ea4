//! A client that speaks in bytes, and a proxy in this process for it to speak to.

use std::sync::Arc;

use crossfade::config::Config;
use crossfade::server::Server;
use crossfade::shared::Shared;
use crossfade::wire::frame::{HEADER_BYTES, Header, write_frame};
use crossfade_testbed::Postgres;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A proxy that ends with its test.
pub struct Proxy {
    pub address: String,
    pub shared: Arc<Shared>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(postgres: &Postgres) -> Proxy {
        Proxy::start_with(postgres, |_| {}).await
    }

    pub async fn start_with(postgres: &Postgres, change: impl FnOnce(&mut Config)) -> Proxy {
        let mut config = Config::default();
        config.listen.0 = "127.0.0.1:0".to_owned();
        config.upstream.0 = postgres.address();
        change(&mut config);
        let server = Server::bind(config).await.expect("bind");
        let (stop, stopped) = oneshot::channel();
        let address = server.local_addr().to_string();
        let shared = server.shared();
        let running = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            server.run(shutdown).await.expect("serve");
        });
        Proxy {
            address,
            shared,
            stop,
            running,
        }
    }

    /// Asks the proxy to end; the future completes when it has.
    pub fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.running
    }
}

pub struct Raw {
    pub stream: TcpStream,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub tag: char,
    pub body: Vec<u8>,
}

impl Raw {
    pub async fn dial(address: &str) -> Raw {
        let stream = TcpStream::connect(address).await.expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        Raw { stream }
    }

    /// A session that is ready for its first query.
    pub async fn session(address: &str) -> Raw {
        let mut raw = Raw::dial(address).await;
        raw.send(&startup()).await;
        let greeting = raw.until('Z').await;
        assert_eq!(greeting.last().expect("ready").body, b"I");
        raw
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("send");
    }

    /// The next message; `None` at the end of the connection.
    pub async fn message(&mut self) -> Option<Message> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).await.ok()?;
        let header = Header::read(&header).expect("five bytes");
        let mut body = vec![0; header.frame_bytes() - HEADER_BYTES];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(Message {
            tag: header.tag as char,
            body,
        })
    }

    pub async fn until(&mut self, tag: char) -> Vec<Message> {
        let mut all = Vec::new();
        while let Some(message) = self.message().await {
            let last = message.tag == tag;
            all.push(message);
            if last {
                break;
            }
        }
        all
    }

    pub async fn rest(&mut self) -> Vec<Message> {
        let mut all = Vec::new();
        while let Some(message) = self.message().await {
            all.push(message);
        }
        all
    }

    /// The SQLSTATE of the one error with which the connection ends.
    pub async fn last_error(&mut self) -> String {
        let all = self.rest().await;
        let last = all.last().expect("an error before the end");
        assert_eq!(last.tag, 'E', "{all:?}");
        last.field('C')
    }

    pub async fn query(&mut self, text: &str) -> Vec<Message> {
        self.send(&query(text)).await;
        self.until('Z').await
    }
}

impl Message {
    pub fn field(&self, code: char) -> String {
        let fields = crossfade::wire::backend::Fields::new(&self.body);
        let value = fields.value(code as u8).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    }
}

pub fn startup() -> Vec<u8> {
    let body = b"user\0postgres\0database\0postgres\0\0";
    let mut packet = (8 + body.len() as u32).to_be_bytes().to_vec();
    packet.extend_from_slice(&196_608_u32.to_be_bytes());
    packet.extend_from_slice(body);
    packet
}

pub fn frame(tag: char, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, tag as u8, |out| out.extend_from_slice(body));
    out
}

pub fn query(text: &str) -> Vec<u8> {
    frame('Q', &[text.as_bytes(), b"\0"].concat())
}

/// Parse, Bind and Execute of the unnamed statement, without parameters.
pub fn extended(text: &str) -> Vec<u8> {
    [
        frame('P', &[b"\0", text.as_bytes(), b"\0\0\0"].concat()),
        frame('B', b"\0\0\0\0\0\0\0\0"),
        frame('E', b"\0\0\0\0\0"),
    ]
    .concat()
}
