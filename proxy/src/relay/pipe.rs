//! One direction of a relay: what was read, what waits to be written, and how far both are.

use std::io;
use std::pin::Pin as Pinned;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::held::{Holding, OutOfTurn};
use crate::session::Violation;
use crate::session::lane::{FrameSide, Lane};
use crate::stream::Stream;

/// A buffer above this is given back when nothing is left to move.
const KEPT_BYTES: usize = 4096;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) lane: Lane,
    /// To be written; the first `written` bytes have been.
    pub(super) output: Vec<u8>,
    pub(super) written: usize,
    /// Read, but not taken by the session yet.
    pub(super) backlog: Vec<u8>,
    /// The source has closed.
    pub(super) ended: bool,
    /// The sink has been told so.
    pub(super) shut: bool,
    /// The sink takes nothing any more.
    pub(super) broken: bool,
    /// A TLS stream has taken bytes that its socket has not.
    pub(super) held_back: bool,
    /// What its buffers have of all sessions' total.
    pub(super) holding: Holding,
    /// Bytes so far.
    pub(super) read: u64,
    pub(super) wrote: u64,
}

/// What keeps one direction from going on.
pub(super) enum Failed {
    Read(io::Error),
    Write(io::Error),
    Violation(Violation),
    NoRoom,
}

impl From<OutOfTurn> for Failed {
    fn from(_: OutOfTurn) -> Failed {
        Failed::NoRoom
    }
}

impl Pipe {
    /// Moves one chunk, or what is left of one. True when it is worth trying again at once.
    pub(super) fn step(
        &mut self,
        side: &mut impl FrameSide,
        from: &mut Stream,
        to: &mut Stream,
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Result<bool, Failed> {
        if self.broken {
            return Ok(false);
        }
        if (self.held_back || !self.output.is_empty()) && self.flush(to, cx)?.is_pending() {
            self.holding.check_turn(cx)?;
            return Ok(false);
        }
        if side.is_blocked() {
            self.holding.check_turn(cx)?;
            return Ok(false);
        }
        if !self.backlog.is_empty() || self.lane.is_waiting() {
            let backlog = std::mem::take(&mut self.backlog);
            self.take(side, &backlog, to, cx)?;
            return Ok(true);
        }
        if self.ended {
            // A client that closes only its sending half still gets its answers.
            if !self.shut {
                self.shut = Pinned::new(to).poll_shutdown(cx).is_ready();
            }
            return Ok(false);
        }
        if self.holding.is_counted() && !self.may_grow(cx)? {
            return Ok(false);
        }
        let mut buffer = ReadBuf::new(scratch);
        match Pinned::new(from).poll_read(cx, &mut buffer) {
            Poll::Pending => {
                self.release();
                Ok(false)
            }
            Poll::Ready(Err(error)) => Err(Failed::Read(error)),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                self.ended = true;
                Ok(true)
            }
            Poll::Ready(Ok(())) => {
                self.read += buffer.filled().len() as u64;
                self.take(side, buffer.filled(), to, cx)?;
                Ok(true)
            }
        }
    }

    /// Whether a direction that holds much may read on.
    #[cold]
    fn may_grow(&mut self, cx: &mut Context<'_>) -> Result<bool, Failed> {
        // What is kept for the next chunk alone is no reason to wait.
        self.release();
        match self.holding.poll_room(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(room) => Ok(room.map(|()| true)?),
        }
    }

    /// Hands a chunk to the session and writes what comes of it.
    pub(super) fn take(
        &mut self,
        side: &mut impl FrameSide,
        chunk: &[u8],
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Failed> {
        let fed = self.lane.feed(side, chunk, &mut self.output);
        self.backlog.extend_from_slice(&chunk[fed.consumed..]);
        let written = if self.output.is_empty() {
            self.write_from(&chunk[fed.run], to, cx)
        } else {
            self.flush(to, cx).map(drop)
        };
        self.holding.note(self.held_bytes());
        match fed.violation {
            Some(violation) => Err(Failed::Violation(violation)),
            None => written,
        }
    }

    /// Writes straight from the chunk; only what the socket does not take is copied.
    fn write_from(
        &mut self,
        run: &[u8],
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Failed> {
        if run.is_empty() {
            return Ok(());
        }
        let written = match Pinned::new(&mut *to).poll_write(cx, run) {
            Poll::Ready(written) => written.map_err(Failed::Write)?,
            Poll::Pending => 0,
        };
        self.wrote += written as u64;
        self.output.extend_from_slice(&run[written..]);
        if to.holds_back() {
            self.held_back = true;
            self.push_out(to, cx).map(drop)
        } else {
            Ok(())
        }
    }

    pub(super) fn flush(
        &mut self,
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Failed> {
        while self.written < self.output.len() {
            let rest = &self.output[self.written..];
            match Pinned::new(&mut *to).poll_write(cx, rest) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(0)) => return Err(Failed::Write(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.written += written;
                    self.wrote += written as u64;
                }
                Poll::Ready(Err(error)) => return Err(Failed::Write(error)),
            }
        }
        self.written = 0;
        self.output.clear();
        self.held_back = to.holds_back();
        self.push_out(to, cx)
    }

    /// Makes a TLS stream hand its socket what it has taken.
    fn push_out(&mut self, to: &mut Stream, cx: &mut Context<'_>) -> Result<Poll<()>, Failed> {
        if !self.held_back {
            return Ok(Poll::Ready(()));
        }
        match Pinned::new(to).poll_flush(cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(flushed) => {
                flushed.map_err(Failed::Write)?;
                self.held_back = false;
                Ok(Poll::Ready(()))
            }
        }
    }

    /// Gives a large buffer back once its direction rests. Not before: a sink that is slower than
    /// its source needs it with each chunk.
    pub(super) fn release(&mut self) {
        if self.output.capacity() > KEPT_BYTES {
            self.output = Vec::new();
        }
        self.holding.note(self.held_bytes());
    }

    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        self.lane.held_bytes() + self.output.capacity() + self.backlog.capacity()
    }

    pub(super) fn break_off(&mut self) {
        self.broken = true;
        self.output = Vec::new();
        self.backlog = Vec::new();
        self.written = 0;
        self.held_back = false;
        self.holding.note(self.held_bytes());
    }
}
