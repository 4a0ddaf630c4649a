use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use refinery::error::Kind;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tracing::info;

use super::{Failed, OpenError};

mod files {
    refinery::embed_migrations!("../migrations/embedded");
}

/// `floo`: tells a file of ours from another program's (PRAGMA application_id).
const APPLICATION_ID: i32 = 0x666c_6f6f;

/// Pages of 4 KiB after which the log is worked into the file: rarer than
/// SQLite's default of 1000, since every commit of ours is an fsync already.
const CHECKPOINT: u32 = 4000;

pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join("floodgate.db")
}

/// Held for as long as the process uses the directory; gone with it.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub fn take(dir: &Path) -> Result<Self, OpenError> {
        let not_writable = |cause| OpenError::NotWritable {
            dir: dir.to_owned(),
            cause,
        };
        std::fs::create_dir_all(dir).map_err(not_writable)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(dir.join("lock"));
        let mut file = file.map_err(not_writable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    dir: dir.to_owned(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(not_writable(cause)),
        }
        sign(&mut file).map_err(not_writable)?;
        Ok(Self { _file: file })
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut holder = String::new();
    match file.read_to_string(&mut holder) {
        Ok(1..) => holder,
        // It has only just taken the lock.
        _ => "unknown".to_owned(),
    }
}

/// The connection that writes, on a file that is sound and up to date.
pub(super) fn open(dir: &Path) -> Result<Connection, OpenError> {
    let file = file(dir);
    let connection = Connection::open(&file);
    let mut connection = connection.map_err(|error| failed(&file, &error))?;
    look(&file, &connection)?;
    prepare(&connection).map_err(|error| failed(&file, &error))?;
    migrate(&file, &mut connection)?;
    let marked = connection.pragma_update(None, "application_id", APPLICATION_ID);
    marked.map_err(|error| failed(&file, &error))?;
    Ok(connection)
}

/// A connection that cannot write.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// How long a call waits for somebody who looks into the file with a tool of
/// their own.
const BUSY: Duration = Duration::from_secs(5);

/// More than there are.
const STATEMENTS: usize = 128;

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
    // In KiB where it is negative.
    connection.pragma_update(None, "cache_size", -32 * 1024)
}

/// Whether the file is ours and whole.
fn look(file: &Path, connection: &Connection) -> Result<(), OpenError> {
    let failed = |error| failed(file, &error);
    connection.busy_timeout(BUSY).map_err(failed)?;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let tables = "SELECT count(*) FROM sqlite_master";
    let tables: u32 = connection
        .query_one(tables, (), |row| row.get(0))
        .map_err(failed)?;
    let owner = pragma("application_id").map_err(failed)?;
    let begun = "SELECT count(*) FROM sqlite_master WHERE name = 'refinery_schema_history'";
    let begun: u32 = connection
        .query_one(begun, (), |row| row.get(0))
        .map_err(failed)?;
    // A first start that was killed half-way has not marked it yet.
    if tables > 0 && owner != APPLICATION_ID && (owner != 0 || begun == 0) {
        return Err(OpenError::NotOurs {
            file: file.to_owned(),
        });
    }
    let check = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let said = connection.pragma_query_value(None, "quick_check", check);
    match said.map_err(failed)?.as_str() {
        "ok" => Ok(()),
        what => Err(OpenError::Damaged {
            file: file.to_owned(),
            what: what.to_owned(),
        }),
    }
}

fn migrate(file: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    let report = files::migrations::runner().run(connection);
    let report = report.map_err(|error| match error.kind() {
        Kind::MissingVersion(migration) => OpenError::Newer {
            file: file.to_owned(),
            what: format!("it has the migration {migration}"),
        },
        Kind::Connection(_, source) => match source.downcast_ref::<rusqlite::Error>() {
            Some(source) => failed(file, source),
            None => damaged(file, &error),
        },
        _ => damaged(file, &error),
    })?;
    for applied in report.applied_migrations() {
        info!(file = %file.display(), %applied, "migration applied");
    }
    Ok(())
}

fn failed(file: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(file, error),
        _ => OpenError::Failed {
            file: file.to_owned(),
            cause: Failed::from(error),
        },
    }
}

fn damaged(file: &Path, error: &impl std::fmt::Display) -> OpenError {
    OpenError::Damaged {
        file: file.to_owned(),
        what: error.to_string(),
    }
}
