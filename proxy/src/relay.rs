//! Moves bytes between a client and its server as the session says.
//!
//! One future owns both sockets. A chunk is read into the thread's scratch buffer, walked in
//! place, and written from there; a session's own buffers hold only what could not be written at
//! once, what was replaced, and frames cut in two. A round trip therefore costs one epoll_wait,
//! one read and one write in each direction, and an idle session next to nothing.
//!
//! A direction is not read while its output waits, so no buffer outgrows one chunk's outcome.

mod pipe;
mod stop;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin as Pinned, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::held::{Budget, Holding};
use crate::session::{Backend, Frontend, Pin, Session, SessionReport, Violation};
use crate::sessions::Traffic;
use crate::stream::Stream;
use pipe::{Failed, Pipe};
pub use stop::Stop;
use stop::Urgency;

/// One read's worth. A short read tells tokio that the socket is empty, which saves the read that
/// would say so; larger chunks would not fit the processor's cache.
const SCRATCH_BYTES: usize = 64 * 1024;

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
        let mut woken = pin!(stop.woken());
        let mut seen = None;
        let mut newer = None;
        poll_fn(|cx| {
            // A task's waker stays the same: registering it once is enough, until it was used. What is asked is looked
            // at behind that, so that nothing is missed in between.
            loop {
                let wakes = stop.wakes();
                if seen == Some(wakes) {
                    break;
                }
                seen = Some(wakes);
                while woken.as_mut().poll(cx).is_ready() {
                    woken.set(stop.woken());
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
