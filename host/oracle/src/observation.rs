use std::time::Duration;

/// What became of one batch, after it was split to find the guilty entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observation<'a> {
    /// Calls of [`super::Oracle::judge`] that it took.
    pub calls: u64,
    /// The time that they took.
    pub took: Duration,
    pub succeeded: usize,
    /// Entries that it broke on; without those that failed before.
    pub broke: usize,
    /// Entries that it refused; without those that failed before.
    pub refused: usize,
    /// One of their errors.
    pub error: Option<&'a str>,
}
