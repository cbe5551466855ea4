//! The SQL reader answers any text, and what it makes is SQL.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| crossfade_tests::properties::reader::check(data));
