//! One direction of a session: cuts the byte stream into frames as far as somebody must see them,
//! and says which bytes go on. Knows no message; the [`FrameSide`] it feeds does.
//!
//! A chunk whose frames all go on unchanged comes out as one range of the input, to be written
//! from where it was read. Copies are made only of what was replaced, of frames cut in two that
//! must be understood, and of what stands behind them in the chunk.

use std::ops::{Range, RangeInclusive};

use super::Violation;
use crate::wire::frame::{HEADER_BYTES, Header};

/// How much of a frame its reader must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Header,
    /// The body's beginning, at least as far as [`FrameSide::prefix`] says.
    Prefix,
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The frame goes on as it came, after what was inserted.
    Forward,
    /// The frame goes no further; what was inserted stands in its place.
    Drop,
    /// The frame is not taken yet: it comes again when the side is no longer blocked.
    Wait,
    /// What was inserted stands in the place of the frame's first bytes, of which no more than
    /// were wanted; the rest goes on.
    Splice(usize),
}

/// No length at all, for [`FrameSide::passing`].
pub const NONE: RangeInclusive<u32> = RangeInclusive::new(1, 0);

/// The reader of one direction's frames.
pub trait FrameSide {
    /// The lengths at which frames with this tag are of no interest, until another kind of frame
    /// comes; asked first, and once for a row of such frames, for speed.
    fn passing(&self, tag: u8) -> RangeInclusive<u32>;
    /// The other side must act before another frame is taken.
    fn is_blocked(&self) -> bool;
    fn want(&mut self, header: Header) -> Result<Want, Violation>;
    /// How many bytes of the body a prefix takes; `None` while they are not all there.
    fn prefix(&self, header: Header, body: &[u8]) -> Result<Option<usize>, Violation>;
    /// Takes a frame, or as much of it as was wanted; may insert bytes before it.
    fn frame(
        &mut self,
        header: Header,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<Act, Violation>;
}

/// What became of a chunk.
#[derive(Debug)]
pub struct Fed {
    /// Bytes taken; fewer than given only when the side is blocked or a violation came.
    pub consumed: usize,
    /// The part of the chunk to be written after what was appended to `output`.
    pub run: Range<usize>,
    pub violation: Option<Violation>,
}

#[derive(Debug, Default)]
pub struct Lane {
    /// A frame, from its first byte, of which not enough has come.
    partial: Vec<u8>,
    /// What was wanted of that frame; asked once, for the answer may depend on chance.
    wanted: Option<Want>,
    /// Bytes still to come of a body that needs no understanding.
    streaming: usize,
    dropping: bool,
    /// The partial frame is all there, and waits for the other side.
    waiting: bool,
    insert: Vec<u8>,
}

/// Buffers larger than this are given back as soon as they are empty.
const KEPT_BYTES: usize = 4096;

impl Lane {
    /// Whether the stream stands between two frames.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.partial.is_empty() && self.streaming == 0
    }

    /// Whether a frame is to be offered again, for which no more bytes have to come.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Whether bytes put into the output now would stand between two frames.
    #[must_use]
    pub fn takes_frames(&self) -> bool {
        self.streaming == 0
    }

    /// What its buffers take.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.partial.capacity() + self.insert.capacity()
    }

    pub fn feed(&mut self, side: &mut impl FrameSide, input: &[u8], output: &mut Vec<u8>) -> Fed {
        let mut walk = FrameWalk {
            input,
            at: 0,
            run_start: 0,
            put_aside: 0,
            output,
        };
        let violation = self.walk(side, &mut walk).err();
        let FrameWalk { at, .. } = walk;
        let mut run = walk.run_start..at - walk.put_aside;
        if !output.is_empty() {
            output.extend_from_slice(&input[run.clone()]);
            run = at..at;
        }
        Fed {
            consumed: at,
            run,
            violation,
        }
    }

    fn walk(
        &mut self,
        side: &mut impl FrameSide,
        walk: &mut FrameWalk<'_>,
    ) -> Result<(), Violation> {
        loop {
            if self.streaming > 0 {
                let step = self.streaming.min(walk.rest().len());
                walk.pass(step, self.dropping);
                self.streaming -= step;
                if self.streaming > 0 {
                    return Ok(());
                }
            }
            if !self.partial.is_empty() {
                if !self.complete_partial(side, walk)? {
                    return Ok(());
                }
                continue;
            }
            if walk.rest().is_empty() || side.is_blocked() {
                return Ok(());
            }
            let Some(header) = Header::read(walk.rest()) else {
                self.put_aside(walk);
                return Ok(());
            };
            let passing = side.passing(header.tag);
            if passing.contains(&header.length) {
                self.pass_alike(header, &passing, walk);
                continue;
            }
            let want = side.want(header)?;
            let Some(seen) = enough(side, header, want, walk.rest())? else {
                self.wanted = Some(want);
                self.put_aside(walk);
                return Ok(());
            };
            let body = &walk.rest()[HEADER_BYTES..seen];
            let act = side.frame(header, body, &mut self.insert)?;
            self.insert_into(walk);
            if act == Act::Wait {
                return Ok(());
            }
            self.dropping = act == Act::Drop;
            self.streaming = header.frame_bytes();
            if let Act::Splice(replaced) = act {
                let replaced = replaced.min(seen);
                walk.skip(replaced);
                self.streaming -= replaced;
            }
        }
    }

    /// Rows and COPY's data come by the thousand: steps over all frames that are like this one.
    #[inline]
    fn pass_alike(
        &mut self,
        first: Header,
        passing: &RangeInclusive<u32>,
        walk: &mut FrameWalk<'_>,
    ) {
        let alike = |next: &Header| next.tag == first.tag && passing.contains(&next.length);
        self.dropping = false;
        let mut header = first;
        loop {
            let bytes = header.frame_bytes();
            let there = walk.rest().len();
            if bytes > there {
                walk.at += there;
                self.streaming = bytes - there;
                return;
            }
            walk.at += bytes;
            match Header::read(walk.rest()).filter(alike) {
                Some(next) => header = next,
                None => return,
            }
        }
    }

    /// Keeps an incomplete frame until more comes. Everything in the chunk before it is in the run.
    fn put_aside(&mut self, walk: &mut FrameWalk<'_>) {
        self.partial.extend_from_slice(walk.rest());
        walk.put_aside = walk.rest().len();
        walk.at = walk.input.len();
    }

    /// Adds to the frame put aside what it lacks; true when it has been dealt with.
    fn complete_partial(
        &mut self,
        side: &mut impl FrameSide,
        walk: &mut FrameWalk<'_>,
    ) -> Result<bool, Violation> {
        loop {
            let lacking = match Header::read(&self.partial) {
                None => HEADER_BYTES - self.partial.len(),
                Some(header) => {
                    let want = match self.wanted {
                        Some(want) => want,
                        None if passes(side, header) => Want::Header,
                        None => side.want(header)?,
                    };
                    self.wanted = Some(want);
                    if let Some(seen) = enough(side, header, want, &self.partial)? {
                        return self.finish_partial(side, header, seen, walk);
                    }
                    header.frame_bytes() - self.partial.len()
                }
            };
            let step = lacking.min(walk.rest().len());
            if step == 0 {
                return Ok(false);
            }
            self.partial.extend_from_slice(&walk.rest()[..step]);
            walk.skip(step);
        }
    }

    fn finish_partial(
        &mut self,
        side: &mut impl FrameSide,
        header: Header,
        seen: usize,
        walk: &mut FrameWalk<'_>,
    ) -> Result<bool, Violation> {
        let partial = std::mem::take(&mut self.partial);
        let act = if passes(side, header) {
            Act::Forward
        } else {
            side.frame(header, &partial[HEADER_BYTES..seen], &mut self.insert)?
        };
        self.insert_into(walk);
        self.waiting = act == Act::Wait;
        if self.waiting {
            self.partial = partial;
            return Ok(false);
        }
        self.wanted = None;
        self.dropping = act == Act::Drop;
        match act {
            Act::Forward => walk.output.extend_from_slice(&partial),
            Act::Splice(replaced) => {
                walk.output
                    .extend_from_slice(&partial[replaced.min(seen)..]);
            }
            Act::Drop | Act::Wait => {}
        }
        self.streaming = header.frame_bytes() - partial.len();
        // The room is kept for the next frame that is cut in two, unless it is unusually large.
        if partial.capacity() <= KEPT_BYTES {
            self.partial = partial;
            self.partial.clear();
        }
        Ok(true)
    }

    #[inline]
    fn insert_into(&mut self, walk: &mut FrameWalk<'_>) {
        if !self.insert.is_empty() {
            self.insert_now(walk);
        }
    }

    /// Apart, so that the frequent case of nothing to insert is a test and no call.
    #[cold]
    fn insert_now(&mut self, walk: &mut FrameWalk<'_>) {
        walk.flush_run();
        walk.output.append(&mut self.insert);
        if self.insert.capacity() > KEPT_BYTES {
            self.insert = Vec::new();
        }
    }
}

fn passes(side: &impl FrameSide, header: Header) -> bool {
    side.passing(header.tag).contains(&header.length)
}

/// How many bytes of the frame suffice for what is wanted, if they are there.
fn enough(
    side: &impl FrameSide,
    header: Header,
    want: Want,
    bytes: &[u8],
) -> Result<Option<usize>, Violation> {
    let whole = header.frame_bytes();
    match want {
        Want::Header => Ok(Some(HEADER_BYTES)),
        Want::Whole if bytes.len() >= whole => Ok(Some(whole)),
        Want::Whole => Ok(None),
        // All is here: what is wanted of it need not be looked for.
        Want::Prefix if bytes.len() >= whole => Ok(Some(whole)),
        Want::Prefix => {
            let body = &bytes[HEADER_BYTES..whole.min(bytes.len())];
            let extent = side.prefix(header, body)?;
            Ok(extent.map(|extent| HEADER_BYTES + extent))
        }
    }
}

struct FrameWalk<'a> {
    input: &'a [u8],
    at: usize,
    run_start: usize,
    /// Bytes at the chunk's end that do not belong to the run.
    put_aside: usize,
    output: &'a mut Vec<u8>,
}

impl FrameWalk<'_> {
    fn rest(&self) -> &[u8] {
        &self.input[self.at..]
    }

    /// Takes bytes that go on (they join the run) or not.
    fn pass(&mut self, step: usize, dropping: bool) {
        if dropping {
            self.skip(step);
        } else {
            self.at += step;
        }
    }

    /// Takes bytes that go on elsewhere or nowhere: the run ends before them.
    fn skip(&mut self, step: usize) {
        self.flush_run();
        self.at += step;
        self.run_start = self.at;
    }

    fn flush_run(&mut self) {
        self.output
            .extend_from_slice(&self.input[self.run_start..self.at]);
        self.run_start = self.at;
    }
}
