//! Reads a flow file: it is a flow, or a list of problems.
#![no_main]

use floodgate_flow::Flow;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(problems) = Flow::of_source("fuzzed", text) {
        assert!(!problems.is_empty());
    }
});
