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
/// Calls under way at once. Those that Redis reads in one turn of its event loop
/// share an fsync; with two, large batches waited for one half of the time.
pub(super) const IN_FLIGHT: usize = 8;
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
    /// At most as many as a group; they stay together.
    entries: Vec<NewEntry>,
    answer: oneshot::Sender<Result<Vec<Appended>, Away>>,
    /// Their bytes of the queue, given back when they are taken from there.
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
        match self.queue(vec![entry])?.await {
            Ok(Ok(appended)) => match appended.first() {
                Some(appended) => self.refusal(*appended).map_or(Ok(*appended), Err),
                None => Err(Refusal::BackboneAway),
            },
            Ok(Err(Away)) | Err(_) => Err(Refusal::BackboneAway),
        }
    }

    /// Appends many entries; one answer for each. An error is of all of them,
    /// of which some may stand.
    pub async fn append_all(&self, entries: Vec<NewEntry>) -> Result<Vec<Appended>, Refusal> {
        let mut answers = Vec::new();
        for chunk in chunks(entries) {
            answers.push(self.queue(chunk)?);
        }
        let mut appended = Vec::new();
        for answer in answers {
            match answer.await {
                Ok(Ok(of_chunk)) => appended.extend(of_chunk),
                Ok(Err(Away)) | Err(_) => return Err(Refusal::BackboneAway),
            }
        }
        Ok(appended)
    }

    /// What is answered for an entry that was not taken.
    pub fn refusal(&self, appended: Appended) -> Option<Refusal> {
        match appended {
            Appended::New(_) | Appended::Replayed(_) => None,
            Appended::Conflict => Some(Refusal::Conflict),
            Appended::MemoryScarce => Some(Refusal::MemoryScarce),
            Appended::BacklogFull => {
                let retry_after = self.line.retry_after_ms.load(Ordering::Relaxed);
                Some(Refusal::BacklogFull {
                    retry_after: Duration::from_millis(retry_after),
                })
            }
        }
    }

    fn queue(
        &self,
        entries: Vec<NewEntry>,
    ) -> Result<oneshot::Receiver<Result<Vec<Appended>, Away>>, Refusal> {
        let (answer, answered) = oneshot::channel();
        let bytes: usize = entries.iter().map(|entry| entry.body.len()).sum();
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::Overloaded)?;
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(bytes)
            .map_err(|_| Refusal::Overloaded)?;
        let queued = Queued {
            entries,
            answer,
            _room: room,
        };
        self.queue
            .try_send(queued)
            .map_err(|_| Refusal::Overloaded)?;
        Ok(answered)
    }
}

/// In their order, each no larger than a group.
fn chunks(entries: Vec<NewEntry>) -> Vec<Vec<NewEntry>> {
    let mut chunks: Vec<Vec<NewEntry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < MAX_GROUP && bytes < MAX_GROUP_BYTES => {
                bytes += entry.body.len();
                chunk.push(entry);
            }
            _ => {
                bytes = entry.body.len();
                chunks.push(vec![entry]);
            }
        }
    }
    chunks
}

async fn gather(line: Arc<Line>, mut queued: mpsc::Receiver<Queued>) {
    let watching = tokio::spawn(watch_backlog(Arc::clone(&line)));
    let mut calls = JoinSet::new();
    let mut next = None;
    loop {
        if calls.len() < IN_FLIGHT
            && let Some(first) = next.take()
        {
            let (group, left) = group(first, &mut queued);
            next = left;
            calls.spawn(Arc::clone(&line).commit(group));
            continue;
        }
        tokio::select! {
            biased;
            Some(call) = calls.join_next(), if !calls.is_empty() => {
                // Who is queued would only wait for the next call to fail as well.
                if !matches!(call, Ok(Ok(()))) {
                    let waiting = next.take().into_iter();
                    for queued in waiting.chain(std::iter::from_fn(|| queued.try_recv().ok())) {
                        let _gone = queued.answer.send(Err(Away));
                    }
                }
            }
            first = queued.recv(), if next.is_none() && calls.len() < IN_FLIGHT => {
                let Some(first) = first else { break };
                next = Some(first);
            }
        }
    }
    while calls.join_next().await.is_some() {}
    watching.abort();
}

/// What is queued by now, up to the size of a group, and what was taken from
/// the queue and is for the next one.
fn group(first: Queued, queued: &mut mpsc::Receiver<Queued>) -> (Vec<Queued>, Option<Queued>) {
    let size = |queued: &Queued| -> usize { queued.entries.iter().map(|e| e.body.len()).sum() };
    let (mut count, mut bytes) = (first.entries.len(), size(&first));
    let mut group = vec![first];
    while count < MAX_GROUP && bytes < MAX_GROUP_BYTES {
        let Ok(next) = queued.try_recv() else { break };
        if count + next.entries.len() > MAX_GROUP {
            return (group, Some(next));
        }
        count += next.entries.len();
        bytes += size(&next);
        group.push(next);
    }
    (group, None)
}

impl Line {
    async fn commit(self: Arc<Self>, group: Vec<Queued>) -> Result<(), Away> {
        let mut entries = Vec::with_capacity(MAX_GROUP);
        let mut answers = Vec::with_capacity(group.len());
        for queued in group {
            answers.push((queued.entries.len(), queued.answer));
            entries.extend(queued.entries);
        }
        let outcome = self.append(&entries).await;
        let mut at = 0;
        for (count, answer) in answers {
            let range = at..at + count;
            at += count;
            let of_these = outcome.as_ref().map_err(|away| *away);
            let of_these =
                of_these.and_then(|appended| Ok(appended.get(range).ok_or(Away)?.to_vec()));
            // A client that hung up hears nothing; its entries stand all the same.
            let _gone = answer.send(of_these);
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
        let new = appended
            .iter()
            .filter(|of| matches!(of, Appended::New(_)))
            .count();
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
