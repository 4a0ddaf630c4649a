use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, watch};

use floodgate_backbone::{
    AppendLimits, Appended, Backbone, ByDeliveries, Cost, Delivery, Depth, Error, Failed, Fate,
    FaultRecord, LEASE, MemoryUse, NewEntry, Outcomes, Pending, Reader, Recorded, Remember,
    RememberMemory, Requeue, Tokens, Trace,
};
use floodgate_flow::{BodyHash, FlowName, Landmark, Partition, Rate, Retry, StreamId};
use floodgate_ledger::Stored;

/// More permits than there are ever calls.
const OPEN: usize = 1 << 20;

/// Appends to memory. A test can hold its calls back, let it fail, and see
/// which groups it was asked to append.
pub(super) struct FakeBackbone {
    entries: Mutex<HashMap<Arc<str>, (NewEntry, StreamId)>>,
    keys: Mutex<HashMap<String, (BodyHash, String)>>,
    /// Sizes of the groups, in the order of the calls.
    groups: watch::Sender<Vec<usize>>,
    gate: Semaphore,
    away: AtomicBool,
    full: AtomicBool,
}

impl Default for FakeBackbone {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            keys: Mutex::default(),
            groups: watch::Sender::default(),
            gate: Semaphore::new(OPEN),
            away: AtomicBool::new(false),
            full: AtomicBool::new(false),
        }
    }
}

impl FakeBackbone {
    /// Calls begin and do not end until [`Self::release`].
    pub fn hold(&self) {
        self.gate.forget_permits(OPEN);
    }

    pub fn release(&self) {
        self.gate.add_permits(OPEN);
    }

    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }

    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    pub async fn until_calls_began(&self, calls: usize) {
        let mut groups = self.groups.subscribe();
        let began = groups.wait_for(|groups| groups.len() >= calls);
        super::within_deadline(began).await.unwrap();
    }

    pub fn groups(&self) -> Vec<usize> {
        self.groups.borrow().clone()
    }

    pub fn entry(&self, id: &str) -> Option<NewEntry> {
        let entries = self.entries.lock().unwrap();
        entries.get(id).map(|(entry, _)| entry.clone())
    }

    pub fn len(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    fn append_one(&self, entry: &NewEntry) -> Appended {
        let mut entries = self.entries.lock().unwrap();
        match entries.get(&entry.id) {
            Some((first, at)) if first.body_hash == entry.body_hash => Appended::Replayed {
                stream_id: *at,
                owner: first.origin.owner_hash(),
            },
            Some(_) => Appended::Conflict,
            None if self.full.load(Ordering::SeqCst) => Appended::BacklogFull,
            None => {
                let at = StreamId {
                    ms: 1_766_700_000_000,
                    seq: entries.len() as u64,
                };
                entries.insert(Arc::clone(&entry.id), (entry.clone(), at));
                Appended::New(at)
            }
        }
    }
}

#[async_trait]
impl Backbone for FakeBackbone {
    fn lease(&self) -> Duration {
        LEASE
    }

    async fn append(
        &self,
        _: &Partition,
        _: AppendLimits,
        group: &[NewEntry],
    ) -> Result<Vec<Appended>, Error> {
        self.groups.send_modify(|groups| groups.push(group.len()));
        drop(self.gate.acquire().await);
        if self.is_away() {
            return Err(Error::Unexpected {
                backbone: "nowhere".to_owned(),
                call: "append",
                reply: "none".to_owned(),
            });
        }
        Ok(group.iter().map(|entry| self.append_one(entry)).collect())
    }

    async fn claim_key(
        &self,
        _: &Partition,
        key: &str,
        body_hash: BodyHash,
        id: &str,
        _: Remember,
    ) -> Result<Option<String>, Error> {
        let mut keys = self.keys.lock().unwrap();
        let first = keys.entry(key.to_owned());
        let (hash, id) = first.or_insert((body_hash, id.to_owned()));
        Ok((*hash == body_hash).then(|| id.clone()))
    }

    async fn take_tokens(
        &self,
        _: &FlowName,
        _: &str,
        rate: Rate,
        _: Cost,
    ) -> Result<Tokens, Error> {
        Ok(Tokens {
            taken: true,
            left: rate.tokens,
            next_after: Duration::ZERO,
            full_after: Duration::ZERO,
        })
    }

    async fn depth(&self, _: &Partition) -> Result<Depth, Error> {
        Ok(Depth {
            open: self.len() as u64,
            ..Depth::default()
        })
    }

    async fn by_deliveries(&self, _: &Partition, _: usize) -> Result<ByDeliveries, Error> {
        unimplemented!("the front end only appends")
    }

    async fn remember_limit(&self, _: &Partition, _: RememberMemory) -> Result<Option<u64>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn memory(&self) -> Result<Option<MemoryUse>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn check(&self, _: &[(FlowName, u16)]) -> Result<Vec<String>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn suspect(&self, _: &Partition, _: StreamId) -> Result<u32, Error> {
        unimplemented!("the front end only appends")
    }

    async fn withdraw(&self, _: &Partition, _: StreamId) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }

    async fn acquit(&self, _: &Partition, _: StreamId) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }

    async fn landmark(&self, _: &Partition) -> Result<Option<Landmark>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn prepare(&self, _: &Partition) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }

    async fn reader(&self, _: &Partition, _: &str) -> Result<Box<dyn Reader>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn renew(&self, _: &Partition, _: &str, _: &[StreamId]) -> Result<Vec<StreamId>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn settle(
        &self,
        _: &Partition,
        _: &Stored,
        _: Remember,
        _: &Outcomes,
    ) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }

    async fn settle_dead(&self, _: &Partition, _: &Stored, _: RememberMemory) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }

    async fn record_faults(
        &self,
        _: &Partition,
        _: &str,
        _: &Retry,
        _: &[Failed],
    ) -> Result<Vec<Recorded>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn hand_back(&self, _: &Partition, _: &str, _: &[StreamId]) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }

    async fn claim(&self, _: &Partition, _: &str, _: usize) -> Result<Vec<Delivery>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn heartbeat(&self, _: &Partition, _: &str) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }

    async fn leave(&self, _: &Partition, _: &str) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }

    async fn trim(&self, _: &Partition, _: Duration) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }

    async fn pending(&self, _: &Partition, _: usize) -> Result<Vec<Pending>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn trace(&self, _: &Partition, _: &str) -> Result<Trace, Error> {
        unimplemented!("the front end only appends")
    }

    async fn fate(&self, _: &Partition, _: &str) -> Result<Fate, Error> {
        unimplemented!("the front end only appends")
    }

    async fn faults(&self, _: &Partition, _: StreamId) -> Result<Option<FaultRecord>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn erase(&self, _: &Partition, _: &str, _: &[StreamId]) -> Result<Option<u64>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn requeue(&self, _: &Partition, _: &Requeue) -> Result<bool, Error> {
        unimplemented!("the front end only appends")
    }

    async fn publish(&self, _: &str, _: &str, _: Duration) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }

    async fn reports(&self) -> Result<Vec<(String, String)>, Error> {
        unimplemented!("the front end only appends")
    }

    async fn ping(&self) -> Result<(), Error> {
        unimplemented!("the front end only appends")
    }
}
