//! A request that carries many entries.

use std::mem::size_of;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::admit::Admission;
use super::gate::Allowance;
use super::receipt::Receipt;
use super::{Refusal, Response};
use floodgate_backbone::{Appended, NewEntry, Origin};
use floodgate_flow::{Admitted, Batch, BodyHash, Violation};
use floodgate_http::Grant;

/// Items that are named at most where some were not queued.
const NAMED: usize = 1000;

/// Its entries, those of a slice at a time; a few of them are none.
type Entries = Batch<Option<NewEntry>>;

impl Admission {
    /// The batch is checked whole before anything of it is appended. What is
    /// found while appending is of single items: the others stand, and sending
    /// the same batch again is safe.
    pub(super) async fn admit_batch(
        &self,
        body: Bytes,
        mut grant: Grant,
        origin: Origin,
        allowance: Option<&Allowance<'_>>,
    ) -> Result<Response, Refusal> {
        let mut entries = self.checked(body, &origin).await?;
        let count = entries.len();
        grant.try_more(count * size_of::<u64>())?;
        if let Some(allowance) = allowance {
            allowance.charge(count).await?;
        }
        let grant = Arc::new(grant);
        let mut outcome = Outcome::default();
        loop {
            let slice;
            (entries, slice) = self.next_slice(entries, &origin).await?;
            if slice.is_empty() {
                break;
            }
            self.append_slice(slice, count, &grant, &mut outcome)
                .await?;
        }
        outcome.refuse_if_not_taken()?;
        let mut reply = Vec::with_capacity(256);
        let receipt = Receipt {
            flow: &self.flow,
            id: None,
            received_at: None,
            count,
            body: None,
        };
        self.flow.admit.reply.body.render(&receipt, &mut reply);
        Ok(self.accepted(reply, count > 0 && outcome.replayed == count))
    }

    async fn checked(&self, body: Bytes, origin: &Origin) -> Result<Entries, Refusal> {
        let (flow, origin, size) = (Arc::clone(&self.flow), origin.clone(), body.len());
        let check = move || flow.admit.check_batch(&body, |item| entry(item, &origin));
        self.apart(size, check).await
    }

    async fn next_slice(
        &self,
        mut entries: Entries,
        origin: &Origin,
    ) -> Result<(Entries, Vec<NewEntry>), Refusal> {
        // What was made already costs nothing.
        let size = if entries.is_made() { 0 } else { usize::MAX };
        let (flow, origin) = (Arc::clone(&self.flow), origin.clone());
        let make = move || {
            let made = entries.next(&flow.admit, |item| entry(item, &origin))?;
            Ok((entries, made.into_iter().flatten().collect()))
        };
        self.apart(size, make).await
    }

    /// Appends a slice of a batch that has `of_batch` entries, and adds to `outcome` what
    /// became of the slice.
    async fn append_slice(
        &self,
        slice: Vec<NewEntry>,
        of_batch: usize,
        grant: &Arc<Grant>,
        outcome: &mut Outcome,
    ) -> Result<(), Refusal> {
        let partitions = usize::from(self.flow.stream.partitions.max(1));
        let mut places = vec![Vec::new(); partitions];
        let mut split: Vec<Vec<NewEntry>> = vec![Vec::new(); partitions];
        let count = slice.len();
        for (place, entry) in slice.into_iter().enumerate() {
            let partition = usize::from(self.flow.stream.partition_of(&entry.id));
            places[partition].push(place);
            split[partition].push(entry);
        }
        let split = split.into_iter().filter(|entries| !entries.is_empty());
        let appends = split.map(|entries| async {
            let batcher = self.batcher(&entries[0].id)?;
            batcher.append_all(entries, of_batch, grant).await
        });
        let mut all = vec![Appended::Conflict; count];
        let places = places.into_iter().filter(|places| !places.is_empty());
        for (places, appended) in places.zip(join_all(appends).await) {
            for (place, appended) in places.into_iter().zip(appended?) {
                all[place] = appended;
            }
        }
        for appended in all {
            let refusal = self
                .batchers()
                .find_map(|batcher| batcher.refusal(appended));
            outcome.add(appended, refusal);
        }
        Ok(())
    }
}

/// What became of the items of a batch so far.
#[derive(Default)]
struct Outcome {
    items: usize,
    replayed: usize,
    /// Of those that were not taken, the first ones.
    named: Vec<Violation>,
    unnamed: usize,
    /// Where sending again helps, that is said, and not what never will.
    temporary: Option<Refusal>,
    conflict: bool,
}

impl Outcome {
    fn add(&mut self, appended: Appended, refusal: Option<Refusal>) {
        let index = self.items;
        self.items += 1;
        self.replayed += usize::from(matches!(appended, Appended::Replayed { .. }));
        let Some(refusal) = refusal else { return };
        if self.named.len() < NAMED {
            self.named.push(Violation {
                index: Some(index),
                pointer: String::new(),
                message: refusal.to_string(),
            });
        } else {
            self.unnamed += 1;
        }
        match refusal {
            Refusal::Conflict => self.conflict = true,
            refusal => {
                self.temporary.get_or_insert(refusal);
            }
        }
    }

    fn refuse_if_not_taken(&mut self) -> Result<(), Refusal> {
        let of = match (self.temporary.take(), self.conflict) {
            (Some(temporary), _) => temporary,
            (None, true) => Refusal::Conflict,
            (None, false) => return Ok(()),
        };
        Err(Refusal::Items {
            of: Box::new(of),
            violations: std::mem::take(&mut self.named),
            unnamed: self.unnamed,
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
