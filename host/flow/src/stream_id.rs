//! Names an entry of a stream, as Redis does.

use std::fmt;
use std::str::FromStr;

/// The position of an entry in its partition; ordered by time of receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix milliseconds, by the backbone's clock.
    pub ms: u64,
    pub seq: u64,
}

/// A stream id that is not `<ms>-<seq>`.
#[derive(Debug, thiserror::Error)]
#[error("not a stream id: {0:?} (1766700000000-0 is one)")]
pub struct NotAStreamId(String);

impl FromStr for StreamId {
    type Err = NotAStreamId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('-');
        let parsed = parts.and_then(|(ms, seq)| Some((ms.parse().ok()?, seq.parse().ok()?)));
        let (ms, seq) = parsed.ok_or_else(|| NotAStreamId(text.to_owned()))?;
        Ok(Self { ms, seq })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}
