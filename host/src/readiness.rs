//! Whether new work is welcome here: what a load balancer asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::backbone::{self, Backbone, MemoryUse, Partition};
use crate::flow::{Flow, Flows};
use crate::ledger::Ledger;

/// Whoever asks often gets the same answer.
const FRESH: Duration = Duration::from_secs(1);

/// Says whether this process is ready, and why it is not.
pub struct Readiness {
    pub flows: Flows,
    pub backbone: Arc<dyn Backbone>,
    pub ledger: Arc<dyn Ledger>,
    /// Whether it has a front end: then it is ready while that admits, and the
    /// ledger may be away. Else it is ready while it can work.
    pub admits: bool,
    /// Cancelled once it is about to stop.
    pub draining: CancellationToken,
    pub asked: Asked,
}

/// What was asked, and found.
#[derive(Default)]
pub struct Asked {
    ever: AtomicBool,
    last: Mutex<Option<(Instant, Vec<Reason>)>>,
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
}

/// `{"status":"ready"}`, or `{"status":"unready","reasons":["draining"]}`
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
}

impl Report {
    fn of(reasons: Vec<Reason>) -> Self {
        let status = match reasons.is_empty() {
            true => "ready",
            false => "unready",
        };
        Self { status, reasons }
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
            return Report::of(vec![Reason::Draining]);
        }
        let mut last = self.asked.last.lock().await;
        let reasons = match &*last {
            Some((at, reasons)) if at.elapsed() < FRESH => reasons.clone(),
            _ => {
                let found = self.look().await.unwrap_or(vec![Reason::BackboneAway]);
                *last = Some((Instant::now(), found.clone()));
                found
            }
        };
        match draining() {
            true => Report::of(vec![Reason::Draining]),
            false => Report::of(reasons),
        }
    }

    /// Whether anybody ever asked: somebody may then wait for the answer that
    /// it stops.
    pub fn is_asked(&self) -> bool {
        self.asked.ever.load(Ordering::Relaxed)
    }

    async fn look(&self) -> Result<Vec<Reason>, backbone::Error> {
        self.backbone.ping().await?;
        let mut reasons = Vec::new();
        if !self.admits {
            if self.ledger.ping().await.is_err() {
                reasons.push(Reason::LedgerAway);
            }
            return Ok(reasons);
        }
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
            for index in 0..flow.stream.partitions {
                if self.has_room(flow, index).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn has_room(&self, flow: &Flow, index: u16) -> Result<bool, backbone::Error> {
        let partition = Partition {
            flow: flow.name.clone(),
            index,
        };
        let depth = self.backbone.depth(&partition).await?;
        Ok(depth.open < flow.stream.max_backlog_of_partition())
    }
}
