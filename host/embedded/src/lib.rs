//! The database file that the embedded backbone and ledger stand on: SQLite in
//! a data directory, used by one process at a time.
//!
//! One thread writes. Whatever waits for it is committed together, with one
//! fsync (WAL, `synchronous=FULL`); each call is a savepoint, so one that fails
//! takes no other with it. Reads have connections of their own and see what
//! was committed.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod error;
mod lock;
mod open;
mod readers;
pub mod values;
mod watched;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use self::lock::Lock;
use self::readers::Readers;
use self::watched::Watched;
use self::writer::Writer;

pub use self::error::{Failed, Nature, OpenError};

const PING: Duration = Duration::from_secs(2);

/// A data directory, open. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

// In the order in which they are dropped: the connection that can write is the
// last to close, which works the log into the file, and the lock outlives all.
struct Shared {
    readers: Readers,
    writer: Writer,
    dir: PathBuf,
    name: String,
    _lock: Lock,
    _ephemeral: Option<TempDir>,
}

impl Database {
    /// Opens a data directory, or makes it: recovers what a killed process
    /// left, looks whether the file is sound, and brings its tables up to date.
    /// Blocks for as long as reading the whole file takes.
    ///
    /// # Errors
    /// What a person has to change; nothing was changed then.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_in(dir.to_owned(), None)
    }

    /// In a directory of its own that is removed with it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn ephemeral() -> Result<Self, OpenError> {
        let dir = tempfile::Builder::new().prefix("floodgate-").tempdir();
        let dir = dir.map_err(|cause| OpenError::Unusable {
            dir: std::env::temp_dir(),
            cause,
        })?;
        Self::open_in(dir.path().to_owned(), Some(dir))
    }

    fn open_in(dir: PathBuf, ephemeral: Option<TempDir>) -> Result<Self, OpenError> {
        let dir = dir.as_path();
        let lock = Lock::take(dir)?;
        let connection = open::open(dir)?;
        let writer = Writer::start(connection, Watched::new(open::file(dir)));
        let shared = Shared {
            readers: Readers::new(open::file(dir)),
            writer: writer.map_err(|cause| OpenError::Unusable {
                dir: dir.to_owned(),
                cause,
            })?,
            dir: dir.to_owned(),
            name: format!("the data directory {}", dir.display()),
            _lock: lock,
            _ephemeral: ephemeral,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Which directory this is, in errors.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Runs `job` in a transaction, alone or with others that wait; `Ok` means
    /// that it was committed and is as durable as the disk makes it.
    ///
    /// # Errors
    /// That of the job, which then changed nothing, or of the commit.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failed> {
        self.shared.writer.write(job).await
    }

    /// Whether it can be written.
    pub async fn ping(&self) -> Result<(), Failed> {
        let write = self.write(|db| db.pragma_update(None, "user_version", 0));
        match tokio::time::timeout(PING, write).await {
            Ok(written) => written,
            Err(_) => Err(Failed::silent(PING)),
        }
    }

    /// Runs `job` on a connection that cannot write.
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failed> {
        let shared = self.shared.clone();
        let read = move || shared.readers.read(job);
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            Err(panicked) => Err(Failed::stopped(&panicked.to_string())),
        }
    }
}

/// Unix milliseconds.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
