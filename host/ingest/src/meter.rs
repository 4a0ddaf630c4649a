//! What is measured of the way into a flow.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Histogram};

use super::Refusal;
use floodgate_backbone::Appended;
use floodgate_flow::FlowName;
use floodgate_process::metrics::table;

/// Of a flow's requests.
pub(super) struct RequestMeter {
    flow: FlowName,
    duration: Histogram,
    /// By their codes, of which few ever happen.
    refused: RwLock<Vec<(&'static str, Counter)>>,
}

impl RequestMeter {
    pub fn of(flow: &FlowName) -> Self {
        Self {
            duration: table::REQUEST_DURATION.of([flow.as_str()]),
            refused: RwLock::default(),
            flow: flow.clone(),
        }
    }

    pub fn answered(&self, after: Duration) {
        self.duration.record(after);
    }

    pub fn refused(&self, refusal: &Refusal) {
        let reason = refusal.code();
        let known = self.refused.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = known.iter().find(|(code, _)| *code == reason) {
            count.increment(1);
            return;
        }
        drop(known);
        let count = table::REQUESTS_REFUSED.of([self.flow.as_str(), reason]);
        count.increment(1);
        let mut known = self.refused.write().unwrap_or_else(PoisonError::into_inner);
        if known.iter().all(|(code, _)| *code != reason) {
            known.push((reason, count));
        }
    }
}

/// Of one path that answers queries.
pub(super) struct QueryMeter {
    flow: FlowName,
    path: Arc<str>,
    duration: Histogram,
}

impl QueryMeter {
    pub fn of(flow: &FlowName, path: &Arc<str>) -> Self {
        Self {
            duration: table::QUERY_DURATION.of([flow.as_str(), path]),
            flow: flow.clone(),
            path: Arc::clone(path),
        }
    }

    /// Queries are few, and outcomes fewer: their counters are looked up.
    pub fn ended(&self, outcome: &str) {
        let count = table::QUERIES.of([self.flow.as_str(), &self.path, outcome]);
        count.increment(1);
    }

    pub fn answered(&self, after: Duration) {
        self.duration.record(after);
    }
}

/// Of the groups of one partition.
pub(super) struct AppendMeter {
    entries: Histogram,
    duration: Histogram,
    accepted: Counter,
    replayed: Counter,
}

impl AppendMeter {
    pub fn of(flow: &FlowName) -> Self {
        let flow = [flow.as_str()];
        Self {
            entries: table::APPEND_GROUP_ENTRIES.of(flow),
            duration: table::APPEND_DURATION.of(flow),
            accepted: table::ENTRIES_ACCEPTED.of(flow),
            replayed: table::ENTRIES_REPLAYED.of(flow),
        }
    }

    /// A call came back, whatever it says.
    pub fn called(&self, entries: usize, after: Duration) {
        self.entries.record(entries as f64);
        self.duration.record(after);
    }

    pub fn taken(&self, new: u64, appended: &[Appended]) {
        let is_replayed = |of: &&Appended| matches!(of, Appended::Replayed { .. });
        self.accepted.increment(new);
        self.replayed
            .increment(appended.iter().filter(is_replayed).count() as u64);
    }
}
