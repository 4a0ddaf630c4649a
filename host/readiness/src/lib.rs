//! Whether new work is welcome here: what a load balancer asks.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::StatusCode;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use floodgate_backbone::{self as backbone, Backbone, MemoryUse};
use floodgate_flow::{Flow, Flows, Partition, partitions};
use floodgate_ledger::Ledger;
use floodgate_process::fresh::{Fresh, Unknown, within};
use floodgate_report::{InFlow, Standing};

/// Says whether this process is ready, and why it is not.
pub struct Readiness {
    pub flows: Flows,
    pub backbone: Arc<dyn Backbone>,
    pub ledger: Arc<dyn Ledger>,
    /// Whether it has a front end: then it is ready while that admits, and the
    /// ledger may be away, but not unusable. Else it is ready while it can work.
    pub admits: bool,
    /// Cancelled once it is about to stop.
    pub draining: CancellationToken,
    pub asked: Asked,
}

/// What was asked, and found.
#[derive(Default)]
pub struct Asked {
    ever: AtomicBool,
    last: Fresh<Found>,
}

/// What was found.
#[derive(Clone, Default)]
struct Found {
    reasons: Vec<Reason>,
    held: Vec<String>,
}

/// Why nothing more should be sent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It was told to stop, and finishes what it has.
    Draining,
    BackboneAway,
    /// The backbone's memory is nearly used up.
    MemoryScarce,
    /// Of every flow.
    BacklogFull,
    LedgerAway,
    /// The ledger answers, and nothing can be stored in it until a person acts:
    /// what would be taken would not be decided.
    LedgerUnusable,
}

impl Reason {
    /// As they are declared.
    pub const ALL: [Self; 6] = [
        Self::Draining,
        Self::BackboneAway,
        Self::MemoryScarce,
        Self::BacklogFull,
        Self::LedgerAway,
        Self::LedgerUnusable,
    ];
}

/// `{"status":"ready"}`, or `{"status":"unready","reasons":["draining"]}`; with
/// `"held":["transactions"]` where flows are held, which takes no process out
/// of a load balancer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held: Vec<String>,
}

impl Report {
    fn of(reasons: Vec<Reason>, held: Vec<String>) -> Self {
        let status = match reasons.is_empty() {
            true => "ready",
            false => "unready",
        };
        Self {
            status,
            reasons,
            held,
        }
    }

    /// 200 or 503.
    pub fn status(&self) -> StatusCode {
        match self.reasons.is_empty() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Readiness {
    /// At most a second old, but for the stop, which is told at once.
    pub async fn report(&self) -> Report {
        self.asked.ever.store(true, Ordering::Relaxed);
        let draining = || self.draining.is_cancelled();
        if draining() {
            return Report::of(vec![Reason::Draining], Vec::new());
        }
        let look = async {
            let (reasons, held) = tokio::join!(self.look(), within(self.held()));
            let held = held.unwrap_or_default();
            Found { reasons, held }
        };
        let found = self.asked.last.or(look).await;
        match draining() {
            true => Report::of(vec![Reason::Draining], Vec::new()),
            false => Report::of(found.reasons, found.held),
        }
    }

    /// Whether anybody ever asked: somebody may then wait for the answer that
    /// it stops.
    pub fn is_asked(&self) -> bool {
        self.asked.ever.load(Ordering::Relaxed)
    }

    /// The flows that any worker holds.
    async fn held(&self) -> Result<Vec<String>, backbone::Error> {
        let mut held = BTreeSet::new();
        for (_, report) in self.backbone.reports().await? {
            // One of another version is none of this one's business.
            let report: floodgate_report::Report =
                serde_json::from_str(&report).unwrap_or_default();
            let in_flows = report
                .oracles
                .into_iter()
                .flat_map(|oracle| oracle.in_flows);
            let is_held = |stands: &InFlow| stands.standing == Standing::Held;
            held.extend(in_flows.filter(is_held).map(|stands| stands.flow));
        }
        Ok(held.into_iter().collect())
    }

    /// A server that does not say within two seconds is away.
    async fn look(&self) -> Vec<Reason> {
        if self.admits {
            let (admits, unusable) = tokio::join!(
                within(self.look_whether_it_admits()),
                is_unusable(&*self.ledger),
            );
            let mut reasons = admits.unwrap_or(vec![Reason::BackboneAway]);
            if unusable {
                reasons.push(Reason::LedgerUnusable);
            }
            return reasons;
        }
        let (backbone, ledger) =
            tokio::join!(within(self.backbone.ping()), within(self.ledger.ping()));
        let mut reasons = Vec::new();
        if backbone.is_err() {
            reasons.push(Reason::BackboneAway);
        }
        match ledger {
            Ok(()) => {}
            Err(Unknown::Failed(error)) if error.needs_a_person() => {
                reasons.push(Reason::LedgerUnusable);
            }
            Err(_) => reasons.push(Reason::LedgerAway),
        }
        reasons
    }

    async fn look_whether_it_admits(&self) -> Result<Vec<Reason>, backbone::Error> {
        self.backbone.ping().await?;
        let mut reasons = Vec::new();
        let memory = self.backbone.memory().await?;
        if memory.is_some_and(MemoryUse::is_scarce) {
            reasons.push(Reason::MemoryScarce);
        }
        if !self.any_has_room().await? {
            reasons.push(Reason::BacklogFull);
        }
        Ok(reasons)
    }

    /// Asks one partition after the other, until one has room: mostly the first.
    async fn any_has_room(&self) -> Result<bool, backbone::Error> {
        let flows = Arc::clone(&self.flows.borrow().live);
        for flow in flows.iter() {
            for partition in partitions(flow) {
                if self.has_room(flow, &partition).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn has_room(&self, flow: &Flow, partition: &Partition) -> Result<bool, backbone::Error> {
        let depth = self.backbone.depth(partition).await?;
        Ok(depth.open < flow.stream.max_backlog_of_partition())
    }
}

/// Whether the ledger answers, and only a person can make it take decisions: its
/// tables are not there, or not those of this version. One that is away, or says
/// nothing, is not unusable: what is taken meanwhile waits for it.
pub async fn is_unusable(ledger: &dyn Ledger) -> bool {
    match within(ledger.ping()).await {
        Err(Unknown::Failed(error)) => error.needs_a_person(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn all_reasons_are_listed() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            // One that is new does not compile here, lest the list lacks it.
            let number = match reason {
                Reason::Draining => 0,
                Reason::BackboneAway => 1,
                Reason::MemoryScarce => 2,
                Reason::BacklogFull => 3,
                Reason::LedgerAway => 4,
                Reason::LedgerUnusable => 5,
            };
            assert_eq!(number, at, "{reason:?}");
        }
    }
}
