//! Parquet files by flow and day: `<flow>/day=YYYY-MM-DD/<number>.parquet`.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::flows::Column;

/// A file as the ledger knows it (`cold_files`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdFile {
    pub number: i64,
    pub flow: String,
    /// UTC.
    pub day: Date,
    /// Below the root of the cold tier.
    pub path: String,
    pub state: State,
    /// What is in it; `None` while it is written.
    pub sealed: Option<Sealed>,
}

/// A file that is about to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub flow: String,
    pub day: Date,
    pub columns: Vec<Column>,
}

/// What is in a file that was written and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub rows: u64,
    pub bytes: u64,
    /// When the first and the last of its rows happened.
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Counts for nothing yet.
    Writing,
    /// Is the truth for its rows, some of which are still in the ledger, too.
    Moving,
    Cold,
    /// Another file has its rows.
    Replaced,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::Moving => "moving",
            Self::Cold => "cold",
            Self::Replaced => "replaced",
        }
    }
}
