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
use floodgate_process::boot_time;
mod breaker;
mod browser;
pub mod cli;
pub mod deliver;
pub mod embedded;
pub use floodgate_flow as flow;
use floodgate_process::fresh;
use floodgate_process::harmless;
pub mod http;
pub mod import;
pub mod ingest;
pub mod ledger;
use floodgate_flow::masked;
pub use floodgate_process::metrics;
pub mod oracle;
pub mod prove;
pub mod readiness;
mod request_id;
use floodgate_process::seldom;
pub mod settings;
pub mod stand_in;
use floodgate_process::tasks;
mod telemetry;
use floodgate_process::watch;
use floodgate_process::whole_file;
pub mod worker;
