//! Group commit: while one call to the backbone is under way the next group
//! gathers, so the fuller the front end, the larger the groups. Nobody waits
//! for a group to fill.
//!
//! Batches that are larger than a group wait in a queue of their own, a few
//! groups of each at a time, and groups are made of the two queues in turns:
//! whoever sends one entry waits behind one group of such a batch, and not
//! behind all of it.

mod queues;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{error, info};

use self::queues::Queues;
use super::Refusal;
use super::drain::{DrainRate, Sample};
use super::meter::AppendMeter;
use floodgate_backbone::{AppendLimits, Appended, Backbone, NewEntry};
use floodgate_flow::Partition;
use floodgate_http::Grant;
use floodgate_process::tasks::{APPENDER, BACKLOG};

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
/// Groups of one large batch that wait at a time: enough to keep all calls busy.
pub(super) const OF_A_BATCH: usize = 2 * IN_FLIGHT;
/// How many groups wait at a time of a giant batch, which would fill more groups than
/// [`OF_A_BATCH`]. Such a batch takes long in any case, and a client that sends one
/// entry then waits behind one of its groups in Redis.
const OF_A_GIANT: usize = 1;
/// Groups of large batches that wait in the queue; the others wait for a place
/// there, in the order in which they came.
const QUEUE_OF_LARGE: usize = 64;
/// How often a full backlog is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The way of entries into one partition. Dropping it lets what is queued go first.
pub(super) struct Batcher {
    queue: mpsc::Sender<Queued>,
    large: mpsc::Sender<Queued>,
    line: Arc<Line>,
}

struct Queued {
    /// At most as many as a group; they stay together.
    entries: Vec<NewEntry>,
    /// Of their bodies.
    bytes: usize,
    answer: oneshot::Sender<Outcome>,
    /// What they hold of the budget, given back once they are appended.
    held: Held,
}

/// What entries hold of the budget, alone or with the others of their batch.
enum Held {
    Alone { _grant: Grant },
    Together { _grant: Arc<Grant> },
}

type Outcome = Result<Vec<Appended>, Away>;

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
        let (large, queued_large) = mpsc::channel(QUEUE_OF_LARGE);
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
        let queues = Queues {
            queued,
            large: queued_large,
            large_first: false,
        };
        tokio::spawn(APPENDER.run(gather(Arc::clone(&line), queues)));
        Self { queue, large, line }
    }

    /// Appends one entry with whatever else is queued. `Ok` only once the
    /// backbone has answered. A caller that goes away leaves its entry in the group.
    pub async fn append(&self, entry: NewEntry, grant: Grant) -> Result<Appended, Refusal> {
        let held = Held::Alone { _grant: grant };
        let (queued, answer) = Queued::new(vec![entry], held);
        self.queue(queued)?;
        match answered(answer).await?.first() {
            Some(appended) => self.refusal(*appended).map_or(Ok(*appended), Err),
            None => Err(Refusal::BackboneAway),
        }
    }

    /// Appends entries of a batch that has `of_batch` entries in all, and returns one
    /// answer for each. After an error, or if the caller goes away, some of the entries
    /// may have been appended.
    pub async fn append_all(
        &self,
        entries: Vec<NewEntry>,
        of_batch: usize,
        grant: &Arc<Grant>,
    ) -> Result<Vec<Appended>, Refusal> {
        let mut appended = Vec::with_capacity(entries.len());
        let mut waiting = VecDeque::with_capacity(OF_A_BATCH);
        let chunks = chunks(entries);
        let is_large = chunks.len() > 1;
        let at_a_time = match of_batch > OF_A_BATCH * MAX_GROUP {
            true => OF_A_GIANT,
            false => OF_A_BATCH,
        };
        for chunk in chunks {
            if waiting.len() == at_a_time
                && let Some(first) = waiting.pop_front()
            {
                appended.extend(answered(first).await?);
            }
            let _grant = Arc::clone(grant);
            let (queued, answer) = Queued::new(chunk, Held::Together { _grant });
            if is_large {
                let sent = self.large.send(queued).await;
                sent.map_err(|_| Refusal::Overloaded)?;
            } else {
                self.queue(queued)?;
            }
            waiting.push_back(answer);
        }
        for answer in waiting {
            appended.extend(answered(answer).await?);
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

    fn queue(&self, queued: Queued) -> Result<(), Refusal> {
        let sent = self.queue.try_send(queued);
        sent.map_err(|_| Refusal::Overloaded)
    }
}

impl Queued {
    fn new(entries: Vec<NewEntry>, held: Held) -> (Self, oneshot::Receiver<Outcome>) {
        let (answer, answered) = oneshot::channel();
        let queued = Self {
            bytes: entries.iter().map(|entry| entry.body.len()).sum(),
            entries,
            answer,
            held,
        };
        (queued, answered)
    }
}

async fn answered(answer: oneshot::Receiver<Outcome>) -> Result<Vec<Appended>, Refusal> {
    match answer.await {
        Ok(Ok(appended)) => Ok(appended),
        Ok(Err(Away)) | Err(_) => Err(Refusal::BackboneAway),
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

async fn gather(line: Arc<Line>, mut queues: Queues) {
    let watched = Arc::clone(&line);
    let watching = tokio::spawn(BACKLOG.run(move || watch_backlog(Arc::clone(&watched))));
    let mut calls = JoinSet::new();
    let mut group = Group::default();
    let mut open = true;
    while open || !group.is_empty() {
        group.fill(&mut queues);
        let goes = match calls.len() {
            0 => !group.is_empty(),
            under_way => group.is_full() && under_way < IN_FLIGHT,
        };
        if goes {
            calls.spawn(Arc::clone(&line).commit(group.take()));
            queues.large_first = !queues.large_first;
            continue;
        }
        tokio::select! {
            biased;
            Some(call) = calls.join_next(), if !calls.is_empty() => {
                // Who is queued would only wait for the next call to fail as well.
                if !matches!(call, Ok(Ok(()))) {
                    let waiting = std::mem::take(&mut group).into_all();
                    for queued in waiting.chain(std::iter::from_fn(|| queues.now())) {
                        let _gone = queued.answer.send(Err(Away));
                    }
                }
            }
            first = queues.next(), if open && !group.is_full() => match first {
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
    fn fill(&mut self, queues: &mut Queues) {
        while !self.is_full()
            && let Some(next) = queues.now()
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
        self.bytes += next.bytes;
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
            answers.push((queued.entries.len(), queued.answer, queued.held));
            entries.extend(queued.entries);
        }
        let outcome = self.append(&entries).await;
        drop(entries);
        let mut at = 0;
        for (count, answer, held) in answers {
            drop(held);
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
