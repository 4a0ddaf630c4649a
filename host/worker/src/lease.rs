//! What this worker holds, and until when it may rely on it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floodgate_backbone::Delivery;
use floodgate_flow::StreamId;
use floodgate_process::boot_time::BootTime;

/// A holder stops relying on its lease before others may take over: by this
/// much, or by a tenth of a short lease.
const MARGIN: Duration = Duration::from_secs(2);

/// The entries of one partition that this worker holds.
pub(super) struct Held {
    /// How long a hold lasts without being renewed.
    lease: Duration,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// By entry, the time until which nobody else takes it over.
    until: HashMap<StreamId, BootTime>,
    /// What was delivered once more while a batch still held it.
    again: HashMap<StreamId, Delivery>,
    /// Of those, what that batch left.
    left: Vec<Delivery>,
}

impl Held {
    pub fn new(lease: Duration) -> Self {
        Self {
            lease,
            entries: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // The maps are whole after any single insert or remove.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds what was delivered, but for what a batch of this worker holds already:
    /// its lease begins anew, and when that batch ends it is one of
    /// [`Self::take_left`]. `asked` is the time before the backbone was asked: the
    /// lease began then at the earliest, however long the answer took.
    pub fn take(
        self: &Arc<Self>,
        deliveries: Vec<Delivery>,
        asked: BootTime,
    ) -> (Lease, Vec<Delivery>) {
        let until = asked.plus(self.lease);
        let mut entries = self.lock();
        let mut new = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let id = delivery.stream_id;
            match entries.until.insert(id, until) {
                None => new.push(delivery),
                Some(_) => _ = entries.again.insert(id, delivery),
            }
        }
        let ids: Vec<StreamId> = new.iter().map(|delivery| delivery.stream_id).collect();
        let held = Arc::clone(self);
        (Lease { held, ids }, new)
    }

    /// Returns what was delivered once more while a batch held it that has ended.
    /// That batch may have settled it.
    pub fn take_left(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.lock().left)
    }

    /// Puts back what [`Self::take_left`] returned.
    pub fn put_left(&self, left: Vec<Delivery>) {
        self.lock().left.extend(left);
    }

    /// What has to be renewed before the next round, `period` from now.
    pub fn due(&self, period: Duration) -> Vec<StreamId> {
        let soon = BootTime::now().plus(period + period);
        let entries = self.lock();
        let held = entries.until.iter();
        held.filter(|(_, until)| **until < soon)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Of `asked_for`, the backbone renewed `renewed`; the rest is lost to others.
    pub fn renewed(&self, asked: BootTime, asked_for: &[StreamId], renewed: &[StreamId]) {
        let mut entries = self.lock();
        let mut set = |ids: &[StreamId], until| {
            for id in ids {
                entries.until.entry(*id).and_modify(|held| *held = until);
            }
        };
        set(asked_for, BootTime::START);
        set(renewed, asked.plus(self.lease));
    }
}

/// Entries held until this is dropped. Dropping it settles nothing: what was
/// not settled comes again when its lease has run out.
pub(super) struct Lease {
    held: Arc<Held>,
    ids: Vec<StreamId>,
}

impl Lease {
    /// Those that somebody else may have taken over by now.
    pub fn lost(&self, ids: impl Iterator<Item = StreamId>) -> HashSet<StreamId> {
        let margin = MARGIN.min(self.held.lease / 10);
        let soon = BootTime::now().plus(margin);
        let entries = self.held.lock();
        ids.filter(|id| entries.until.get(id).is_none_or(|until| *until <= soon))
            .collect()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut entries = self.held.lock();
        for id in &self.ids {
            entries.until.remove(id);
            let again = entries.again.remove(id);
            entries.left.extend(again);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use floodgate_backbone::{LEASE, Payload};

    fn delivery(ms: u64) -> Delivery {
        Delivery {
            stream_id: StreamId { ms, seq: 0 },
            payload: Payload::Malformed {
                raw: Bytes::new(),
                error: String::new(),
            },
            redelivered: false,
            deliveries: 1,
            attempts: 0,
        }
    }

    fn lost(lease: &Lease, of: &[Delivery]) -> HashSet<StreamId> {
        lease.lost(of.iter().map(|delivery| delivery.stream_id))
    }

    #[test]
    fn an_entry_is_held_once_until_its_lease_is_dropped() {
        let held = Arc::new(Held::new(LEASE));
        let (lease, first) = held.take(vec![delivery(1), delivery(2)], BootTime::now());
        let (_other, second) = held.take(vec![delivery(2), delivery(3)], BootTime::now());
        assert_eq!((first.len(), second.len()), (2, 1));
        assert!(lost(&lease, &first).is_empty());
        drop(lease);
        let (_lease, again) = held.take(vec![delivery(1), delivery(3)], BootTime::now());
        assert_eq!(again.len(), 1, "3 is still held by the second lease");
    }

    #[test]
    fn what_is_delivered_again_while_it_is_held_is_held_on_and_not_forgotten() {
        let held = Arc::new(Held::new(LEASE));
        let long_ago = BootTime::now().minus(LEASE);
        let (lease, taken) = held.take(vec![delivery(1), delivery(2)], long_ago);
        assert_eq!(lost(&lease, &taken).len(), 2);
        let (_none, again) = held.take(vec![delivery(1)], BootTime::now());
        assert!(again.is_empty(), "the first batch works on it");
        assert_eq!(lost(&lease, &taken), [taken[1].stream_id].into());
        assert!(held.take_left().is_empty(), "the first batch works on it");
        drop(lease);
        let left = held.take_left();
        assert_eq!((left.len(), left[0].stream_id.ms), (1, 1));
        assert!(held.take_left().is_empty());
        let (_lease, taken) = held.take(left, BootTime::now());
        assert_eq!(taken.len(), 1);
    }

    #[test]
    fn a_lease_that_began_too_long_ago_is_not_relied_on() {
        let held = Arc::new(Held::new(LEASE));
        let long_ago = BootTime::now().minus(LEASE);
        let (lease, taken) = held.take(vec![delivery(1)], long_ago);
        assert_eq!(lost(&lease, &taken), [taken[0].stream_id].into());
    }

    #[test]
    fn a_short_lease_is_relied_on_for_most_of_its_time() {
        let held = Arc::new(Held::new(Duration::from_secs(2)));
        let half = BootTime::now().minus(Duration::from_secs(1));
        let (lease, taken) = held.take(vec![delivery(1)], half);
        assert!(lost(&lease, &taken).is_empty());
    }

    #[test]
    fn what_the_backbone_did_not_renew_is_lost() {
        let held = Arc::new(Held::new(LEASE));
        let (lease, taken) = held.take(vec![delivery(1), delivery(2)], BootTime::now());
        let ids: Vec<StreamId> = taken.iter().map(|d| d.stream_id).collect();
        held.renewed(BootTime::now(), &ids, &ids[1..]);
        assert_eq!(lost(&lease, &taken), [ids[0]].into());
    }

    #[test]
    fn only_what_is_about_to_run_out_is_renewed() {
        let held = Arc::new(Held::new(LEASE));
        let now = BootTime::now();
        let older = now.minus(LEASE / 2);
        let (_new, _) = held.take(vec![delivery(1)], now);
        let (_old, _) = held.take(vec![delivery(2)], older);
        assert_eq!(held.due(LEASE / 3), [StreamId { ms: 2, seq: 0 }]);
    }
}
