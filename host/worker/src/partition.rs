use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::insist::{MayPass, Stopped, insist};
use super::lease::{Held, Lease};
use super::suspicion::Suspects;
use super::{BATCH, Live, Worker};
use floodgate_backbone::{Backbone, Delivery, Error};
use floodgate_flow::{Flow, Partition, StreamId};
use floodgate_ledger::{self as ledger, Ledger};
use floodgate_oracle_host::Hindrance;
use floodgate_process::boot_time::BootTime;
use floodgate_process::tasks::{LANE, READER, RECLAIMER, ROUNDS};

/// Batches worked on at a time: while one is stored the next is judged. A third
/// one gains nothing and takes from other flows.
const LANES: usize = 2;

/// Batches read ahead of the lanes.
const READ_AHEAD: usize = 1;

/// Batches of a reader that are not done yet.
const UNDER_WAY: usize = LANES + READ_AHEAD;

/// How long what is appended may gather behind a batch that was not full: a
/// small batch costs as many round trips and fsyncs as a full one.
const GATHER: Duration = Duration::from_millis(10);

/// How long a reader rests when the backbone is away.
const AWAY: Duration = Duration::from_millis(500);

/// Works on one partition of one flow.
#[derive(Clone)]
pub(super) struct PartitionWorker {
    pub worker: Worker,
    pub live: Arc<Live>,
    /// As it was when a batch was taken up: one batch goes by one definition.
    pub flow: Arc<Flow>,
    pub partition: Partition,
    pub held: Arc<Held>,
    pub suspects: Arc<Suspects>,
    pub stop: CancellationToken,
}

/// What was delivered together, and the hold on it.
pub(super) struct Batch {
    pub lease: Lease,
    pub deliveries: Vec<Delivery>,
    /// Came back from an earlier attempt: each is judged in a batch of its own.
    pub alone: bool,
    /// Says to the reader, when it is dropped, that the batch is done.
    pub done: Option<OwnedSemaphorePermit>,
}

impl PartitionWorker {
    pub fn new(
        worker: Worker,
        live: Arc<Live>,
        partition: Partition,
        stop: CancellationToken,
    ) -> Self {
        Self {
            held: Arc::new(Held::new(worker.backbone.lease())),
            worker,
            flow: live.flow.load_full(),
            live,
            partition,
            suspects: Arc::default(),
            stop,
        }
    }

    /// This one, by the flow as it is now.
    fn at_present(&self) -> Self {
        Self {
            flow: self.live.flow.load_full(),
            ..self.clone()
        }
    }

    /// Whether the flow was changed since the batch was taken up.
    pub fn is_outdated(&self) -> bool {
        !Arc::ptr_eq(&self.flow, &self.live.flow.load())
    }

    pub fn backbone(&self) -> &dyn Backbone {
        &*self.worker.backbone
    }

    pub fn ledger(&self) -> &dyn Ledger {
        &*self.worker.ledger
    }

    /// As [`insist`]; while the ledger does not answer, nothing more is read.
    pub async fn insist_on_ledger<T, F>(
        &self,
        what: &'static str,
        mut call: impl FnMut() -> F,
    ) -> Result<Result<T, ledger::Error>, Stopped>
    where
        F: Future<Output = Result<T, ledger::Error>>,
    {
        insist(what, &self.stop, || {
            let call = call();
            async {
                let answer = call.await;
                let away = matches!(&answer, Err(error) if error.may_pass());
                self.worker.breaker.note(away);
                answer
            }
        })
        .await
    }

    pub async fn run(self) {
        let this = Arc::new(self);
        let prepare = || this.backbone().prepare(&this.partition);
        this.worker.stuck.begin(&this.partition);
        loop {
            match this.insist_on_backbone("prepare the stream", prepare).await {
                Ok(Ok(())) => break,
                Ok(Err(_)) => this.until_rested().await,
                Err(Stopped) => return,
            }
            if this.stop.is_cancelled() {
                return;
            }
        }
        let lanes_done = CancellationToken::new();
        let rounds = {
            let (this, done) = (this.clone(), lanes_done.clone());
            ROUNDS.run(move || this.clone().rounds(done.clone()))
        };
        let rounds = AbortOnDropHandle::new(tokio::spawn(rounds));
        this.clone().work_until_stopped().await;
        lanes_done.cancel();
        // It neither panics nor is it cut off: see `tasks`.
        let _done = rounds.await;
        if let Err(error) = this
            .backbone()
            .leave(&this.partition, &this.worker.name)
            .await
        {
            warn!(%error, "not handed back, entries come again when their lease has run out");
        }
    }

    async fn work_until_stopped(self: Arc<Self>) {
        let (batches, queue) = mpsc::channel(READ_AHEAD);
        let queue = Arc::new(Mutex::new(queue));
        let mut tasks = JoinSet::new();
        let (this, read) = (self.clone(), batches.clone());
        tasks.spawn(READER.run(move || this.clone().read(read.clone())));
        let this = self.clone();
        tasks.spawn(RECLAIMER.run(move || this.clone().reap(batches.clone())));
        for _ in 0..LANES {
            let (this, queue) = (self.clone(), queue.clone());
            tasks.spawn(LANE.run(move || this.clone().lane(queue.clone())));
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn lane(self: Arc<Self>, queue: Arc<Mutex<mpsc::Receiver<Batch>>>) {
        loop {
            let next = queue.lock().await.recv().await;
            let Some(batch) = next else { return };
            self.at_present().process_or_survive(batch).await;
        }
    }

    /// Reads only when a batch has room: what is not read can be read by others.
    async fn read(self: Arc<Self>, batches: mpsc::Sender<Batch>) {
        let mut reader = loop {
            match self
                .backbone()
                .reader(&self.partition, &self.worker.name)
                .await
            {
                Ok(reader) => break reader,
                Err(error) => self.rest(&error).await,
            }
            if self.stop.is_cancelled() {
                return;
            }
        };
        let under_way = Arc::new(Semaphore::new(UNDER_WAY));
        let mut full = true;
        loop {
            if !full {
                let all_done = under_way.acquire_many(UNDER_WAY as u32);
                let _gathered = tokio::time::timeout(GATHER, all_done).await;
            }
            let Ok(done) = Arc::clone(&under_way).acquire_owned().await else {
                return;
            };
            let Ok(room) = batches.reserve().await else {
                return;
            };
            // Asked last: the ledger may have gone while the reader waited.
            if !self.until_it_can_work().await {
                return;
            }
            let asked = BootTime::now();
            // One of a stuck partition, to see whether it is stuck still.
            let most = if self.is_stuck() { 1 } else { BATCH };
            let read = reader.read(most).await;
            self.note("read", &read);
            match read {
                Ok(deliveries) => {
                    full = deliveries.len() == BATCH;
                    self.hand_over(room, deliveries, asked, Some(done));
                }
                Err(error) => self.rest(&error).await,
            }
        }
    }

    /// Takes over what is due again or was forgotten.
    async fn reap(self: Arc<Self>, batches: mpsc::Sender<Batch>) {
        const PERIOD: Duration = Duration::from_millis(250);
        while self.until_it_can_work().await {
            let Ok(room) = batches.reserve().await else {
                return;
            };
            if self.stop.is_cancelled() {
                return;
            }
            let asked = BootTime::now();
            let claimed = self
                .backbone()
                .claim(&self.partition, &self.worker.name, BATCH)
                .await;
            self.note("claim", &claimed);
            let claimed = match claimed {
                Ok(claimed) => Ok(self.with_left(claimed).await),
                error => error,
            };
            let full = matches!(&claimed, Ok(deliveries) if deliveries.len() >= BATCH);
            match claimed {
                Ok(deliveries) => self.hand_over(room, deliveries, asked, None),
                Err(error) => {
                    drop(room);
                    self.rest(&error).await;
                }
            }
            if !full {
                self.pause(PERIOD).await;
            }
        }
    }

    /// Adds what was claimed while an older batch of this worker still held it, and
    /// that batch then left: nobody else would come for it until its lease has run
    /// out. What the batch settled is held no more.
    async fn with_left(&self, mut claimed: Vec<Delivery>) -> Vec<Delivery> {
        let left = self.held.take_left();
        if left.is_empty() {
            return claimed;
        }
        let ids: Vec<StreamId> = left.iter().map(|delivery| delivery.stream_id).collect();
        let (partition, worker) = (&self.partition, &self.worker.name);
        let Ok(held) = self.backbone().renew(partition, worker, &ids).await else {
            self.held.put_left(left);
            return claimed;
        };
        let known: HashSet<StreamId> = claimed.iter().map(|d| d.stream_id).collect();
        claimed.extend(left.into_iter().filter(|delivery| {
            held.contains(&delivery.stream_id) && !known.contains(&delivery.stream_id)
        }));
        claimed
    }

    fn hand_over(
        &self,
        room: mpsc::Permit<'_, Batch>,
        deliveries: Vec<Delivery>,
        asked: BootTime,
        done: Option<OwnedSemaphorePermit>,
    ) {
        let (lease, deliveries) = self.held.take(deliveries, asked);
        if !deliveries.is_empty() {
            self.live.meter.read.record(deliveries.len() as f64);
            room.send(Batch {
                lease,
                deliveries,
                alone: done.is_none(),
                done,
            });
        }
    }

    /// False when the worker is to stop.
    async fn until_it_can_work(&self) -> bool {
        self.worker.breaker.closed(&self.stop).await;
        self.until_rested().await;
        self.until_oracles_are_there().await
    }

    /// While an oracle is missing or holds the flow, nothing is read.
    async fn until_oracles_are_there(&self) -> bool {
        let mut changes = self.worker.registry.changes();
        let mut flow_changes = self.live.changed.subscribe();
        let mut said = false;
        loop {
            if self.stop.is_cancelled() {
                return false;
            }
            let Some(hindrance) = self.worker.registry.hindrance(&self.live.flow.load()) else {
                return true;
            };
            // Whoever holds a flow says so.
            if let (Hindrance::Missing(missing), false) = (hindrance, said) {
                info!(flow = %self.flow.name, component = %missing, "flow waits for its oracle");
                said = true;
            }
            tokio::select! {
                () = self.stop.cancelled() => return false,
                changed = changes.changed() => if changed.is_err() { return false },
                _ = flow_changes.changed() => {}
            }
        }
    }

    async fn rest(&self, error: &Error) {
        if error.may_pass() {
            warn!(flow = %self.flow.name, %error, "backbone away, trying again");
        }
        self.pause(AWAY).await;
    }

    pub async fn pause(&self, period: Duration) {
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            () = self.stop.cancelled() => {}
        }
    }
}
