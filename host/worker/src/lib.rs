//! read -> judge -> decide -> keep -> settle.
//!
//! A worker reads each partition of its flows in its own name. What it reads
//! it holds by a lease; what it forgets, for whatever reason, comes again.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod batch;
mod blame;
mod breaker;
mod clock;
mod decide;
mod give_up;
mod insist;
mod judge;
mod latency;
mod lease;
mod meter;
mod partition;
mod recheck;
mod report;
mod rounds;
mod stuck;
mod suspicion;
mod traced;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use floodgate_backbone::Backbone;
use floodgate_flow::{Flow, FlowName, Flows, StreamId};
use floodgate_ledger::Ledger;
use floodgate_oracle_host::Registry;
use floodgate_process::tasks::PARTITION;

pub use self::decide::decide;

use self::breaker::Breaker;
use self::clock::now_ms;
use self::latency::FlowLatency;
pub use self::latency::Latencies;
use self::meter::Meter;
use self::partition::PartitionWorker;
pub use self::report::publish_reports;
pub use self::stuck::StuckCalls;

/// Entries per read and per call of an oracle: the cost per entry is flat from
/// 16 upwards, and a batch of 256 is judged within a millisecond or two.
const BATCH: usize = 256;

/// What all partitions of a worker share.
#[derive(Clone)]
pub struct Worker {
    /// Unique to this process; the consumer's name.
    pub name: Arc<str>,
    pub backbone: Arc<dyn Backbone>,
    pub ledger: Arc<dyn Ledger>,
    pub registry: Arc<Registry>,
    /// What it measured, for its report.
    pub latencies: Arc<Latencies>,
    /// What the backbone refuses it, for its report.
    pub stuck: Arc<StuckCalls>,
    breaker: Arc<Breaker>,
    /// Held while a suspect is judged: when a process ends over one of them, that
    /// says nothing of another one.
    judging_a_suspect: Arc<Mutex<()>>,
    panic_on: Option<Arc<str>>,
}

impl Worker {
    pub fn new(
        name: Arc<str>,
        backbone: Arc<dyn Backbone>,
        ledger: Arc<dyn Ledger>,
        registry: Arc<Registry>,
    ) -> Self {
        Self {
            name,
            backbone,
            ledger,
            registry,
            latencies: Arc::default(),
            stuck: Arc::default(),
            breaker: Arc::default(),
            judging_a_suspect: Arc::default(),
            panic_on: None,
        }
    }

    /// Panics over entries whose id begins with this: nothing that anybody can
    /// send does, and what becomes of a panic has to be tried.
    #[must_use]
    pub fn panicking_on(self, prefix: Option<String>) -> Self {
        let panic_on = prefix.map(Into::into);
        Self { panic_on, ..self }
    }

    /// Works until `stop` on the flows that there are at the time; then settles
    /// what it holds, hands back the rest and returns. A flow that was changed
    /// is worked on as it is now from its next batch on.
    pub async fn run(self, mut flows: Flows, stop: CancellationToken) {
        let mut started: HashMap<FlowName, Arc<Live>> = HashMap::new();
        let mut partitions = JoinSet::new();
        loop {
            let now = flows.borrow_and_update().clone();
            for flow in now.all() {
                if let Some(live) = started.get(&flow.name) {
                    live.change(Arc::clone(flow));
                    continue;
                }
                let latency = self.latencies.of(&flow.name);
                let live = Arc::new(Live::new(Arc::clone(flow), latency));
                for partition in floodgate_flow::partitions(flow) {
                    let worker = PartitionWorker::new(
                        self.clone(),
                        Arc::clone(&live),
                        partition,
                        stop.clone(),
                    );
                    partitions.spawn(PARTITION.run(move || worker.clone().run()));
                }
                started.insert(flow.name.clone(), live);
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = flows.changed() => {}
                Some(_stopped) = partitions.join_next() => {}
            }
        }
        while partitions.join_next().await.is_some() {}
        info!(worker = %self.name, "worker stopped");
    }
}

/// A flow that is worked on.
struct Live {
    /// As it is now.
    flow: ArcSwap<Flow>,
    /// Says to whoever waits for something that the flow names that it may
    /// name something else by now.
    changed: watch::Sender<()>,
    /// Batches judged at a time. A core is left to the others: an oracle that
    /// runs into its deadline on every batch slows down its own flow.
    judging: Arc<Semaphore>,
    meter: Meter,
    latency: Arc<FlowLatency>,
}

impl Live {
    fn new(flow: Arc<Flow>, latency: Arc<FlowLatency>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            meter: Meter::of(&flow.name),
            flow: ArcSwap::new(flow),
            changed: watch::Sender::new(()),
            judging: Arc::new(Semaphore::new((cores - 1).max(1))),
            latency,
        }
    }

    fn change(&self, flow: Arc<Flow>) {
        self.flow.store(flow);
        self.changed.send_replace(());
    }

    /// From received to settled, for the metrics and for the worker's report.
    fn settled(&self, entries: &[(StreamId, Arc<str>)]) {
        let took = latency::took(entries, now_ms());
        self.latency.record(took.inspect(|(ms, entries)| {
            let after = Duration::from_millis(*ms);
            self.meter.decided_after.record_many(after, *entries);
        }));
    }
}
