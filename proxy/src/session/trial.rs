//! What is kept of messages that something else is tried for, and of the answers to that.

use std::sync::Arc;

use rewrite_rules::{Reading, Try, Verdict};

use super::cache::Number;
use super::lane::Act;
use crate::wire::frame::{Header, write_frame};

/// Of room for messages so much stays from one to the next.
const KEPT_BYTES: usize = 1024;
/// So many in a row that did not do, and trying is no use for a while.
const MISSED_MAX: u8 = 8;
/// A while: so many statements that could be tried and are not.
const PAUSE: u16 = 256;

/// The client's messages of one execution, as long as they are held.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub frames: Vec<u8>,
    pub holds: Option<Held>,
    /// What is read next was tried.
    pub is_barred: bool,
    /// What is read next is to be tried the next time: two texts for one would take each other's places.
    pub is_new: bool,
    pub luck: [Luck; 2],
}

/// How far the messages have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub tries: Option<Try>,
    pub parses: bool,
    pub binds: bool,
    pub describes: bool,
    pub executes: bool,
}

/// Whether trying does, of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Luck {
    missed: u8,
    pause: u16,
}

impl Luck {
    pub fn is_out(&mut self) -> bool {
        let out = self.pause > 0;
        self.pause = self.pause.saturating_sub(1);
        out
    }

    pub fn came(&mut self, did: bool) {
        if did {
            self.missed = 0;
            return;
        }
        self.missed += 1;
        if self.missed >= MISSED_MAX {
            self.pause = PAUSE;
            // One more, and it is none again.
            self.missed = MISSED_MAX - 1;
        }
    }
}

impl Flight {
    #[inline]
    pub fn holds(&self) -> bool {
        self.holds.is_some()
    }

    pub fn keep(&mut self, header: Header, body: &[u8]) {
        write_frame(&mut self.frames, header.tag, |out| {
            out.extend_from_slice(body)
        });
    }

    /// The messages, which are held no longer.
    pub fn take(&mut self) -> Vec<u8> {
        self.holds = None;
        std::mem::take(&mut self.frames)
    }

    /// Room for the next ones.
    pub fn give_back(&mut self, mut frames: Vec<u8>) {
        if frames.capacity() <= KEPT_BYTES && self.frames.capacity() == 0 {
            frames.clear();
            self.frames = frames;
        }
    }

    pub fn luck(&mut self, tries: Try) -> &mut Luck {
        match tries {
            Try::UnifiedAlone => &mut self.luck[0],
            Try::InOnePiece => &mut self.luck[1],
        }
    }

    pub fn came(&mut self, tries: Try, did: bool) {
        self.luck(tries).came(did);
    }
}

/// Of the answers to a write so much is held back. What is larger is told as it comes.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// What was sent, and what of its answers the client has not been told.
#[derive(Debug)]
pub(super) struct Tried {
    pub tries: Try,
    pub by: By,
    pub number: Number,
    /// The server has the statement.
    pub parsed: bool,
    /// The server runs it.
    pub bound: bool,
    /// How it was read, and how the client's text is where it does not do.
    pub read: Option<Arc<Reading>>,
    pub full: Option<Arc<Reading>>,
    /// The client's messages.
    pub frames: Vec<u8>,
    pub held: Vec<u8>,
    /// The body of its CommandComplete.
    pub end: Vec<u8>,
    pub state: State,
    /// Outside of a block: what fails has changed nothing.
    pub at_rest: bool,
}

/// What the client sent.
#[derive(Clone, Debug)]
pub(super) enum By {
    Query,
    /// The body of its Parse, if one was among them; and whether it asked for a description.
    Messages {
        parses: Option<Box<[u8]>>,
        describes: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It may still come to nothing.
    Open,
    /// Something was told of it: it cannot be said again.
    Told,
    /// It does not do.
    Missed,
}

impl Tried {
    pub fn new(
        tries: Try,
        by: By,
        (number, parsed): (Number, bool),
        (read, full): (Option<Arc<Reading>>, Option<Arc<Reading>>),
        frames: Vec<u8>,
    ) -> Tried {
        Tried {
            tries,
            by,
            number,
            parsed,
            bound: false,
            read,
            full,
            frames,
            held: Vec::new(),
            end: Vec::new(),
            state: State::Open,
            at_rest: false,
        }
    }

    /// These are the client's messages.
    pub fn of(self, frames: Vec<u8>) -> Tried {
        Tried { frames, ..self }
    }

    pub fn at_rest(self, at_rest: bool) -> Tried {
        Tried { at_rest, ..self }
    }

    pub fn is_of_query(&self) -> bool {
        matches!(self.by, By::Query)
    }

    /// Whether a row is held back as well.
    pub fn holds_rows(&self) -> bool {
        self.tries == Try::InOnePiece && self.state == State::Open
    }

    pub fn hides_rows(&self) -> bool {
        let Some(Verdict::Rewritten(rewritten)) = self.read.as_ref().map(|read| &read.verdict)
        else {
            return false;
        };
        let answer = rewritten.answers.first();
        answer.is_some_and(|answer| answer.hide_rows)
    }

    /// Holds a part of the answer back, unless there is no room, or it is told already.
    pub fn hold(&mut self, tag: u8, body: &[u8], insert: &mut Vec<u8>) -> Act {
        if self.state == State::Open && self.held.len() + body.len() <= HELD_BYTES_MAX {
            write_frame(&mut self.held, tag, |out| out.extend_from_slice(body));
            return Act::Drop;
        }
        self.tell(insert);
        Act::Forward
    }

    pub fn tell(&mut self, insert: &mut Vec<u8>) {
        if self.state == State::Open {
            self.state = State::Told;
        }
        insert.append(&mut self.held);
    }
}
