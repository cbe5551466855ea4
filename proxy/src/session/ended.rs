//! What is told of a text once it has run: rows, errors, time. To the counters of its shape, and of a plain read to whoever
//! compares sessions.

use std::sync::Arc;

use super::expect::{Expect, OfExchange, ReadAs};
use super::{Pin, ReadEnd, Session};
use crate::wire::backend::{self, Fields};

/// `in_failed_sql_transaction`: says nothing of the text that met it.
const IN_FAILED: &[u8] = b"25P02";

impl<P: Pin> Session<P> {
    /// A statement of the client's text at the head has run to its end.
    #[inline]
    pub(super) fn note_end(&mut self, body: &[u8]) {
        let Some(run) = self.expects.front().and_then(Expect::running) else {
            return;
        };
        let (read, silent, first) = (run.read.clone(), run.answer().silent, run.statement == 0);
        self.note_run(&read, body, (silent, first));
    }

    /// A statement of a text has run to its end: a `silent` one is none of the client's.
    pub(super) fn note_run(&mut self, read: &ReadAs, body: &[u8], (silent, first): (bool, bool)) {
        if self.pin.is_timed() {
            self.of_exchange = match (&self.of_exchange, read) {
                (OfExchange::Nothing, Some(reading)) => OfExchange::One(Arc::clone(reading)),
                // Another statement of the same text.
                (OfExchange::One(known), Some(reading)) if Arc::ptr_eq(known, reading) => {
                    OfExchange::One(Arc::clone(known))
                }
                (OfExchange::Nothing | OfExchange::One(_) | OfExchange::Other, _) => {
                    OfExchange::Other
                }
            };
        }
        let Some(reading) = read else {
            return;
        };
        if reading.is_counted() && !silent {
            let count = backend::command_tag(body).and_then(backend::tag_count);
            reading.returned(count.and_then(|count| count.parse().ok()).unwrap_or(0));
        }
        if !first {
            return;
        }
        reading.ran();
        let migrations = reading.reads_plainly();
        if !migrations.is_empty() {
            self.pin.read_ended(migrations, ReadEnd::Answered);
        }
    }

    /// The client was told an error of this text.
    pub(super) fn note_error(&mut self, read: &ReadAs, fields: Fields<'_>) {
        let Some(reading) = read.as_ref().filter(|_| fields.sqlstate() != IN_FAILED) else {
            return;
        };
        reading.failed();
        let migrations = reading.reads_plainly();
        if !migrations.is_empty() {
            self.pin.read_ended(migrations, ReadEnd::Failed);
        }
    }

    /// Nothing is outstanding any more.
    #[inline]
    pub(super) fn note_answered(&mut self) {
        let Some(took) = self.pin.answered() else {
            return;
        };
        let of = std::mem::replace(&mut self.of_exchange, OfExchange::Nothing);
        if let OfExchange::One(reading) = of {
            reading.took(took);
            let migrations = reading.reads_plainly();
            if !migrations.is_empty() {
                self.pin.read_ended(migrations, ReadEnd::Took(took));
            }
        }
    }
}
