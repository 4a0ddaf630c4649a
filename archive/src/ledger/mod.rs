//! What the archive needs of the ledger: one trait, on Postgres and on the
//! embedded database file. The tables are the host's migrations' (V12, embedded
//! V6); the archive makes none.

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use jiff::civil::Date;
use jiff::Timestamp;

use crate::cold::{ColdFile, Draft, Sealed};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The same call may succeed later.
    #[error("the ledger did not answer, the same call may succeed later: {0}")]
    Away(String),
    #[error("the ledger has no table {0}: run `floodgate migrate`, or start a Floodgate of this version once")]
    NotMigrated(String),
    #[error("the ledger refused: {0}")]
    Other(String),
}

/// Which hot rows, and which base columns of them (`crate::columns::base`), in
/// the order of `columns`.
#[derive(Clone, Debug)]
pub struct Scan {
    pub flow: String,
    /// The base columns asked for.
    pub columns: SchemaRef,
    /// Happened at this time or later.
    pub from: Option<Timestamp>,
    /// Happened before this time.
    pub until: Option<Timestamp>,
    pub label: Option<String>,
    pub id: Option<String>,
    /// These are in a file that counts already.
    pub without: Vec<i64>,
    pub limit: Option<usize>,
}

/// The ledger at one instant: files and hot rows fit together.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// The files that count, of one flow: `moving` and `cold`, oldest day first.
    async fn files(&self, flow: &str) -> Result<Vec<ColdFile>, Error>;

    /// Rows that are still in the ledger.
    async fn hot(&self, scan: Scan) -> Result<SendableRecordBatchStream, Error>;
}

/// Held by the one archiver at work; gone when it is dropped, or with its process.
pub trait Owned: Send + Sync {}

#[async_trait]
pub trait Ledger: Send + Sync {
    /// `postgres` or `embedded`.
    fn kind(&self) -> &'static str;

    async fn ping(&self) -> Result<(), Error>;

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error>;

    /// `None` where somebody else is at it.
    async fn own(&self) -> Result<Option<Box<dyn Owned>>, Error>;

    /// UTC days before `before` that have rows of the flow which can be moved:
    /// none of their deliveries is waiting or given up. Oldest first.
    async fn days(&self, flow: &str, before: Date) -> Result<Vec<Date>, Error>;

    /// The rows of a day that can be moved, all base columns, ordered by time
    /// and number, at most `most` of them.
    async fn day(&self, flow: &str, day: Date, most: usize)
    -> Result<SendableRecordBatchStream, Error>;

    /// Every file in any state, of one flow or of all.
    async fn files(&self, flow: Option<&str>) -> Result<Vec<ColdFile>, Error>;

    /// Notes that a file is about to be written: its number and path are taken.
    async fn begin(&self, draft: &Draft) -> Result<ColdFile, Error>;

    /// From the return on the file is the truth for its rows; those it replaces
    /// no longer count, and ids that were in them are in this one.
    async fn seal(&self, file: &ColdFile, sealed: &Sealed, replaces: &[i64]) -> Result<(), Error>;

    /// Removes rows that are in a sealed file; their ids stay known. How many
    /// were still there.
    async fn remove(&self, file: &ColdFile, seqs: &[i64]) -> Result<u64, Error>;

    /// All rows of the file are gone from the ledger.
    async fn settle(&self, file: &ColdFile) -> Result<(), Error>;

    /// Forgets a file whose object is gone.
    async fn forget(&self, file: &ColdFile) -> Result<(), Error>;

    /// Which file an id was moved to.
    async fn moved(&self, flow: &str, id: &str) -> Result<Option<i64>, Error>;
}
