use async_trait::async_trait;
use serde_json::{Map, Value};

use super::Error;
use floodgate_flow::Digest;

/// A change of what is shared: one that somebody asks the admin API for, or one
/// that a file or the host itself sets off.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// How they showed that they may: `token`, or `loopback` where none is asked
    /// for. `file` or `host` for what nobody asked the admin API for.
    pub who: String,
    /// What the caller says they are called; nobody proves it.
    pub person: Option<String>,
    /// The address that they called from; of `file` and `host` the process.
    pub peer: String,
    /// One of [`Change::ACTIONS`].
    pub action: String,
    /// What it was to be done to: an oracle, a filter of dead letters, or the
    /// flow that was posted to.
    pub target: Value,
    /// The flows that it touches; empty where it names none.
    pub flows: Vec<String>,
    /// `None` in rows of before each call had one.
    pub request_id: Option<String>,
}

impl Change {
    /// The kinds of changes: by persons, and from `swap` on by files and the host.
    pub const ACTIONS: [&str; 11] = [
        "rollback", "pin", "unpin", "requeue", "purge", "erase", "post", "swap", "hold", "release",
        "flow",
    ];
}

/// A change that several processes see, each for itself: one of them writes it
/// down, whichever comes first.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub change: Change,
    pub outcome: Value,
    /// When it was seen, in Unix milliseconds.
    pub at: u64,
    /// How often in a row this process saw this very change of the same thing,
    /// from 1 on.
    pub times: u32,
}

impl Event {
    /// Returns what it happened to: the flow, the oracle, or the oracle in the flow.
    pub fn about(&self) -> String {
        let of = |name: &str| self.change.target[name].as_str().unwrap_or_default();
        format!("{}/{}", of("flow"), of("oracle"))
    }

    /// Returns a hash that tells it from other changes of the same thing. Flows
    /// are left out: processes read the flow files one after the other.
    pub fn seen(&self) -> String {
        let Change {
            who,
            action,
            target,
            ..
        } = &self.change;
        let members = target.as_object().cloned().unwrap_or_default();
        let told: Map<_, _> = (members.into_iter())
            .filter(|(name, _)| name != "flows")
            .collect();
        let told = Value::Object(told).to_string();
        Digest::of(format!("{who} {action} {told}").as_bytes()).to_string()
    }
}

/// Which rows of the audit log are asked for. What is `None` or empty lets
/// everything pass.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Unix milliseconds; since then, and before then.
    pub since: Option<u64>,
    pub until: Option<u64>,
    /// Also lets pass what names no flow at all: it may touch this one.
    pub flow: Option<String>,
    pub actions: Vec<String>,
    /// Only rows with a smaller number.
    pub before: Option<i64>,
    pub limit: u32,
}

impl AuditFilter {
    /// Returns how older rows name the flow, which have no column of flows.
    pub(super) fn flow_in_json(&self) -> Option<String> {
        let name = Value::String(self.flow.clone()?);
        Some(format!("\"flow\":{name}"))
    }
}

/// A change as it was written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Audited {
    /// Grows from row to row.
    pub row: i64,
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

    /// Writes down what happened, unless another process did so since the last
    /// other change of the same thing, or this call was made before.
    async fn happened(&self, event: &Event) -> Result<(), Error>;

    /// Changes that match, newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Audited>, Error>;
}
