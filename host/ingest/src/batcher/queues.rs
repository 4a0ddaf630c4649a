//! Where entries wait for a group.

use tokio::sync::mpsc;

use super::Queued;

/// Holds the queue of single requests and the queue of the groups of large
/// batches.
pub(super) struct Queues {
    pub queued: mpsc::Receiver<Queued>,
    pub large: mpsc::Receiver<Queued>,
    /// Whose turn it is.
    pub large_first: bool,
}

impl Queues {
    /// What is there now.
    pub fn now(&mut self) -> Option<Queued> {
        let (first, second) = match self.large_first {
            true => (&mut self.large, &mut self.queued),
            false => (&mut self.queued, &mut self.large),
        };
        first.try_recv().or_else(|_| second.try_recv()).ok()
    }

    /// Waits for the next; `None` once there will be none. Cancel-safe.
    pub async fn next(&mut self) -> Option<Queued> {
        tokio::select! {
            biased;
            Some(queued) = self.queued.recv() => Some(queued),
            Some(queued) = self.large.recv() => Some(queued),
            else => None,
        }
    }
}
