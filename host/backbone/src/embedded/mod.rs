//! The backbone in a database file: the same calls as on Redis, each one
//! transaction, for one process.
//!
//! `log` is the stream, `pending` the pending list, `ids` the id keys. What
//! only concerns the living is in memory: token buckets, what workers publish,
//! and who waits for entries.

mod append;
mod buckets;
mod erase;
mod hold;
mod ids;
mod inspect;
mod partition;
mod read;
mod reports;
mod rows;
mod settle;
mod trace;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::watch;

use super::{
    AppendLimits, Appended, Backbone, ByDeliveries, Cost, Delivery, Depth, Error, Failed, Fate,
    FaultRecord, LEASE, MemoryUse, NewEntry, Outcomes, Pending, Reader, Recorded, Remember,
    RememberMemory, Requeue, Tokens, Trace,
};
use floodgate_embedded::{Database, Nature};
use floodgate_flow::{BodyHash, FlowName, Landmark, Partition, Rate, Retry, StreamId};
use floodgate_ledger::Stored;

use self::buckets::Buckets;
use self::reports::Reports;

/// The backbone of `floodgate dev`.
#[derive(Clone)]
pub struct Embedded {
    database: Database,
    arrivals: Arc<Arrivals>,
    buckets: Arc<Buckets>,
    reports: Arc<Reports>,
    lease: Duration,
}

/// Tells the readers of a partition that something was appended.
type Arrivals = Mutex<HashMap<Partition, watch::Sender<()>>>;

impl Embedded {
    /// What a process held that was killed is handed out again at once: it
    /// was the only one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn new(database: Database) -> Result<Self, Error> {
        let embedded = Self {
            database,
            arrivals: Arc::default(),
            buckets: Arc::default(),
            reports: Arc::default(),
            lease: LEASE,
        };
        embedded.write(hold::hand_back_everything).await?;
        Ok(embedded)
    }

    /// Takes over what a worker has not renewed for `lease`.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.database.write(job).await;
        done.map_err(|failed| self.error(failed))
    }

    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.database.read(job).await;
        done.map_err(|failed| self.error(failed))
    }

    fn error(&self, failed: floodgate_embedded::Failed) -> Error {
        let backbone = self.database.name().to_owned();
        let cause = failed.clone().into();
        match failed.nature {
            Nature::MayPass => Error::Unreachable { backbone, cause },
            Nature::Data | Nature::Broken => Error::Refused { backbone, cause },
        }
    }

    fn arrivals(&self, partition: &Partition) -> watch::Receiver<()> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let told = arrivals.entry(partition.clone()).or_default();
        told.subscribe()
    }

    fn arrived(&self, partition: &Partition) {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = arrivals.get(partition) {
            told.send_replace(());
        }
    }
}

#[async_trait]
impl Backbone for Embedded {
    fn lease(&self) -> Duration {
        self.lease
    }

    async fn check(&self, flows: &[(FlowName, u16)]) -> Result<Vec<String>, Error> {
        let flows = flows.to_vec();
        let other = self.write(move |db| partition::check(db, &flows)).await?;
        match other {
            None => Ok(Vec::new()),
            Some(what) => Err(Error::Unfit {
                backbone: self.database.name().to_owned(),
                what,
            }),
        }
    }

    async fn prepare(&self, partition: &Partition) -> Result<(), Error> {
        let partition = partition.clone();
        self.write(move |db| partition::number(db, &partition))
            .await?;
        Ok(())
    }

    async fn append(
        &self,
        partition: &Partition,
        limits: AppendLimits,
        group: &[NewEntry],
    ) -> Result<Vec<Appended>, Error> {
        let (to, group) = (partition.clone(), group.to_vec());
        let appended = self
            .write(move |db| append::append(db, &to, limits, &group))
            .await?;
        if appended.iter().any(|one| matches!(one, Appended::New(_))) {
            self.arrived(partition);
        }
        Ok(appended)
    }

    async fn claim_key(
        &self,
        partition: &Partition,
        key: &str,
        body_hash: BodyHash,
        id: &str,
        remember: Remember,
    ) -> Result<Option<String>, Error> {
        let (partition, key, id) = (partition.clone(), key.to_owned(), id.to_owned());
        let keep = remember.known_for;
        self.write(move |db| append::claim_key(db, &partition, &key, body_hash, &id, keep))
            .await
    }

    async fn take_tokens(
        &self,
        flow: &FlowName,
        bucket: &str,
        rate: Rate,
        cost: Cost,
    ) -> Result<Tokens, Error> {
        Ok(self.buckets.take(flow, bucket, rate, cost))
    }

    async fn reader(&self, partition: &Partition, worker: &str) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(read::LogReader::new(
            self.clone(),
            partition.clone(),
            worker,
        )))
    }

    async fn renew(
        &self,
        _: &Partition,
        worker: &str,
        held: &[StreamId],
    ) -> Result<Vec<StreamId>, Error> {
        let (worker, held) = (worker.to_owned(), held.to_vec());
        self.write(move |db| hold::renew(db, &worker, &held)).await
    }

    async fn settle(
        &self,
        partition: &Partition,
        stored: &Stored,
        remember: Remember,
        outcomes: &Outcomes,
    ) -> Result<(), Error> {
        let entries = settle::with_outcomes(stored, outcomes);
        let partition = partition.clone();
        self.write(move |db| settle::settle(db, &partition, &entries, remember.known_for))
            .await
    }

    async fn settle_dead(
        &self,
        partition: &Partition,
        stored: &Stored,
        _: RememberMemory,
    ) -> Result<(), Error> {
        let entries = stored.entries().to_vec();
        let partition = partition.clone();
        self.write(move |db| settle::settle_dead(db, &partition, &entries))
            .await
    }

    async fn record_faults(
        &self,
        _: &Partition,
        worker: &str,
        retry: &Retry,
        failed: &[Failed],
    ) -> Result<Vec<Recorded>, Error> {
        let (worker, retry, failed) = (worker.to_owned(), *retry, failed.to_vec());
        self.write(move |db| hold::record_faults(db, &worker, &retry, &failed))
            .await
    }

    async fn hand_back(
        &self,
        _: &Partition,
        worker: &str,
        entries: &[StreamId],
    ) -> Result<(), Error> {
        let (worker, entries) = (worker.to_owned(), entries.to_vec());
        self.write(move |db| hold::hand_back(db, &worker, &entries))
            .await
    }

    async fn claim(
        &self,
        partition: &Partition,
        worker: &str,
        max: usize,
    ) -> Result<Vec<Delivery>, Error> {
        let (partition, worker) = (partition.clone(), worker.to_owned());
        let lease = self.lease;
        self.write(move |db| hold::claim(db, &partition, &worker, max, lease))
            .await
    }

    async fn suspect(&self, _: &Partition, entry: StreamId) -> Result<u32, Error> {
        self.write(move |db| hold::suspect(db, entry)).await
    }

    async fn withdraw(&self, _: &Partition, entry: StreamId) -> Result<(), Error> {
        self.write(move |db| hold::withdraw(db, entry)).await
    }

    async fn acquit(&self, _: &Partition, entry: StreamId) -> Result<(), Error> {
        self.write(move |db| hold::acquit(db, entry)).await
    }

    /// No other process can hold anything here, but the clock may be set back.
    async fn heartbeat(&self, _: &Partition, _: &str) -> Result<(), Error> {
        match self.read(hold::is_ahead).await? {
            true => self.write(hold::follow_clock).await,
            false => Ok(()),
        }
    }

    async fn leave(&self, partition: &Partition, worker: &str) -> Result<(), Error> {
        let (partition, worker) = (partition.clone(), worker.to_owned());
        self.write(move |db| hold::leave(db, &partition, &worker))
            .await
    }

    async fn trim(&self, partition: &Partition, retain: Duration) -> Result<(), Error> {
        loop {
            let partition = partition.clone();
            let more = self.write(move |db| settle::trim(db, &partition, retain));
            if !more.await? {
                return Ok(());
            }
        }
    }

    async fn pending(&self, partition: &Partition, max: usize) -> Result<Vec<Pending>, Error> {
        let partition = partition.clone();
        self.read(move |db| inspect::pending(db, &partition, max))
            .await
    }

    async fn trace(&self, partition: &Partition, id: &str) -> Result<Trace, Error> {
        let (partition, id) = (partition.clone(), id.to_owned());
        self.read(move |db| trace::trace(db, &partition, &id)).await
    }

    async fn fate(&self, partition: &Partition, id: &str) -> Result<Fate, Error> {
        let (partition, id) = (partition.clone(), id.to_owned());
        self.read(move |db| trace::fate(db, &partition, &id)).await
    }

    async fn faults(
        &self,
        _: &Partition,
        stream_id: StreamId,
    ) -> Result<Option<FaultRecord>, Error> {
        self.read(move |db| inspect::faults(db, stream_id)).await
    }

    async fn requeue(&self, partition: &Partition, dead: &Requeue) -> Result<bool, Error> {
        let (to, dead) = (partition.clone(), dead.clone());
        let requeued = self
            .write(move |db| append::requeue(db, &to, &dead))
            .await?;
        if requeued {
            self.arrived(partition);
        }
        Ok(requeued)
    }

    async fn erase(
        &self,
        partition: &Partition,
        id: &str,
        _: &[StreamId],
    ) -> Result<Option<u64>, Error> {
        let (partition, id) = (partition.clone(), id.to_owned());
        self.write(move |db| erase::erase(db, &partition, &id))
            .await
    }

    async fn depth(&self, partition: &Partition) -> Result<Depth, Error> {
        let partition = partition.clone();
        self.read(move |db| inspect::depth(db, &partition)).await
    }

    async fn by_deliveries(
        &self,
        partition: &Partition,
        max: usize,
    ) -> Result<ByDeliveries, Error> {
        let partition = partition.clone();
        self.read(move |db| inspect::by_deliveries(db, &partition, max))
            .await
    }

    /// Ids are on the disk, and go when they expire: they crowd out nobody.
    async fn remember_limit(&self, _: &Partition, _: RememberMemory) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// The size of the file: it is what runs full.
    async fn memory(&self) -> Result<Option<MemoryUse>, Error> {
        let used = self.read(inspect::file_size).await?;
        Ok(Some(MemoryUse { used, limit: None }))
    }

    async fn landmark(&self, partition: &Partition) -> Result<Option<Landmark>, Error> {
        let partition = partition.clone();
        self.read(move |db| inspect::landmark(db, &partition)).await
    }

    async fn publish(&self, worker: &str, report: &str, ttl: Duration) -> Result<(), Error> {
        self.reports.publish(worker, report, ttl);
        Ok(())
    }

    async fn reports(&self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.reports.all())
    }

    async fn ping(&self) -> Result<(), Error> {
        let pinged = self.database.ping().await;
        pinged.map_err(|failed| self.error(failed))
    }
}
