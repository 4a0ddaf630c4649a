//! A ledger whose calls are measured, whichever it is.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use metrics::{Counter, Histogram};
use serde_json::Value;

use super::{
    AuditFilter, AuditLog, Audited, Buried, Change, Choice, Control, DeadFilter, DeadLetter,
    Decided, DecidedBy, DeliveryCounts, Erased, Error, Event, Kept, KeptDecision, KeptDelivery,
    LeasedDelivery, Ledger, ListedDecision, Migrated, Outbox, Route, SampledControls, Stored,
    Undelivered,
};
use floodgate_flow::{BodyHash, Digest, FlowName, Landmark, Partition, StreamId};
use floodgate_process::metrics::table::{LEDGER_DURATION, LEDGER_FAULTS};

/// Passes every call on.
pub struct Measured {
    ledger: Arc<dyn Ledger>,
    calls: Calls,
}

impl Measured {
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger,
            calls: Calls::default(),
        }
    }
}

/// Of one call; its series appear when it is first made.
#[derive(Default)]
struct Call(OnceLock<(Histogram, Counter)>);

impl Call {
    async fn measured<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let made = || (LEDGER_DURATION.of([name]), LEDGER_FAULTS.of([name]));
        let (duration, faults) = self.0.get_or_init(made);
        let began = Instant::now();
        let answer = call.await;
        duration.record(began.elapsed());
        if answer.is_err() {
            faults.increment(1);
        }
        answer
    }
}

macro_rules! measured {
    ($(impl $trait:ident { $(fn $call:ident($($arg:ident: $of:ty),*) -> $answer:ty;)* })*) => {
        #[derive(Default)]
        struct Calls {
            $($($call: Call,)*)*
        }

        $(#[async_trait]
        impl $trait for Measured {
            $(async fn $call(&self, $($arg: $of),*) -> Result<$answer, Error> {
                let call = self.ledger.$call($($arg),*);
                self.calls.$call.measured(stringify!($call), call).await
            })*
        })*
    };
}

measured! {
    impl Ledger {
        fn migrate() -> Migrated;
        fn keep(by: &DecidedBy, batch: &[Decided]) -> Kept;
        fn kept_before(flow: &FlowName, entries: &[(StreamId, Arc<str>, BodyHash)]) -> Kept;
        fn decision(flow: &FlowName, id: &str) -> Option<KeptDecision>;
        fn moved(flow: &FlowName, id: &str) -> Option<i64>;
        fn erase(flow: &FlowName, id: &str) -> Erased;
        fn latest(flow: Option<&FlowName>, max: u32) -> Vec<ListedDecision>;
        fn latest_high(max: u32) -> Vec<ListedDecision>;
        fn kept_since(flow: &FlowName, since: u64) -> u64;
        fn next_ids(flow: &FlowName, count: u32) -> u64;
        fn bury(letters: &[DeadLetter]) -> Stored;
        fn dead(filter: &DeadFilter) -> Vec<Buried>;
        fn dead_body(buried: &Buried) -> Option<Bytes>;
        fn remove_dead(letters: &[Buried]) -> Vec<i64>;
        fn component_taken(name: &str, digest: Digest, bytes: &[u8]) -> ();
        fn component(digest: Digest) -> Option<Bytes>;
        fn component_history(name: &str) -> Vec<Digest>;
        fn choices() -> Vec<(String, Choice)>;
        fn choose(name: &str, choice: Option<&Choice>) -> ();
        fn note_landmark(partition: &Partition, landmark: &Landmark) -> Option<Landmark>;
        fn accept_flow(flow: &FlowName, source: &str) -> ();
        fn definition(digest: Digest) -> Option<String>;
        fn accepted_flows() -> Vec<(String, String)>;
        fn ping() -> ();
    }
    impl AuditLog {
        fn change_begins(change: &Change) -> i64;
        fn change_ended(row: i64, outcome: &Value) -> ();
        fn happened(event: &Event) -> ();
        fn audit(filter: &AuditFilter) -> Vec<Audited>;
    }
    impl SampledControls {
        fn keep_control(flow: &FlowName, oracle: &str, control: &Control) -> ();
        fn controls(flow: &FlowName, oracle: &str) -> Vec<Control>;
        fn forget_controls() -> u64;
    }
    impl Outbox {
        fn lease_deliveries(route: &Route, lease: Duration, max: usize) -> Vec<LeasedDelivery>;
        fn begin_post(route: &Route, id: &str) -> bool;
        fn delivered(route: &Route, id: &str) -> ();
        fn not_delivered(route: &Route, id: &str, undelivered: &Undelivered) -> ();
        fn give_up_delivery(route: &Route, id: &str, partition: u16, error: &str) -> ();
        fn bring_forward(route: &Route, longest: Duration) -> u64;
        fn redeliver(buried: &Buried) -> bool;
        fn deliveries(flow: &FlowName, id: &str) -> Vec<KeptDelivery>;
        fn delivery_counts(flow: &FlowName) -> DeliveryCounts;
    }
}
