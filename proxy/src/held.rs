//! What all sessions hold together: bytes of statements that have begun and not yet gone on.
//!
//! A statement is held whole to be read, so each session's own limit times the number of sessions is
//! more than any machine has. Beyond the total, sessions that hold much are read no further, which
//! their clients notice as a slow network; one at a time goes on, whoever has waited longest, so that
//! statements come to their end and make room. Only one whose turn makes no room within its time,
//! while others wait, is refused.
//!
//! A session counts only from the first chunk that makes its buffers larger than they ordinarily are:
//! the others never touch what is shared here, and are never held up by it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Sleep;

/// A chunk that could not be written at once, and the capacity that a buffer has grown to with it.
const ORDINARY_BYTES: usize = 128 * 1024;

/// A turn that is over when it begins would never end: it is looked at again at its end.
const TURN_MIN: Duration = Duration::from_millis(1);

/// What may be held, and who waits for room.
#[derive(Debug)]
pub struct Budget {
    bytes_max: usize,
    turn_timeout: Duration,
    held: AtomicUsize,
    /// As many as there are in the queue: whoever makes room need not look into it.
    waiting: AtomicUsize,
    /// In the order in which they came; the first one's turn it is.
    queue: Mutex<VecDeque<(u64, Waker)>>,
    tickets: AtomicU64,
}

/// The turn was long enough, and others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfTurn;

impl Budget {
    #[must_use]
    pub fn new(bytes_max: usize, turn_timeout: Duration) -> Budget {
        Budget {
            bytes_max,
            turn_timeout: turn_timeout.max(TURN_MIN),
            held: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
            tickets: AtomicU64::new(0),
        }
    }

    /// Bytes that all sessions together hold.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(SeqCst)
    }

    fn is_over(&self) -> bool {
        self.held.load(SeqCst) > self.bytes_max
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<(u64, Waker)>> {
        // A list of wakers is whole after any panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a session into the queue, or its newest waker there; gives its place.
    fn wait(&self, ticket: u64, waker: &Waker) -> usize {
        let mut queue = self.queue();
        if let Some(at) = queue.iter().position(|(known, _)| *known == ticket) {
            queue[at].1.clone_from(waker);
            return at;
        }
        queue.push_back((ticket, waker.clone()));
        self.waiting.store(queue.len(), SeqCst);
        queue.len() - 1
    }

    fn leave(&self, ticket: u64) {
        let mut queue = self.queue();
        queue.retain(|(known, _)| *known != ticket);
        self.waiting.store(queue.len(), SeqCst);
        drop(queue);
        self.wake();
    }

    /// There is room, or the turn is another one's: those that wait look again.
    fn wake(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.queue()
                .iter()
                .for_each(|(_, waker)| waker.wake_by_ref());
        }
    }
}

/// What one direction of a session holds of the total.
#[derive(Debug, Default)]
pub struct Holding {
    /// `None`: not counted.
    budget: Option<Arc<Budget>>,
    bytes: usize,
    ticket: Option<u64>,
    /// Runs while it is this one's turn.
    turn: Option<Pin<Box<Sleep>>>,
}

impl Holding {
    #[must_use]
    pub fn of(budget: Arc<Budget>) -> Holding {
        let mut holding = Holding::default();
        holding.budget = Some(budget);
        holding
    }

    /// Whether it holds more than is ordinary.
    #[inline]
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.bytes > 0
    }

    /// Notes what the buffers take by now.
    #[inline]
    pub fn note(&mut self, bytes: usize) {
        if bytes > ORDINARY_BYTES || self.bytes > 0 {
            self.count(bytes);
        }
    }

    #[cold]
    fn count(&mut self, bytes: usize) {
        let Some(budget) = &self.budget else {
            return;
        };
        let bytes = if bytes > ORDINARY_BYTES { bytes } else { 0 };
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes > before {
            budget.held.fetch_add(bytes - before, SeqCst);
        } else if bytes < before {
            budget.held.fetch_sub(before - bytes, SeqCst);
            budget.wake();
        }
        if bytes == 0 {
            self.leave();
        }
    }

    /// Whether a session that holds much may hold more. Pending: it is woken when that may have changed.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OutOfTurn>> {
        let Some(budget) = self.budget.clone() else {
            return Poll::Ready(Ok(()));
        };
        if !budget.is_over() {
            self.leave();
            return Poll::Ready(Ok(()));
        }
        let ticket = *self
            .ticket
            .get_or_insert_with(|| budget.tickets.fetch_add(1, SeqCst));
        let place = budget.wait(ticket, cx.waker());
        // Asked again now that the waker is known: room made in between woke nobody.
        if !budget.is_over() {
            self.leave();
            return Poll::Ready(Ok(()));
        }
        if place > 0 {
            return Poll::Pending;
        }
        let timeout = budget.turn_timeout;
        self.turn
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        Poll::Ready(self.check_turn(cx))
    }

    /// Ends a turn that has been long enough, if others wait. To be asked as well while what has come
    /// whole waits for its server: that makes no room either.
    pub fn check_turn(&mut self, cx: &mut Context<'_>) -> Result<(), OutOfTurn> {
        let (Some(budget), Some(turn)) = (&self.budget, &mut self.turn) else {
            return Ok(());
        };
        while turn.as_mut().poll(cx).is_ready() {
            if budget.waiting.load(SeqCst) > 1 {
                return Err(OutOfTurn);
            }
            // Nobody is kept waiting: another turn, with its own end to be woken at.
            turn.as_mut()
                .reset(tokio::time::Instant::now() + budget.turn_timeout);
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.turn = None;
        if let (Some(budget), Some(ticket)) = (&self.budget, self.ticket.take()) {
            budget.leave(ticket);
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.note(0);
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const MANY: usize = 10 * ORDINARY_BYTES;

    fn room(holding: &mut Holding) -> Poll<Result<(), OutOfTurn>> {
        holding.poll_room(&mut Context::from_waker(Waker::noop()))
    }

    fn budget(turn: Duration) -> Arc<Budget> {
        Arc::new(Budget::new(2 * MANY, turn))
    }

    fn holding(budget: &Arc<Budget>, bytes: usize) -> Holding {
        let mut holding = Holding::of(Arc::clone(budget));
        holding.note(bytes);
        holding
    }

    #[test]
    fn ordinary_buffers_are_not_counted_and_none_is_left_behind() {
        let budget = budget(Duration::MAX);
        let ordinary = holding(&budget, ORDINARY_BYTES);
        assert!(!ordinary.is_counted());
        let mut large = holding(&budget, MANY);
        assert_eq!(budget.held.load(SeqCst), MANY);
        large.note(2 * MANY);
        assert_eq!(budget.held.load(SeqCst), 2 * MANY);
        large.note(10);
        assert_eq!(budget.held.load(SeqCst), 0);
        large.note(MANY);
        drop((ordinary, large));
        assert_eq!(budget.held.load(SeqCst), 0);
    }

    #[tokio::test]
    async fn one_at_a_time_goes_on_beyond_the_total_and_all_when_there_is_room() {
        let budget = budget(Duration::from_secs(3_600));
        let [mut first, mut second, mut third] = [0; 3].map(|_| holding(&budget, MANY));
        assert_eq!(room(&mut second), Poll::Ready(Ok(())), "it came first");
        assert_eq!(room(&mut first), Poll::Pending);
        assert_eq!(room(&mut third), Poll::Pending);
        assert_eq!(
            room(&mut second),
            Poll::Ready(Ok(())),
            "it is still its turn"
        );
        second.note(3 * MANY);
        assert_eq!(room(&mut first), Poll::Pending);
        second.note(0);
        assert_eq!(room(&mut first), Poll::Ready(Ok(())));
        assert_eq!(room(&mut third), Poll::Ready(Ok(())));
        assert_eq!(budget.waiting.load(SeqCst), 0);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_queue() {
        let budget = budget(Duration::from_secs(3_600));
        let [mut first, mut second, mut third] = [0; 3].map(|_| holding(&budget, 2 * MANY));
        assert_eq!(room(&mut first), Poll::Ready(Ok(())));
        assert_eq!(room(&mut second), Poll::Pending);
        assert_eq!(room(&mut third), Poll::Pending);
        drop(first);
        assert_eq!(room(&mut third), Poll::Pending);
        assert_eq!(room(&mut second), Poll::Ready(Ok(())));
    }

    #[tokio::test]
    async fn a_turn_ends_where_others_wait_and_only_there() {
        let budget = budget(Duration::ZERO);
        let mut first = holding(&budget, 3 * MANY);
        assert_eq!(room(&mut first), Poll::Ready(Ok(())));
        let end = first.turn.as_ref().expect("its turn").deadline();
        tokio::time::sleep_until(end).await;
        assert_eq!(room(&mut first), Poll::Ready(Ok(())), "nobody waits");
        let mut second = holding(&budget, MANY);
        assert_eq!(room(&mut second), Poll::Pending);
        while room(&mut first) != Poll::Ready(Err(OutOfTurn)) {
            tokio::task::yield_now().await;
        }
        assert_eq!(room(&mut second), Poll::Pending, "it is not its turn yet");
        drop(first);
        assert_eq!(room(&mut second), Poll::Ready(Ok(())));
    }
}
