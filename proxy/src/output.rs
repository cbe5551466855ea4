//! What commands print. `print!`, `println!` and `eprintln!` of this crate are these, not the standard
//! library's, which panic when nobody reads on (`crossfade rules | head`), a step half-way too.
//!
//! What nobody reads is dropped and the command goes on: what it does to the database matters more than
//! who looks. A command that only prints, and has no end, asks [`is_read`].

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static READ: AtomicBool = AtomicBool::new(true);

/// Whether somebody still reads the answer, as far as the last write to it could tell.
#[must_use]
pub fn is_read() -> bool {
    READ.load(Ordering::Relaxed)
}

pub fn answer(text: Arguments) {
    let mut out = io::stdout().lock();
    let written = out.write_fmt(text).and_then(|()| out.flush());
    if !arrived(written) {
        READ.store(false, Ordering::Relaxed);
    }
}

pub fn tell(text: Arguments) {
    arrived(io::stderr().lock().write_fmt(text));
}

/// A full disk is no reader that went away: an answer that is cut short must not look whole, so that ends
/// the command as it does with the standard library's macros.
fn arrived(written: io::Result<()>) -> bool {
    match written {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => false,
        Err(error) => panic!("cannot write the answer: {error}"),
    }
}

#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::output::answer(format_args!($($text)*)) };
}

#[macro_export]
macro_rules! println {
    () => { $crate::output::answer(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::answer(format_args!("{}\n", format_args!($($text)*))) };
}

#[macro_export]
macro_rules! eprintln {
    () => { $crate::output::tell(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::tell(format_args!("{}\n", format_args!($($text)*))) };
}
