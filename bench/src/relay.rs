//! The floor: what any proxy of this kind must cost. Walks message headers, forwards whole
//! buffers, understands nothing. Crossfade is measured against it, so it runs as Crossfade does:
//! a thread with its own runtime for each core, one task for each session that owns both sockets.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// The same as the proxy's, so that both move bulk data in steps of one size.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Chunks moved in one poll before other sessions of the thread get their turn.
const TURNS_MAX: usize = 32;

/// A startup packet longer than this is no startup packet; PostgreSQL's own limit.
const STARTUP_BYTES_MAX: usize = 10_000;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where clients connect to, as host:port
    #[arg(long)]
    pub listen: String,
    /// The server, as host:port
    #[arg(long)]
    pub upstream: String,
}

/// Relays until it is killed.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut queues = Vec::with_capacity(workers);
    for number in 0..workers {
        let (arrivals, mut queue) = mpsc::unbounded_channel::<std::net::TcpStream>();
        queues.push(arrivals);
        let upstream = args.upstream.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name(format!("relay-{number}"))
            .spawn(move || {
                runtime.block_on(async {
                    while let Some(client) = queue.recv().await {
                        tokio::spawn(session(client, upstream.clone()));
                    }
                });
            })?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(&args.listen).await?;
        let mut next = queues.iter().cycle();
        loop {
            let (client, _) = listener.accept().await?;
            if let Some(queue) = next.next() {
                queue.send(client.into_std()?)?;
            }
        }
    })
}

async fn session(client: std::net::TcpStream, upstream: String) {
    if let Err(error) = relay(client, &upstream).await {
        eprintln!("crossfade-bench relay: {error}");
    }
}

async fn relay(client: std::net::TcpStream, upstream: &str) -> io::Result<()> {
    let mut client = TcpStream::from_std(client)?;
    client.set_nodelay(true)?;
    // The startup packet has no type byte; behind it everything is a message.
    let length = client.read_u32().await?;
    let mut packet = length.to_be_bytes().to_vec();
    if !(8..=STARTUP_BYTES_MAX).contains(&(length as usize)) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    packet.resize(length as usize, 0);
    client.read_exact(&mut packet[4..]).await?;
    let mut server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    server.write_all(&packet).await?;
    let (mut up, mut down) = (Pipe::default(), Pipe::default());
    poll_fn(|cx| {
        SCRATCH.with_borrow_mut(|scratch| {
            for _ in 0..TURNS_MAX {
                let sent = up.step(&mut client, &mut server, scratch, cx)?;
                let answered = down.step(&mut server, &mut client, scratch, cx)?;
                match (sent, answered) {
                    (Step::Ended, _) | (_, Step::Ended) => return Poll::Ready(Ok(())),
                    (Step::Waits, Step::Waits) => return Poll::Pending,
                    (Step::Moved, _) | (_, Step::Moved) => {}
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    })
    .await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Moved,
    Waits,
    Ended,
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    walk: Walk,
    /// What the sink has not taken yet; nothing is read meanwhile.
    output: Vec<u8>,
    written: usize,
}

impl Pipe {
    fn step(
        &mut self,
        from: &mut TcpStream,
        to: &mut TcpStream,
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> io::Result<Step> {
        while self.written < self.output.len() {
            match Pin::new(&mut *to).poll_write(cx, &self.output[self.written..])? {
                Poll::Pending => return Ok(Step::Waits),
                Poll::Ready(written) => self.written += written,
            }
        }
        self.output.clear();
        self.written = 0;
        let mut buffer = ReadBuf::new(scratch);
        if Pin::new(from).poll_read(cx, &mut buffer)?.is_pending() {
            return Ok(Step::Waits);
        }
        let chunk = buffer.filled();
        if chunk.is_empty() {
            return Ok(Step::Ended);
        }
        self.walk.over(chunk);
        let written = match Pin::new(to).poll_write(cx, chunk)? {
            Poll::Pending => 0,
            Poll::Ready(written) => written,
        };
        self.output.extend_from_slice(&chunk[written..]);
        Ok(Step::Moved)
    }
}

/// Steps from message to message, as anything must that looks for one of them.
#[derive(Debug, Default)]
pub struct Walk {
    header: [u8; 5],
    header_bytes: usize,
    body_left: usize,
    /// Messages begun.
    pub messages: u64,
}

impl Walk {
    pub fn over(&mut self, chunk: &[u8]) {
        let mut at = 0;
        while at < chunk.len() {
            let rest = &chunk[at..];
            if self.body_left > 0 {
                let step = self.body_left.min(rest.len());
                self.body_left -= step;
                at += step;
            } else if let (0, Some(&header)) = (self.header_bytes, rest.first_chunk::<5>()) {
                self.begin(header);
                at += header.len();
            } else {
                // The header was cut in two.
                self.header[self.header_bytes] = rest[0];
                self.header_bytes += 1;
                at += 1;
                if self.header_bytes == self.header.len() {
                    self.header_bytes = 0;
                    self.begin(self.header);
                }
            }
        }
    }

    fn begin(&mut self, [_type, a, b, c, d]: [u8; 5]) {
        self.body_left = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
        self.messages += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_wherever_the_stream_is_cut() {
        let stream = b"Z\0\0\0\x05IC\0\0\0\x0dSELECT 1\0N\0\0\0\x041\0\0\0\x04";
        for cut in 0..stream.len() {
            let mut walk = Walk::default();
            walk.over(&stream[..cut]);
            walk.over(&stream[cut..]);
            assert_eq!((walk.messages, walk.body_left), (4, 0), "cut at {cut}");
        }
    }
}
