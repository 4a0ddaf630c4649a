use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use backon::{BlockingRetryable, ConstantBuilder};

use super::OpenError;
use floodgate_process::whole_file;

/// How long opening the database waits for a lock that another process holds. A child
/// that was just forked holds the locks of its parent until the child executes its own
/// program, which takes a moment on a busy machine.
const PATIENCE: ConstantBuilder = ConstantBuilder::new()
    .with_delay(Duration::from_millis(10))
    .with_max_times(50);

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
        let is_held = |error: &TryLockError| matches!(error, TryLockError::WouldBlock);
        let taken = (|| directory.try_lock())
            .retry(PATIENCE)
            .when(is_held)
            .call();
        match taken {
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
    let pid = std::process::id().to_string();
    whole_file::write_unsynced(&dir.join("pid"), 0o600, pid.as_bytes())
}

fn holder(dir: &Path) -> String {
    let signed = std::fs::read_to_string(dir.join("pid"));
    // It has only just taken the lock.
    signed.unwrap_or_else(|_| "unknown".to_owned())
}
