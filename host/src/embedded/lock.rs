use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use tempfile::NamedTempFile;

use super::OpenError;

/// Held on the directory itself for as long as the process uses it, so that
/// nothing in it can be removed and the lock with it; gone with the process.
pub(super) struct Lock {
    _directory: File,
}

impl Lock {
    /// Makes the directory where it is missing, for nobody but this user.
    pub fn take(dir: &Path) -> Result<Self, OpenError> {
        let unusable = |cause| OpenError::Unusable {
            dir: dir.to_owned(),
            cause,
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(unusable)?;
        let directory = File::open(dir).map_err(unusable)?;
        match directory.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    dir: dir.to_owned(),
                    holder: holder(dir),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(unusable(cause)),
        }
        sign(dir).map_err(unusable)?;
        Ok(Self {
            _directory: directory,
        })
    }
}

/// Whoever stands in the way can be named.
fn sign(dir: &Path) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(dir)?;
    write!(file, "{}", std::process::id())?;
    file.persist(dir.join("pid"))?;
    Ok(())
}

fn holder(dir: &Path) -> String {
    let signed = std::fs::read_to_string(dir.join("pid"));
    // It has only just taken the lock.
    signed.unwrap_or_else(|_| "unknown".to_owned())
}
