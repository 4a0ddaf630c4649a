use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::{Failed, open};

/// Connections that stay open for the next read; more are opened as needed.
const KEPT: usize = 4;

/// Connections that cannot write.
pub(super) struct Readers {
    file: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub fn new(file: PathBuf) -> Self {
        Self {
            file,
            idle: Mutex::default(),
        }
    }

    /// `job` sees one state of the file, however many statements it makes.
    pub fn read<T>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Failed> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open::open_reader(&self.file)?,
        };
        let transaction = connection.unchecked_transaction()?;
        let read = job(&transaction)?;
        drop(transaction);
        let mut idle = idle();
        if idle.len() < KEPT {
            idle.push(connection);
        }
        Ok(read)
    }
}
