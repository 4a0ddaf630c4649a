//! The archive on real ledgers and real files: one binary, linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise, its helpers too"
)]

mod erasing;
mod faults;
mod killed;
mod leaving;
mod long;
mod merging;
mod moving;
mod owning;
mod querying;
mod restored;
mod support;
