//! The messages of a client's last exchange, in case they are said again (`again`).

use crate::wire::frame::{Header, write_frame};

/// Longer messages are not kept to be said again: their client repeats the transaction itself.
const BYTES_MAX: usize = 16 * 1024;
/// Of room for messages so much stays from one to the next.
const KEPT_BYTES: usize = 1024;

/// A client's messages of one exchange.
#[derive(Debug, Default)]
pub(super) struct Again {
    pub state: State,
    frames: Vec<u8>,
    /// How often they have been said again.
    pub times: u8,
    /// A statement that was prepared may be bound first, whose text was rewritten.
    pub has_rewritten: bool,
    /// They are said again by the same rules.
    pub at_once: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Off,
    /// The Sync is still to come.
    Keeping,
    /// All is here, and nothing has been answered.
    Whole,
    /// Its epoch is over; ReadyForQuery is awaited.
    Over,
    /// Newer rules are awaited.
    Waiting,
}

impl Again {
    pub fn stop(&mut self) {
        self.state = State::Off;
        self.times = 0;
        self.at_once = false;
        self.forget();
    }

    pub fn forget(&mut self) {
        self.frames.clear();
        if self.frames.capacity() > KEPT_BYTES {
            self.frames = Vec::new();
        }
    }

    pub fn has_room(&self, bytes: usize) -> bool {
        self.frames.len() + bytes <= BYTES_MAX
    }

    /// Keeps a message, if it is here as a whole.
    pub fn keep(&mut self, header: Header, body: &[u8]) {
        let is_whole = header.length as usize == body.len() + 4;
        if !is_whole || !self.has_room(header.frame_bytes()) {
            return self.stop();
        }
        write_frame(&mut self.frames, header.tag, |out| {
            out.extend_from_slice(body)
        });
    }

    /// Whether no more input is taken.
    #[inline]
    pub fn holds_input(&self) -> bool {
        matches!(self.state, State::Over | State::Waiting)
    }

    /// Whether each message of the client's has to be seen.
    #[inline]
    pub fn is_whole(&self) -> bool {
        self.state == State::Whole
    }

    /// Has these said again, whatever rules there are.
    pub fn say_at_once(&mut self, frames: Vec<u8>) {
        self.frames = frames;
        self.at_once = true;
        self.state = State::Waiting;
    }

    /// The messages, which are kept no longer.
    pub fn take(&mut self) -> Vec<u8> {
        self.state = State::Off;
        self.at_once = false;
        std::mem::take(&mut self.frames)
    }
}
