//! What must hold for any bytes at all. The property tests and the fuzzers try the same functions;
//! one that finds a violation panics.

pub mod comments;
pub mod decoders;
pub mod frames;
pub mod hostile;
pub mod reader;
pub mod session;
pub mod templates;

/// Takes pieces off the front of what a fuzzer made up.
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Fewer where there are fewer.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
