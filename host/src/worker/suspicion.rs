//! Entries that may be what kills the process that judges them.

use tracing::error;

use super::give_up::Exhausted;
use super::insist::{Stopped, insist};
use super::lease::Lease;
use super::partition::PartitionWorker;
use crate::backbone::{Delivery, StreamId};
use crate::flow::{EntryFault, FaultKind};

/// How many processes may end over one entry.
const CRASHES: u32 = 3;

impl PartitionWorker {
    /// Deliveries raise suspicion and nothing more: a crash or a take-over
    /// raises those of innocent neighbours, too.
    pub(super) fn is_suspicious(&self, delivery: &Delivery) -> bool {
        delivery.deliveries > self.flow.retry.attempts
    }

    /// Takes up a suspicious entry with nothing beside it, unless that was the
    /// end of too many.
    pub(super) async fn work_on_suspect(
        &self,
        lease: &Lease,
        delivery: Delivery,
    ) -> Result<(), Stopped> {
        let stream_id = delivery.stream_id;
        let noted = insist("note a suspect", &self.stop, || {
            self.backbone().suspect(&self.partition, stream_id)
        });
        let Ok(times) = noted.await? else {
            return Err(Stopped);
        };
        if times <= CRASHES {
            return self.work_on(lease, vec![delivery], true).await;
        }
        error!(flow = %self.flow.name, %stream_id, "entry ended every process that judged it alone");
        let fault = EntryFault {
            kind: FaultKind::Crash,
            error: format!("{CRASHES} processes judged it alone and were not heard of again"),
            oracle: None,
        };
        let exhausted = Exhausted {
            attempts: delivery.attempts,
            first_at: stream_id.ms,
            delivery,
            fault,
        };
        self.give_up(lease, vec![exhausted]).await?;
        self.acquit(stream_id).await
    }

    pub(super) async fn acquit(&self, stream_id: StreamId) -> Result<(), Stopped> {
        let acquitted = insist("acquit a suspect", &self.stop, || {
            self.backbone().acquit(&self.partition, stream_id)
        });
        acquitted.await?.map_err(|_| Stopped)
    }
}
