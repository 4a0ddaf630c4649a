//! What a worker publishes about itself through the backbone, for front ends, the
//! admin API and people: how its oracles stand, which flows it tried, how long
//! entries take, and which calls the backbone refuses.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod oracles;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use floodgate_flow::Digest;

pub use self::oracles::{InFlow, OracleStatus, RefusedSwap, Standing};

/// What a worker publishes about itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub oracles: Vec<OracleStatus>,
    /// The flows with oracles that it works on, and those that it did not take;
    /// `None`: a worker of a version that does not tell.
    #[serde(default)]
    pub flows: Option<Vec<FlowTried>>,
    /// From received to settled, of the last seconds.
    #[serde(default)]
    pub latency: LatencyCounts,
    #[serde(default)]
    pub stuck: Vec<StuckCall>,
}

/// How long entries took, by flow. Each pair is a time in milliseconds and the number
/// of entries that took so long.
pub type LatencyCounts = BTreeMap<String, Vec<(u64, u64)>>;

/// A call that the backbone refuses for good, as a worker reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StuckCall {
    pub flow: String,
    pub partition: u16,
    /// The call that the worker tries again and again, such as `settle`.
    pub call: String,
    pub error: String,
}

/// A definition of a flow that a worker has tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowTried {
    pub flow: String,
    /// The digest of the flow file.
    pub digest: Digest,
    /// Why the worker refused the flow file. `None` if the worker uses it.
    pub error: Option<String>,
}
