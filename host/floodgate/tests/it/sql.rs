//! What a ledger answers to the SQL of a test, as text. It is nothing while the
//! ledger is away or has no tables; a mistake in the SQL is no answer.

use std::path::Path;

use floodgate_prove::servers::look_into;
use rusqlite::ErrorCode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use crate::host::DEADLINE;

pub async fn ask_postgres(url: &str, sql: &str) -> Vec<Vec<String>> {
    let Ok(client) = look_into(url).await else {
        return Vec::new();
    };
    let answers = client.simple_query(sql).await.unwrap_or_else(|error| {
        let mistakes = [SqlState::SYNTAX_ERROR, SqlState::UNDEFINED_COLUMN];
        let mistaken = error.code().is_some_and(|code| mistakes.contains(code));
        assert!(!mistaken, "{sql}: {error}");
        Vec::new()
    });
    let rows = answers.into_iter().filter_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let texts = |row: SimpleQueryRow| {
        let text = |at| row.get(at).unwrap_or_default().to_owned();
        (0..row.len()).map(text).collect()
    };
    rows.map(texts).collect()
}

pub fn ask_file(dir: &Path, sql: &str) -> Vec<Vec<String>> {
    asked(dir, sql).unwrap_or_else(|error| {
        // Whatever else it is, it comes from the file.
        let mistaken = error.sqlite_error_code() == Some(ErrorCode::Unknown);
        let no_tables = error.to_string().contains("no such table");
        assert!(no_tables || !mistaken, "{sql}: {error}");
        Vec::new()
    })
}

fn asked(dir: &Path, sql: &str) -> rusqlite::Result<Vec<Vec<String>>> {
    let file = rusqlite::Connection::open(dir.join("floodgate.db"))?;
    file.busy_timeout(DEADLINE)?;
    let mut query = file.prepare(sql)?;
    let columns = query.column_count();
    let rows = query.query_map((), |row| {
        let text = |at| {
            Ok(match row.get(at)? {
                rusqlite::types::Value::Text(text) => text,
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Real(number) => number.to_string(),
                _ => String::new(),
            })
        };
        (0..columns).map(text).collect()
    })?;
    rows.collect()
}
