use std::time::Duration;

/// What became of one batch, after it was split to find the guilty entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observation<'a> {
    /// The number of calls of [`super::Oracle::judge`] that the batch took.
    pub calls: u64,
    /// The time that these calls took together.
    pub took: Duration,
    pub succeeded: usize,
    /// The number of entries that broke the oracle. An entry that failed in an earlier
    /// attempt is not counted.
    pub broke: usize,
    /// The number of entries that the oracle refused. An entry that failed in an earlier
    /// attempt is not counted.
    pub refused: usize,
    /// The error of one of these entries.
    pub error: Option<&'a str>,
}
