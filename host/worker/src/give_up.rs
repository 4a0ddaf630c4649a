//! The end of an entry that no attempt decided.

use std::sync::Arc;

use tracing::{error, warn};

use super::batch::Faulty;
use super::clock::now_ms;
use super::decide::unjudged;
use super::insist::Stopped;
use super::lease::Lease;
use super::partition::PartitionWorker;
use floodgate_backbone::{Delivery, Payload, RememberMemory};
use floodgate_flow::{EntryFault, FaultKind, StreamId, Unjudged};
use floodgate_ledger::DeadLetter;

/// An entry without attempts left.
pub(super) struct Exhausted {
    pub delivery: Delivery,
    /// The last one.
    pub fault: EntryFault,
    pub attempts: u32,
    /// Unix milliseconds.
    pub first_at: u64,
}

impl PartitionWorker {
    /// The flow says what becomes of an entry that no oracle could judge;
    /// whatever else was wrong makes a dead letter.
    pub async fn give_up(&self, lease: &Lease, exhausted: Vec<Exhausted>) -> Result<(), Stopped> {
        let mut letters = Vec::new();
        for Exhausted {
            delivery,
            fault,
            attempts,
            first_at,
        } in exhausted
        {
            let fault = match self.counted_as_high(lease, &delivery, &fault).await? {
                Given::Up => continue,
                Given::NotTaken(refused) => refused,
                Given::NotHigh => fault,
            };
            letters.push(self.letter(&delivery, fault, attempts, first_at));
        }
        self.bury(letters).await
    }

    async fn counted_as_high(
        &self,
        lease: &Lease,
        delivery: &Delivery,
        fault: &EntryFault,
    ) -> Result<Given, Stopped> {
        let Payload::Entry(entry) = &delivery.payload else {
            return Ok(Given::NotHigh);
        };
        if self.flow.decide.unjudged != Unjudged::High || !fault.kind.is_unjudged() {
            return Ok(Given::NotHigh);
        }
        let decision = unjudged(&self.flow.decide);
        if let Some(times) = self.live.meter.told.counted_as_high.now() {
            warn!(
                flow = %self.flow.name,
                stream_id = %delivery.stream_id,
                fault = fault.kind.as_str(),
                times,
                "entry counts as high, no oracle could judge it"
            );
        }
        let decided = self.decided(delivery.stream_id, entry, decision);
        let refused = self.keep(lease, vec![(delivery.clone(), decided)]).await?;
        Ok(match refused.into_iter().next() {
            Some(Faulty { fault, .. }) => Given::NotTaken(fault),
            None => Given::Up,
        })
    }

    /// A worker died between the last fault of an entry and its end.
    pub async fn give_up_exhausted(
        &self,
        lease: &Lease,
        deliveries: Vec<Delivery>,
    ) -> Result<Vec<Delivery>, Stopped> {
        let attempts = self.flow.retry.attempts;
        let (used_up, live): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|d| d.attempts >= attempts);
        let mut exhausted = Vec::new();
        for delivery in used_up {
            let record = self.insist_on_backbone("look up faults", || {
                self.backbone().faults(&self.partition, delivery.stream_id)
            });
            if let Ok(Some(record)) = record.await? {
                exhausted.push(Exhausted {
                    delivery,
                    fault: record.last,
                    attempts: record.attempts,
                    first_at: record.first_at,
                });
            }
        }
        self.give_up(lease, exhausted).await?;
        Ok(live)
    }

    pub async fn bury_conflicts(
        &self,
        conflicts: &[StreamId],
        deliveries: &[Delivery],
    ) -> Result<(), Stopped> {
        let letters = deliveries
            .iter()
            .filter(|delivery| conflicts.contains(&delivery.stream_id))
            .map(|delivery| {
                let fault = EntryFault {
                    kind: FaultKind::Conflict,
                    error: "the ledger holds a decision of this id on another body".to_owned(),
                    oracle: None,
                };
                self.letter(delivery, fault, delivery.attempts, now_ms())
            });
        self.bury(letters.collect()).await
    }

    async fn bury(&self, letters: Vec<DeadLetter>) -> Result<(), Stopped> {
        if letters.is_empty() {
            return Ok(());
        }
        let buried = self.insist_on_ledger("store dead letters", || self.ledger().bury(&letters));
        match buried.await? {
            Ok(stored) => {
                for letter in &letters {
                    let kind = letter.fault.kind;
                    self.live.meter.buried.kind(kind).increment(1);
                    // Whoever sends what no oracle can judge could fill the disk.
                    let told = &self.live.meter.told.buried[kind as usize];
                    if let Some(times) = told.now() {
                        warn!(
                            flow = %letter.flow,
                            stream_id = %letter.stream_id,
                            fault = kind.as_str(),
                            attempts = letter.attempts,
                            times,
                            "entry became a dead letter"
                        );
                    }
                }
                let settled = self.insist_on_backbone("settle dead letters", || {
                    let memory = RememberMemory::of(&self.flow);
                    self.backbone()
                        .settle_dead(&self.partition, &stored, memory)
                });
                settled.await?.map_err(|_| Stopped)
            }
            Err(error) => {
                error!(%error, "dead letters refused by the ledger, their entries stay pending");
                Err(Stopped)
            }
        }
    }

    fn letter(
        &self,
        delivery: &Delivery,
        fault: EntryFault,
        attempts: u32,
        first_at: u64,
    ) -> DeadLetter {
        let (id, body, attributes) = match &delivery.payload {
            Payload::Entry(entry) => (
                entry.id.clone(),
                entry.body.clone(),
                entry.attributes.clone(),
            ),
            Payload::Malformed { raw, .. } => (
                Arc::from(delivery.stream_id.to_string()),
                raw.clone(),
                Arc::default(),
            ),
        };
        DeadLetter {
            flow: self.flow.name.clone(),
            partition: self.partition.index,
            stream_id: delivery.stream_id,
            id,
            body,
            attributes,
            fault,
            attempts,
            deliveries: delivery.deliveries,
            received_at: delivery.stream_id.ms,
            first_at,
            last_at: now_ms(),
        }
    }
}

/// What became of an entry that may count as HIGH.
enum Given {
    Up,
    /// The ledger refused its data.
    NotTaken(EntryFault),
    /// It may not.
    NotHigh,
}
