//! Runs Floodgate's command line, and puts a process together from the crates
//! beside this one, which docs/ARCHITECTURE.md shows.

// The macros that print panic when nobody reads; commands print through `cli::out`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod import;
pub mod settings;
