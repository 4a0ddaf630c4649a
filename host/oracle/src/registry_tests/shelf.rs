//! A ledger that holds only what the registry needs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::NAME;
use floodgate_flow::{BodyHash, Digest, FlowName, Landmark, Partition, StreamId};
use floodgate_ledger::{
    AuditFilter, AuditLog, Audited, Buried, Change, Choice, Control, DeadFilter, DeadLetter,
    Decided, DecidedBy, DeliveryCounts, Erased, Error, Event, Kept, KeptDecision, KeptDelivery,
    LeasedDelivery, Ledger, ListedDecision, Migrated, Outbox, Route, SampledControls, Stored,
    Undelivered,
};

/// Keeps components and choices; the registry needs nothing else of a ledger.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(super) away: AtomicBool,
    /// Held by a test, components are not handed out.
    pub(super) gate: tokio::sync::Mutex<()>,
    pub(super) asked: AtomicBool,
    pub(super) components: Mutex<BTreeMap<Digest, Bytes>>,
    pub(super) history: Mutex<Vec<Digest>>,
    pub(super) choices: Mutex<BTreeMap<String, Choice>>,
    /// Sampled, of whatever flow.
    pub(super) controls: Mutex<Vec<Control>>,
    /// Of the audit log.
    pub(super) events: Mutex<Vec<Change>>,
}

impl Shelf {
    fn there(&self) -> Result<(), Error> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("away".to_owned()));
        }
        Ok(())
    }

    pub(super) fn choice(&self) -> Option<Choice> {
        self.choices.lock().unwrap().get(NAME).cloned()
    }
}

#[async_trait]
impl Outbox for Shelf {
    async fn lease_deliveries(
        &self,
        _: &Route,
        _: Duration,
        _: usize,
    ) -> Result<Vec<LeasedDelivery>, Error> {
        unimplemented!()
    }

    async fn begin_post(&self, _: &Route, _: &str) -> Result<bool, Error> {
        unimplemented!()
    }

    async fn delivered(&self, _: &Route, _: &str) -> Result<(), Error> {
        unimplemented!()
    }

    async fn not_delivered(&self, _: &Route, _: &str, _: &Undelivered) -> Result<(), Error> {
        unimplemented!()
    }

    async fn bring_forward(&self, _: &Route, _: Duration) -> Result<u64, Error> {
        unimplemented!()
    }

    async fn give_up_delivery(&self, _: &Route, _: &str, _: u16, _: &str) -> Result<(), Error> {
        unimplemented!()
    }

    async fn redeliver(&self, _: &Buried) -> Result<bool, Error> {
        unimplemented!()
    }

    async fn deliveries(&self, _: &FlowName, _: &str) -> Result<Vec<KeptDelivery>, Error> {
        unimplemented!()
    }

    async fn delivery_counts(&self, _: &FlowName) -> Result<DeliveryCounts, Error> {
        unimplemented!()
    }
}

#[async_trait]
impl AuditLog for Shelf {
    async fn change_begins(&self, change: &Change) -> Result<i64, Error> {
        self.there()?;
        let mut events = self.events.lock().unwrap();
        events.push(change.clone());
        Ok(events.len() as i64)
    }

    async fn change_ended(&self, _: i64, _: &serde_json::Value) -> Result<(), Error> {
        self.there()
    }

    async fn happened(&self, event: &Event) -> Result<(), Error> {
        self.change_begins(&event.change).await.map(|_| ())
    }

    async fn audit(&self, _: &AuditFilter) -> Result<Vec<Audited>, Error> {
        unimplemented!()
    }
}

#[async_trait]
impl SampledControls for Shelf {
    async fn keep_control(&self, _: &FlowName, _: &str, control: &Control) -> Result<(), Error> {
        self.there()?;
        self.controls.lock().unwrap().push(control.clone());
        Ok(())
    }

    async fn controls(&self, _: &FlowName, _: &str) -> Result<Vec<Control>, Error> {
        self.there()?;
        Ok(self.controls.lock().unwrap().clone())
    }

    async fn forget_controls(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

#[async_trait]
impl Ledger for Shelf {
    async fn migrate(&self) -> Result<Migrated, Error> {
        unimplemented!()
    }

    async fn latest(&self, _: Option<&FlowName>, _: u32) -> Result<Vec<ListedDecision>, Error> {
        unimplemented!()
    }

    async fn latest_high(&self, _: u32) -> Result<Vec<ListedDecision>, Error> {
        unimplemented!()
    }

    async fn decision(&self, _: &FlowName, _: &str) -> Result<Option<KeptDecision>, Error> {
        unimplemented!()
    }

    async fn moved(&self, _: &FlowName, _: &str) -> Result<Option<i64>, Error> {
        unimplemented!()
    }

    async fn erase(&self, _: &FlowName, _: &str) -> Result<Erased, Error> {
        unimplemented!()
    }

    async fn next_ids(&self, _: &FlowName, _: u32) -> Result<u64, Error> {
        unimplemented!()
    }

    async fn kept_since(&self, _: &FlowName, _: u64) -> Result<u64, Error> {
        Ok(0)
    }

    async fn component_taken(&self, _: &str, digest: Digest, bytes: &[u8]) -> Result<(), Error> {
        self.there()?;
        let bytes = Bytes::copy_from_slice(bytes);
        self.components.lock().unwrap().insert(digest, bytes);
        let mut history = self.history.lock().unwrap();
        history.retain(|known| *known != digest);
        history.insert(0, digest);
        Ok(())
    }

    async fn component(&self, digest: Digest) -> Result<Option<Bytes>, Error> {
        self.there()?;
        self.asked.store(true, Ordering::SeqCst);
        drop(self.gate.lock().await);
        Ok(self.components.lock().unwrap().get(&digest).cloned())
    }

    async fn component_history(&self, _: &str) -> Result<Vec<Digest>, Error> {
        self.there()?;
        Ok(self.history.lock().unwrap().clone())
    }

    async fn choices(&self) -> Result<Vec<(String, Choice)>, Error> {
        self.there()?;
        Ok(self.choices.lock().unwrap().clone().into_iter().collect())
    }

    async fn choose(&self, name: &str, choice: Option<&Choice>) -> Result<(), Error> {
        self.there()?;
        let mut choices = self.choices.lock().unwrap();
        match choice {
            Some(choice) => choices.insert(name.to_owned(), choice.clone()),
            None => choices.remove(name),
        };
        Ok(())
    }

    async fn keep(&self, _: &DecidedBy, _: &[Decided]) -> Result<Kept, Error> {
        unimplemented!()
    }

    async fn kept_before(
        &self,
        _: &FlowName,
        _: &[(StreamId, Arc<str>, BodyHash)],
    ) -> Result<Kept, Error> {
        unimplemented!()
    }

    async fn bury(&self, _: &[DeadLetter]) -> Result<Stored, Error> {
        unimplemented!()
    }

    async fn dead(&self, _: &DeadFilter) -> Result<Vec<Buried>, Error> {
        unimplemented!()
    }

    async fn dead_body(&self, _: &Buried) -> Result<Option<Bytes>, Error> {
        unimplemented!()
    }

    async fn remove_dead(&self, _: &[Buried]) -> Result<Vec<i64>, Error> {
        unimplemented!()
    }

    async fn note_landmark(&self, _: &Partition, _: &Landmark) -> Result<Option<Landmark>, Error> {
        unimplemented!()
    }

    async fn definition(&self, _: Digest) -> Result<Option<String>, Error> {
        Ok(None)
    }
    async fn accept_flow(&self, _: &FlowName, _: &str) -> Result<(), Error> {
        unimplemented!()
    }

    async fn accepted_flows(&self) -> Result<Vec<(String, String)>, Error> {
        unimplemented!()
    }

    async fn ping(&self) -> Result<(), Error> {
        unimplemented!()
    }
}
