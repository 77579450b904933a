#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::check_alarms_event(bytes));
