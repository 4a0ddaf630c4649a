//! A request that carries many entries.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::admit::Admission;
use super::gate::Allowance;
use super::receipt::Receipt;
use super::{Refusal, Response};
use crate::backbone::{Appended, NewEntry, Origin};
use crate::flow::{Admitted, BodyHash, Inadmissible, Violation};

/// Checking a larger body would keep the other requests of its thread waiting.
const LARGE: usize = 64 << 10;

type Checked = Result<Vec<NewEntry>, Inadmissible>;

impl Admission {
    /// The batch is checked whole before anything of it is appended. What is
    /// found while appending is of single items: the others stand, and sending
    /// the same batch again is safe.
    pub(super) async fn admit_batch(
        &self,
        body: Bytes,
        origin: Origin,
        allowance: Option<&Allowance<'_>>,
    ) -> Result<Response, Refusal> {
        let entries = self.checked(body, origin).await?;
        let count = entries.len();
        if let Some(allowance) = allowance {
            allowance.charge(count).await?;
        }
        let appended = self.append_batch(entries).await?;
        self.refuse_if_not_taken(&appended)?;
        let mut reply = Vec::with_capacity(256);
        let receipt = Receipt {
            flow: &self.flow,
            id: None,
            received_at: None,
            count,
            body: None,
        };
        self.flow.admit.reply.body.render(&receipt, &mut reply);
        let is_replayed = |appended: &Appended| matches!(appended, Appended::Replayed { .. });
        let replayed = count > 0 && appended.iter().all(is_replayed);
        Ok(self.accepted(reply, replayed))
    }

    async fn checked(&self, body: Bytes, origin: Origin) -> Result<Vec<NewEntry>, Refusal> {
        let large = body.len() > LARGE;
        let flow = Arc::clone(&self.flow);
        let check = move || -> Checked {
            let admitted = flow.admit.admit_batch(&body)?.into_iter();
            Ok(admitted.filter_map(|item| entry(item, &origin)).collect())
        };
        let checked = if large {
            // As many at a time as there are cores: what is parsed is large.
            let _turn = self.checking.acquire().await;
            let checked = tokio::task::spawn_blocking(check).await;
            checked.map_err(|_| Refusal::Overloaded)?
        } else {
            check()
        };
        checked.map_err(|inadmissible| self.refusal(inadmissible))
    }

    /// One answer for each entry, in their order.
    async fn append_batch(&self, entries: Vec<NewEntry>) -> Result<Vec<Appended>, Refusal> {
        let partitions = usize::from(self.flow.stream.partitions.max(1));
        let mut places = vec![Vec::new(); partitions];
        let mut split: Vec<Vec<NewEntry>> = vec![Vec::new(); partitions];
        let count = entries.len();
        for (place, entry) in entries.into_iter().enumerate() {
            let partition = usize::from(self.flow.stream.partition_of(&entry.id));
            places[partition].push(place);
            split[partition].push(entry);
        }
        let split = split.into_iter().filter(|entries| !entries.is_empty());
        let appends = split.map(|entries| async {
            let batcher = self.batcher(&entries[0].id)?;
            batcher.append_all(entries).await
        });
        let mut all = vec![Appended::Conflict; count];
        let places = places.into_iter().filter(|places| !places.is_empty());
        for (places, appended) in places.zip(join_all(appends).await) {
            for (place, appended) in places.into_iter().zip(appended?) {
                all[place] = appended;
            }
        }
        Ok(all)
    }

    /// Where sending again helps, that is said, and not what never will.
    fn refuse_if_not_taken(&self, appended: &[Appended]) -> Result<(), Refusal> {
        let mut refusals = Vec::new();
        for (index, appended) in appended.iter().enumerate() {
            let refusal = self
                .batchers()
                .find_map(|batcher| batcher.refusal(*appended));
            if let Some(refusal) = refusal {
                let violation = Violation {
                    index: Some(index),
                    pointer: String::new(),
                    message: refusal.to_string(),
                };
                refusals.push((refusal, violation));
            }
        }
        let is_conflict = |refusal: &Refusal| matches!(refusal, Refusal::Conflict);
        let first = refusals
            .iter()
            .position(|(refusal, _)| !is_conflict(refusal));
        if refusals.is_empty() {
            return Ok(());
        }
        let (refusals, violations): (Vec<_>, Vec<_>) = refusals.into_iter().unzip();
        let of = refusals.into_iter().nth(first.unwrap_or(0));
        Err(Refusal::Items {
            of: Box::new(of.unwrap_or(Refusal::Conflict)),
            violations,
        })
    }
}

fn entry(item: Admitted, origin: &Origin) -> Option<NewEntry> {
    Some(NewEntry {
        // A flow that takes batches has the ids in its bodies.
        id: item.id?,
        body_hash: BodyHash::of(&item.body),
        body: item.body,
        origin: origin.clone(),
    })
}
