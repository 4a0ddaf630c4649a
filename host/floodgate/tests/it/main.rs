//! Against real servers, started for these tests: one binary, linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise, its helpers too"
)]

/// Makes a test of each function for each implementation: it is given a `Rig`
/// on one.
macro_rules! contract {
    ([$($on:ident),*] $tests:tt) => {
        $(contract!(@ $on $tests);)*
    };
    (@ $on:ident { $($name:ident),* $(,)? }) => {
        mod $on {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Rig::$on().await).await;
            })*
        }
    };
}

mod admin_guard;
mod admitting;
mod alone;
mod archive;
mod auditing;
mod backbone;
mod command_line;
mod compiling;
mod contracts;
mod controls;
mod crates;
mod dashboard;
mod delivering;
mod deploy_files;
mod dev;
mod dev_archive;
mod doors;
mod downstream;
mod erasing;
mod faults_of_entries;
mod faults_of_servers;
mod gate;
mod guilt;
mod host;
mod importing;
mod languages;
mod ledger;
mod ledger_at_start;
mod logs;
mod metrics;
mod moved;
mod neighbours;
mod operating;
mod oracle_build;
mod oracle_new;
mod oracle_watch;
mod panics;
mod prove;
mod readiness;
mod reloading;
mod request_ids;

mod secrets;
mod security;
mod services;
mod sql;
mod statistics;
mod support;
mod support_check;
mod traces;
mod tracking;
mod under_load;
mod verifying;
mod way_of_an_entry;
