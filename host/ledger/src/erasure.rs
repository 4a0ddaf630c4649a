/// What an erasure touched in the ledger. Of an entry that is in neither, it
/// is all of it nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// The decision lost its body, its output and its attributes.
    pub decision: bool,
    /// Those that lost their bodies.
    pub dead_letters: u64,
    /// Those that were waiting and will not be made.
    pub deliveries: u64,
    /// Of oracles that judged it well, which it was a control of.
    pub controls: u64,
    /// The cold file that the decision was moved to: it has the body still.
    pub file: Option<i64>,
    /// When the decision was erased the first time, in Unix milliseconds, if
    /// it is in the ledger.
    pub erased_at: Option<u64>,
}

/// Instead of an error that may quote the body; of a delivery that ended by it.
pub(super) const ERASED: &str = "erased";

/// A body that is being read for a cold file would stay in that.
pub(super) fn being_moved(file: i64) -> super::Error {
    super::Error::Unavailable(format!(
        "floodgate-archive is writing cold file {file} of the day of this entry; erase it again \
         when that is done (floodgate-archive run --once ends what was cut off)"
    ))
}
