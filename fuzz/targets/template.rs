//! Compiles a reply template: it is one, or a list of problems.
#![no_main]

use floodgate_flow::Flow;
use libfuzzer_sys::fuzz_target;

const FLOW: &str = r#"
[admit]
path = "/x"
schema = "x.schema.json"
id = { field = "/id" }

[track]
path = "/x/{id}"
reply = "#;

fuzz_target!(|template: &str| {
    if let Err(problems) = Flow::of_source("fuzzed", &format!("{FLOW}{template}\n")) {
        assert!(!problems.is_empty());
    }
});
