//! The backbone on Redis Streams, 7.0 and newer.
//!
//! Every change is one Lua script (`lua/*.lua`), so a crash leaves a
//! partition before it or after it and never between. All keys of a partition
//! carry its hash tag, so a script touches one slot.

mod append;
mod connection;
mod erase;
mod fitness;
mod hold;
mod inspect;
mod keys;
mod leave;
mod meaning;
mod memory;
mod parse;
mod pool;
mod rate;
mod raw_entry;
mod read;
mod reports;
mod resp2;
mod script;
mod settle;
mod suspects;
mod trace;

use std::time::Duration;

use async_trait::async_trait;

use super::{
    AppendLimits, Appended, Backbone, ByDeliveries, Cost, DEAD_FOR, Delivery, Depth, Error, Failed,
    Fate, FaultRecord, LEASE, MemoryUse, NewEntry, Outcomes, Pending, RETRY, Reader, Recorded,
    Remember, RememberMemory, Requeue, Tokens, Trace,
};
use floodgate_flow::{BodyHash, FlowName, Landmark, Partition, Rate, Retry, StreamId};
use floodgate_ledger::Stored;

use self::connection::Server;
use self::keys::Keys;
use self::memory::Memory;

/// The consumer group of the workers.
const GROUP: &str = "workers";

/// Redis Streams behind [`Backbone`].
pub struct Redis {
    server: Server,
    memory: Memory,
    lease: Duration,
}

impl Redis {
    /// Connects lazily: a Redis that is away is an error of the first call.
    ///
    /// # Errors
    /// When `url` is not a Redis URL.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self {
            server: Server::new(url)?,
            memory: Memory::default(),
            lease: LEASE,
        })
    }

    /// Takes over what a worker has not renewed for `lease`, which all workers
    /// of a deployment have to agree on.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }
}

#[async_trait]
impl Backbone for Redis {
    fn lease(&self) -> Duration {
        self.lease
    }

    async fn check(&self, flows: &[(FlowName, u16)]) -> Result<Vec<String>, Error> {
        for (flow, partitions) in flows {
            self.memory.share(flow, *partitions);
        }
        fitness::check(&self.server, flows).await
    }

    async fn prepare(&self, partition: &Partition) -> Result<(), Error> {
        leave::prepare(&self.server, &Keys::of(partition)).await
    }

    async fn append(
        &self,
        partition: &Partition,
        limits: AppendLimits,
        group: &[NewEntry],
    ) -> Result<Vec<Appended>, Error> {
        append::append(&self.server, &self.memory, partition, limits, group).await
    }

    async fn claim_key(
        &self,
        partition: &Partition,
        key: &str,
        body_hash: BodyHash,
        id: &str,
        remember: Remember,
    ) -> Result<Option<String>, Error> {
        let (server, keys) = (&self.server, &Keys::of(partition));
        let remembered = self.memory.remembered(server, partition, remember).await?;
        append::claim_key(server, keys, key, body_hash, id, remembered).await
    }

    async fn take_tokens(
        &self,
        flow: &FlowName,
        bucket: &str,
        rate: Rate,
        cost: Cost,
    ) -> Result<Tokens, Error> {
        rate::take_tokens(&self.server, flow, bucket, rate, cost).await
    }

    async fn reader(&self, partition: &Partition, worker: &str) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(read::StreamReader::new(
            self.server.clone(),
            Keys::of(partition),
            worker,
        )))
    }

    async fn renew(
        &self,
        partition: &Partition,
        worker: &str,
        held: &[StreamId],
    ) -> Result<Vec<StreamId>, Error> {
        hold::renew(&self.server, &Keys::of(partition), worker, held).await
    }

    async fn settle(
        &self,
        partition: &Partition,
        stored: &Stored,
        remember: Remember,
        outcomes: &Outcomes,
    ) -> Result<(), Error> {
        let (server, keys) = (&self.server, &Keys::of(partition));
        let remembered = self.memory.remembered(server, partition, remember).await?;
        let how = settle::As::Decided { outcomes };
        settle::settle(server, keys, stored, remembered, how).await
    }

    async fn settle_dead(
        &self,
        partition: &Partition,
        stored: &Stored,
        memory: RememberMemory,
    ) -> Result<(), Error> {
        let (server, keys) = (&self.server, &Keys::of(partition));
        let known_for = DEAD_FOR;
        let remember = Remember { known_for, memory };
        let remembered = self.memory.remembered(server, partition, remember).await?;
        settle::settle(server, keys, stored, remembered, settle::As::Dead).await
    }

    async fn record_faults(
        &self,
        partition: &Partition,
        worker: &str,
        retry: &Retry,
        failed: &[Failed],
    ) -> Result<Vec<Recorded>, Error> {
        hold::record_faults(&self.server, &Keys::of(partition), worker, retry, failed).await
    }

    async fn hand_back(
        &self,
        partition: &Partition,
        worker: &str,
        entries: &[StreamId],
    ) -> Result<(), Error> {
        hold::hand_back(&self.server, &Keys::of(partition), worker, entries).await
    }

    async fn claim(
        &self,
        partition: &Partition,
        worker: &str,
        max: usize,
    ) -> Result<Vec<Delivery>, Error> {
        hold::claim(&self.server, partition, worker, max, self.lease).await
    }

    async fn suspect(&self, partition: &Partition, entry: StreamId) -> Result<u32, Error> {
        suspects::suspect(&self.server, &Keys::of(partition), entry).await
    }

    async fn withdraw(&self, partition: &Partition, entry: StreamId) -> Result<(), Error> {
        suspects::withdraw(&self.server, &Keys::of(partition), entry).await
    }

    async fn acquit(&self, partition: &Partition, entry: StreamId) -> Result<(), Error> {
        suspects::acquit(&self.server, &Keys::of(partition), entry).await
    }

    async fn heartbeat(&self, partition: &Partition, worker: &str) -> Result<(), Error> {
        leave::heartbeat(&self.server, &Keys::of(partition), worker, self.lease).await
    }

    async fn leave(&self, partition: &Partition, worker: &str) -> Result<(), Error> {
        leave::leave(&self.server, &Keys::of(partition), worker).await
    }

    async fn trim(&self, partition: &Partition, retain: Duration) -> Result<(), Error> {
        settle::trim(&self.server, partition, retain).await
    }

    async fn pending(&self, partition: &Partition, max: usize) -> Result<Vec<Pending>, Error> {
        inspect::pending(&self.server, partition, &Keys::of(partition), max).await
    }

    async fn trace(&self, partition: &Partition, id: &str) -> Result<Trace, Error> {
        trace::trace(&self.server, partition, &Keys::of(partition), id).await
    }

    async fn fate(&self, partition: &Partition, id: &str) -> Result<Fate, Error> {
        trace::fate(&self.server, &Keys::of(partition), id).await
    }

    async fn faults(
        &self,
        partition: &Partition,
        stream_id: StreamId,
    ) -> Result<Option<FaultRecord>, Error> {
        inspect::faults(&self.server, &Keys::of(partition), stream_id).await
    }

    async fn requeue(&self, partition: &Partition, dead: &Requeue) -> Result<bool, Error> {
        append::requeue(&self.server, &Keys::of(partition), dead).await
    }

    async fn erase(
        &self,
        partition: &Partition,
        id: &str,
        entries: &[StreamId],
    ) -> Result<Option<u64>, Error> {
        erase::erase(&self.server, &Keys::of(partition), id, entries).await
    }

    async fn depth(&self, partition: &Partition) -> Result<Depth, Error> {
        inspect::depth(&self.server, &Keys::of(partition)).await
    }

    async fn by_deliveries(
        &self,
        partition: &Partition,
        max: usize,
    ) -> Result<ByDeliveries, Error> {
        inspect::by_deliveries(&self.server, &Keys::of(partition), max).await
    }

    async fn remember_limit(
        &self,
        partition: &Partition,
        memory: RememberMemory,
    ) -> Result<Option<u64>, Error> {
        self.memory.limit(&self.server, partition, memory).await
    }

    async fn memory(&self) -> Result<Option<MemoryUse>, Error> {
        match memory::look(&self.server).await {
            Ok(look) => Ok(Some(look)),
            Err(Error::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn landmark(&self, partition: &Partition) -> Result<Option<Landmark>, Error> {
        inspect::landmark(&self.server, &Keys::of(partition)).await
    }

    async fn publish(&self, worker: &str, report: &str, ttl: Duration) -> Result<(), Error> {
        reports::publish(&self.server, worker, report, ttl).await
    }

    async fn reports(&self) -> Result<Vec<(String, String)>, Error> {
        reports::all(&self.server).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.server.ping().await
    }
}

/// Reads fields that somebody wrote to a stream: each with its length before
/// it, in one byte.
#[cfg(feature = "fuzz")]
pub fn fuzz_entry(mut bytes: &[u8]) {
    let mut fields = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (field, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        fields.push(bytes::Bytes::copy_from_slice(field));
        bytes = rest;
    }
    let id = StreamId { ms: 1, seq: 0 };
    let _read = parse::payload(id, Some(fields));
}
