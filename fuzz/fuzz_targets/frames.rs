//! However the stream is cut, what comes out is the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| crossfade_tests::properties::frames::check(data));
