use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;

/// Why a call was not done. Of a group that is committed together all may
/// have failed of one cause, so it can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Failed {
    pub nature: Nature,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// The disk is full or failing, or somebody else holds the file: the same
    /// call may succeed later.
    MayPass,
    /// The data itself was refused; it never will be taken.
    Data,
    /// The file is damaged, or Floodgate is: a person has to look.
    Broken,
}

impl Failed {
    pub(super) fn stopped(why: &str) -> Self {
        Self {
            nature: Nature::Broken,
            text: format!("the thread that writes has stopped: {why}"),
        }
    }

    pub(super) fn silent(limit: Duration) -> Self {
        Self {
            nature: Nature::MayPass,
            text: format!("not written within {limit:?}"),
        }
    }

    pub(super) fn removed(file: &Path) -> Self {
        Self {
            nature: Nature::MayPass,
            text: format!(
                "{} was removed or replaced under the running process: stop it, nothing that it \
                 writes can be found again",
                file.display()
            ),
        }
    }

    pub(super) fn rolled_back() -> Self {
        Self {
            nature: Nature::MayPass,
            text: "rolled back with another call of the same commit".to_owned(),
        }
    }
}

/// <https://www.sqlite.org/rescode.html>
impl From<&rusqlite::Error> for Failed {
    fn from(error: &rusqlite::Error) -> Self {
        let nature = match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly,
            ) => Nature::MayPass,
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
                Nature::Data
            }
            _ => Nature::Broken,
        };
        Self {
            nature,
            text: error.to_string(),
        }
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::from(&error)
    }
}

/// Why a data directory was not opened; the text tells the cause, too.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the data directory {dir} cannot be used: {cause}; it has to be a directory that can be \
         written, --data-dir names another"
    )]
    Unusable { dir: PathBuf, cause: io::Error },
    #[error(
        "the data directory {dir} is in use by process {holder}: stop that one first, or name \
         another directory with --data-dir"
    )]
    InUse { dir: PathBuf, holder: String },
    #[error(
        "{file} is not a database of Floodgate, or nothing of it can be recognised: move it away, \
         put a copy back, or name another directory with --data-dir"
    )]
    NotOurs { file: PathBuf },
    #[error(
        "{file} is damaged: {what}; put a copy of the whole directory back, or move it away and \
         start with an empty one"
    )]
    Damaged { file: PathBuf, what: String },
    #[error(
        "{file} was written by a newer Floodgate ({what}): start that one, or name another \
         directory with --data-dir"
    )]
    Newer { file: PathBuf, what: String },
    #[error("{file} cannot be opened: {cause}; see whether its disk is full or read-only")]
    Failed { file: PathBuf, cause: Failed },
}
