//! What Postgres said, put into the three words of the ledger: once, here.

use std::error::Error as _;
use std::fmt::Display;
use std::io;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::Error;

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = describe(&error);
        match error.code() {
            Some(state) => of_state(state, text),
            None if is_lost_connection(&error) => Self::Unavailable(text),
            None => Self::Other(text),
        }
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn of_state(state: &SqlState, text: String) -> Error {
    match (state.code(), state.code().get(..2)) {
        // A standby, or an administrator who forbids writes: somebody else may
        // take them soon. And a transaction that was idle for too long.
        ("25006" | "25P03", _) => Error::Unavailable(text),
        // no such database, and a wrong user or password
        ("3D000", _) | (_, Some("28")) => Error::Denied(text),
        // connection, transaction rollback, resources, operator intervention
        (_, Some("08" | "40" | "53" | "57")) => Error::Unavailable(text),
        // data exception, integrity constraint, and a program limit, such as
        // JSON that is nested too deep for the stack of the server
        (_, Some("22" | "23" | "54")) => Error::Data(text),
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
        other => Error::Unavailable(format!("{address}: {other}")),
    }
}

pub(super) fn connecting(address: &str, error: &tokio_postgres::Error) -> Error {
    let text = format!("{address}: {}", describe(error));
    match error.code() {
        Some(state) => of_state(state, text),
        // While connecting only the connect timeout has no cause.
        None if is_lost_connection(error) || error.source().is_none() => Error::Unavailable(text),
        None => Error::Other(text),
    }
}

/// Whatever a migration is refused for, it is not the data of an entry.
pub(super) fn migrating(migration: &impl Display, refused: tokio_postgres::Error) -> Error {
    match Error::from(refused) {
        Error::Data(text) | Error::Other(text) => {
            Error::Other(format!("migration {migration}: {text}"))
        }
        other => other,
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(db), _) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_class(code: &str, expected: fn(&Error) -> bool) {
        let error = of_state(&SqlState::from_code(code), String::new());
        assert!(expected(&error), "{code} became {error:?}");
    }

    #[test]
    fn what_may_succeed_later_is_told_from_what_never_will() {
        // lost connection, deadlock, disk full, statement timeout, shutdown, read only
        for code in ["08006", "40P01", "53100", "57014", "57P01", "25006"] {
            assert_class(code, |error| matches!(error, Error::Unavailable(_)));
        }
        // a NUL in a text, a number out of range, a check that failed
        for code in ["22021", "22003", "23514"] {
            assert_class(code, |error| matches!(error, Error::Data(_)));
        }
        // wrong password, no such user, no such database
        for code in ["28P01", "28000", "3D000"] {
            assert_class(code, |error| matches!(error, Error::Denied(_)));
        }
        // no such table, permission denied
        for code in ["42P01", "42501"] {
            assert_class(code, |error| matches!(error, Error::Other(_)));
        }
    }
}
