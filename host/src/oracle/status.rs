use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backbone::StreamId;
use crate::flow::Digest;
use crate::ledger::Choice;

/// What `floodgate oracles` shows of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OracleStatus {
    pub name: String,
    /// The one in force; `None`: flows that use it are waiting.
    pub digest: Option<Digest>,
    /// Bytes of the component.
    pub size: usize,
    /// The last swap, or the start.
    pub since: Option<Timestamp>,
    /// These four count from `since`.
    pub calls: u64,
    pub entries: u64,
    pub faults: u64,
    /// Microseconds spent in it.
    #[serde(default)]
    pub judging_us: u64,
    pub last_error: Option<String>,
    /// Whether one is being compiled, or read from the cache.
    #[serde(default)]
    pub loading: bool,
    pub pinned: bool,
    /// The digest that was rolled back, while it still lies in the directory.
    pub rolled_back: Option<Digest>,
    /// What lies in the directory; `None`: nothing, or nothing that loads.
    pub file_digest: Option<Digest>,
    /// Milliseconds to compile it, or to read it from the cache.
    pub compile_ms: u64,
    /// What a rollback would choose; `None`: there is nothing to go back to.
    pub rollback: Option<Choice>,
    /// What should have come into force last and did not, until another does.
    #[serde(default)]
    pub refused: Option<RefusedSwap>,
}

/// A component that was not taken: what was in force stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusedSwap {
    /// `None`: it could not be read, or fetched.
    pub digest: Option<Digest>,
    pub error: String,
    pub at: Timestamp,
}

/// What became of one batch, after it was split to find the guilty entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observation<'a> {
    /// Calls of [`super::Oracle::judge`] that it took.
    pub calls: u64,
    /// The time that they took.
    pub took: Duration,
    pub succeeded: usize,
    pub failed: &'a [StreamId],
    /// One of their errors.
    pub error: Option<&'a str>,
}
