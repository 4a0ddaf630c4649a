use std::fmt;
use std::sync::Arc;

/// What has just been done. Between any two of them a pass may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Owned,
    /// A file was noted as one that is about to be written.
    Begun,
    /// Rows were read that are to be written.
    Read,
    Written,
    Verified,
    Sealed,
    /// Of some rows it was noted in which file they are.
    Remembered,
    /// Some rows were removed from the ledger.
    Removed,
    Settled,
    Discarded,
    ObjectRemoved,
    Forgotten,
}

/// Hears of each step.
#[derive(Clone, Default)]
pub struct Hook(Option<Arc<dyn Fn(Step) + Send + Sync>>);

impl Hook {
    pub fn new(hear: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }

    pub(super) fn after(&self, step: Step) {
        if let Some(hear) = &self.0 {
            hear(step);
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hook").field(&self.0.is_some()).finish()
    }
}
