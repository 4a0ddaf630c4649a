//! What an append takes and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use floodgate_flow::{
    BodyHash, Flow, KEY, OWNER, REQUEST_ID, RememberFull, StreamId, TRACEPARENT, sha256_16,
};

/// An entry on its way in.
#[derive(Clone, Debug)]
pub struct NewEntry {
    pub id: Arc<str>,
    pub body: Bytes,
    pub body_hash: BodyHash,
    pub origin: Origin,
}

/// Tells the owner of an id from every other one, without the owner's name. An
/// operator chooses the names of owners, so nobody looks for two that collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnerHash(pub(super) [u8; 8]);

impl OwnerHash {
    /// Returns the first 8 bytes of the SHA-256 of the name.
    pub fn of(owner: &str) -> Self {
        let [hash @ .., _, _, _, _, _, _, _, _] = sha256_16(owner.as_bytes());
        Self(hash)
    }
}

/// The request that an entry came with; it becomes the entry's attributes.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub request_id: Arc<str>,
    /// The name of the API key.
    pub key: Option<Arc<str>>,
    /// Whose the entry is. Its [`OwnerHash`] is remembered with the id.
    pub owner: Option<Arc<str>>,
    /// Where the request is traced.
    pub traceparent: Option<Arc<str>>,
}

impl Origin {
    /// Names and values; the request's id is always there.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let request_id = Some((REQUEST_ID, &*self.request_id));
        let key = self.key.as_deref().map(|key| (KEY, key));
        let owner = self.owner.as_deref().map(|owner| (OWNER, owner));
        let traceparent = self.traceparent.as_deref();
        let traceparent = traceparent.map(|traceparent| (TRACEPARENT, traceparent));
        [request_id, key, owner, traceparent].into_iter().flatten()
    }

    /// Returns what is remembered with the id.
    pub fn owner_hash(&self) -> Option<OwnerHash> {
        self.owner.as_deref().map(OwnerHash::of)
    }
}

/// What became of one entry of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Durable, and it will be judged.
    New(StreamId),
    /// The same id with the same body was appended before, as this: nothing was added.
    Replayed {
        stream_id: StreamId,
        /// Whose it was then; `None` where the entry had no owner.
        owner: Option<OwnerHash>,
    },
    /// The same id was appended before with another body: nothing was added.
    Conflict,
    /// The flow has `max_backlog` open entries: nothing was added.
    BacklogFull,
    /// The backbone's memory is nearly used up: nothing was added.
    MemoryScarce,
    /// The flow's ids of settled entries take up all the memory that they may:
    /// nothing was added.
    RememberFull,
}

/// Limits of an append, from the flow file.
#[derive(Clone, Copy, Debug)]
pub struct AppendLimits {
    /// Open entries of this partition.
    pub max_backlog: u64,
    pub memory: RememberMemory,
}

impl AppendLimits {
    /// Returns this one and no other limit.
    pub fn of_backlog(max_backlog: u64) -> Self {
        Self {
            max_backlog,
            memory: RememberMemory::default(),
        }
    }
}

/// How much of its memory a backbone may use for the ids of one partition whose
/// entries are settled, and for its Idempotency-Keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct RememberMemory {
    /// Bytes; `None`: what the backbone itself deems fit.
    pub bytes: Option<u64>,
    pub full: RememberFull,
}

/// Says how long ids are remembered, and how much memory they may take up.
#[derive(Clone, Copy, Debug)]
pub struct Remember {
    pub known_for: Duration,
    pub memory: RememberMemory,
}

impl Remember {
    /// Returns that of a partition of this flow.
    pub fn of(flow: &Flow) -> Self {
        Self {
            known_for: flow.known_for(),
            memory: RememberMemory::of(flow),
        }
    }
}

impl RememberMemory {
    /// Returns that of a partition of this flow.
    pub fn of(flow: &Flow) -> Self {
        let partitions = u64::from(flow.stream.partitions.max(1));
        Self {
            bytes: flow.admit.remember_memory.map(|all| all / partitions),
            full: flow.admit.remember_full,
        }
    }
}
