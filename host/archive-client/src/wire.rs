//! What is said between the two, in JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use floodgate_flow::{Attributes, Digest, Judged, Label, Typed};

/// `POST /query`
#[derive(Clone, Debug, Serialize)]
pub struct Query<'q> {
    pub flow: &'q str,
    pub sql: &'q str,
    /// By their names in the SQL, without the `$`.
    pub parameters: &'q BTreeMap<String, Typed>,
    pub timeout_ms: u64,
    /// 0: the answer is computed anew.
    pub cache_ms: u64,
    /// The plan is wanted, too.
    pub explain: bool,
}

/// `POST /plan`: SQL that is looked at, and not run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Plan<'q> {
    pub flow: &'q str,
    pub sql: &'q str,
    pub parameters: &'q BTreeMap<String, Typed>,
}

/// What a query found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub columns: Vec<Column>,
    /// In the order of the columns.
    pub rows: Vec<Vec<Box<RawValue>>>,
    /// Cold files that could not be read; the rest was.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    #[serde(default)]
    pub scanned: Scanned,
    #[serde(default)]
    pub elapsed_ms: f64,
    #[serde(default)]
    pub plan: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Skipped {
    pub file: String,
    pub why: String,
}

/// What was read to answer.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Scanned {
    pub files: u64,
    pub bytes: u64,
    pub cold_rows: u64,
    pub hot_rows: u64,
}

/// `GET /entries/{flow}/{file}/{id}`: an entry that was moved out of the ledger.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub id: String,
    pub received_at: Timestamp,
    pub decided_at: Timestamp,
    pub score: Option<f64>,
    pub label: Option<Label>,
    /// In the words of the flow file.
    pub label_name: Option<String>,
    #[serde(default)]
    pub reasons: Option<Vec<String>>,
    pub output: Option<String>,
    #[serde(default)]
    pub oracles: Option<Vec<Judged>>,
    #[serde(default)]
    pub threshold: Option<f64>,
    pub flow_digest: Digest,
    #[serde(default)]
    pub stream_id: Option<String>,
    #[serde(default)]
    pub attributes: Option<Attributes>,
    #[serde(default)]
    pub deliveries: Option<Vec<Delivered>>,
    /// In hex.
    pub body_hash: String,
    /// As it was admitted; `None`: it was erased.
    pub body: Option<String>,
    #[serde(default)]
    pub erased_at: Option<Timestamp>,
}

/// How a delivery ended before its decision was moved.
#[derive(Clone, Debug, Deserialize)]
pub struct Delivered {
    pub downstream: String,
    pub state: String,
    #[serde(default)]
    pub attempts: u32,
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    #[serde(default)]
    pub error: Option<String>,
}

/// `POST /run`: what one pass did.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pass {
    pub moved: Vec<Moved>,
    pub merged: Vec<Moved>,
    /// For a person to look at; the pass went on.
    pub problems: Vec<String>,
}

/// One file that was written.
#[derive(Clone, Debug, Deserialize)]
pub struct Moved {
    pub flow: String,
    pub day: String,
    pub file: i64,
    pub rows: u64,
    #[serde(default)]
    pub bytes: u64,
    #[serde(default)]
    pub seconds: f64,
}

/// `POST /erase`: the files that are without the body now.
#[derive(Clone, Debug, Deserialize)]
pub struct Erased {
    pub files: Vec<String>,
}
