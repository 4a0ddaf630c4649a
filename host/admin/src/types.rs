//! What the admin API says, in JSON; the CLI reads the same types.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use floodgate_flow::{Attributes, Digest, Outcome, Typed};
use floodgate_report::OracleStatus;

/// `GET /flows`
#[derive(Debug, Serialize, Deserialize)]
pub struct FlowStatus {
    pub name: String,
    /// `running`; `held`: an oracle of it fails its control entries, nothing is
    /// read and nothing admitted; `draining`: its file was removed, and what is
    /// open of it is worked off; or `stuck`: the backbone refuses calls that it
    /// never will take.
    pub state: String,
    /// The calls that are refused, with the partition and the error, one for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<String>,
    /// Why it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With their methods, such as `POST /transactions`.
    pub paths: Vec<String>,
    pub oracles: Vec<String>,
    /// Appended and neither settled nor dead.
    pub open: u64,
    /// Appended, and nobody has read it yet.
    #[serde(default)]
    pub waiting: u64,
    /// Delivered and not settled.
    pub pending: u64,
    /// Of those, waiting for their next attempt.
    pub retrying: u64,
    /// Gone from the stream while they were open: somebody else trimmed it.
    pub lost: u64,
    /// Milliseconds since the oldest open entry was received.
    pub oldest_ms: Option<u64>,
    /// Settled with a decision, ever.
    #[serde(default)]
    pub decided: u64,
    /// Settled as dead and not requeued.
    #[serde(default)]
    pub dead: u64,
}

/// `GET /oracles`: one row per worker and oracle.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkerOracle {
    pub worker: String,
    #[serde(flatten)]
    pub oracle: OracleStatus,
}

/// `POST /oracles/{name}/rollback`, `/pin`, `/unpin`
#[derive(Debug, Serialize, Deserialize)]
pub struct Chosen {
    pub name: String,
    /// The digest that is in force from now on; `None`: what lies in the directory.
    pub digest: Option<String>,
}

/// The body of `POST /oracles/{name}/rollback` and `/unpin`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The body of `POST /oracles/{name}/pin`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The whole digest or its beginning, as far as it names one.
    pub digest: String,
}

/// `GET /pending?flow=&max=`
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingEntry {
    pub flow: String,
    pub partition: u16,
    pub stream_id: String,
    pub id: Option<String>,
    /// The worker that holds it, or `retry`.
    pub owner: String,
    pub idle_ms: u64,
    pub deliveries: u32,
    pub attempts: u32,
    /// `None` while a worker holds it.
    pub next_attempt: Option<Timestamp>,
    pub fault: Option<String>,
    pub last_error: Option<String>,
    /// Why the flow is held; only where the fate of this entry was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// `GET /why/{flow}/{id}`: what became of an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Why {
    /// Never appended, or settled and not kept longer ago than `remember`.
    NeverSeen { remember: String },
    /// In the stream, and nobody has read it yet.
    Waiting {
        since: Option<Timestamp>,
        /// Entries before it that nobody has read, counted up to 100,000.
        ahead: u64,
        /// An oracle of the flow that no worker runs.
        missing_oracle: Option<String>,
        /// Why the flow is held.
        #[serde(default)]
        held: Option<String>,
    },
    /// A worker holds it, or it waits for its next attempt.
    Pending(PendingEntry),
    Decided {
        label: Option<String>,
        score: Option<f64>,
        reasons: Vec<String>,
        oracles: Vec<DecidedBy>,
        /// Where the flow delivers.
        deliveries: Vec<Delivery>,
        request_id: Option<String>,
        decided_at: Option<Timestamp>,
        /// The number of the file that it was moved to; `None`: the ledger has it.
        #[serde(default)]
        cold_file: Option<i64>,
        /// Since then there is neither a body nor an output.
        #[serde(default)]
        erased_at: Option<Timestamp>,
    },
    /// Decided, and not among what the flow keeps.
    NotKept { received_at: Option<Timestamp> },
    Dead {
        fault: String,
        error: String,
        attempts: u32,
        last_at: Option<Timestamp>,
        request_id: Option<String>,
        /// Its body is gone: it cannot be requeued.
        #[serde(default)]
        erased: bool,
    },
}

/// How far a decision has come on its way to a downstream.
#[derive(Debug, Serialize, Deserialize)]
pub struct Delivery {
    pub downstream: String,
    /// `waiting`, `in-flight`, `delivered` or `given-up`
    pub state: String,
    pub attempts: u32,
    /// Of the last attempt that failed.
    pub error: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct DecidedBy {
    pub name: String,
    pub digest: String,
    pub score: f64,
}

/// `GET /decisions?flow=&max=`: a decision that was kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    pub flow: String,
    pub id: String,
    pub label: Option<String>,
    pub score: Option<f64>,
    pub reasons: Vec<String>,
    pub oracles: Vec<DecidedBy>,
    pub received_at: Option<Timestamp>,
    pub decided_at: Option<Timestamp>,
    /// What the request was called that it came with.
    pub request_id: Option<String>,
}

/// `GET /decisions/{flow}/{id}`: a decision with all that it takes to make it again.
#[derive(Debug, Serialize, Deserialize)]
pub struct WholeDecision {
    pub flow: String,
    pub id: String,
    pub body: String,
    /// SHA-256 of the body as it was admitted, its first 16 bytes in hex.
    pub body_hash: String,
    /// Unix milliseconds.
    pub received_at: u64,
    /// All that came with it, also what oracles are not shown.
    pub attributes: Attributes,
    pub outcome: Outcome,
    pub threshold: f64,
    pub flow_digest: Digest,
    /// Since then there is neither a body nor an output.
    #[serde(default)]
    pub erased_at: Option<Timestamp>,
    /// The flow file of that digest; `None`: the ledger does not have it.
    pub definition: Option<String>,
    /// Secrets in URLs of the definition are masked, and its digest is another one;
    /// the host found that what it masked was the one that is meant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub definition_masked: bool,
}

/// `GET /dead?flow=&fault=&id=&limit=`
#[derive(Debug, Serialize, Deserialize)]
pub struct Dead {
    pub flow: String,
    pub partition: u16,
    pub stream_id: String,
    pub id: String,
    pub fault: String,
    pub error: String,
    pub oracle: Option<String>,
    pub digest: Option<String>,
    pub attempts: u32,
    pub deliveries: u32,
    pub received_at: Option<Timestamp>,
    pub first_at: Option<Timestamp>,
    pub last_at: Option<Timestamp>,
    /// What the request was called that it came with.
    pub request_id: Option<String>,
    /// Its body is gone: it cannot be requeued.
    #[serde(default)]
    pub erased: bool,
    /// As text; bytes that are none are shown as U+FFFD. Absent in the
    /// dashboard's snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The body of `POST /dead/requeue`, `/dead/rehearse` and `/dead/purge`: which
/// ones. At least one of them, so that nobody empties the list by a slip.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichDead {
    pub flow: Option<String>,
    pub fault: Option<String>,
    pub id: Option<String>,
    /// The digest of the oracle that they died in, or its beginning.
    pub digest: Option<String>,
    /// Died since.
    pub since: Option<Timestamp>,
    /// Requeue at most so many per second.
    pub rate: Option<u32>,
    /// At most so many, the newest.
    pub limit: Option<u32>,
}

/// `POST /dead/rehearse`: what the oracles of now say of a dead letter, which
/// stays where it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rehearsed {
    pub flow: String,
    pub id: String,
    pub died_of: String,
    /// The score that it would get; `None`: it would fail again.
    pub score: Option<f64>,
    pub fault: Option<String>,
    pub error: Option<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct DeadDone {
    pub done: u64,
    /// Requeued or decided by somebody else meanwhile, or never an entry of ours.
    pub skipped: u64,
    /// Of the skipped, those whose bodies were erased.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub erased: u64,
}

/// The body of `POST /erase`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    pub flow: String,
    pub id: String,
}

/// What an erasure touched.
#[derive(Debug, Serialize, Deserialize)]
pub struct Erased {
    pub flow: String,
    /// As the flow normalises it.
    pub id: String,
    /// In the log: entries, and what was remembered of the decision.
    pub copies: u64,
    /// Whether a decision lost its body.
    pub decision: bool,
    pub dead_letters: u64,
    /// Deliveries that waited and will not be made.
    pub deliveries: u64,
    /// Of oracles that judged it well, which it was a control entry of.
    #[serde(default)]
    pub controls: u64,
    /// Of the cold tier, that are without the body now.
    pub files: Vec<String>,
    /// When the decision in the ledger was erased, this time or before.
    pub erased_at: Option<Timestamp>,
    /// What may quote it for a while yet, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

impl Erased {
    /// Each part in words; `nothing` where there is none.
    pub fn touched(&self) -> Vec<String> {
        let some = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{count} {many}")),
        };
        let parts = [
            self.decision.then(|| "its decision".to_owned()),
            some(self.dead_letters, "dead letter", "dead letters"),
            some(self.deliveries, "delivery", "deliveries"),
            some(self.copies, "copy in the stream", "copies in the stream"),
            some(self.controls, "control entry", "control entries"),
        ];
        let files = self
            .files
            .iter()
            .map(|file| format!("the cold file {file}"));
        let touched: Vec<String> = parts.into_iter().flatten().chain(files).collect();
        match touched.is_empty() {
            true => vec!["nothing".to_owned()],
            false => touched,
        }
    }
}

/// `GET /flows/{name}/kept?since=`: decisions kept of entries received since.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptSince {
    pub kept: u64,
}

/// The body of `POST /query`: SQL over all that a flow ever kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdHoc {
    pub flow: String,
    pub sql: String,
    /// By their names in the SQL, without the `$`.
    #[serde(default)]
    pub parameters: BTreeMap<String, Typed>,
    /// Up to ten minutes.
    pub timeout_ms: u64,
    /// The plan is wanted, too.
    #[serde(default)]
    pub explain: bool,
}

/// `GET /audit?max=&since=&until=&flow=&kind=&before=`: a change that somebody
/// made, or tried to make, or that a file or the host set off.
#[derive(Debug, Serialize, Deserialize)]
pub struct Audited {
    /// Grows from row to row: `before` asks for those that are older.
    pub seq: i64,
    pub at: Option<Timestamp>,
    /// `token`, or `loopback` where the admin API asks for none; `file` or
    /// `host` where nobody asked.
    pub who: String,
    /// What the caller says they are called.
    pub person: Option<String>,
    /// The address that they called from; of `file` and `host` the process.
    pub peer: String,
    /// `rollback`, `pin`, `unpin`, `requeue`, `purge`, `erase` or `post`; `swap`,
    /// `hold`, `release` or `flow`
    pub action: String,
    /// The oracle, the filter of dead letters, the entry, or the flow that was
    /// posted to.
    pub target: Value,
    /// The flows that it touches; empty where it names none.
    pub flows: Vec<String>,
    /// Of the call, and of the entries where it is a post; `None` in old rows,
    /// of before each call had one.
    pub request_id: Option<String>,
    pub ended_at: Option<Timestamp>,
    /// What was done, to which ids, or what a post was answered, and an `error`
    /// where not all of it was done; `None` while it goes on, and
    /// for good where the host ended before it, or lost the ledger.
    pub outcome: Option<Value>,
}
