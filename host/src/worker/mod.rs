//! read -> judge -> decide -> keep -> settle.
//!
//! A worker reads each partition of its flows in its own name. What it reads
//! it holds by a lease; what it forgets, for whatever reason, comes again.

mod batch;
mod blame;
mod breaker;
mod decide;
mod give_up;
mod insist;
mod judge;
mod lease;
mod partition;
mod rounds;
mod suspicion;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::backbone::{Backbone, Partition};
use crate::flow::Flow;
use crate::ledger::Ledger;
use crate::oracle::Registry;

use self::breaker::Breaker;
use self::partition::PartitionWorker;

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
    /// As many batches are judged at a time as there are cores.
    judging: Arc<Semaphore>,
    breaker: Arc<Breaker>,
}

impl Worker {
    pub fn new(
        name: Arc<str>,
        backbone: Arc<dyn Backbone>,
        ledger: Arc<dyn Ledger>,
        registry: Arc<Registry>,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            name,
            backbone,
            ledger,
            registry,
            judging: Arc::new(Semaphore::new(cores)),
            breaker: Arc::default(),
        }
    }

    /// Works until `stop`; then settles what it holds, hands back the rest and
    /// returns.
    pub async fn run(self, flows: Vec<Arc<Flow>>, stop: CancellationToken) {
        let mut partitions = JoinSet::new();
        for flow in flows {
            for index in 0..flow.stream.partitions {
                let partition = Partition {
                    flow: flow.name.clone(),
                    index,
                };
                let worker =
                    PartitionWorker::new(self.clone(), flow.clone(), partition, stop.clone());
                partitions.spawn(worker.run());
            }
        }
        while let Some(ended) = partitions.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a partition stopped being worked on, restart this process");
            }
        }
        info!(worker = %self.name, "worker stopped");
    }
}
