use floodgate_flow::{FlowName, Partition, sha256_16};

/// The key of a flow's token bucket, in a slot of its own.
pub(super) fn bucket(flow: &FlowName, bucket: &str) -> String {
    let hash = hex::encode(sha256_16(bucket.as_bytes()));
    format!("floodgate:{{{flow}:rate}}:{hash}")
}

/// The layout of a partition's keys that this version writes; [`Keys::layout`]
/// has `<layout> <oldest reader>` of the newest process that worked on it.
///
/// - 1: without that key. Values of id keys are hash, state, stream id, outcome.
/// - 2: an owner between stream id and outcome, by `value_of` in `library.lua`.
///
/// A version that learns to read a layout goes ahead of the one that writes it,
/// so that processes of neighbouring versions work side by side.
pub(super) const LAYOUT: u32 = 2;

/// The oldest layout whose readers cope with what this version writes.
pub(super) const OLDEST_READER: u32 = 1;

/// The keys of one partition.
pub(super) struct Keys {
    prefix: String,
    pub stream: String,
    /// How many entries are appended and neither settled nor dead.
    pub open: String,
    /// Hash of stream id to fault record; see `record_faults.lua`.
    pub faults: String,
    /// Sorted set of what waits in `retry`, by the time of its next attempt.
    pub due: String,
    /// The oldest entry that is still needed, as the trimmer last saw it.
    pub floor: String,
    /// Hash of stream id to how often it was judged alone without an end.
    pub suspects: String,
    /// By which rules the keys of this partition are written; see [`LAYOUT`].
    pub layout: String,
    /// Made with the group of an empty stream; see [`floodgate_flow::Landmark`].
    pub born: String,
    /// How many open entries were trimmed by somebody else.
    pub lost: String,
    /// Hash of minute to how many bytes of remembered ids and keys expire in it, and
    /// `total`; see `library.lua`.
    pub remembered: String,
    /// Sorted set of the minutes in `remembered`.
    pub minutes: String,
    /// How many entries were settled with a decision, ever.
    pub decided: String,
    /// How many entries are dead and were not requeued.
    pub dead: String,
}

impl Keys {
    pub fn of(partition: &Partition) -> Self {
        let prefix = format!("floodgate:{{{}:{}}}:", partition.flow, partition.index);
        let key = |name: &str| format!("{prefix}{name}");
        Self {
            stream: key("stream"),
            open: key("open"),
            faults: key("faults"),
            due: key("due"),
            floor: key("floor"),
            suspects: key("suspects"),
            layout: key("layout"),
            born: key("born"),
            lost: key("lost"),
            remembered: key("remembered"),
            minutes: key("remembered:minutes"),
            decided: key("decided"),
            dead: key("dead"),
            prefix,
        }
    }

    /// The key under which an entry's id is known: 16 bytes of its hash, so
    /// that the key's size does not depend on the client.
    pub fn id(&self, id: &str) -> Vec<u8> {
        self.hashed(b"id:", id)
    }

    /// The key under which the id of an `Idempotency-Key` is remembered.
    pub fn idempotency(&self, key: &str) -> Vec<u8> {
        self.hashed(b"key:", key)
    }

    fn hashed(&self, kind: &[u8], text: &str) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix.len() + kind.len() + 16);
        key.extend_from_slice(self.prefix.as_bytes());
        key.extend_from_slice(kind);
        key.extend_from_slice(&sha256_16(text.as_bytes()));
        key
    }

    pub fn alive(&self, worker: &str) -> String {
        format!("{}alive:{worker}", self.prefix)
    }
}
