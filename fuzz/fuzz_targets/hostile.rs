//! No text costs the reader more than its share: all shipped rules, every phase, every search path.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| crossfade_tests::properties::hostile::check(data));
