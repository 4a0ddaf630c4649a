//! What Postgres said, put into the words of the ledger: once, here.

use std::error::Error as _;
use std::io;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::ledger::Error;

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        of(&error, describe(&error))
    }
}

fn of(error: &tokio_postgres::Error, text: String) -> Error {
    match error.code() {
        Some(state) if *state == SqlState::UNDEFINED_TABLE => Error::NotMigrated(text),
        Some(state) if *state == SqlState::UNDEFINED_COLUMN => Error::NotMigrated(text),
        Some(state) => of_state(state, text),
        None if is_lost_connection(error) => Error::Away(text),
        None => Error::Other(text),
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn of_state(state: &SqlState, text: String) -> Error {
    match state.code().get(..2) {
        // connection, transaction rollback, resources, state of an object such
        // as a lock that was not to be had, operator intervention
        Some("08" | "40" | "53" | "55" | "57") => Error::Away(text),
        _ => Error::Other(text),
    }
}

fn is_lost_connection(error: &tokio_postgres::Error) -> bool {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<io::Error>());
    // The driver also uses io::Error for messages that it could not write or read.
    let unreadable = [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData];
    error.is_closed() || cause.is_some_and(|cause| !unreadable.contains(&cause.kind()))
}

pub(super) fn pooled(address: &str, error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => connecting(address, &error),
        other => Error::Away(format!("{address}: {other}")),
    }
}

pub(super) fn connecting(address: &str, error: &tokio_postgres::Error) -> Error {
    let text = format!("{address}: {}", describe(error));
    // While connecting only the connect timeout has no cause.
    match error.code().is_none() && error.source().is_none() {
        true => Error::Away(text),
        false => of(error, text),
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(db), _) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}
