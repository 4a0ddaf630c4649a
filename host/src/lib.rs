//! Floodgate: JSON transactions in over HTTP, judged by sandboxed WebAssembly
//! oracles, decided once, kept in Postgres.
//!
//! Dependencies point one way: [`flow`], [`embedded`] and [`metrics`] know nobody;
//! [`backbone`], [`oracle`] and [`ledger`] know `flow`'s types, and so does
//! [`telemetry`], with which all tell of their work, and [`archive`], which is
//! asked for what left the ledger; [`ingest`], [`worker`], [`deliver`] and
//! [`readiness`] join them; [`admin`] and [`cli`] sit on top, and [`prove`]
//! attacks all of it from outside.

// They panic where nobody reads; the commands print through `cli::out`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
pub mod archive;
pub mod backbone;
mod boot_time;
mod breaker;
mod browser;
pub mod cli;
pub mod deliver;
pub mod embedded;
pub mod flow;
mod fresh;
mod harmless;
pub mod http;
pub mod import;
pub mod ingest;
pub mod ledger;
mod masked;
pub mod metrics;
pub mod oracle;
pub mod prove;
pub mod readiness;
mod request_id;
pub mod settings;
pub mod stand_in;
mod tasks;
mod telemetry;
mod watch;
mod whole_file;
pub mod worker;
