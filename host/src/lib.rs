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

pub use floodgate_admin as admin;
pub use floodgate_archive_client as archive;
pub use floodgate_backbone as backbone;
pub mod cli;
pub use floodgate_deliver as deliver;
pub use floodgate_embedded as embedded;
pub use floodgate_flow as flow;
pub use floodgate_http as http;
use floodgate_process::cache_dir;
use floodgate_process::harmless;
pub mod import;
use floodgate_flow::masked;
pub use floodgate_ingest as ingest;
pub use floodgate_ledger as ledger;
pub use floodgate_oracle_build as oracle_build;
pub use floodgate_oracle_host as oracle;
pub use floodgate_process::metrics;
pub use floodgate_prove as prove;
pub use floodgate_readiness as readiness;
pub use floodgate_report as report;
pub mod settings;
use floodgate_process::tasks;
use floodgate_process::watch;
use floodgate_process::whole_file;
pub use floodgate_prove::stand_in;
use floodgate_telemetry as telemetry;
pub use floodgate_worker as worker;
