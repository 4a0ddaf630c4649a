//! The durable log between front end and workers.
//!
//! Nothing outside this module knows what a pending list is: workers see
//! deliveries, leases and attempts.

pub mod redis;
mod stream_id;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::flow::{BodyHash, Entry, EntryFault, FlowName, Rate, Retry};
use crate::ledger::Stored;

pub use self::redis::{LEASE, Redis};
pub use self::stream_id::{NotAStreamId, StreamId};

/// One partition of a flow's stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    pub flow: FlowName,
    pub index: u16,
}

/// An entry on its way in.
#[derive(Clone, Debug)]
pub struct NewEntry {
    pub id: Arc<str>,
    pub body: Bytes,
    pub body_hash: BodyHash,
    /// The name of the API key that it came with; the entry's attribute `key`.
    pub key: Option<Arc<str>>,
}

/// What became of one entry of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Durable, and it will be judged.
    New(StreamId),
    /// The same id with the same body was appended before, as this: nothing was added.
    Replayed(StreamId),
    /// The same id was appended before with another body: nothing was added.
    Conflict,
    /// The flow has `max_backlog` open entries: nothing was added.
    BacklogFull,
    /// The backbone's memory is nearly used up: nothing was added.
    MemoryScarce,
}

/// Limits of an append, from the flow file.
#[derive(Clone, Copy, Debug)]
pub struct AppendLimits {
    /// Open entries of this partition.
    pub max_backlog: u64,
}

/// An entry handed to a worker.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub stream_id: StreamId,
    pub payload: Payload,
    /// Handed out before, to this worker or another: a decision may be stored.
    pub redelivered: bool,
    /// Times the backbone handed it out, this one included.
    pub deliveries: u32,
    /// Faults recorded of it so far.
    pub attempts: u32,
}

/// What stands in the stream.
#[derive(Clone, Debug)]
pub enum Payload {
    Entry(Entry),
    /// Somebody else wrote it, or it was damaged: a fault, never a loop.
    Malformed {
        raw: Bytes,
        error: String,
    },
}

/// A fault to record: the entry is kept for a later attempt, or it is given up.
#[derive(Clone, Debug)]
pub struct Failed {
    pub stream_id: StreamId,
    pub fault: EntryFault,
}

/// What the backbone made of a recorded fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It comes again after its backoff.
    Retried { attempts: u32 },
    /// Its attempts are used up; the caller still holds it and must bury it.
    Exhausted { attempts: u32, first_at: u64 },
    /// Another worker holds it by now; nothing was recorded.
    NotHeld,
}

/// Faults recorded of an entry that is still open.
#[derive(Clone, Debug)]
pub struct FaultRecord {
    pub attempts: u32,
    /// Unix milliseconds.
    pub first_at: u64,
    /// Unix milliseconds.
    pub last_at: u64,
    pub last: EntryFault,
}

/// An entry that was delivered and is not settled.
#[derive(Clone, Debug)]
pub struct Pending {
    pub partition: u16,
    pub stream_id: StreamId,
    /// `None` where the stream entry could not be read.
    pub id: Option<String>,
    /// The worker that holds it, or `retry`.
    pub owner: String,
    pub idle: Duration,
    pub deliveries: u32,
    /// Unix milliseconds; `None` while a worker holds it.
    pub next_attempt: Option<u64>,
    pub faults: Option<FaultRecord>,
}

/// Where an entry is, by its id.
#[derive(Clone, Debug)]
pub enum Trace {
    /// No entry of this id is known: it was never appended, or it was settled
    /// longer ago than the flow remembers.
    Unknown,
    /// Nobody has read it yet.
    Waiting {
        stream_id: StreamId,
        /// Entries before it that nobody has read yet, counted up to 100,000.
        ahead: u64,
    },
    /// A worker holds it, or it waits for its next attempt.
    Held(Box<Pending>),
    Dead {
        stream_id: StreamId,
    },
    Settled {
        stream_id: StreamId,
    },
}

/// How far an entry has come, for whoever sent it.
#[derive(Clone, Debug)]
pub enum Fate {
    /// No entry of this id is known (any more).
    Unknown,
    /// Nobody works on it.
    Waiting(OpenEntry),
    /// A worker holds it.
    Processing(OpenEntry),
    Dead {
        stream_id: StreamId,
    },
    Settled {
        stream_id: StreamId,
        /// What was remembered with it; see [`Outcomes`].
        outcome: Option<String>,
    },
}

#[derive(Clone, Debug)]
pub struct OpenEntry {
    pub stream_id: StreamId,
    /// `None` where somebody else deleted it.
    pub body: Option<Bytes>,
}

/// What is remembered with the ids of settled entries, as JSON.
pub type Outcomes = HashMap<StreamId, String>;

/// What is left of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Whether one was there and was taken.
    pub taken: bool,
    pub left: u32,
    /// Until there is one again; zero where one was taken.
    pub next_after: Duration,
    pub full_after: Duration,
}

/// Counts of one partition, all read in constant time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Depth {
    /// Appended and neither settled nor dead.
    pub open: u64,
    /// Delivered and not settled.
    pub pending: u64,
    /// Of those, waiting for their next attempt.
    pub retrying: u64,
    /// Gone from the log while they were open, ever: somebody trimmed it.
    pub lost: u64,
    /// Since the oldest open entry was appended.
    pub oldest: Option<Duration>,
    /// Settled with a decision, ever.
    pub decided: u64,
    /// Settled as dead and not requeued.
    pub dead: u64,
}

/// What tells one life of a partition from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landmark {
    /// Made when the partition was first prepared; another one means that the
    /// backbone lost what it held.
    pub born: String,
    pub open: u64,
}

/// How an entry leaves the backbone, apart from `settle`.
#[derive(Clone, Debug)]
pub struct Requeue {
    pub id: Arc<str>,
    pub body: Bytes,
    pub body_hash: BodyHash,
    pub attributes: Vec<(String, String)>,
    pub stream_id: StreamId,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Redis at {address} did not answer; sending the same entries again is safe: {source}")]
    Unreachable {
        address: String,
        #[source]
        source: ::redis::RedisError,
    },
    #[error("Redis at {address} refused: {source}")]
    Refused {
        address: String,
        #[source]
        source: ::redis::RedisError,
    },
    /// It must not be used as it is; a person has to change something.
    #[error("Redis at {address} {what}")]
    Unfit { address: String, what: String },
    #[error("Redis at {address} answered something unexpected to {call}: {reply}")]
    Unexpected {
        address: String,
        call: &'static str,
        reply: String,
    },
}

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

    /// Remembers `id` under an `Idempotency-Key` for `keep`, if nothing is
    /// remembered under it. Returns the id that is: this one, or that of the
    /// first time; `None` where the first time had another body.
    async fn claim_key(
        &self,
        partition: &Partition,
        key: &str,
        body_hash: BodyHash,
        id: &str,
        keep: Duration,
    ) -> Result<Option<String>, Error>;

    /// Takes one token of a flow's bucket, which all front ends share.
    async fn take_token(&self, flow: &FlowName, bucket: &str, rate: Rate) -> Result<Tokens, Error>;

    async fn reader(&self, partition: &Partition, worker: &str) -> Result<Box<dyn Reader>, Error>;

    /// Keeps what `worker` holds from being taken over for another lease;
    /// returns those that it still holds.
    async fn renew(
        &self,
        partition: &Partition,
        worker: &str,
        held: &[StreamId],
    ) -> Result<Vec<StreamId>, Error>;

    /// Acknowledges decided entries; their ids stay known for `remember`, and
    /// with them their outcomes, where they have one.
    async fn settle(
        &self,
        partition: &Partition,
        stored: &Stored,
        remember: Duration,
        outcomes: &Outcomes,
    ) -> Result<(), Error>;

    /// Acknowledges buried entries; their ids stay known as dead.
    async fn settle_dead(&self, partition: &Partition, stored: &Stored) -> Result<(), Error>;

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

    async fn depth(&self, partition: &Partition) -> Result<Depth, Error>;

    /// `None` where the partition was never prepared, or nothing is left of it.
    async fn landmark(&self, partition: &Partition) -> Result<Option<Landmark>, Error>;

    /// Publishes what this worker knows, for `ttl`; see [`Backbone::reports`].
    async fn publish(&self, worker: &str, report: &str, ttl: Duration) -> Result<(), Error>;

    /// What the living workers last published: (worker, report).
    async fn reports(&self) -> Result<Vec<(String, String)>, Error>;

    async fn ping(&self) -> Result<(), Error>;
}
