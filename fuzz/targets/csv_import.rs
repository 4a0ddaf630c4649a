//! Reads a CSV file to import: its lines are bodies, or bad.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| floodgate::import::fuzz_csv(bytes));
