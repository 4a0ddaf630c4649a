//! What a flow file says: who is admitted, who judges, what is kept, how it
//! is answered. Parsing, schema, identity and reply templates; no I/O beyond
//! reading the flow directory at start.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod admit;
mod admit_table;
mod authorities;
mod batch;
mod body;
mod bounds;
#[cfg(test)]
mod bounds_tests;
mod columns;
mod controls;
mod decision;
mod deliver_table;
mod digest;
mod downstream;
mod entry;
mod fault;
mod file;
#[cfg(test)]
mod fuzz_tests;
mod happened;
mod identity;
mod keep_table;
mod load;
pub mod masked;
mod oracle_table;
mod parameter;
mod parameter_table;
mod partition;
mod placeholder;
mod pointer;
mod problem;
mod query;
mod query_table;
#[cfg(test)]
mod query_tests;
mod rate;
mod resolve;
#[cfg(test)]
mod resolve_tests;
mod sample;
mod schema;
mod set;
mod shape;
mod sql;
mod stream_id;
#[cfg(test)]
mod table_tests;
mod template;
mod track;
mod track_table;
mod typed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::admit::{Admit, Admitted, Identity, Inadmissible, RememberFull, Reply};
pub use self::authorities::{Authorities, NotAuthorities};
pub use self::batch::Batch;
pub use self::body::{NotJson, check as check_body, parse as parse_body};
pub use self::columns::{Column, ColumnKind, Table};
pub use self::controls::{MAX_CONTROLS, OperatorControls};
pub use self::decision::{Decision, Judged, Outcome, Verdict};
pub use self::digest::{Digest, NotADigest};
pub use self::downstream::{DeliverWhen, Downstream, EntryUrl, NotASegment, NotAUrl};
pub use self::entry::{
    Attributes, BodyHash, Entry, FlowName, KEY, OWNER, REQUEST_ID, TRACEPARENT, attribute,
    owner_of, sha256_16,
};
pub use self::fault::{EntryFault, FaultKind};
pub use self::happened::happened_at;
pub use self::identity::{MAX_ID, Normalise};
pub use self::parameter::{Absent, Given, MAX_SEGMENT, Parameter, ParameterKind};
pub use self::partition::{Landmark, Partition, partitions};
pub use self::placeholder::{Filled, Name, Place, Placeholder, Values};
pub use self::pointer::{NotAPointer, Pointer};
pub use self::problem::Problem;
pub use self::query::{Asked, BadParameter, Query, Statement, Statements};
pub use self::rate::{NotARate, Rate, RateOf};
pub use self::schema::{NotASchema, Schema, Violation};
pub use self::set::{FlowSet, Flows};
pub use self::shape::{Part, Shape};
pub use self::stream_id::{NotAStreamId, StreamId};
pub use self::template::{Template, TemplateError};
pub use self::track::{HealthPage, State, States, Track, TrackPath};
pub use self::typed::{Typed, ValueType};

/// One kind of traffic, checked and ready to use.
pub struct Flow {
    pub name: FlowName,
    /// The flow file as read.
    pub source: Arc<str>,
    /// Its SHA-256.
    pub digest: Digest,
    pub admit: Admit,
    /// Entries that its oracles are known to judge.
    pub controls: OperatorControls,
    /// In the order in which they judge.
    pub oracles: Vec<OracleUse>,
    pub decide: Decide,
    pub keep: Keep,
    pub table: Table,
    pub track: Option<Track>,
    pub deliver: Vec<Arc<Downstream>>,
    pub health: Vec<HealthPage>,
    pub queries: Vec<Arc<Query>>,
    pub retry: Retry,
    pub stream: StreamSettings,
}

impl Flow {
    /// Whether both say the same.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let schemas = self.admit.schema.digest() == other.admit.schema.digest();
        let queries = |flow: &'_ Self| -> Vec<Digest> {
            flow.queries.iter().map(|query| query.digest).collect()
        };
        let authorities = self.deliver == other.deliver;
        let controls = self.controls.digest == other.controls.digest;
        let same_files = schemas && authorities && controls && queries(self) == queries(other);
        same_files && self.digest == other.digest && self.name == other.name
    }

    /// Returns the uses of oracles that `before` does not contain, or contains with
    /// other settings. They are tried before this flow comes into force.
    pub fn new_uses<'f>(&'f self, before: Option<&'f Self>) -> impl Iterator<Item = &'f OracleUse> {
        let known = move || before.into_iter().flat_map(|before| &before.oracles);
        let uses = self.oracles.iter();
        uses.filter(move |usage| !known().any(|known| known.is_like(usage)))
    }

    /// What it answers to: (method, path).
    pub fn paths(&self) -> impl Iterator<Item = (&'static str, &Arc<str>)> {
        let track = self.track.iter().map(|track| track.path.route());
        let pages = self.health.iter().map(|page| &page.path);
        let queries = self.queries.iter().map(|query| &query.path);
        let gets = track.chain(pages).chain(queries).map(|path| ("GET", path));
        std::iter::once(("POST", &self.admit.path)).chain(gets)
    }

    /// Whether floodgate-archive has something to do for it.
    pub fn needs_archive(&self) -> bool {
        self.table.hot.is_some() || !self.queries.is_empty()
    }

    /// How long an id is known to the backbone after its entry is settled.
    pub fn known_for(&self) -> Duration {
        let track = self.track.as_ref().map(|track| track.keep);
        self.admit.remember.max(track.unwrap_or_default())
    }
}

/// An oracle as a flow uses it.
#[derive(Clone, Debug)]
pub struct OracleUse {
    /// The component's name: `mempool-risk` is `<oracle dir>/mempool-risk.wasm`.
    pub component: Arc<str>,
    pub settings: Arc<OracleSettings>,
    pub limits: OracleLimits,
    /// Whether each entry gets an instance of its own; `None`: where the
    /// component imports `wasi:random`.
    pub alone: Option<bool>,
    /// Tells this `[[oracle]]` table from another: what an oracle is found to
    /// be under one table says nothing about it under another.
    pub table: Digest,
}

impl OracleUse {
    pub fn new(
        component: Arc<str>,
        settings: OracleSettings,
        limits: OracleLimits,
        alone: Option<bool>,
    ) -> Self {
        let OracleLimits { memory, timeout } = limits;
        let settings_digest = settings.digest.map(|digest| digest.to_string());
        let settings_digest = settings_digest.unwrap_or_default();
        let timeout = timeout.as_nanos();
        let table = format!("{settings_digest} {memory} {timeout} {alone:?}");
        Self {
            component,
            settings: Arc::new(settings),
            limits,
            alone,
            table: Digest::of(table.as_bytes()),
        }
    }

    /// Whether both have the same component judge in the same way.
    pub fn is_like(&self, other: &Self) -> bool {
        self.component == other.component && self.table == other.table
    }

    /// The keys and values that are not those of `before`, for a person; all of
    /// them where there is none before.
    pub fn differs_from(&self, before: Option<&Self>) -> String {
        let values = |usage: &'_ Self| {
            let settings = usage.settings.values.iter();
            let settings = settings.map(|(key, value)| (format!("settings.{key}"), value.clone()));
            let OracleLimits { memory, timeout } = usage.limits;
            let memory = bytesize::ByteSize(memory as u64)
                .display()
                .iec()
                .to_string();
            let timeout = humantime::format_duration(timeout).to_string();
            let limits = [
                ("memory".to_owned(), memory),
                ("timeout".to_owned(), timeout),
            ];
            let alone = usage
                .alone
                .map(|alone| ("alone".to_owned(), alone.to_string()));
            limits
                .into_iter()
                .chain(alone)
                .chain(settings)
                .collect::<BTreeMap<_, _>>()
        };
        let (now, then) = (values(self), before.map(values).unwrap_or_default());
        let new = now
            .iter()
            .filter(|(key, value)| then.get(*key) != Some(value));
        let new = new.map(|(key, value)| match then.get(key) {
            Some(then) => format!("{key} = {value:?} (before: {then:?})"),
            None => format!("{key} = {value:?}"),
        });
        let gone = then.iter().filter(|(key, _)| !now.contains_key(*key));
        let gone = gone.map(|(key, then)| format!("no {key} (before: {then:?})"));
        new.chain(gone).collect::<Vec<_>>().join(", ")
    }
}

/// `[oracle.settings]`: what the guest reads through `settings.get`.
#[derive(Clone, Debug, Default)]
pub struct OracleSettings {
    pub values: std::collections::BTreeMap<String, String>,
    /// SHA-256 of the values, so that a decision tells which it was made with.
    pub digest: Option<Digest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OracleLimits {
    /// Bytes of linear memory of one instance.
    pub memory: usize,
    /// Deadline of one call, besides 1 ms per entry of the batch.
    pub timeout: Duration,
}

/// Above or not above the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    High,
    Low,
}

impl Label {
    /// As it is kept, whatever the flow calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Decide {
    pub combine: Combine,
    /// Strictly above: [`Label::High`].
    pub threshold: f64,
    pub high: Arc<str>,
    pub low: Arc<str>,
    /// While nothing is decided.
    pub pending: Arc<str>,
    pub unjudged: Unjudged,
}

/// What becomes of an entry that no oracle could judge, after its last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unjudged {
    DeadLetter,
    /// It counts as score 1.0, with the reason `unjudged`.
    High,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    Max,
    Min,
    Mean,
}

/// Which decisions go to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    High,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Recorded faults after which an entry is given up.
    pub attempts: u32,
    pub first: Duration,
    pub factor: f64,
    pub max: Duration,
}

impl Retry {
    /// The pause after this many recorded faults.
    pub fn backoff(&self, attempts: u32) -> Duration {
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.first.as_secs_f64() * self.factor.powi(exponent);
        Duration::try_from_secs_f64(seconds).map_or(self.max, |pause| pause.min(self.max))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    pub partitions: u16,
    /// Open entries of the flow beyond which admission answers 503.
    pub max_backlog: u64,
    /// How long settled entries stay in the stream.
    pub retain: Duration,
}

impl StreamSettings {
    /// Open entries beyond which a partition takes no more.
    pub fn max_backlog_of_partition(&self) -> u64 {
        self.max_backlog.div_ceil(u64::from(self.partitions.max(1)))
    }

    /// The partition an id belongs to.
    pub fn partition_of(&self, id: &str) -> u16 {
        if self.partitions <= 1 {
            return 0;
        }
        let hash = sha256_16(id.as_bytes());
        let hash = u64::from_be_bytes([
            hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7],
        ]);
        (hash % u64::from(self.partitions)) as u16
    }
}
