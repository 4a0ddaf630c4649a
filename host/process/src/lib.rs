//! Holds what every long-lived part of a process stands on: the table of its
//! tasks, its metrics, its clock, its files, and text that strangers wrote.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod boot_time;
pub mod cache_dir;
pub mod fresh;
pub mod harmless;
pub mod metrics;
pub mod seldom;
pub mod tasks;
pub mod watch;
pub mod whole_file;
