//! Group commit: while one call to the backbone is under way the next group
//! gathers, so the fuller the front end, the larger the groups. Nobody waits
//! for a group to fill.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{error, info};

use super::Refusal;
use super::drain::{DrainRate, Sample};
use crate::backbone::{AppendLimits, Appended, Backbone, NewEntry, Partition};

/// Entries of one call: a longer script stalls everybody who uses that Redis.
const MAX_GROUP: usize = 128;
/// Bytes of body after which a group is large enough.
const MAX_GROUP_BYTES: usize = 1 << 20;
/// Calls under way at once: one on the wire while the other is being made durable.
const IN_FLIGHT: usize = 2;
/// Entries that wait for a group: as many as the default of connections, so
/// that only multiplexed clients can overrun it.
pub(super) const QUEUE: usize = 10_000;
/// Bytes of body that wait for a group, so that large bodies cannot use up the memory.
pub(super) const QUEUE_BYTES: usize = 64 << 20;
/// How often a full backlog is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The way of entries into one partition. Dropping it lets what is queued go first.
pub(super) struct Batcher {
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    line: Arc<Line>,
}

struct Queued {
    entry: NewEntry,
    answer: oneshot::Sender<Result<Appended, Away>>,
    /// Its bytes of the queue, given back when it is taken from there.
    _room: OwnedSemaphorePermit,
}

/// The outcome of a call is unknown; the same entries may be sent again.
#[derive(Clone, Copy, Debug)]
struct Away;

/// What the groups of one partition share.
struct Line {
    backbone: Arc<dyn Backbone>,
    partition: Partition,
    limits: AppendLimits,
    answering: AtomicBool,
    appended: AtomicU64,
    full: Notify,
    retry_after_ms: AtomicU64,
}

impl Batcher {
    /// Starts the tasks of one partition on the current runtime.
    pub fn start(backbone: Arc<dyn Backbone>, partition: Partition, limits: AppendLimits) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        let line = Arc::new(Line {
            backbone,
            partition,
            limits,
            answering: AtomicBool::new(true),
            appended: AtomicU64::new(0),
            full: Notify::new(),
            retry_after_ms: AtomicU64::new(1000),
        });
        tokio::spawn(gather(Arc::clone(&line), queued));
        Self {
            queue,
            room: Arc::new(Semaphore::new(QUEUE_BYTES)),
            line,
        }
    }

    /// Appends one entry with whatever else is queued. `Ok` only once the
    /// backbone has answered. A caller that goes away leaves its entry in the group.
    pub async fn append(&self, entry: NewEntry) -> Result<Appended, Refusal> {
        let (answer, answered) = oneshot::channel();
        let bytes = u32::try_from(entry.body.len()).map_err(|_| Refusal::Overloaded)?;
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(bytes)
            .map_err(|_| Refusal::Overloaded)?;
        let queued = Queued {
            entry,
            answer,
            _room: room,
        };
        self.queue
            .try_send(queued)
            .map_err(|_| Refusal::Overloaded)?;
        match answered.await {
            Ok(Ok(Appended::BacklogFull)) => Err(Refusal::BacklogFull {
                retry_after: Duration::from_millis(
                    self.line.retry_after_ms.load(Ordering::Relaxed),
                ),
            }),
            Ok(Ok(Appended::MemoryScarce)) => Err(Refusal::MemoryScarce),
            Ok(Ok(Appended::Conflict)) => Err(Refusal::Conflict),
            Ok(Ok(appended @ (Appended::New | Appended::Replayed))) => Ok(appended),
            Ok(Err(Away)) | Err(_) => Err(Refusal::BackboneAway),
        }
    }
}

async fn gather(line: Arc<Line>, mut queued: mpsc::Receiver<Queued>) {
    let watching = tokio::spawn(watch_backlog(Arc::clone(&line)));
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(call) = calls.join_next(), if !calls.is_empty() => {
                // Who is queued would only wait for the next call to fail as well.
                if !matches!(call, Ok(Ok(()))) {
                    while let Ok(queued) = queued.try_recv() {
                        let _gone = queued.answer.send(Err(Away));
                    }
                }
            }
            first = queued.recv(), if calls.len() < IN_FLIGHT => {
                let Some(first) = first else { break };
                let group = group(first, &mut queued);
                calls.spawn(Arc::clone(&line).commit(group));
            }
        }
    }
    while calls.join_next().await.is_some() {}
    watching.abort();
}

/// What is queued by now, up to the size of a group.
fn group(first: Queued, queued: &mut mpsc::Receiver<Queued>) -> Vec<Queued> {
    let mut bytes = first.entry.body.len();
    let mut group = Vec::with_capacity((queued.len() + 1).min(MAX_GROUP));
    group.push(first);
    while group.len() < MAX_GROUP && bytes < MAX_GROUP_BYTES {
        let Ok(next) = queued.try_recv() else { break };
        bytes += next.entry.body.len();
        group.push(next);
    }
    group
}

impl Line {
    async fn commit(self: Arc<Self>, group: Vec<Queued>) -> Result<(), Away> {
        let (entries, answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|queued| (queued.entry, queued.answer))
            .unzip();
        let outcome = self.append(&entries).await;
        for (index, answer) in answers.into_iter().enumerate() {
            let of_this = outcome.as_ref().map_err(|away| *away);
            let of_this = of_this.and_then(|appended| appended.get(index).copied().ok_or(Away));
            // A client that hung up hears nothing; its entry stands all the same.
            let _gone = answer.send(of_this);
        }
        outcome.map(|_| ())
    }

    async fn append(&self, entries: &[NewEntry]) -> Result<Vec<Appended>, Away> {
        let appended = self.backbone.append(&self.partition, self.limits, entries);
        let Partition { flow, index } = &self.partition;
        let appended = match appended.await {
            Ok(appended) => appended,
            Err(error) => {
                // Once per outage, and not once per group.
                if self.answering.swap(false, Ordering::Relaxed) {
                    error!(%flow, partition = index, %error, "entries are refused");
                }
                return Err(Away);
            }
        };
        if !self.answering.swap(true, Ordering::Relaxed) {
            info!(%flow, partition = index, "entries are accepted again");
        }
        let new = appended.iter().filter(|of| **of == Appended::New).count();
        self.appended.fetch_add(new as u64, Ordering::Relaxed);
        if appended.contains(&Appended::BacklogFull) {
            self.full.notify_one();
        }
        Ok(appended)
    }
}

/// Keeps the time after which refused clients should come back; asks the
/// backbone only while it refuses them.
async fn watch_backlog(line: Arc<Line>) {
    let mut rate = DrainRate::new(line.limits.max_backlog);
    loop {
        line.full.notified().await;
        if let Ok(depth) = line.backbone.depth(&line.partition).await {
            rate.observe(Sample {
                at: Instant::now(),
                open: depth.open,
                appended: line.appended.load(Ordering::Relaxed),
            });
            let retry_after = rate.retry_after().as_millis() as u64;
            line.retry_after_ms.store(retry_after, Ordering::Relaxed);
        }
        tokio::time::sleep(LOOK).await;
    }
}
