//! What is sent, and what has to become of it.

use bytes::Bytes;

use super::flows::{ProvenFlow, THRESHOLD};
use floodgate_flow::FaultKind;

/// What has to become of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// A decision with this score is kept.
    Kept { score: f64 },
    /// It is decided, and neither kept nor dead.
    NotKept,
    /// No oracle can judge it: a dead letter of one of these faults.
    Dead(&'static [FaultKind]),
}

/// One entry of the load.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub flow: ProvenFlow,
    /// In the order in which they are made.
    pub number: u64,
    pub id: String,
    pub order: Order,
}

/// What an entry does to the oracle that judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    Nothing,
    Trap,
    Refuse,
    BadScore,
    Memory,
    Loop,
    /// The payload is within the limits, and in upper case it is not.
    LongAnswer,
    /// The worker itself panics over it, as it was told to by its id.
    Panic,
}

/// How ids begin over which a worker panics.
pub(super) const PANIC: &str = "panic-";

impl Order {
    fn word(self) -> &'static str {
        match self {
            Self::Nothing | Self::LongAnswer | Self::Panic => "",
            Self::Trap => "trap",
            Self::Refuse => "error",
            Self::BadScore => "seven",
            Self::Memory => "memory",
            Self::Loop => "loop",
        }
    }

    /// What its dead letter may say. On a busy machine the deadline may come
    /// before anything else happens.
    fn faults(self) -> &'static [FaultKind] {
        match self {
            Self::Nothing => &[],
            Self::Trap => &[FaultKind::Trap, FaultKind::Timeout],
            Self::Refuse => &[FaultKind::Refused, FaultKind::Timeout],
            Self::BadScore => &[FaultKind::BadScore, FaultKind::Timeout],
            Self::Memory => &[FaultKind::Memory, FaultKind::Timeout],
            Self::Loop => &[FaultKind::Timeout],
            Self::LongAnswer => &[FaultKind::Refused, FaultKind::Timeout],
            Self::Panic => &[FaultKind::Crash],
        }
    }
}

impl Entry {
    /// The entry itself; a flow of batches takes it in an array.
    pub fn body(&self) -> Bytes {
        let payload = match self.order {
            Order::LongAnswer => "\u{390}".repeat(12_000),
            _ => "text".to_owned(),
        };
        let body = serde_json::json!({
            "id": self.id, "do": self.order.word(), "age": 30, "payload": payload,
        });
        Bytes::from(body.to_string())
    }

    pub fn fate(&self) -> Fate {
        match self.flow {
            ProvenFlow::KeepAlways | ProvenFlow::Echo if self.order != Order::Nothing => {
                Fate::Dead(self.order.faults())
            }
            // What `misbehaving` says of an entry that orders nothing.
            ProvenFlow::KeepAlways => Fate::Kept { score: 0.5 },
            ProvenFlow::Echo => Fate::Kept { score: 0.0 },
            ProvenFlow::Flood => Fate::NotKept,
            ProvenFlow::KeepHigh | ProvenFlow::Batch => match uniform_risk(&self.id) {
                score if score > THRESHOLD => Fate::Kept { score },
                _ => Fate::NotKept,
            },
        }
    }
}

/// The score that `uniform-risk` gives an id; the oracle's own tests hold the
/// same known values.
fn uniform_risk(id: &str) -> f64 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let hash = hash ^ (hash >> 33);
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}
