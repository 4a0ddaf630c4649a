//! The ledger in the embedded database file. The host has it open, too, and
//! writes: what is written here is written in short transactions.

mod files;
mod scan;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use jiff::civil::Date;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

use super::{ColdFile, Draft, Error, Gone, Known, LOOK, Ledger, Owned, Place, Sealed, Snapshot};

/// How long a call waits for the host, which may be writing.
const BUSY: Duration = Duration::from_secs(10);

/// Rows leave the index by id all over it: 64 MiB of pages in memory, and as many
/// in the log before they are written where they belong.
const ROOM: &str = "PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 16384";

/// `floo`: the host's first migration sets it.
const APPLICATION_ID: i32 = 0x666c_6f6f;

/// A data directory.
pub struct Embedded {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    /// The connection that writes, once it was needed.
    writer: Mutex<Option<Connection>>,
}

impl Embedded {
    /// Opens nothing yet.
    pub fn new(dir: &Path) -> Self {
        Self {
            shared: Arc::new(Shared {
                dir: dir.to_owned(),
                writer: Mutex::default(),
            }),
        }
    }

    /// On a connection that cannot write.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.shared.clone();
        blocking(move || job(&shared.reader()?)).await
    }

    /// In a transaction of its own, which is durable at the return.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.shared.clone();
        blocking(move || shared.write("full", job)).await
    }

    /// As [`Self::write`], but durable with whatever is durable after it.
    async fn write_lazily<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.shared.clone();
        blocking(move || shared.write("normal", job)).await
    }
}

impl Shared {
    fn open(&self, access: OpenFlags) -> Result<Connection, Error> {
        let file = self.dir.join("floodgate.db");
        let named = |error: rusqlite::Error| match Error::from(error) {
            Error::Away(text) => Error::Away(format!("{}: {text}", file.display())),
            other => other,
        };
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags).map_err(named)?;
        connection.busy_timeout(BUSY)?;
        let owner = |row: &Row<'_>| row.get::<_, i32>(0);
        let owner = connection.pragma_query_value(None, "application_id", owner);
        if owner.map_err(named)? != APPLICATION_ID {
            let file = file.display();
            return Err(Error::Other(format!(
                "{file} is not a database of Floodgate"
            )));
        }
        Ok(connection)
    }

    fn reader(&self) -> Result<Connection, Error> {
        self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn write<T>(
        &self,
        synchronous: &str,
        job: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match writer.take() {
            Some(connection) => connection,
            None => {
                let connection = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
                connection.execute_batch(ROOM)?;
                connection
            }
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = job(&connection);
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = connection.execute_batch(end);
        // One that is left in a transaction is closed.
        if connection.is_autocommit() {
            *writer = Some(connection);
        }
        let done = done?;
        ended?;
        Ok(done)
    }
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(job).await;
    done.unwrap_or_else(|panicked| Err(Error::Other(panicked.to_string())))
}

/// <https://www.sqlite.org/rescode.html>
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly,
            ) => Self::Away(text),
            _ if text.contains("no such table") || text.contains("no such column") => {
                Self::NotMigrated(text)
            }
            _ => Self::Other(text),
        }
    }
}

#[async_trait]
impl Ledger for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    async fn ping(&self) -> Result<(), Error> {
        let look = "SELECT count(*) FROM (SELECT 1 FROM cold_files LIMIT 1)";
        self.read(move |db| Ok(db.query_one(look, (), |_| Ok(()))?))
            .await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        let shared = self.shared.clone();
        let instant = blocking(move || scan::Instant::new(shared.reader()?)).await?;
        Ok(Box::new(instant))
    }

    async fn own(&self, patience: Duration) -> Result<Option<Box<dyn Owned>>, Error> {
        let began = Instant::now();
        let file = self.shared.dir.join("cold.lock");
        let unusable = |error| Error::Other(format!("{}: {error}", file.display()));
        let open = OpenOptions::new().create(true).append(true).open(&file);
        let lock = open.map_err(unusable)?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(Box::new(Owner(lock)))),
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
                Err(TryLockError::WouldBlock) if began.elapsed() >= patience => return Ok(None),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn days(&self, flow: &str, before: Date, most: usize) -> Result<Vec<Date>, Error> {
        let flow = flow.to_owned();
        self.read(move |db| scan::days(db, &flow, before, most))
            .await
    }

    async fn day(
        &self,
        flow: &str,
        day: Date,
        after: Option<Place>,
        most: usize,
    ) -> Result<SendableRecordBatchStream, Error> {
        let shared = self.shared.clone();
        let reader = blocking(move || shared.reader()).await?;
        scan::day(reader, flow, day, after, most)
    }

    async fn files(&self, flow: Option<&str>) -> Result<Vec<ColdFile>, Error> {
        let flow = flow.map(str::to_owned);
        self.read(move |db| files::all(db, flow.as_deref())).await
    }

    async fn number(&self) -> Result<i64, Error> {
        self.write_lazily(files::number).await
    }

    async fn begin(&self, draft: &Draft) -> Result<ColdFile, Error> {
        let draft = draft.clone();
        self.write(move |db| files::begin(db, &draft)).await
    }

    async fn seal(&self, file: &ColdFile, sealed: &Sealed, replaces: &[i64]) -> Result<(), Error> {
        let (file, sealed, replaces) = (file.clone(), sealed.clone(), replaces.to_vec());
        let seal = move |db: &Connection| files::seal(db, &file, &sealed, &replaces);
        self.write(seal).await
    }

    async fn remember(&self, file: &ColdFile, known: &[Known]) -> Result<(), Error> {
        let (file, known) = (file.clone(), known.to_vec());
        self.write_lazily(move |db| files::remember(db, &file, &known))
            .await
    }

    async fn remove(&self, file: &ColdFile, rows: &[Gone]) -> Result<u64, Error> {
        let (file, rows) = (file.clone(), rows.to_vec());
        self.write_lazily(move |db| files::remove(db, &file, &rows))
            .await
    }

    async fn settle(&self, file: &ColdFile) -> Result<(), Error> {
        let file = file.clone();
        self.write(move |db| files::settle(db, &file)).await
    }

    async fn discard(&self, file: &ColdFile) -> Result<(), Error> {
        let file = file.clone();
        self.write(move |db| files::discard(db, &file)).await
    }

    async fn forget(&self, file: &ColdFile) -> Result<(), Error> {
        let file = file.clone();
        self.write(move |db| files::forget(db, &file)).await
    }

    /// SQLite plans by what it has: a look for an id is one in an index.
    async fn analyze(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What SQLite removes is gone at once.
    async fn vacuum(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn moved(&self, flow: &str, id: &str) -> Result<Option<i64>, Error> {
        let (flow, id) = (flow.to_owned(), id.to_owned());
        self.read(move |db| files::moved(db, &flow, &id)).await
    }
}

/// Whoever is killed loses the file, and the lock with it.
struct Owner(#[expect(dead_code, reason = "held, never asked")] File);

impl Owned for Owner {}
