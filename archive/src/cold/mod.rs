//! Parquet files by flow and day: `<flow>/day=YYYY-MM-DD/<number>.parquet`.

mod digest;
mod encode;
mod layout;
mod local;
mod read;
mod reader;
mod store;
mod verify;
mod write;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::flows::Column;
use crate::{columns, ledger};

pub use self::digest::Digest;
pub(crate) use self::encode::COLUMNS;
pub use self::layout::path;
pub use self::read::{find, gone, known, rows, sized_rows};
pub use self::reader::Reader;
pub use self::store::Store;
pub use self::verify::verify;
pub use self::write::{Written, write};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The same call may succeed later.
    #[error("the cold tier at {place}: {what}")]
    Store { place: String, what: String },
    #[error("{path} is damaged: {what}")]
    Damaged { path: String, what: String },
    #[error(
        "{path} is there already: does another ledger write to the same place? It was left as it is"
    )]
    Taken { path: String },
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Columns(#[from] columns::Error),
    #[error("{0}")]
    Other(String),
}

/// Of a stream of rows: what the ledger said is found in it again.
impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(cause) => match cause.downcast::<ledger::Error>() {
                Ok(ledger) => Self::Ledger(*ledger),
                Err(cause) => match cause.downcast::<Self>() {
                    Ok(cold) => *cold,
                    Err(cause) => Self::Other(cause.to_string()),
                },
            },
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        Self::Columns(error.into())
    }
}

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
    /// Whether it took the place of others: its rows had left the ledger before.
    pub replaces: bool,
    /// What is in it; `None` while it is written.
    pub sealed: Option<Sealed>,
}

/// A file that is about to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub number: i64,
    pub flow: String,
    pub day: Date,
    pub columns: Vec<Column>,
}

impl Draft {
    /// As it is from when the ledger knows of it.
    pub fn begun(&self) -> ColdFile {
        ColdFile {
            number: self.number,
            flow: self.flow.clone(),
            day: self.day,
            path: path(&self.flow, self.day, self.number).to_string(),
            state: State::Writing,
            replaces: false,
            sealed: None,
        }
    }
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
    pub fn parse(state: &str) -> Option<Self> {
        let all = [Self::Writing, Self::Moving, Self::Cold, Self::Replaced];
        all.into_iter().find(|known| known.as_str() == state)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::Moving => "moving",
            Self::Cold => "cold",
            Self::Replaced => "replaced",
        }
    }
}
