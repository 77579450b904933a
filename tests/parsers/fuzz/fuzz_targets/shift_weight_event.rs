#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::shift_weight_event(bytes));
