//! Moving what is older than a flow's `hot` out of the ledger and into cold
//! files, exactly once.
//!
//! From the commit that seals a file it is the truth for its rows, and only
//! then are they removed from the ledger. Whatever a pass leaves behind that is
//! killed, the next one takes up: a file that was not sealed is removed, the
//! rows of one that was are removed from the ledger.

mod erase;
mod left;
mod merge;
mod pass;
mod removal;
mod step;

use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

use crate::cold::{self, Store};
use crate::ledger::{self, Ledger};

pub use self::step::{Hook, Step};

/// What a pass may do at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Days of a flow in one pass, each of which becomes a file at least: a
    /// client may say of each entry that it happened on another one.
    pub days: usize,
    /// Rows of a file; of these it is known in memory which ids they have.
    pub rows: usize,
    /// Rows that are removed in one transaction, during which no decision of
    /// the flow is kept.
    pub removed: usize,
    /// Ids that are noted in one transaction.
    pub known: usize,
    /// A file of less bytes is small.
    pub small: u64,
    /// So many small files of a day are made one.
    pub several: usize,
    /// Files that are made one at a time.
    pub merged: usize,
    /// So many times as long as it works on a batch a pass rests after it.
    pub rest: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            days: 400,
            rows: 1_000_000,
            removed: 2000,
            known: 10_000,
            small: 64 << 20,
            several: 4,
            merged: 32,
            rest: 0,
        }
    }
}

/// A ledger, and where its old rows go.
#[derive(Clone)]
pub struct Mover {
    pub ledger: Arc<dyn Ledger>,
    pub store: Store,
    pub limits: Limits,
    /// Called after each step; nobody in production.
    pub hook: Hook,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("somebody else is at it")]
    Busy,
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Cold(#[from] cold::Error),
    /// Of what an earlier pass left.
    #[error("{0}")]
    Left(String),
}

/// What a pass did.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Report {
    pub moved: Vec<Moved>,
    pub merged: Vec<Merged>,
    /// What could not be done, and stays as it was.
    pub problems: Vec<String>,
}

/// A file whose rows are gone from the ledger.
#[derive(Debug, PartialEq, Serialize)]
pub struct Moved {
    pub flow: String,
    pub day: Date,
    pub file: i64,
    pub rows: u64,
    pub bytes: u64,
    pub seconds: f64,
}

/// A file that took the place of several.
#[derive(Debug, PartialEq, Serialize)]
pub struct Merged {
    pub flow: String,
    pub day: Date,
    pub file: i64,
    pub of: Vec<i64>,
    pub rows: u64,
    pub bytes: u64,
    pub seconds: f64,
}

impl Mover {
    pub fn new(ledger: Arc<dyn Ledger>, store: Store) -> Self {
        Self {
            ledger,
            store,
            limits: Limits::default(),
            hook: Hook::default(),
        }
    }
}
