//! The cold tier of Floodgate and statistics over all that it ever kept.
//!
//! `moving` takes what is older than a flow's `[keep] hot` out of the ledger and
//! into Parquet files (`cold`), exactly once; `query` answers SQL over the files
//! and the hot rows of the ledger together, as one table for each flow; `server`
//! offers both to the host.

pub mod cli;
pub mod cold;
pub mod columns;
pub mod flows;
pub mod ledger;
pub mod moving;
pub mod query;
pub mod server;
pub mod settings;
