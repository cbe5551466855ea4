//! No bytes harm a decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| crossfade_tests::properties::decoders::check(data));
