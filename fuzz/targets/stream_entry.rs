//! Reads what somebody else wrote to the stream: it is an entry, or malformed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| floodgate_backbone::redis::fuzz_entry(bytes));
