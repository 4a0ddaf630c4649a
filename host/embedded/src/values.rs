//! What is neither text nor number, as columns.

use std::error::Error;
use std::time::Duration;

use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// SQLite's integers are signed; what does not fit is as large as can be.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// # Errors
/// Never for strings, numbers and lists of them.
pub fn to_json(value: &(impl Serialize + ?Sized)) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub fn from_json<T: DeserializeOwned>(json: &str) -> rusqlite::Result<T> {
    serde_json::from_str(json).map_err(unreadable)
}

/// Names and values; NULL where there are none.
pub fn attributes(pairs: &[(String, String)]) -> rusqlite::Result<Option<String>> {
    (!pairs.is_empty()).then(|| to_json(pairs)).transpose()
}

/// Somebody else wrote the row.
pub fn unreadable(error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}
