//! What every ledger has to keep to (`contract!`), and what only Postgres can
//! be done to. Each test has a database of its own.

mod audit;
mod cold_migration;
mod controls;
mod dead;
mod decisions;
mod definitions;
mod erase;
mod moved;
mod oracles;
mod outbox;
mod postgres_faults;
mod postgres_migrations;
mod postgres_row;
mod postgres_schema;
mod postgres_view;
mod rig;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floodgate_flow::{BodyHash, Decision, Digest, Entry, FlowName, Judged, Label, StreamId};
use floodgate_ledger::{Decided, DecidedBy, Stored};

use self::rig::Rig;

pub fn by(flow: &str) -> DecidedBy {
    DecidedBy {
        flow: FlowName::new(flow),
        flow_digest: Digest::of(b"flow"),
        settings_digest: Some(Digest::of(b"settings")),
        deliver: Vec::new(),
    }
}

pub fn stream_id(seq: u64) -> StreamId {
    StreamId {
        ms: 1_766_700_000_123,
        seq,
    }
}

pub fn decided(seq: u64, id: &str, body: &str) -> Decided {
    Decided {
        stream_id: stream_id(seq),
        entry: Entry {
            id: Arc::from(id),
            body: Bytes::copy_from_slice(body.as_bytes()),
            received_at: 1_766_700_000_123,
            attributes: Arc::default(),
        },
        at: 1_766_700_000_123,
        decision: Decision {
            score: Some(0.93),
            label: Some(Label::High),
            label_name: Some(Arc::from("HIGH")),
            reasons: vec!["gas-price-spike".to_owned(), "with \"quotes\"".to_owned()],
            output: None,
            oracles: vec![Judged {
                reasons: vec!["large-amount".to_owned()],
                name: Arc::from("mempool-risk"),
                digest: Digest::of(b"component"),
                score: 0.93,
            }],
            threshold: 0.8,
            inference: Duration::from_nanos(1_700),
        },
        keep: true,
    }
}

/// As a flow without oracles decides.
pub fn unjudged(seq: u64, id: &str) -> Decided {
    let mut unjudged = decided(seq, id, "{}");
    let decision = &mut unjudged.decision;
    decision.score = None;
    decision.label = None;
    decision.label_name = None;
    decision.reasons.clear();
    decision.oracles.clear();
    decision.output = Some("done".to_owned());
    unjudged
}

pub fn ids(stored: &Stored) -> Vec<&str> {
    stored.entries().iter().map(|(_, id)| &**id).collect()
}
