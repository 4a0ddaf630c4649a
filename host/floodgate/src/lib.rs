//! Runs Floodgate's command line, and assembles a process from the crates beside this
//! one. docs/ARCHITECTURE.md shows these crates.

// `println!` and `eprintln!` panic when the reader of a pipe is gone, so commands
// print through `cli::out`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod import;
pub mod settings;
