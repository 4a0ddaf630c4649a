//! Ids that the front end gives to entries.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tracing::warn;

use super::Refusal;
use floodgate_flow::{Flow, FlowName, Identity};
use floodgate_ledger::Ledger;

/// Ids fetched at a time: few in the beginning, because what a process does
/// not use is a gap.
const FIRST_BLOCK: u32 = 16;
const LARGEST_BLOCK: u32 = 4096;
/// For how long a ledger that did not answer is not asked again.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) enum Ids {
    Uuid,
    Sequence(Sequence),
}

/// Counts up in blocks that no other process has.
pub(super) struct Sequence {
    flow: FlowName,
    ledger: Arc<dyn Ledger>,
    block: Mutex<Block>,
}

struct Block {
    left: Range<u64>,
    size: u32,
    /// When the ledger did not answer: who queued up meanwhile does not ask
    /// it once more, one after the other.
    failed: Option<Instant>,
}

impl Ids {
    pub fn of(flow: &Flow, ledger: &Arc<dyn Ledger>) -> Self {
        match flow.admit.id {
            Identity::Sequence => Self::Sequence(Sequence {
                flow: flow.name.clone(),
                ledger: Arc::clone(ledger),
                block: Mutex::new(Block {
                    left: 0..0,
                    size: FIRST_BLOCK,
                    failed: None,
                }),
            }),
            Identity::Uuid | Identity::Field(_) => Self::Uuid,
        }
    }

    /// One that no entry had before.
    ///
    /// # Errors
    /// [`Refusal::LedgerAway`] when the ledger is needed and does not answer.
    pub async fn next(&self) -> Result<Arc<str>, Refusal> {
        match self {
            Self::Uuid => Ok(uuid::Uuid::new_v4().to_string().into()),
            Self::Sequence(sequence) => Ok(sequence.next().await?.to_string().into()),
        }
    }
}

impl Sequence {
    async fn next(&self) -> Result<u64, Refusal> {
        let mut block = self.block.lock().await;
        if let Some(id) = block.left.next() {
            return Ok(id);
        }
        if block.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(Refusal::LedgerAway);
        }
        let size = block.size;
        let first = match self.ledger.next_ids(&self.flow, size).await {
            Ok(first) => first,
            Err(error) => {
                warn!(flow = %self.flow, %error, "no ids, entries are refused");
                block.failed = Some(Instant::now());
                return Err(Refusal::LedgerAway);
            }
        };
        block.failed = None;
        block.left = first + 1..first + u64::from(size);
        block.size = (size * 2).min(LARGEST_BLOCK);
        Ok(first)
    }
}
