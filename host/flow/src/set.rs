use std::sync::Arc;

use tokio::sync::watch;

use super::{Flow, FlowName};

/// The flows of a process, at one time.
#[derive(Clone, Default)]
pub struct FlowSet {
    /// In the order of their names.
    pub live: Arc<[Arc<Flow>]>,
    /// Nothing is admitted to these any more; what is open of them is worked off.
    pub draining: Arc<[Arc<Flow>]>,
}

/// Follows the flows of a process as they change.
pub type Flows = watch::Receiver<FlowSet>;

impl FlowSet {
    /// Those that are worked on.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Flow>> {
        self.live.iter().chain(self.draining.iter())
    }

    /// One that is admitted to.
    pub fn find_live(&self, name: &FlowName) -> Option<&Arc<Flow>> {
        self.live.iter().find(|flow| flow.name == *name)
    }

    pub fn find(&self, name: &str) -> Option<&Arc<Flow>> {
        self.all().find(|flow| flow.name.as_str() == name)
    }
}
