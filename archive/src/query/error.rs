use std::sync::Arc;
use std::time::Duration;

use datafusion::error::DataFusionError;

use crate::{flows, ledger};

/// Why a query was not answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("no flow {0}")]
    NoFlow(String),
    #[error("{0}")]
    Statement(String),
    /// Every parameter that is wrong, and how.
    #[error("{}", listed(.0))]
    Parameters(Vec<Wrong>),
    #[error("it took longer than the {} that it had", humantime::format_duration(*.0))]
    TooLong(Duration),
    #[error(
        "it needs more memory than the queries at work share (--memory): {0}; ask for less time or \
         for fewer groups at once"
    )]
    Memory(String),
    #[error("it needs more room for what did not fit into memory than there is (--spill): {0}")]
    Disk(String),
    #[error("its answer has more than {0}; a LIMIT or a GROUP BY makes it smaller")]
    TooMuch(&'static str),
    /// The same query may be answered later.
    #[error("{0}")]
    Away(String),
    #[error(transparent)]
    Flows(#[from] Arc<flows::Error>),
    #[error("{0}")]
    Internal(String),
}

/// A parameter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Wrong {
    pub parameter: String,
    pub message: String,
}

fn listed(wrong: &[Wrong]) -> String {
    let each = |wrong: &Wrong| format!("{}: {}", wrong.parameter, wrong.message);
    wrong.iter().map(each).collect::<Vec<_>>().join("; ")
}

impl From<ledger::Error> for Error {
    fn from(error: ledger::Error) -> Self {
        match error {
            ledger::Error::Away(_) | ledger::Error::NotMigrated(_) => Self::Away(error.to_string()),
            ledger::Error::Other(_) => Self::Internal(error.to_string()),
        }
    }
}

/// What became of one attempt at a query.
#[derive(Debug)]
pub(super) enum Failure {
    Final(Error),
    /// Some file may be at fault: it is there no more, or is not what was written.
    Files(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl From<ledger::Error> for Failure {
    fn from(error: ledger::Error) -> Self {
        Self::Final(error.into())
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        let root = error.find_root();
        let text = root.strip_backtrace();
        // Only its words tell it from a cold file that cannot be read.
        if text.contains("used disk space during the spilling") || text.contains("No space left") {
            return Self::Final(Error::Disk(text));
        }
        match root {
            DataFusionError::External(cause) => match cause.downcast_ref::<ledger::Error>() {
                Some(ledger::Error::Other(_)) => Self::Final(Error::Internal(text)),
                Some(_) => Self::Final(Error::Away(text)),
                None => match cause.downcast_ref::<Error>() {
                    Some(error) => Self::Final(error.clone()),
                    None => Self::Files(text),
                },
            },
            DataFusionError::ResourcesExhausted(text) => Self::Final(Error::Memory(text.clone())),
            DataFusionError::ParquetError(_)
            | DataFusionError::ObjectStore(_)
            | DataFusionError::IoError(_) => Self::Files(text),
            DataFusionError::ArrowError(cause, _) if is_of_a_file(cause) => Self::Files(text),
            DataFusionError::Internal(_) | DataFusionError::ExecutionJoin(_) => {
                Self::Final(Error::Internal(text))
            }
            _ => Self::Final(Error::Statement(text)),
        }
    }
}

fn is_of_a_file(error: &datafusion::arrow::error::ArrowError) -> bool {
    use datafusion::arrow::error::ArrowError::{ExternalError, IoError, ParquetError};
    matches!(error, ExternalError(_) | IoError(..) | ParquetError(_))
}
