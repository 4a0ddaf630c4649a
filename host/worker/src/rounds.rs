//! What has to be done again and again while a partition is worked on.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::partition::PartitionWorker;
use floodgate_backbone::Error;
use floodgate_process::boot_time::BootTime;

/// How often a lease is renewed before it would run out, so that one renewal may
/// be late or lost.
const ROUNDS_OF_A_LEASE: u32 = 3;
const TRIM: Duration = Duration::from_secs(1);
const LANDMARK: Duration = Duration::from_secs(10);

impl PartitionWorker {
    /// Runs until `done`: leases are renewed for as long as anything is held,
    /// also while the worker drains.
    pub async fn rounds(self: Arc<Self>, done: CancellationToken) {
        let period = self.backbone().lease() / ROUNDS_OF_A_LEASE;
        let renew = every(period, &done, "renew leases", || self.renew(period));
        let heartbeat = every(period, &done, "heartbeat", || async {
            self.backbone()
                .heartbeat(&self.partition, &self.worker.name)
                .await
        });
        let trim = every(TRIM, &done, "trim", || async {
            let retain = self.live.flow.load().stream.retain;
            let trimmed = self.backbone().trim(&self.partition, retain).await;
            self.note("trim", &trimmed);
            trimmed
        });
        let landmark = every(LANDMARK, &done, "note the landmark", || {
            self.note_landmark()
        });
        tokio::join!(renew, heartbeat, trim, landmark);
    }

    /// A backbone that was emptied looks like a new one; only the ledger remembers
    /// that it held something.
    async fn note_landmark(&self) -> Result<(), Error> {
        let Some(landmark) = self.backbone().landmark(&self.partition).await? else {
            return Ok(());
        };
        match self
            .ledger()
            .note_landmark(&self.partition, &landmark)
            .await
        {
            // One that never held anything, or nothing that was open, lost nothing.
            Ok(Some(before)) if before.born != landmark.born && before.open > 0 => {
                self.live.meter.lost.increment(before.open);
                error!(
                    flow = %self.flow.name,
                    partition = self.partition.index,
                    gone = before.open,
                    "backbone lost what it held, open entries are gone"
                );
            }
            Ok(_) => {}
            Err(error) => debug!(%error, "landmark not noted"),
        }
        Ok(())
    }

    async fn renew(&self, period: Duration) -> Result<(), Error> {
        let due = self.held.due(period);
        if due.is_empty() {
            return Ok(());
        }
        let asked = BootTime::now();
        let renewed = self
            .backbone()
            .renew(&self.partition, &self.worker.name, &due)
            .await?;
        self.held.renewed(asked, &due, &renewed);
        if renewed.len() < due.len() {
            let lost = due.len() - renewed.len();
            warn!(flow = %self.flow.name, lost, "entries were taken over by another worker");
        }
        Ok(())
    }
}

async fn every<F: Future<Output = Result<(), Error>>>(
    period: Duration,
    done: &CancellationToken,
    what: &'static str,
    round: impl Fn() -> F,
) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = done.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // The reader and the reaper say it when the backbone is away.
        if let Err(error) = round().await {
            debug!(%error, what, "round not done");
        }
    }
}
