//! The durable log between front end and workers.
//!
//! Nothing outside this module knows what a pending list is: workers see
//! deliveries, leases and attempts.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod append;
mod embedded;
pub mod redis;
mod types;

use std::time::Duration;

use async_trait::async_trait;

use floodgate_flow::{
    BodyHash, Flow, FlowName, Landmark, Partition, Rate, Retry, StreamId, partitions,
};
use floodgate_ledger::Stored;

pub use self::append::{
    AppendLimits, Appended, NewEntry, Origin, OwnerHash, Remember, RememberMemory,
};
pub use self::embedded::Embedded;
pub use self::redis::Redis;
pub use self::types::{
    ByDeliveries, Cause, Cost, Delivery, Depth, Error, Failed, Fate, FaultRecord, MemoryUse,
    OpenEntry, Outcomes, Payload, Pending, Recorded, Requeue, Tokens, Trace,
};

/// How long a worker's hold on an entry lasts without being renewed, where
/// nobody says otherwise.
pub const LEASE: Duration = Duration::from_secs(30);

/// Who holds entries between two attempts, as if it were a worker.
const RETRY: &str = "retry";

/// How long the id of a dead entry stays known: longer than any outage a person
/// would leave alone, and not for ever.
const DEAD_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// A worker's view of one partition: one at a time reads, and what it read is
/// this worker's until its lease runs out.
#[async_trait]
pub trait Reader: Send {
    /// The next entries, at most `max`; empty when none came within a few
    /// seconds. An abandoned call still takes entries: never drop the future
    /// half-way; entries lost that way come back when their lease has run out.
    async fn read(&mut self, max: usize) -> Result<Vec<Delivery>, Error>;
}

/// What the way of an entry needs of a durable log. Every call may be repeated.
#[async_trait]
pub trait Backbone: Send + Sync {
    /// How long a worker's hold on an entry lasts without being renewed.
    fn lease(&self) -> Duration;

    /// Looks whether the server can keep the promise, and whether the
    /// partitions of each flow are as many as ever. Returns what weakens the
    /// promise, for a person to read.
    ///
    /// # Errors
    /// [`Error::Unfit`] when it must not be used.
    async fn check(&self, flows: &[(FlowName, u16)]) -> Result<Vec<String>, Error>;

    /// Creates what a partition needs before its first entry. Idempotent.
    async fn prepare(&self, partition: &Partition) -> Result<(), Error>;

    /// Appends a group with one commit; `Ok` means that every entry that is
    /// [`Appended::New`] is as durable as the server is configured to be.
    async fn append(
        &self,
        partition: &Partition,
        limits: AppendLimits,
        group: &[NewEntry],
    ) -> Result<Vec<Appended>, Error>;

    /// Remembers `id` under an `Idempotency-Key`, if nothing is remembered under
    /// it and there is memory for it. Returns the id that is: this one, or that of the
    /// first time; `None` where the first time had another body.
    async fn claim_key(
        &self,
        partition: &Partition,
        key: &str,
        body_hash: BodyHash,
        id: &str,
        remember: Remember,
    ) -> Result<Option<String>, Error>;

    /// Takes one token of a flow's bucket, which all front ends share.
    async fn take_tokens(
        &self,
        flow: &FlowName,
        bucket: &str,
        rate: Rate,
        cost: Cost,
    ) -> Result<Tokens, Error>;

    async fn reader(&self, partition: &Partition, worker: &str) -> Result<Box<dyn Reader>, Error>;

    /// Keeps what `worker` holds from being taken over for another lease;
    /// returns those that it still holds.
    async fn renew(
        &self,
        partition: &Partition,
        worker: &str,
        held: &[StreamId],
    ) -> Result<Vec<StreamId>, Error>;

    /// Acknowledges decided entries; their ids stay known as `remember` says, and
    /// with them their outcomes, where they have one.
    async fn settle(
        &self,
        partition: &Partition,
        stored: &Stored,
        remember: Remember,
        outcomes: &Outcomes,
    ) -> Result<(), Error>;

    /// Acknowledges buried entries; their ids stay known as dead.
    async fn settle_dead(
        &self,
        partition: &Partition,
        stored: &Stored,
        memory: RememberMemory,
    ) -> Result<(), Error>;

    /// Records faults of entries that `worker` holds; one answer for each.
    async fn record_faults(
        &self,
        partition: &Partition,
        worker: &str,
        retry: &Retry,
        failed: &[Failed],
    ) -> Result<Vec<Recorded>, Error>;

    /// Hands entries back, to be delivered again at once and alone, without a fault.
    async fn hand_back(
        &self,
        partition: &Partition,
        worker: &str,
        entries: &[StreamId],
    ) -> Result<(), Error>;

    /// Takes over what is due again and what other workers' leases ran out on.
    async fn claim(
        &self,
        partition: &Partition,
        worker: &str,
        max: usize,
    ) -> Result<Vec<Delivery>, Error>;

    /// Notes that this entry is about to be judged alone, because it was
    /// delivered suspiciously often; returns how often that was noted since
    /// the last [`Backbone::acquit`]: whoever judged it then was not heard of again.
    async fn suspect(&self, partition: &Partition, entry: StreamId) -> Result<u32, Error>;

    /// Takes one note of [`Backbone::suspect`] back: whoever made it lives.
    async fn withdraw(&self, partition: &Partition, entry: StreamId) -> Result<(), Error>;

    /// It was judged, and whoever judged it lives.
    async fn acquit(&self, partition: &Partition, entry: StreamId) -> Result<(), Error>;

    /// Says that `worker` lives; without it for a lease, its empty consumer is removed.
    async fn heartbeat(&self, partition: &Partition, worker: &str) -> Result<(), Error>;

    /// Hands back all that `worker` still holds and forgets it.
    async fn leave(&self, partition: &Partition, worker: &str) -> Result<(), Error>;

    /// Drops settled entries older than `retain` from the log.
    async fn trim(&self, partition: &Partition, retain: Duration) -> Result<(), Error>;

    /// Pending entries, oldest first, at most `max`.
    async fn pending(&self, partition: &Partition, max: usize) -> Result<Vec<Pending>, Error>;

    async fn trace(&self, partition: &Partition, id: &str) -> Result<Trace, Error>;

    /// As [`Backbone::trace`], for many who ask often.
    async fn fate(&self, partition: &Partition, id: &str) -> Result<Fate, Error>;

    /// What is recorded of an entry's faults.
    async fn faults(
        &self,
        partition: &Partition,
        stream_id: StreamId,
    ) -> Result<Option<FaultRecord>, Error>;

    /// Appends a dead entry once more; false where it is not dead (any more).
    async fn requeue(&self, partition: &Partition, dead: &Requeue) -> Result<bool, Error>;

    /// Removes what the log still has of a settled entry, and what is remembered
    /// of its decision; how many there were of both. Its id stays known.
    /// `entries` are those that the ledger knows it by. `None` where it is
    /// still open: then nothing was removed.
    async fn erase(
        &self,
        partition: &Partition,
        id: &str,
        entries: &[StreamId],
    ) -> Result<Option<u64>, Error>;

    async fn depth(&self, partition: &Partition) -> Result<Depth, Error>;

    /// How often the `max` oldest pending entries were delivered.
    async fn by_deliveries(&self, partition: &Partition, max: usize)
    -> Result<ByDeliveries, Error>;

    /// Returns how many bytes the remembered ids of a partition may take up;
    /// `None` where they have no limit.
    async fn remember_limit(
        &self,
        partition: &Partition,
        memory: RememberMemory,
    ) -> Result<Option<u64>, Error>;

    /// `None` where it does not say.
    async fn memory(&self) -> Result<Option<MemoryUse>, Error>;

    /// `None` where the partition was never prepared, or nothing is left of it.
    async fn landmark(&self, partition: &Partition) -> Result<Option<Landmark>, Error>;

    /// Publishes what this worker knows, for `ttl`; see [`Backbone::reports`].
    async fn publish(&self, worker: &str, report: &str, ttl: Duration) -> Result<(), Error>;

    /// What the living workers last published: (worker, report).
    async fn reports(&self) -> Result<Vec<(String, String)>, Error>;

    async fn ping(&self) -> Result<(), Error>;
}

/// Of all partitions of a flow together.
pub async fn depth_of(backbone: &dyn Backbone, flow: &Flow) -> Result<Depth, Error> {
    let mut all = Depth::default();
    for partition in partitions(flow) {
        all += backbone.depth(&partition).await?;
    }
    Ok(all)
}
