//! What every backbone has to keep to, and what only Redis can do to one.
//! Each test has a database of its own, or a server where it changes its
//! configuration or stops it.

mod append;
mod fate;
mod groups;
mod hold;
mod model;
mod servers;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floodgate::backbone::{
    AppendLimits, Appended, Backbone, Delivery, Failed, Fate, NewEntry, Outcomes, Partition,
    Payload, Redis, StreamId,
};
use floodgate::flow::{BodyHash, Digest, EntryFault, FaultKind, FlowName, Retry};
use floodgate::ledger::{Decided, DecidedBy, Ledger, Postgres, Stored};
use redis::aio::MultiplexedConnection;

use crate::ledger::decided;
use crate::support;

const STREAM: &str = "floodgate:{orders:0}:stream";
const RETRY: Retry = Retry {
    attempts: 3,
    first: Duration::from_millis(20),
    factor: 2.0,
    max: Duration::from_secs(60),
};

const NEW: &str = "new";
const REPLAYED: &str = "replayed";
const CONFLICT: &str = "conflict";
const BACKLOG_FULL: &str = "backlog full";
const MEMORY_SCARCE: &str = "memory scarce";

/// What became of an entry, whatever its place in the stream.
fn outcome(appended: &Appended) -> &'static str {
    match appended {
        Appended::New(_) => NEW,
        Appended::Replayed(_) => REPLAYED,
        Appended::Conflict => CONFLICT,
        Appended::BacklogFull => BACKLOG_FULL,
        Appended::MemoryScarce => MEMORY_SCARCE,
    }
}

struct Rig {
    backbone: Box<dyn Backbone>,
    partition: Partition,
    /// Looks, and does what somebody else might do, without Floodgate.
    redis: MultiplexedConnection,
}

impl Rig {
    async fn new() -> Self {
        Self::on(&support::redis().await).await
    }

    async fn on(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        let rig = Self {
            backbone: Box::new(Redis::new(url).unwrap()),
            partition: Partition {
                flow: FlowName::new("orders"),
                index: 0,
            },
            redis: client.get_multiplexed_async_connection().await.unwrap(),
        };
        rig.backbone.prepare(&rig.partition).await.unwrap();
        rig
    }

    async fn raw<T: redis::FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split_whitespace();
        let mut call = redis::cmd(words.next().unwrap());
        words.for_each(|word| _ = call.arg(word));
        let mut connection = self.redis.clone();
        call.query_async(&mut connection).await.unwrap()
    }

    async fn append(&self, group: &[NewEntry]) -> Vec<&'static str> {
        self.append_up_to(1000, group).await
    }

    async fn append_up_to(&self, max_backlog: u64, group: &[NewEntry]) -> Vec<&'static str> {
        let limits = AppendLimits { max_backlog };
        let appended = self.backbone.append(&self.partition, limits, group);
        appended.await.unwrap().iter().map(outcome).collect()
    }

    /// Appends `count` entries with the ids `1`, `2` and so on.
    async fn fill(&self, count: u64) {
        for group in (1..=count).collect::<Vec<_>>().chunks(100) {
            let group: Vec<_> = group.iter().map(|n| entry(&n.to_string(), "{}")).collect();
            assert!(self.append(&group).await.iter().all(|a| *a == NEW));
        }
    }

    async fn read(&self, worker: &str, max: usize) -> Vec<Delivery> {
        let reader = self.backbone.reader(&self.partition, worker).await;
        reader.unwrap().read(max).await.unwrap()
    }

    async fn claim(&self, worker: &str) -> Vec<Delivery> {
        let claimed = self.backbone.claim(&self.partition, worker, 100);
        claimed.await.unwrap()
    }

    /// Claims until something comes.
    async fn claim_some(&self, worker: &str) -> Vec<Delivery> {
        support::eventually_some(Duration::from_secs(10), "something is due", async || {
            let claimed = self.claim(worker).await;
            (!claimed.is_empty()).then_some(claimed)
        })
        .await
    }

    /// As if its holder had not been heard of for longer than the lease.
    async fn forget(&self, delivery: &Delivery, worker: &str) {
        let id = delivery.stream_id;
        let aged = format!("XCLAIM {STREAM} workers {worker} 0 {id} IDLE 31000 JUSTID");
        let _claimed: redis::Value = self.raw(&aged).await;
    }

    async fn settle(&self, deliveries: &[Delivery], remember: Duration) {
        let stored = proof(deliveries).await;
        let none = Outcomes::new();
        let settled = self
            .backbone
            .settle(&self.partition, &stored, remember, &none);
        settled.await.unwrap();
    }

    async fn open(&self) -> u64 {
        self.backbone.depth(&self.partition).await.unwrap().open
    }

    async fn pending(&self) -> u64 {
        self.backbone.depth(&self.partition).await.unwrap().pending
    }
}

fn entry(id: &str, body: &str) -> NewEntry {
    NewEntry {
        id: Arc::from(id),
        body: Bytes::copy_from_slice(body.as_bytes()),
        body_hash: BodyHash::of(body.as_bytes()),
        key: None,
    }
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    let id = |delivery: &Delivery| match &delivery.payload {
        Payload::Entry(entry) => entry.id.to_string(),
        Payload::Malformed { error, .. } => panic!("malformed: {error}"),
    };
    deliveries.iter().map(id).collect()
}

fn stream_ids(deliveries: &[Delivery]) -> Vec<StreamId> {
    deliveries.iter().map(|d| d.stream_id).collect()
}

fn failed(delivery: &Delivery) -> Failed {
    Failed {
        stream_id: delivery.stream_id,
        fault: EntryFault {
            kind: FaultKind::Trap,
            error: "it trapped".to_owned(),
            oracle: Some(("age-rule".to_owned(), Digest::of(b"age-rule"))),
        },
    }
}

/// Only a ledger makes it. What a flow does not keep needs no server for that.
async fn proof(deliveries: &[Delivery]) -> Stored {
    let nowhere = "postgres://nobody@127.0.0.1:1/none".parse().unwrap();
    let ledger = Postgres::connect(nowhere, 1).unwrap();
    let by = DecidedBy {
        flow: FlowName::new("orders"),
        flow_digest: Digest::of(b"flow"),
        settings_digest: None,
        deliver: Vec::new(),
    };
    let batch: Vec<Decided> = deliveries
        .iter()
        .zip(ids(deliveries))
        .map(|(delivery, id)| Decided {
            stream_id: delivery.stream_id,
            keep: false,
            ..decided(1, &id, "{}")
        })
        .collect();
    ledger.keep(&by, &batch).await.unwrap().stored
}
