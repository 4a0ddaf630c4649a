//! What the archive needs of the ledger: one trait, on Postgres and on the
//! embedded database file. The tables are the host's migrations' (V12, embedded
//! V6); the archive makes none.

mod embedded;
mod postgres;
mod rows;

use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use sha2::{Digest, Sha256};

use crate::cold::{ColdFile, Draft, Sealed};

pub use self::embedded::Embedded;
pub use self::postgres::{Postgres, SCHEMA};

/// Rows of a batch, of those that are read; a batch of long bodies has less.
pub const BATCH: usize = 8192;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The same call may succeed later.
    #[error("the ledger did not answer, the same call may succeed later: {0}")]
    Away(String),
    #[error(
        "the ledger has no cold tier ({0}): run `floodgate migrate`, or start a Floodgate of this version once"
    )]
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
    pub during: During,
    pub label: Option<String>,
    pub id: Option<String>,
    /// These are in a file that counts already.
    pub without: Vec<i64>,
    pub limit: Option<usize>,
}

/// When something happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct During {
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// Where in a day a row stands: its time, in microseconds, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub at: i64,
    pub seq: i64,
}

/// How often somebody who waits for the owner looks whether it has ended.
const LOOK: Duration = Duration::from_millis(200);

/// An id that stays known when its row is gone; in the order of the ledger's
/// index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// The first half of its SHA-256.
    pub id_hash: [u8; 16],
    pub body_hash: [u8; 16],
}

/// A row that a sealed file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub seq: i64,
    pub id: String,
    /// Whether there are deliveries to remove, too.
    pub delivered: bool,
}

/// By which an id stays known.
pub fn id_hash(id: &str) -> [u8; 16] {
    let digest = Sha256::digest(id.as_bytes());
    std::array::from_fn(|at| digest[at])
}

/// # Errors
/// Where a file is no longer in the state that this archiver left it in.
fn stale(file: &ColdFile, as_it_was: bool) -> Result<(), Error> {
    match as_it_was {
        true => Ok(()),
        false => Err(Error::Other(format!(
            "file {} is no longer {}: somebody else is at it",
            file.number,
            file.state.as_str()
        ))),
    }
}

/// When a day begins, and when the next one does.
///
/// # Errors
/// Never for a day of the years 1 to 9998.
fn bounds(day: Date) -> Result<(Timestamp, Timestamp), Error> {
    let begins = |day: Date| Offset::UTC.to_timestamp(day.at(0, 0, 0, 0));
    let next = day.checked_add(1.day());
    let bounds = next.and_then(|next| Ok((begins(day)?, begins(next)?)));
    bounds.map_err(|error| Error::Other(format!("{day} is no day that can be moved: {error}")))
}

/// The ledger at one instant: files and hot rows fit together.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// The files that count, of one flow: `moving` and `cold`, oldest day first.
    async fn files(&self, flow: &str) -> Result<Vec<ColdFile>, Error>;

    /// Whether any row that happened in that time is still in the ledger.
    async fn any(&self, flow: &str, during: During) -> Result<bool, Error>;

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

    /// `None` where somebody else is at it, and still is after `patience`.
    async fn own(&self, patience: Duration) -> Result<Option<Box<dyn Owned>>, Error>;

    /// UTC days before `before` that have rows of the flow which can be moved:
    /// none of their deliveries is waiting or given up. The last `most` of them,
    /// oldest first.
    async fn days(&self, flow: &str, before: Date, most: usize) -> Result<Vec<Date>, Error>;

    /// The rows of a day that can be moved, all base columns, ordered by time
    /// and number, those behind `after` only, at most `most` of them.
    async fn day(
        &self,
        flow: &str,
        day: Date,
        after: Option<Place>,
        most: usize,
    ) -> Result<SendableRecordBatchStream, Error>;

    /// Every file in any state, of one flow or of all.
    async fn files(&self, flow: Option<&str>) -> Result<Vec<ColdFile>, Error>;

    /// For a file, and given once. Only a ledger that was put back gives numbers
    /// again, of files that it knows nothing of.
    async fn number(&self) -> Result<i64, Error>;

    /// Notes that a file is about to be written. What it is to have must be read
    /// afterwards: from then on the host erases nothing of the day. This, `seal`
    /// and `remember` are refused where the archive is not owned, or no longer:
    /// who owns it then may be moving the same rows.
    async fn begin(&self, draft: &Draft) -> Result<ColdFile, Error>;

    /// From the return on the file is the truth for its rows; those it replaces,
    /// none of whose rows are in the ledger, no longer count. Refused where
    /// somebody took the file for abandoned.
    async fn seal(&self, file: &ColdFile, sealed: &Sealed, replaces: &[i64]) -> Result<(), Error>;

    /// Notes which ids are in a sealed file, and in no other one any more.
    async fn remember(&self, file: &ColdFile, known: &[Known]) -> Result<(), Error>;

    /// Removes rows that are in a sealed file and whose ids were noted before.
    /// How many were still there.
    async fn remove(&self, file: &ColdFile, rows: &[Gone]) -> Result<u64, Error>;

    /// All rows of the file are gone from the ledger.
    async fn settle(&self, file: &ColdFile) -> Result<(), Error>;

    /// A file that was not sealed never will be: `replaced`, by nothing.
    async fn discard(&self, file: &ColdFile) -> Result<(), Error>;

    /// Forgets a file that counts for nothing, and that has no object.
    async fn forget(&self, file: &ColdFile) -> Result<(), Error>;

    /// Something was moved: what the ledger believes of the size of its tables is
    /// looked up anew.
    async fn analyze(&self) -> Result<(), Error>;

    /// Much was moved: no query has to read over where it was.
    async fn vacuum(&self) -> Result<(), Error>;

    /// Which file an id was moved to.
    async fn moved(&self, flow: &str, id: &str) -> Result<Option<i64>, Error>;
}
