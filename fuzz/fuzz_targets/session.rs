//! No interleaving of both sides' messages harms more than its own session.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| crossfade_tests::properties::session::check(data));
