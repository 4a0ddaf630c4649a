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
use super::meter::AppendMeter;
use crate::backbone::{AppendLimits, Appended, Backbone, NewEntry, Partition};
use crate::tasks::{APPENDER, BACKLOG};

/// Entries of one call: a longer script stalls everybody who uses that Redis.
const MAX_GROUP: usize = 128;
/// Bytes of body after which a group is large enough.
const MAX_GROUP_BYTES: usize = 1 << 20;
/// Calls under way at once, of groups that are full: smaller ones gather behind
/// one, because each costs the backbone an fsync. More of them serve this flow
/// and cost its neighbours.
pub(super) const IN_FLIGHT: usize = 4;
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
    room: OwnedSemaphorePermit,
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
    meter: AppendMeter,
}

impl Batcher {
    /// Starts the tasks of one partition on the current runtime.
    pub fn start(backbone: Arc<dyn Backbone>, partition: Partition, limits: AppendLimits) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        let line = Arc::new(Line {
            meter: AppendMeter::of(&partition.flow),
            backbone,
            partition,
            limits,
            answering: AtomicBool::new(true),
            appended: AtomicU64::new(0),
            full: Notify::new(),
            retry_after_ms: AtomicU64::new(1000),
        });
        tokio::spawn(APPENDER.run(gather(Arc::clone(&line), queued)));
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
            Appended::New(_) | Appended::Replayed { .. } => None,
            Appended::Conflict => Some(Refusal::Conflict),
            Appended::MemoryScarce => Some(Refusal::MemoryScarce),
            Appended::RememberFull => Some(Refusal::RememberFull),
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
            room,
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
    let watched = Arc::clone(&line);
    let watching = tokio::spawn(BACKLOG.run(move || watch_backlog(Arc::clone(&watched))));
    let mut calls = JoinSet::new();
    let mut group = Group::default();
    let mut open = true;
    while open || !group.is_empty() {
        group.fill(&mut queued);
        let goes = match calls.len() {
            0 => !group.is_empty(),
            under_way => group.is_full() && under_way < IN_FLIGHT,
        };
        if goes {
            calls.spawn(Arc::clone(&line).commit(group.take()));
            continue;
        }
        tokio::select! {
            biased;
            Some(call) = calls.join_next(), if !calls.is_empty() => {
                // Who is queued would only wait for the next call to fail as well.
                if !matches!(call, Ok(Ok(()))) {
                    let waiting = std::mem::take(&mut group).into_all();
                    for queued in waiting.chain(std::iter::from_fn(|| queued.try_recv().ok())) {
                        let _gone = queued.answer.send(Err(Away));
                    }
                }
            }
            first = queued.recv(), if open && !group.is_full() => match first {
                Some(first) => group.push(first),
                None => open = false,
            }
        }
    }
    while calls.join_next().await.is_some() {}
    watching.abort();
}

/// What is appended next.
#[derive(Default)]
struct Group {
    waiting: Vec<Queued>,
    entries: usize,
    bytes: usize,
    /// What came behind them and does not fit; it is the first of the next.
    left: Option<Queued>,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn is_full(&self) -> bool {
        self.left.is_some() || self.entries >= MAX_GROUP || self.bytes >= MAX_GROUP_BYTES
    }

    /// With what is queued by now.
    fn fill(&mut self, queued: &mut mpsc::Receiver<Queued>) {
        while !self.is_full()
            && let Ok(next) = queued.try_recv()
        {
            self.push(next);
        }
    }

    fn push(&mut self, next: Queued) {
        if !self.is_empty() && self.entries + next.entries.len() > MAX_GROUP {
            self.left = Some(next);
            return;
        }
        self.entries += next.entries.len();
        self.bytes += next.room.num_permits();
        self.waiting.push(next);
    }

    fn take(&mut self) -> Vec<Queued> {
        let group = std::mem::take(self);
        if let Some(left) = group.left {
            self.push(left);
        }
        group.waiting
    }

    fn into_all(self) -> impl Iterator<Item = Queued> {
        self.waiting.into_iter().chain(self.left)
    }
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
        let began = Instant::now();
        let appended = self.backbone.append(&self.partition, self.limits, entries);
        let appended = appended.await;
        self.meter.called(entries.len(), began.elapsed());
        let Partition { flow, index } = &self.partition;
        let appended = match appended {
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
            .count() as u64;
        self.meter.taken(new, &appended);
        self.appended.fetch_add(new, Ordering::Relaxed);
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
