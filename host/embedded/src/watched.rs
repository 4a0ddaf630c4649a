use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Failed;

const PERIOD: Duration = Duration::from_secs(1);

/// The file that is written, by the name that it was opened under: SQLite
/// writes on into one that was removed, and nobody would find it again.
pub(super) struct Watched {
    file: PathBuf,
    /// Device and inode.
    opened: Option<(u64, u64)>,
    looked: Instant,
}

impl Watched {
    pub fn new(file: PathBuf) -> Self {
        Self {
            opened: identity(&file),
            file,
            looked: Instant::now(),
        }
    }

    /// Looks once a second.
    ///
    /// # Errors
    /// When the name is gone or stands for another file.
    pub fn look(&mut self) -> Result<(), Failed> {
        if self.looked.elapsed() < PERIOD {
            return Ok(());
        }
        if identity(&self.file) != self.opened {
            return Err(Failed::removed(&self.file));
        }
        self.looked = Instant::now();
        Ok(())
    }
}

fn identity(file: &std::path::Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(file).ok()?;
    Some((found.dev(), found.ino()))
}
