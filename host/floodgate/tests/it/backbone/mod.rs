//! What every backbone has to keep to (`contract!`), and what only one of them
//! can be done to. Each test has a database of its own, or a server where it
//! changes its configuration or stops it.

mod append;
mod embedded_file;
mod erase;
mod fate;
mod gauges;
mod hold;
mod model;
mod owner;
mod redis_failover;
mod redis_groups;
mod redis_layout;
mod redis_remembered;
mod redis_scripts;
mod redis_servers;
mod redis_strangers;
mod rig;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floodgate_backbone::{
    AppendLimits, Appended, Delivery, Failed, Fate, NewEntry, Origin, Outcomes, Payload, Remember,
    RememberMemory,
};
use floodgate_flow::{BodyHash, Digest, EntryFault, FaultKind, FlowName, Retry, StreamId};
use floodgate_ledger::{Decided, DecidedBy, Ledger, Postgres, Stored};

use self::rig::{Rig, Server};
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
const REMEMBER_FULL: &str = "remember full";

/// What became of an entry, whatever its place in the stream.
fn outcome(appended: &Appended) -> &'static str {
    match appended {
        Appended::New(_) => NEW,
        Appended::Replayed { .. } => REPLAYED,
        Appended::Conflict => CONFLICT,
        Appended::BacklogFull => BACKLOG_FULL,
        Appended::MemoryScarce => MEMORY_SCARCE,
        Appended::RememberFull => REMEMBER_FULL,
    }
}

fn entry(id: &str, body: &str) -> NewEntry {
    NewEntry {
        id: Arc::from(id),
        body: Bytes::copy_from_slice(body.as_bytes()),
        body_hash: BodyHash::of(body.as_bytes()),
        origin: Origin::default(),
    }
}

/// Without a limit of memory.
fn remember(known_for: Duration) -> Remember {
    let memory = RememberMemory::default();
    Remember { known_for, memory }
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
