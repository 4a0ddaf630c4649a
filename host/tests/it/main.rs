//! Against real servers, started for these tests: one binary, linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise, its helpers too"
)]

mod oracle_build;
