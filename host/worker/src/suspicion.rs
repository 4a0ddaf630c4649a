//! Entries that may be what kills the process that judges them, or what makes
//! the worker panic.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::error;

use super::batch::Faulty;
use super::give_up::Exhausted;
use super::insist::Stopped;
use super::lease::Lease;
use super::partition::{Batch, PartitionWorker};
use floodgate_backbone::Delivery;
use floodgate_flow::{EntryFault, FaultKind, StreamId};
use floodgate_process::tasks::survive;

/// How many processes may end over one entry.
const CRASHES: u32 = 3;

/// Entries of batches that panicked here. A panic says nothing of which of them
/// it was, so each is worked on alone when it comes again.
#[derive(Default)]
pub(super) struct Suspects(Mutex<HashSet<StreamId>>);

impl Suspects {
    /// More than a few batches; beyond that the entries of older ones are
    /// forgotten, and the next panic brings them back.
    const MOST: usize = 10_000;

    fn lock(&self) -> MutexGuard<'_, HashSet<StreamId>> {
        // The set is whole after any single insert or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, entries: &[StreamId]) {
        let mut suspects = self.lock();
        if suspects.len() > Self::MOST {
            suspects.clear();
        }
        suspects.extend(entries);
    }
}

impl PartitionWorker {
    /// Works on a batch. A panic costs nobody an attempt: whatever is not
    /// acknowledged by then comes again at once, each entry alone.
    pub(super) async fn process_or_survive(&self, batch: Batch) {
        let entries: Vec<StreamId> = batch.deliveries.iter().map(|d| d.stream_id).collect();
        let panics = &self.live.meter.panics;
        if survive(self.process(batch), panics).await.is_some() {
            return;
        }
        let (flow, size) = (&self.flow.name, entries.len());
        error!(%flow, size, "worker panicked over a batch, its entries are worked on alone");
        self.suspects.add(&entries);
        if let Err(Stopped) = self.hand_back(&entries).await {
            error!(%flow, size, "batch not handed back, its entries come again when their lease has run out");
        }
    }

    /// Deliveries raise suspicion and nothing more: a crash or a take-over
    /// raises those of innocent neighbours, too.
    pub(super) fn is_suspicious(&self, delivery: &Delivery) -> bool {
        delivery.deliveries > self.flow.retry.attempts
            || self.suspects.lock().contains(&delivery.stream_id)
    }

    /// Notes that a suspicious entry is about to be judged alone. True: it was the
    /// end of too many processes already.
    ///
    /// It is noted for no longer than an oracle has it in hand. When the process
    /// ends while the entry waits for its turn, for an oracle or for a server,
    /// somebody else has ended it.
    pub(super) async fn ends_processes(&self, stream_id: StreamId) -> Result<bool, Stopped> {
        let noted = self.insist_on_backbone("note a suspect", || {
            self.backbone().suspect(&self.partition, stream_id)
        });
        Ok(noted.await?.map_err(|_| Stopped)? > CRASHES)
    }

    /// Notes that the process lived while an oracle had a suspicious entry in hand.
    pub(super) async fn was_survived(&self, stream_id: StreamId) -> Result<(), Stopped> {
        let withdrawn = self.insist_on_backbone("withdraw a note on a suspect", || {
            self.backbone().withdraw(&self.partition, stream_id)
        });
        withdrawn.await?.map_err(|_| Stopped)
    }

    /// Gives up entries that were the end of every process that judged them alone.
    pub(super) async fn give_up_crashing(
        &self,
        lease: &Lease,
        deliveries: Vec<Delivery>,
    ) -> Result<(), Stopped> {
        for delivery in deliveries {
            let stream_id = delivery.stream_id;
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
            self.acquit(stream_id).await?;
        }
        Ok(())
    }

    /// Works on a suspicious entry with nothing beside it. A panic over a single
    /// entry is that entry's own: it uses up an attempt.
    pub(super) async fn work_on_alone(
        &self,
        lease: &Lease,
        delivery: Delivery,
    ) -> Result<(), Stopped> {
        let stream_id = delivery.stream_id;
        let work = self.work_on(lease, vec![delivery.clone()], true);
        if let Some(worked) = survive(work, &self.live.meter.panics).await {
            self.suspects.lock().remove(&stream_id);
            return worked;
        }
        error!(flow = %self.flow.name, %stream_id, "worker panicked over a single entry");
        // Whoever worked on it lives.
        self.acquit(stream_id).await?;
        let fault = EntryFault {
            kind: FaultKind::Crash,
            error: "the worker panicked while it worked on this entry alone; its log says where"
                .to_owned(),
            oracle: None,
        };
        self.record(lease, vec![Faulty { delivery, fault }]).await
    }

    pub(super) async fn acquit(&self, stream_id: StreamId) -> Result<(), Stopped> {
        let acquitted = self.insist_on_backbone("acquit a suspect", || {
            self.backbone().acquit(&self.partition, stream_id)
        });
        acquitted.await?.map_err(|_| Stopped)
    }
}
