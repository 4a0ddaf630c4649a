//! floodgate-archive, a program of its own: it keeps what left the ledger and
//! answers statistics over all that was ever kept. Floodgate runs without it,
//! and says so where something takes it.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod client;
mod kept;
mod queries;
mod schedule;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod tests;
mod wire;

pub use self::client::{Archive, ArchiveSettings, Error, SettingsError};
pub use self::kept::{FindError, Found, MovedTo, find};
pub use self::queries::check_queries;
pub use self::schedule::keep_moving;
pub use self::wire::{
    Answer, Column, Delivered, Entry, Erased, Moved, Pass, Query, Scanned, Skipped,
};
