//! What a backbone holds and what comes out of it.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::OwnerHash;
use floodgate_flow::{Attributes, BodyHash, Entry, EntryFault, StreamId, owner_of};

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
        owner: Option<OwnerHash>,
    },
    Settled {
        stream_id: StreamId,
        owner: Option<OwnerHash>,
        /// What was remembered with it; see [`Outcomes`].
        outcome: Option<String>,
    },
}

impl Fate {
    /// Returns whose the entry is; `None` where it has no owner or is not known.
    pub fn owner(&self) -> Option<OwnerHash> {
        match self {
            Self::Unknown => None,
            Self::Waiting(entry) | Self::Processing(entry) => entry.owner,
            Self::Dead { owner, .. } | Self::Settled { owner, .. } => *owner,
        }
    }
}

#[derive(Clone, Debug)]
pub struct OpenEntry {
    pub stream_id: StreamId,
    pub owner: Option<OwnerHash>,
    /// `None` where somebody else deleted it.
    pub body: Option<Bytes>,
}

/// What is remembered with the ids of settled entries, as JSON.
pub type Outcomes = HashMap<StreamId, String>;

/// What is taken of a token bucket at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub tokens: u32,
    /// So many have to be there, else nothing is taken. Where fewer than `tokens`
    /// are, the bucket goes into debt, and is empty until that is paid.
    pub least: u32,
}

impl Cost {
    pub const ONE: Self = Self {
        tokens: 1,
        least: 1,
    };

    /// For somebody who was let in: taken unless somebody else of the same bucket
    /// ran into debt meanwhile.
    pub fn further(tokens: u32) -> Self {
        Self { tokens, least: 0 }
    }
}

/// What is left of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Whether it was there and was taken.
    pub taken: bool,
    /// None while the bucket is in debt.
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
    /// Since the oldest entry was appended that nobody has read.
    pub oldest_waiting: Option<Duration>,
    /// Since the oldest pending entry was appended.
    pub oldest_pending: Option<Duration>,
    /// Settled with a decision, ever.
    pub decided: u64,
    /// Settled as dead and not requeued.
    pub dead: u64,
    /// Bytes, about, that ids of settled entries and Idempotency-Keys take up; 0
    /// where the backbone does not count them.
    pub remembered: u64,
}

impl Depth {
    /// Appended, and nobody has read it yet.
    pub fn waiting(&self) -> u64 {
        self.open.saturating_sub(self.pending)
    }

    /// Since the oldest open entry was appended.
    pub fn oldest(&self) -> Option<Duration> {
        self.oldest_waiting.max(self.oldest_pending)
    }
}

/// With another partition of the same flow.
impl AddAssign for Depth {
    fn add_assign(&mut self, other: Self) {
        self.open += other.open;
        self.pending += other.pending;
        self.retrying += other.retrying;
        self.lost += other.lost;
        self.oldest_waiting = self.oldest_waiting.max(other.oldest_waiting);
        self.oldest_pending = self.oldest_pending.max(other.oldest_pending);
        self.decided += other.decided;
        self.dead += other.dead;
        self.remembered += other.remembered;
    }
}

/// Pending entries that were delivered once, twice, three and four times, and
/// more often.
pub type ByDeliveries = [u64; 5];

/// What a backbone takes up, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    pub used: u64,
    /// `None`: it may grow for as long as the machine lets it.
    pub limit: Option<u64>,
}

impl MemoryUse {
    /// The share of the limit beyond which nothing new is taken. At the limit
    /// itself Redis would also refuse the bookkeeping of what it holds already:
    /// faults, heartbeats, id keys.
    const SHARE: f64 = 0.8;

    /// Whether new entries are answered with [`Appended::MemoryScarce`].
    pub fn is_scarce(self) -> bool {
        self.limit
            .is_some_and(|limit| self.used >= Self::admissible(limit))
    }

    /// Returns how many bytes of this limit may be used before that.
    pub fn admissible(limit: u64) -> u64 {
        (Self::SHARE * limit as f64).ceil() as u64
    }
}

/// How an entry leaves the backbone, apart from `settle`.
#[derive(Clone, Debug)]
pub struct Requeue {
    pub id: Arc<str>,
    pub body: Bytes,
    pub body_hash: BodyHash,
    pub attributes: Attributes,
    pub stream_id: StreamId,
}

impl Requeue {
    /// Returns what is remembered with the id, where its key expired meanwhile.
    pub(super) fn owner_hash(&self) -> Option<OwnerHash> {
        owner_of(&self.attributes).map(OwnerHash::of)
    }
}

/// What a backbone's own library or the disk said.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// `backbone` says which one and where, such as `Redis at 127.0.0.1:6379`. The
/// text tells the cause, too.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{backbone} did not answer; sending the same entries again is safe: {cause}")]
    Unreachable { backbone: String, cause: Cause },
    /// The same call will pass once there is room.
    #[error("{backbone} has no memory left: {cause}")]
    Full { backbone: String, cause: Cause },
    /// The same call will never pass until a person changes something.
    #[error("{backbone} refused: {cause}")]
    Refused { backbone: String, cause: Cause },
    /// It must not be used as it is; a person has to change something.
    #[error("{backbone} {what}")]
    Unfit { backbone: String, what: String },
    #[error("{backbone} answered something unexpected to {call}: {reply}")]
    Unexpected {
        backbone: String,
        call: &'static str,
        reply: String,
    },
}

impl Error {
    /// Returns whether the same call may pass later without anybody's help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Full { .. } => true,
            Self::Refused { .. } | Self::Unfit { .. } | Self::Unexpected { .. } => false,
        }
    }
}
