use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// The name of a flow: that of its file without `.toml`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowName(Arc<str>);

impl FlowName {
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// SHA-256 of a body as admitted, cut to 16 bytes: tells the same entry sent
/// again from another one under the same id. Clients choose bodies, so it has
/// to resist collisions made on purpose; 128 bits of SHA-256 do.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyHash(pub [u8; 16]);

impl BodyHash {
    pub fn of(body: &[u8]) -> Self {
        Self(sha256_16(body))
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The first 16 bytes of SHA-256.
pub fn sha256_16(bytes: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&Sha256::digest(bytes)[..16]);
    out
}

/// One admitted entry, as the worker and the oracles see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 1 to 256 bytes.
    pub id: Arc<str>,
    /// UTF-8 JSON that satisfied the flow's schema when it was admitted.
    pub body: Bytes,
    /// Unix milliseconds, by the backbone's clock.
    pub received_at: u64,
    pub attributes: Vec<(String, String)>,
}

impl Entry {
    /// The body as text; `None` where somebody else wrote the stream entry.
    pub fn body_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}
