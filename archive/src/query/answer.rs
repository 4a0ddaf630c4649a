use serde::Serialize;
use serde_json::value::RawValue;

use super::rows::Column;
use super::scanned::{Scanned, Skipped};

/// What a query found.
#[derive(Debug, Serialize)]
pub struct Answer {
    pub columns: Vec<Column>,
    /// An array for each row, in the order of the columns. Too much to be copied
    /// with the rest.
    #[serde(skip)]
    pub rows: Box<RawValue>,
    /// Cold files that could not be read: what they hold is missing.
    pub skipped: Vec<Skipped>,
    pub scanned: Scanned,
    pub elapsed_ms: f64,
    /// How it was found, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

impl Answer {
    pub(super) fn bytes(&self) -> usize {
        self.rows.get().len() + self.columns.len() * 32 + 256
    }
}
