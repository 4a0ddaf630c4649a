use std::time::Duration;

/// What became of one batch, after it was split to find the guilty entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observation<'a> {
    /// How many calls of [`super::Oracle::judge`] the batch took.
    pub calls: u64,
    /// How long these calls took together.
    pub took: Duration,
    pub succeeded: usize,
    /// How many entries broke the oracle, not counting those that failed before.
    pub broke: usize,
    /// How many entries the oracle refused, not counting those that failed before.
    pub refused: usize,
    /// The error of one of these entries.
    pub error: Option<&'a str>,
}
