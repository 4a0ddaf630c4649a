//! Shows how the oracles of a worker stand.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use floodgate_flow::Digest;
use floodgate_ledger::Choice;

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
    /// How it stands in each flow that uses it.
    #[serde(default)]
    pub in_flows: Vec<InFlow>,
}

impl OracleStatus {
    /// Returns the digest that judges for a flow, or holds it up: an earlier one
    /// than the one in force where that is broken there.
    pub fn judge_of(&self, flow: &str) -> Option<Digest> {
        let mut in_flows = self.in_flows.iter();
        let in_flow = in_flows.find(|stands| stands.flow == flow);
        in_flow.and_then(|stands| stands.digest).or(self.digest)
    }
}

/// How an oracle stands in one flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InFlow {
    pub flow: String,
    pub standing: Standing,
    /// The one that judges there, or holds the flow up.
    pub digest: Option<Digest>,
    /// Why it is not simply the one in force that judges; its end is a guest's
    /// text, and may quote a control.
    pub reason: Option<String>,
    pub since: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The one in force judges.
    Judges,
    /// The one in force fails some of its controls, and judges.
    Suspected,
    /// The one in force is broken here, and a version before it judges.
    PassedOver,
    /// It fails its controls: the flow reads nothing and admits nothing.
    Held,
}

/// A component that was not taken: what was in force stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusedSwap {
    /// `None`: it could not be read, or fetched.
    pub digest: Option<Digest>,
    pub error: String,
    pub at: Timestamp,
}
