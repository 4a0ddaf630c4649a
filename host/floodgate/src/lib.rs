//! Floodgate's command line, and how a process is put together from the crates
//! beside this one. docs/ARCHITECTURE.md shows them.

// They panic where nobody reads; the commands print through `cli::out`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod import;
pub mod settings;
