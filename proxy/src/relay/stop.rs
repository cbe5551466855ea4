//! How relays are asked to end, or to hold their clients back.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// How urgently relays are asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Urgency {
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

    /// How often all were woken.
    pub(super) fn wakes(&self) -> u32 {
        self.wakes.load(Ordering::SeqCst)
    }

    /// Completes when all are woken.
    pub(super) fn woken(&self) -> Notified<'_> {
        self.woken.notified()
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

    pub(super) fn is(&self, urgency: Urgency) -> bool {
        self.urgency.load(Ordering::SeqCst) >= urgency as u8
    }
}
