use std::borrow::Cow;
use std::sync::Arc;

use tracing::{Instrument, debug, debug_span, info_span, warn};

use super::clock::now_ms;
use super::decide::{decide, is_kept};
use super::give_up::Exhausted;
use super::insist::Stopped;
use super::judge::{self, Shown};
use super::lease::Lease;
use super::partition::{Batch, PartitionWorker};
use super::traced::Traced;
use floodgate_backbone::{Delivery, Failed, Outcomes, Payload, Recorded, Remember};
use floodgate_flow::{
    BodyHash, Decision, Entry, EntryFault, FaultKind, Keep, Outcome, StreamId, happened_at,
};
use floodgate_ledger::{Decided, DecidedBy, Stored};

/// A fault of one delivery, with all that a dead letter needs.
pub(super) struct Faulty {
    pub delivery: Delivery,
    pub fault: EntryFault,
}

impl PartitionWorker {
    /// The way of a batch. When the worker is to stop and something is away,
    /// the batch is dropped here and handed back by whoever stops the worker.
    pub async fn process(&self, batch: Batch) {
        let entries: Vec<StreamId> = batch.deliveries.iter().map(|d| d.stream_id).collect();
        let (flow, size) = (&self.flow.name, entries.len());
        let (partition, worker) = (self.partition.index, &*self.worker.name);
        let span = info_span!("batch", %flow, partition, size, worker);
        let Err(Stopped) = self.work(batch).instrument(span).await else {
            return;
        };
        debug!(%flow, size, "batch left for another worker");
        if self.is_outdated() && self.hand_back(&entries).await.is_ok() {
            debug!(%flow, size, "batch handed back, the flow was changed");
        }
    }

    async fn work(&self, batch: Batch) -> Result<(), Stopped> {
        let Batch {
            lease,
            deliveries,
            alone,
            done: _until_the_end,
        } = batch;
        let (suspects, others): (Vec<_>, Vec<_>) = deliveries
            .into_iter()
            .partition(|delivery| self.is_suspicious(delivery));
        self.work_on(&lease, others, alone).await?;
        for suspect in suspects {
            self.work_on_alone(&lease, suspect).await?;
        }
        Ok(())
    }

    pub(super) async fn work_on(
        &self,
        lease: &Lease,
        deliveries: Vec<Delivery>,
        alone: bool,
    ) -> Result<(), Stopped> {
        let deliveries = self.give_up_exhausted(lease, deliveries).await?;
        let deliveries = self.settle_decided_before(deliveries).await?;
        let (deliveries, entries, mut faulty) = take_apart(deliveries);
        let traced = Traced::of(&self.flow.name, &deliveries);
        self.panic_on_purpose(&entries);
        // One that is suspicious comes here with nothing beside it.
        let suspect = deliveries.iter().find(|d| self.is_suspicious(d));
        let suspect = suspect.map(|delivery| delivery.stream_id);
        let outcomes = self.judge(&entries, alone, suspect);
        let outcomes = outcomes.instrument(debug_span!("judge")).await?;
        let is_over = |outcome: &judge::Outcome| matches!(outcome, judge::Outcome::EndsProcesses);
        if let Some(suspect) = suspect
            && !outcomes.iter().any(is_over)
        {
            self.acquit(suspect).await?;
        }

        let mut decided = Vec::with_capacity(outcomes.len());
        let (mut unknown, mut crashing) = (Vec::new(), Vec::new());
        let judged = deliveries.into_iter().zip(entries.iter()).zip(outcomes);
        for ((delivery, shown), outcome) in judged {
            let Shown {
                stream_id, entry, ..
            } = shown;
            match outcome {
                judge::Outcome::Judged {
                    verdicts,
                    oracles,
                    inference,
                } => {
                    let decision = decide(&self.flow.decide, verdicts, oracles, inference);
                    traced.decided(*stream_id, &decision);
                    decided.push((delivery, self.decided(*stream_id, entry, decision)));
                }
                judge::Outcome::Faulty(fault) => faulty.push(Faulty { delivery, fault }),
                judge::Outcome::EndsProcesses => crashing.push(delivery),
                judge::Outcome::Unknown => unknown.push(*stream_id),
            }
        }
        faulty.extend(self.keep(lease, decided).await?);
        for Faulty { delivery, fault } in &faulty {
            traced.failed(delivery.stream_id, fault);
        }
        self.record(lease, faulty).await?;
        self.give_up_crashing(lease, crashing).await?;
        self.hand_back(&unknown).await
    }

    /// See [`super::Worker::panicking_on`].
    #[allow(clippy::panic, reason = "this is what it is for")]
    fn panic_on_purpose(&self, entries: &[Shown]) {
        if let Some(prefix) = &self.worker.panic_on
            && entries
                .iter()
                .any(|shown| shown.entry.id.starts_with(&**prefix))
        {
            panic!("an entry was sent that a worker has to panic over");
        }
    }

    pub(super) fn decided(
        &self,
        stream_id: StreamId,
        entry: &Entry,
        decision: Decision,
    ) -> Decided {
        let time = self.flow.table.time.as_ref();
        Decided {
            stream_id,
            entry: entry.clone(),
            at: happened_at(&entry.body, time, entry.received_at),
            keep: is_kept(self.flow.keep, &decision),
            decision,
        }
    }

    /// Stores and settles. What the ledger refuses for its data is returned.
    pub(super) async fn keep(
        &self,
        lease: &Lease,
        decided: Vec<(Delivery, Decided)>,
    ) -> Result<Vec<Faulty>, Stopped> {
        let (deliveries, rows): (Vec<_>, Vec<_>) = decided.into_iter().unzip();
        let by = DecidedBy {
            flow: self.flow.name.clone(),
            flow_digest: self.flow.digest,
            settings_digest: self.flow.oracles.first().and_then(|o| o.settings.digest),
            deliver: self.flow.deliver.clone(),
        };
        let mut refused = Vec::new();
        let mut open = vec![(&rows[..], &deliveries[..])];
        while let Some((rows, deliveries)) = open.pop() {
            if rows.is_empty() {
                continue;
            }
            // Asked before each try: the one before may have taken a while.
            let stored = self.insist_on_ledger("store decisions", || async {
                let held = self.still_held(lease, rows);
                self.ledger().keep(&by, &held).await
            });
            match stored.instrument(debug_span!("keep")).await? {
                Ok(kept) => {
                    self.settle(&kept.stored, &self.outcomes(rows)).await?;
                    self.live.meter.decided(rows, &kept.stored);
                    self.bury_conflicts(&kept.conflicts, deliveries).await?;
                }
                Err(error) if rows.len() == 1 => refused.push(Faulty {
                    delivery: deliveries[0].clone(),
                    fault: EntryFault {
                        kind: FaultKind::Ledger,
                        error: error.to_string(),
                        oracle: None,
                    },
                }),
                // One row spoils the transaction: find it by halving.
                Err(_) => {
                    let middle = rows.len() / 2;
                    open.push((&rows[middle..], &deliveries[middle..]));
                    open.push((&rows[..middle], &deliveries[..middle]));
                }
            }
        }
        Ok(refused)
    }

    /// Without those that another worker may have taken over: it may have
    /// decided otherwise, by another oracle.
    fn still_held<'r>(&self, lease: &Lease, rows: &'r [Decided]) -> Cow<'r, [Decided]> {
        let lost = lease.lost(rows.iter().map(|row| row.stream_id));
        if lost.is_empty() {
            return Cow::Borrowed(rows);
        }
        warn!(flow = %self.flow.name, lost = lost.len(), "lease ran out, leaving entries to others");
        let is_held = |row: &&Decided| !lost.contains(&row.stream_id);
        rows.iter().filter(is_held).cloned().collect()
    }

    /// What a tracked flow has to remember, because no ledger does.
    fn outcomes(&self, rows: &[Decided]) -> Outcomes {
        if self.flow.track.is_none() || self.flow.keep == Keep::Always {
            return Outcomes::new();
        }
        let outcomes = rows.iter().filter_map(|row| {
            let outcome = Outcome::of(&row.decision, now_ms());
            Some((row.stream_id, serde_json::to_string(&outcome).ok()?))
        });
        outcomes.collect()
    }

    async fn settle(&self, stored: &Stored, outcomes: &Outcomes) -> Result<(), Stopped> {
        if stored.entries().is_empty() {
            return Ok(());
        }
        let remember = Remember::of(&self.flow);
        let settled = self.insist_on_backbone("settle", || {
            self.backbone()
                .settle(&self.partition, stored, remember, outcomes)
        });
        let settled = settled.instrument(debug_span!("settle")).await?;
        settled.map_err(|_| Stopped)?;
        self.live.settled(stored.entries());
        Ok(())
    }

    /// A decision that is stored is used as it is: it may be of an older oracle.
    async fn settle_decided_before(
        &self,
        deliveries: Vec<Delivery>,
    ) -> Result<Vec<Delivery>, Stopped> {
        let known: Vec<(StreamId, Arc<str>, BodyHash)> = deliveries
            .iter()
            .filter(|delivery| delivery.redelivered)
            .filter_map(|delivery| match &delivery.payload {
                Payload::Entry(entry) => Some((
                    delivery.stream_id,
                    entry.id.clone(),
                    BodyHash::of(&entry.body),
                )),
                Payload::Malformed { .. } => None,
            })
            .collect();
        if known.is_empty() {
            return Ok(deliveries);
        }
        let found = self.insist_on_ledger("look for earlier decisions", || {
            self.ledger().kept_before(&self.flow.name, &known)
        });
        let Ok(found) = found.await? else {
            return Ok(deliveries);
        };
        self.settle(&found.stored, &Outcomes::new()).await?;
        self.bury_conflicts(&found.conflicts, &deliveries).await?;
        let done = |id: StreamId| {
            found.conflicts.contains(&id) || found.stored.entries().iter().any(|(s, _)| *s == id)
        };
        let undecided = deliveries.into_iter().filter(|d| !done(d.stream_id));
        Ok(undecided.collect())
    }

    /// Records a fault of each; those without attempts left are given up.
    pub(super) async fn record(&self, lease: &Lease, faulty: Vec<Faulty>) -> Result<(), Stopped> {
        if faulty.is_empty() {
            return Ok(());
        }
        let failed: Vec<Failed> = faulty
            .iter()
            .map(|Faulty { delivery, fault }| Failed {
                stream_id: delivery.stream_id,
                fault: fault.clone(),
            })
            .collect();
        let recorded = self.insist_on_backbone("record faults", || {
            let (name, retry) = (&self.worker.name, &self.flow.retry);
            self.backbone()
                .record_faults(&self.partition, name, retry, &failed)
        });
        let Ok(recorded) = recorded.await? else {
            return Err(Stopped);
        };
        let mut exhausted = Vec::new();
        for (Faulty { delivery, fault }, recorded) in faulty.into_iter().zip(recorded) {
            if recorded != Recorded::NotHeld {
                self.live.meter.faults.kind(fault.kind).increment(1);
            }
            if let Recorded::Exhausted { attempts, first_at } = recorded {
                exhausted.push(Exhausted {
                    delivery,
                    fault,
                    attempts,
                    first_at,
                });
            }
        }
        self.give_up(lease, exhausted).await
    }

    pub(super) async fn hand_back(&self, entries: &[StreamId]) -> Result<(), Stopped> {
        let handed_back = self.insist_on_backbone("hand back", || {
            let name = &self.worker.name;
            self.backbone().hand_back(&self.partition, name, entries)
        });
        handed_back.await?.map_err(|_| Stopped)
    }
}

/// Entries to judge, with their deliveries in the same order, and what is none.
fn take_apart(deliveries: Vec<Delivery>) -> (Vec<Delivery>, Arc<[Shown]>, Vec<Faulty>) {
    let (mut whole, mut entries, mut faulty) = (Vec::new(), Vec::new(), Vec::new());
    for delivery in deliveries {
        match &delivery.payload {
            Payload::Entry(entry) => {
                entries.push(Shown {
                    stream_id: delivery.stream_id,
                    entry: entry.clone(),
                    failed_before: delivery.attempts > 0,
                });
                whole.push(delivery);
            }
            Payload::Malformed { error, .. } => {
                let fault = EntryFault {
                    kind: FaultKind::Malformed,
                    error: error.clone(),
                    oracle: None,
                };
                faulty.push(Faulty { delivery, fault });
            }
        }
    }
    (whole, entries.into(), faulty)
}
