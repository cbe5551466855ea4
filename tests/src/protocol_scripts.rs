//! Conversations that a client may hold, byte for byte, and somebody who holds them.
//!
//! The scripts are in `tests/data/protocol`; a script is a startup packet and turns, each
//! some bytes to send and what to wait for before the next.

pub mod corpus;
mod fields;
pub mod messages;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::raw::Message;
use crate::tap::messages;

/// What is waited for before the client goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// So many ReadyForQuery.
    Ready(usize),
    /// A message of this type, which need not be the last that comes.
    Comes(u8),
    /// The server closes.
    Closed,
}

#[derive(Clone, Debug)]
pub struct Turn {
    pub sent: Vec<u8>,
    pub until: Until,
}

#[derive(Clone, Debug)]
pub struct Script {
    pub name: &'static str,
    pub startup: Vec<u8>,
    pub turns: Vec<Turn>,
    /// The server closes first: bytes that are still under way then would be answered by a reset,
    /// which can overtake its last words. So the client's turns are not to be cut.
    pub server_ends: bool,
}

/// How the client's bytes are put on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Each turn in one piece.
    Turns,
    /// Each byte in a piece of its own.
    Bytes,
}

/// What was said, in turns: the client's bytes, then all that the server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// The answer to the startup packet.
    pub greeting: Vec<u8>,
    pub turns: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Script {
    /// Holds the conversation; the bytes that came.
    pub async fn play(&self, port: u16, cut: Cut) -> anyhow::Result<Played> {
        self.play_to_end(port, cut)
            .await
            .with_context(|| format!("script `{}`, cut at {cut:?}", self.name))
    }

    async fn play_to_end(&self, port: u16, cut: Cut) -> anyhow::Result<Played> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut played = Played::default();
        send(&mut stream, &self.startup, cut).await?;
        if !await_answers(&mut stream, &mut played.greeting, Until::Ready(1)).await? {
            return Ok(played);
        }
        for turn in &self.turns {
            send(&mut stream, &turn.sent, cut).await?;
            let mut came = Vec::new();
            let open = await_answers(&mut stream, &mut came, turn.until).await?;
            played.turns.push((turn.sent.clone(), came));
            if !open {
                break;
            }
        }
        Ok(played)
    }
}

async fn send(stream: &mut TcpStream, bytes: &[u8], cut: Cut) -> anyhow::Result<()> {
    let piece = match cut {
        Cut::Bytes => 1,
        Cut::Turns => bytes.len().max(1),
    };
    for part in bytes.chunks(piece) {
        stream.write_all(part).await?;
    }
    Ok(())
}

/// Reads until what is waited for has come; false when the server has closed instead.
async fn await_answers(
    stream: &mut TcpStream,
    came: &mut Vec<u8>,
    until: Until,
) -> anyhow::Result<bool> {
    loop {
        let all = messages(came);
        let count = |tag| all.iter().filter(|message| message.tag == tag).count();
        let enough = match until {
            Until::Ready(ready) => count(b'Z') >= ready,
            Until::Comes(tag) => count(tag) > 0,
            Until::Closed => false,
        };
        // An 'N' without a length is an answer to a wish for encryption.
        if enough && (is_whole(came) || came == b"N") {
            return Ok(true);
        }
        if came.len() > ANSWER_BYTES_MAX {
            bail!("no end of the answers: {} messages", all.len());
        }
        if stream.read_buf(came).await? == 0 {
            return Ok(false);
        }
    }
}

/// The largest answer of the corpus is a tenth of it.
const ANSWER_BYTES_MAX: usize = 10_000_000;

fn is_whole(mut bytes: &[u8]) -> bool {
    use crossfade::wire::frame::Header;
    while let Some(header) = Header::read(bytes) {
        let Some(rest) = bytes.get(header.frame_bytes()..) else {
            return false;
        };
        bytes = rest;
    }
    bytes.is_empty()
}

impl Played {
    /// Everything that the server said, in messages, without what no two sessions share: the
    /// cancel key and the process id of who notifies.
    #[must_use]
    pub fn comparable(&self) -> Vec<Message> {
        let came = self.turns.iter().flat_map(|(_, came)| came.iter());
        let all: Vec<u8> = self.greeting.iter().chain(came).copied().collect();
        let mut all = messages(&all);
        for message in &mut all {
            match message.tag {
                b'K' => message.body.fill(0),
                b'A' => message.body[..4].fill(0),
                _ => {}
            }
        }
        all
    }
}
