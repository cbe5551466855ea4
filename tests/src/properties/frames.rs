//! The frame splitter: however the stream is cut, what comes out is what went in, or the same
//! violation after the same bytes.

use std::ops::RangeInclusive;

use crossfade::session::Violation;
use crossfade::session::lane::{Act, FrameSide, Lane, NONE, Want};
use crossfade::wire::frame::Header;

use super::Bytes;

/// Wants frames to different depths, drops some, puts something before others: by their type.
#[derive(Default)]
struct ByType {
    frames: usize,
}

impl FrameSide for ByType {
    fn passing(&self, tag: u8) -> RangeInclusive<u32> {
        if tag.is_multiple_of(8) {
            4..=u32::MAX
        } else {
            NONE
        }
    }

    fn is_blocked(&self) -> bool {
        false
    }

    fn want(&mut self, header: Header) -> Result<Want, Violation> {
        if header.length < 4 {
            return Err(Violation::ServerLength {
                tag: header.tag,
                length: header.length,
            });
        }
        Ok(match header.tag % 3 {
            0 => Want::Header,
            1 => Want::Prefix,
            _ => Want::Whole,
        })
    }

    fn prefix(&self, header: Header, body: &[u8]) -> Result<Option<usize>, Violation> {
        let wanted = header.frame_bytes() - 5;
        Ok((body.len() >= wanted.min(3)).then_some(wanted.min(3)))
    }

    fn frame(&mut self, header: Header, body: &[u8], out: &mut Vec<u8>) -> Result<Act, Violation> {
        self.frames += 1;
        assert!(body.len() <= header.frame_bytes() - 5);
        if header.tag.is_multiple_of(7) {
            out.extend_from_slice(b"inserted");
            out.extend_from_slice(&body[..body.len().min(3)]);
        }
        Ok(if header.tag.is_multiple_of(5) {
            Act::Drop
        } else {
            Act::Forward
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    bytes: Vec<u8>,
    frames: usize,
    violation: Option<Violation>,
}

fn fed(stream: &[u8], mut cut: impl FnMut() -> usize) -> Outcome {
    let (mut lane, mut side) = (Lane::default(), ByType::default());
    let mut bytes = Vec::new();
    let mut rest = stream;
    let mut violation = None;
    while !rest.is_empty() && violation.is_none() {
        let (chunk, after) = rest.split_at(cut().clamp(1, rest.len()));
        let mut output = Vec::new();
        let fed = lane.feed(&mut side, chunk, &mut output);
        assert!(fed.violation.is_some() || fed.consumed == chunk.len());
        bytes.extend_from_slice(&output);
        bytes.extend_from_slice(&chunk[fed.run]);
        violation = fed.violation;
        rest = after;
    }
    Outcome {
        bytes,
        frames: side.frames,
        violation,
    }
}

pub fn check(data: &[u8]) {
    let mut data = Bytes(data);
    let cuts = data.take(8);
    let stream = data.0;
    let whole = fed(stream, || usize::MAX);
    assert_eq!(fed(stream, || 1), whole, "byte by byte");
    let mut at = 0;
    let varied = fed(stream, || {
        at += 1;
        usize::from(cuts.get(at % 8).copied().unwrap_or(3))
    });
    assert_eq!(varied, whole, "cut by {cuts:?}");
}
