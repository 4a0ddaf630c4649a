use std::fs::{OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use refinery::error::Kind;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use tracing::info;

use super::{Failed, OpenError};

mod files {
    refinery::embed_migrations!("../../migrations/embedded");
}

/// `floo`: tells a file of ours from another program's. The first migration sets it.
const APPLICATION_ID: i32 = 0x666c_6f6f;

/// Pages of 4 KiB after which the log is worked into the file: rarer than
/// SQLite's default of 1000, since every commit of ours is an fsync already.
const CHECKPOINT: u32 = 4000;

/// Bytes.
const LARGEST_LOG: u32 = 64 << 20;

pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join("floodgate.db")
}

/// The connection that writes, on a file that is sound and up to date.
pub(super) fn open(dir: &Path) -> Result<Connection, OpenError> {
    let file = file(dir);
    let failed = |error| failed(&file, &error);
    look_for_a_log_of_nothing(&file)?;
    make_private(&file).map_err(|cause| OpenError::Unusable {
        dir: dir.to_owned(),
        cause,
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&file, flags).map_err(failed)?;
    // Whatever is refused is left as it is, its log too.
    let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep_log, true).map_err(failed)?;
    look(&file, &connection)?;
    prepare(&connection).map_err(failed)?;
    migrate(&file, &mut connection)?;
    connection.set_db_config(keep_log, false).map_err(failed)?;
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let done = connection.query_one(checkpoint, (), |_| Ok(()));
    done.map_err(failed)?;
    Ok(connection)
}

/// SQLite would make a new file, and the log of the one that is missing would go.
fn look_for_a_log_of_nothing(file: &Path) -> Result<(), OpenError> {
    let size = |file: &Path| std::fs::metadata(file).map_or(0, |found| found.len());
    let log = file.with_extension("db-wal");
    if size(file) == 0 && size(&log) > 0 {
        let what = format!("it is missing or empty, and {} is there", log.display());
        return Err(damaged(file, &what));
    }
    Ok(())
}

/// Makes the file where it is missing, for nobody but this user; SQLite gives its
/// log the same permissions. Takes those of an older version from everybody else:
/// it made the file as the umask said.
fn make_private(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => return made.map(|_| ()),
    }
    for extension in ["db", "db-wal", "db-shm"] {
        let file = file.with_extension(extension);
        let Ok(found) = std::fs::metadata(&file) else {
            continue;
        };
        // A group that somebody chose may go on reading.
        if found.permissions().mode() & 0o007 != 0 {
            std::fs::set_permissions(&file, Permissions::from_mode(0o600))?;
            info!(file = %file.display(), "everybody could read it, now only its owner can");
        }
    }
    Ok(())
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
    // Somebody who reads for long lets the log grow; afterwards it is cut.
    connection.pragma_update(None, "journal_size_limit", LARGEST_LOG)?;
    // In KiB where it is negative.
    connection.pragma_update(None, "cache_size", -32 * 1024)
}

/// Whether the file is ours and whole.
fn look(file: &Path, connection: &Connection) -> Result<(), OpenError> {
    let failed = |error| failed(file, &error);
    connection.busy_timeout(BUSY).map_err(failed)?;
    let number = |row: &Row<'_>| row.get::<_, i32>(0);
    // A first start that was killed half-way has the table of migrations, empty.
    let tables = "SELECT count(*) FROM sqlite_master
        WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> 'refinery_schema_history'";
    let tables = connection.query_one(tables, (), number).map_err(failed)?;
    let owner = connection.pragma_query_value(None, "application_id", number);
    if tables > 0 && owner.map_err(failed)? != APPLICATION_ID {
        return Err(OpenError::NotOurs {
            file: file.to_owned(),
        });
    }
    let said = connection.pragma_query_value(None, "quick_check", |row| row.get(0));
    let said: String = said.map_err(failed)?;
    match said.as_str() {
        "ok" => Ok(()),
        what => Err(damaged(file, &what)),
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
        Some(ErrorCode::DatabaseCorrupt) => damaged(file, error),
        Some(ErrorCode::NotADatabase) => OpenError::NotOurs {
            file: file.to_owned(),
        },
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
