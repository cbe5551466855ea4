//! Moves bytes between a client and its server as the session says.
//!
//! One future owns both sockets. A chunk is read into the thread's scratch buffer, walked in
//! place, and written from there; a session's own buffers hold only what could not be written at
//! once, what was replaced, and frames cut in two. A round trip therefore costs one epoll_wait,
//! one read and one write in each direction, and an idle session next to nothing.
//!
//! A direction is not read while its output waits, so no buffer outgrows one chunk's outcome.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin as Pinned, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::held::{Budget, Holding, OutOfTurn};
use crate::session::lane::{FrameSide, Lane};
use crate::session::{Backend, Frontend, Pin, Session, SessionReport, Violation};
use crate::sessions::Traffic;
use crate::stream::Stream;

/// One read's worth. A short read tells tokio that the socket is empty, which saves the read that
/// would say so; larger chunks would not fit the processor's cache.
const SCRATCH_BYTES: usize = 64 * 1024;

/// A buffer above this is given back when nothing is left to move.
const KEPT_BYTES: usize = 4096;

/// Chunks moved in one poll before other sessions of the thread get their turn.
const TURNS_MAX: usize = 32;

/// What a client may still send to a closed connection before it is cut off.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// Why a relay ended.
#[derive(Debug)]
pub enum Ending {
    /// The client's socket failed; nothing can be told to it.
    ClientGone(io::Error),
    /// The server's side is closed and everything it said has been passed on.
    UpstreamClosed,
    Violation(Violation),
    /// All sessions together hold too much, and this one made no room in its turn.
    NoRoom,
    /// The proxy is shutting down.
    Stopped,
    /// An operator has ended it.
    Killed,
}

/// Closes a client's socket so that what was written arrives: bytes that came meanwhile must be
/// taken, or the kernel would answer them with a reset that overtakes our last words.
pub async fn linger(mut client: Stream) -> io::Result<()> {
    client.shutdown().await?;
    let mut nothing = [0; 1024];
    let mut left = LINGER_BYTES_MAX;
    while left > 0 {
        let read = client.read(&mut nothing).await?;
        if read == 0 {
            break;
        }
        left = left.saturating_sub(read);
    }
    Ok(())
}

/// How urgently relays are asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Urgency {
    /// Between transactions, except for whoever has just come and had none yet.
    Served = 1,
    /// Between transactions.
    Idle,
    Now,
}

/// Asks every relay to end, or to hold its client's next transaction back.
#[derive(Debug, Default)]
pub struct Stop {
    /// An [`Urgency`], or 0; it only rises.
    urgency: AtomicU8,
    paused: AtomicBool,
    /// How often all were woken: whoever has seen another number must ask to be woken again.
    wakes: AtomicU32,
    woken: Notify,
}

impl Stop {
    /// After a transaction. A session that has had none yet may have its first.
    pub fn after_service(&self) {
        self.raise(Urgency::Served);
    }

    /// Wherever no transaction is under way.
    pub fn when_idle(&self) {
        self.raise(Urgency::Idle);
    }

    /// Wherever it is.
    pub fn now(&self) {
        self.raise(Urgency::Now);
    }

    /// Whether sessions are being ended.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.urgency.load(Ordering::SeqCst) > 0
    }

    /// Holds the next transaction of every client back, until [`Stop::resume`]. What has arrived is served.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
    }

    /// Lets clients go on. False: nobody was held.
    pub fn resume(&self) -> bool {
        let paused = self.paused.swap(false, Ordering::SeqCst);
        self.wake();
        paused
    }

    #[must_use]
    #[inline]
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Has every relay look what is asked of it.
    pub fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.woken.notify_waiters();
    }

    /// Completes when sessions that are between transactions are to end. Cancel-safe.
    pub async fn idle_end(&self) {
        self.reaches(Urgency::Served).await;
    }

    /// Completes when those as well are to end that have had no transaction yet. Cancel-safe.
    pub async fn asked(&self) {
        self.reaches(Urgency::Idle).await;
    }

    /// Completes when all are to end. Cancel-safe.
    pub async fn all_end(&self) {
        self.reaches(Urgency::Now).await;
    }

    async fn reaches(&self, urgency: Urgency) {
        let mut woken = pin!(self.woken.notified());
        loop {
            // Asked for first, so that nothing between the look and the wait is missed.
            woken.as_mut().enable();
            if self.is(urgency) {
                return;
            }
            woken.as_mut().await;
            woken.set(self.woken.notified());
        }
    }

    fn raise(&self, urgency: Urgency) {
        self.urgency.fetch_max(urgency as u8, Ordering::SeqCst);
        self.wake();
    }

    fn is(&self, urgency: Urgency) -> bool {
        self.urgency.load(Ordering::SeqCst) >= urgency as u8
    }
}

/// Both sockets and what is under way between them.
#[derive(Debug)]
pub struct Relay<P: Pin> {
    pub client: Stream,
    pub upstream: Stream,
    pub session: Session<P>,
    /// Hears of newer rules.
    newer: NewerRules,
    to_upstream: Pipe,
    to_client: Pipe,
    traffic: Arc<Traffic>,
}

/// What is known of newer rules.
#[derive(Debug)]
pub struct NewerRules {
    /// Hears that there are some.
    pub news: watch::Receiver<()>,
    /// How long a statement whose epoch is over waits for them.
    pub wait: Duration,
}

/// Whoever waits for newer rules: completes with true when there may be some, with false when it has been long enough.
type Newer = Pinned<Box<dyn Future<Output = bool> + Send>>;

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    lane: Lane,
    /// To be written; the first `written` bytes have been.
    output: Vec<u8>,
    written: usize,
    /// Read, but not taken by the session yet.
    backlog: Vec<u8>,
    /// The source has closed.
    ended: bool,
    /// The sink has been told so.
    shut: bool,
    /// The sink takes nothing any more.
    broken: bool,
    /// A TLS stream has taken bytes that its socket has not.
    held_back: bool,
    /// What its buffers have of all sessions' total.
    holding: Holding,
    /// Bytes so far.
    read: u64,
    wrote: u64,
}

/// What keeps one direction from going on.
enum Failed {
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

impl<P: Pin> Relay<P> {
    /// What a client sends is held until it is whole, and counts; what the server says goes on in
    /// pieces, and is never held beyond a chunk.
    #[must_use]
    pub fn new(
        client: Stream,
        upstream: Stream,
        session: Session<P>,
        newer: NewerRules,
        budget: Arc<Budget>,
        traffic: Arc<Traffic>,
    ) -> Relay<P> {
        Relay {
            client,
            upstream,
            session,
            newer,
            to_upstream: Pipe {
                holding: Holding::of(budget),
                ..Pipe::default()
            },
            to_client: Pipe::default(),
            traffic,
        }
    }

    /// What was read from the client and from the server before there was a relay.
    pub fn has_read(&mut self, from_client: Vec<u8>, from_server: Vec<u8>) {
        self.to_upstream.backlog = from_client;
        self.to_client.backlog = from_server;
    }

    /// Runs until the server has let the client in and is ready for its first query. The caller
    /// bounds the time; given up, the relay can only be closed.
    pub async fn establish(
        &mut self,
        stop: &Stop,
        reported: impl FnMut(SessionReport),
    ) -> Result<(), Ending> {
        match self.drive(stop, reported, Session::is_established).await {
            Some(ending) => Err(ending),
            None => Ok(()),
        }
    }

    /// Runs until one side ends, or the proxy stops and the session is between transactions.
    pub async fn run(&mut self, stop: &Stop, reported: impl FnMut(SessionReport)) -> Ending {
        let ending = self.drive(stop, reported, |_| false).await;
        ending.unwrap_or(Ending::Stopped)
    }

    /// Runs until it ends, or has come far enough.
    async fn drive(
        &mut self,
        stop: &Stop,
        mut reported: impl FnMut(SessionReport),
        enough: impl Fn(&Session<P>) -> bool,
    ) -> Option<Ending> {
        let mut woken = pin!(stop.woken.notified());
        let mut seen = None;
        let mut newer = None;
        poll_fn(|cx| {
            // A task's waker stays the same: registering it once is enough, until it was used. What is asked is looked
            // at behind that, so that nothing is missed in between.
            loop {
                let wakes = stop.wakes.load(Ordering::SeqCst);
                if seen == Some(wakes) {
                    break;
                }
                seen = Some(wakes);
                while woken.as_mut().poll(cx).is_ready() {
                    woken.set(stop.woken.notified());
                }
            }
            let stopping = stop.is(Urgency::Served);
            let held = stop.is_paused() && !stopping;
            let mut turned = SCRATCH.with_borrow_mut(|scratch| self.turn(cx, scratch, held));
            if self.session.waits_for_newer() && turned.is_ok() {
                turned = self.await_newer(cx, &mut newer);
            }
            self.traffic
                .moved(self.to_upstream.read, self.to_client.wrote);
            if let Some(report) = self.session.take_report() {
                reported(report);
            }
            match turned {
                Err(ending) => Poll::Ready(Some(ending)),
                Ok(()) if enough(&self.session) => Poll::Ready(None),
                Ok(()) if self.traffic.is_killed() => Poll::Ready(Some(Ending::Killed)),
                Ok(()) if stop.is(Urgency::Now) => Poll::Ready(Some(Ending::Stopped)),
                Ok(()) if stopping && self.is_quiet() && self.may_leave(stop) => {
                    Poll::Ready(Some(Ending::Stopped))
                }
                Ok(()) => Poll::Pending,
            }
        })
        .await
    }

    /// The client has closed its side, so that it is no surprise when the server does.
    #[must_use]
    pub fn client_has_closed(&self) -> bool {
        self.to_upstream.ended
    }

    /// Writes what is still owed to the client, then `last_words` unless they would fall into the
    /// middle of a message. The caller bounds the time.
    pub async fn close(mut self, last_words: &[u8]) -> io::Result<()> {
        self.client
            .write_all(&self.to_client.output[self.to_client.written..])
            .await?;
        if self.to_client.lane.is_at_boundary() {
            self.client.write_all(last_words).await?;
        }
        linger(self.client).await
    }

    fn may_leave(&self, stop: &Stop) -> bool {
        self.session.has_served() || stop.is(Urgency::Idle)
    }

    /// What comes next from the client would begin a transaction.
    fn is_between(&self) -> bool {
        self.session.is_established()
            && self.session.is_idle()
            && self.to_upstream.lane.is_at_boundary()
    }

    /// Nothing of a transaction is under way anywhere.
    fn is_quiet(&self) -> bool {
        self.session.is_idle()
            && self.to_upstream.lane.is_at_boundary()
            && self.to_upstream.backlog.is_empty()
            && self.to_client.output.is_empty()
            && !self.to_client.held_back
    }

    /// Moves what can be moved. The client's direction is tried again only when the server's has
    /// released it: nothing else that happens here could let it go on. Where transactions are `held`, none begins.
    fn turn(&mut self, cx: &mut Context<'_>, scratch: &mut [u8], held: bool) -> Result<(), Ending> {
        let mut turns = TURNS_MAX;
        loop {
            while !(held && self.is_between()) && self.move_up(cx, scratch)? && turns > 0 {
                turns -= 1;
            }
            let waited = self.session.is_blocked();
            while self.move_down(cx, scratch)? && turns > 0 {
                turns -= 1;
            }
            if self.resend(cx) || self.say_again(cx)? {
                continue;
            }
            if turns == 0 {
                cx.waker().wake_by_ref();
                return Ok(());
            }
            if !waited || self.session.is_blocked() {
                return Ok(());
            }
        }
    }

    /// Waits for the rules by which a client's messages are said again; after some time the client is told that there are none.
    #[cold]
    fn await_newer(
        &mut self,
        cx: &mut Context<'_>,
        newer: &mut Option<(Instant, Newer)>,
    ) -> Result<(), Ending> {
        loop {
            let deadline = match newer {
                Some((deadline, _)) => *deadline,
                None => Instant::now() + self.newer.wait,
            };
            let (_, waiting) =
                newer.get_or_insert_with(|| (deadline, hears(self.newer.news.clone(), deadline)));
            // It is looked once more after the wait is registered, so that no news falls in between.
            let polled = waiting.as_mut().poll(cx);
            if self.session.is_renewed() {
                *newer = None;
                // The next turn says it again.
                cx.waker().wake_by_ref();
                return Ok(());
            }
            match polled {
                Poll::Pending => return Ok(()),
                Poll::Ready(true) => {
                    let mut news = self.newer.news.clone();
                    news.mark_unchanged();
                    *newer = Some((deadline, hears(news, deadline)));
                }
                Poll::Ready(false) => {
                    *newer = None;
                    return self.give_up(cx);
                }
            }
        }
    }

    fn give_up(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let told = self.session.give_up();
        self.to_client.output.extend_from_slice(&told);
        // What the client has sent meanwhile goes on with the next turn.
        cx.waker().wake_by_ref();
        match self.to_client.flush(&mut self.client, cx) {
            Err(Failed::Write(error)) => Err(Ending::ClientGone(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Has the session read a client's messages again, by newer rules. True when there are some.
    fn say_again(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if !self.session.is_renewed() {
            return Ok(false);
        }
        if !self.to_upstream.lane.is_at_boundary() {
            // What has been read of the next message cannot be put behind them.
            self.give_up(cx)?;
            return Ok(true);
        }
        if let Some(mut frames) = self.session.take_again() {
            frames.append(&mut self.to_upstream.backlog);
            self.to_upstream.backlog = frames;
        }
        Ok(true)
    }

    /// Sends again what the server has refused; the client's input waits meanwhile. True when
    /// something went out.
    fn resend(&mut self, cx: &mut Context<'_>) -> bool {
        // A frame that is half out has to end first; its rest will bring us back here.
        if self.to_upstream.broken || !self.to_upstream.lane.takes_frames() {
            return false;
        }
        let Some(frames) = self.session.take_resend() else {
            return false;
        };
        self.to_upstream.output.extend_from_slice(&frames);
        if self.to_upstream.flush(&mut self.upstream, cx).is_err() {
            self.to_upstream.break_off();
        }
        true
    }

    /// One step from the client to the server; true when another may follow at once.
    fn move_up(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Result<bool, Ending> {
        let mut side = Frontend(&mut self.session);
        let (from, to) = (&mut self.client, &mut self.upstream);
        match self.to_upstream.step(&mut side, from, to, scratch, cx) {
            Ok(progress) => Ok(progress),
            Err(Failed::Read(error)) => Err(Ending::ClientGone(error)),
            Err(Failed::Violation(violation)) => Err(Ending::Violation(violation)),
            Err(Failed::NoRoom) => Err(Ending::NoRoom),
            Err(Failed::Write(_)) => {
                // The server may have said why before it closed; that is still to be read.
                self.to_upstream.break_off();
                Ok(false)
            }
        }
    }

    /// One step from the server to the client; true when another may follow at once.
    fn move_down(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Result<bool, Ending> {
        let mut side = Backend(&mut self.session);
        let (from, to) = (&mut self.upstream, &mut self.client);
        let progress = match self.to_client.step(&mut side, from, to, scratch, cx) {
            Ok(progress) => progress,
            Err(Failed::Write(error)) => return Err(Ending::ClientGone(error)),
            Err(Failed::Violation(violation)) => return Err(Ending::Violation(violation)),
            Err(Failed::NoRoom) => return Err(Ending::NoRoom),
            Err(Failed::Read(_)) => {
                self.to_client.ended = true;
                true
            }
        };
        if self.to_client.ended && self.to_client.output.is_empty() && !self.to_client.held_back {
            return Err(Ending::UpstreamClosed);
        }
        Ok(progress)
    }
}

fn hears(mut news: watch::Receiver<()>, deadline: Instant) -> Newer {
    Box::pin(async move { matches!(timeout_at(deadline, news.changed()).await, Ok(Ok(()))) })
}

impl Pipe {
    /// Moves one chunk, or what is left of one. True when it is worth trying again at once.
    fn step(
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
    fn take(
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

    fn flush(&mut self, to: &mut Stream, cx: &mut Context<'_>) -> Result<Poll<()>, Failed> {
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
    fn release(&mut self) {
        if self.output.capacity() > KEPT_BYTES {
            self.output = Vec::new();
        }
        self.holding.note(self.held_bytes());
    }

    #[inline]
    fn held_bytes(&self) -> usize {
        self.lane.held_bytes() + self.output.capacity() + self.backlog.capacity()
    }

    fn break_off(&mut self) {
        self.broken = true;
        self.output = Vec::new();
        self.backlog = Vec::new();
        self.written = 0;
        self.held_back = false;
        self.holding.note(self.held_bytes());
    }
}
