//! A decision wherever it is kept: in the ledger, or in a file that it was
//! moved to.

use hyper::StatusCode;
use jiff::Timestamp;

use super::client::{self, Archive};
use super::wire::{Delivered, Entry};
use floodgate_flow::{BodyHash, FlowName, Outcome};
use floodgate_ledger::{
    self as ledger, DeliveryState, KeptDecision, KeptDelivery, Ledger, ListedDecision,
};

/// How often a file may be replaced between asking for its number and for what
/// is in it. Files are merged once in a day of theirs.
const TRIES: usize = 3;

pub struct Found {
    pub decision: KeptDecision,
    /// Of a decision that was moved.
    pub moved: Option<MovedTo>,
}

pub struct MovedTo {
    pub file: i64,
    /// As they had ended by then.
    pub deliveries: Vec<KeptDelivery>,
}

#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error("the entry left the ledger: {0}")]
    Archive(#[from] client::Error),
}

/// Asks the ledger first, and the archive for what the ledger says was moved.
pub async fn find(
    ledger: &dyn Ledger,
    archive: &Archive,
    flow: &FlowName,
    id: &str,
) -> Result<Option<Found>, FindError> {
    if let Some(decision) = ledger.decision(flow, id).await? {
        let moved = None;
        return Ok(Some(Found { decision, moved }));
    }
    for _ in 0..TRIES {
        let Some(file) = ledger.moved(flow, id).await? else {
            return Ok(None);
        };
        if let Some(entry) = archive.entry(flow.as_str(), file, id).await? {
            return Ok(Some(found(flow, file, entry)?));
        }
    }
    Err(unfit("the file that has it does not").into())
}

fn found(flow: &FlowName, file: i64, entry: Entry) -> Result<Found, client::Error> {
    let mut body_hash = [0; 16];
    hex::decode_to_slice(&entry.body_hash, &mut body_hash)
        .map_err(|_| unfit("its body_hash is none"))?;
    let deliveries = entry.deliveries.unwrap_or_default();
    Ok(Found {
        decision: KeptDecision {
            listed: ListedDecision {
                flow: flow.clone(),
                id: entry.id.into(),
                received_at: unix_ms(entry.received_at),
                attributes: entry.attributes.unwrap_or_default(),
                outcome: Outcome {
                    score: entry.score,
                    label: entry.label_name.map(Into::into),
                    reasons: entry.reasons.unwrap_or_default(),
                    output: entry.output,
                    oracles: entry.oracles.unwrap_or_default(),
                    decided_at: unix_ms(entry.decided_at),
                },
            },
            stream_id: entry.stream_id.unwrap_or_default(),
            // As in the ledger, an erased body is the JSON null.
            body: entry.body.unwrap_or_else(|| "null".to_owned()),
            body_hash: BodyHash(body_hash),
            threshold: entry.threshold.unwrap_or_default(),
            flow_digest: entry.flow_digest,
            erased_at: entry.erased_at.map(unix_ms),
        },
        moved: Some(MovedTo {
            file,
            deliveries: deliveries.into_iter().map(delivery).collect(),
        }),
    })
}

/// Only what has ended is moved.
fn delivery(delivered: Delivered) -> KeptDelivery {
    KeptDelivery {
        name: delivered.downstream,
        state: match delivered.state.as_str() {
            "delivered" => DeliveryState::Delivered,
            _ => DeliveryState::GivenUp,
        },
        attempts: delivered.attempts,
        error: delivered.error,
        ended_at: delivered.ended_at.map(unix_ms),
    }
}

fn unix_ms(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or_default()
}

fn unfit(what: &str) -> client::Error {
    client::Error::Refused {
        status: StatusCode::BAD_GATEWAY,
        detail: what.to_owned(),
    }
}
