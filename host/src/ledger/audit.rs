use async_trait::async_trait;
use serde_json::Value;

use super::Error;

/// A change that somebody asks the admin API for.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// How they showed that they may: `token`, or `loopback` where none is asked for.
    pub who: String,
    /// The address that they called from.
    pub peer: String,
    /// Such as `pin`, `requeue` or `post`.
    pub action: String,
    /// What it was to be done to: an oracle, a filter of dead letters, or the
    /// flow that was posted to.
    pub target: Value,
    /// `None` in rows of before each call had one.
    pub request_id: Option<String>,
}

/// A change as it was written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Audited {
    /// Unix milliseconds.
    pub at: u64,
    pub change: Change,
    /// When it ended (Unix milliseconds) and what became of it; `None` while it
    /// goes on, and for good where the host ended before it, or lost the ledger.
    pub ended: Option<(u64, Value)>,
}

/// Who changed what. Rows are only ever added, and completed once.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Writes down a change that is about to begin; the number of its row.
    async fn change_begins(&self, change: &Change) -> Result<i64, Error>;

    /// Writes down what became of it. What was said first stays.
    async fn change_ended(&self, row: i64, outcome: &Value) -> Result<(), Error>;

    /// The last `max` changes, newest first.
    async fn audit(&self, max: u32) -> Result<Vec<Audited>, Error>;
}
