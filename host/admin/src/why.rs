use super::decisions::{decided_by, request_id};
use super::pending::{pending_entry, timestamp};
use super::types::{Delivery, PendingEntry, Why};
use super::{Admin, Error, oracles};
use floodgate_archive_client::Found;
use floodgate_backbone::Trace;
use floodgate_flow::masked;
use floodgate_flow::{Flow, Partition};
use floodgate_ledger::{DeadFilter, DeliveryState, KeptDelivery};

/// What became of an entry, from wherever it is known: the ledger's word
/// counts more than the backbone's, which forgets.
pub(super) async fn why(admin: &Admin, flow: &str, id: &str) -> Result<Why, Error> {
    let flow = admin.flow(flow)?;
    let id = &*flow.admit.normal_id(id);
    if let Some(Found { decision, moved }) = admin.decision(&flow.name, id).await? {
        let request_id = request_id(&decision.listed.attributes);
        let outcome = decision.listed.outcome;
        return Ok(Why::Decided {
            label: outcome.label.map(|label| label.to_string()),
            score: outcome.score,
            reasons: outcome.reasons,
            oracles: decided_by(outcome.oracles),
            cold_file: moved.as_ref().map(|moved| moved.file),
            deliveries: match moved {
                Some(moved) => moved.deliveries.into_iter().map(delivery).collect(),
                None => deliveries(admin, &flow, id).await?,
            },
            decided_at: timestamp(outcome.decided_at),
            request_id,
            erased_at: decision.erased_at.and_then(timestamp),
        });
    }
    let partition = Partition {
        flow: flow.name.clone(),
        index: flow.stream.partition_of(id),
    };
    let trace = admin.backbone.trace(&partition, id).await?;
    // A requeued entry has a dead letter for a moment longer.
    if !matches!(trace, Trace::Waiting { .. } | Trace::Held(_)) {
        let filter = DeadFilter {
            flow: Some(flow.name.to_string()),
            id: Some(id.to_owned()),
            limit: 1,
            ..DeadFilter::default()
        };
        if let Some(buried) = admin.ledger.dead(&filter).await?.into_iter().next() {
            let request_id = request_id(&buried.letter.attributes);
            let fault = buried.letter.fault;
            return Ok(Why::Dead {
                fault: fault.kind.as_str().to_owned(),
                error: masked::text(&fault.error),
                attempts: buried.letter.attempts,
                last_at: timestamp(buried.letter.last_at),
                request_id,
                erased: buried.erased,
            });
        }
    }
    Ok(match trace {
        Trace::Unknown => Why::NeverSeen {
            remember: humantime::format_duration(flow.known_for()).to_string(),
        },
        Trace::Waiting { stream_id, ahead } => Why::Waiting {
            since: timestamp(stream_id.ms),
            ahead,
            missing_oracle: oracles::missing(admin, &flow).await?,
            held: held(admin, &flow).await?,
        },
        Trace::Held(pending) => Why::Pending(PendingEntry {
            held: held(admin, &flow).await?,
            ..pending_entry(&flow.name, *pending)
        }),
        // Not in the ledger: the flow did not keep it, or somebody removed its row.
        Trace::Dead { stream_id } | Trace::Settled { stream_id } => Why::NotKept {
            received_at: timestamp(stream_id.ms),
        },
    })
}

async fn deliveries(admin: &Admin, flow: &Flow, id: &str) -> Result<Vec<Delivery>, Error> {
    if flow.deliver.is_empty() {
        return Ok(Vec::new());
    }
    let kept = admin.ledger.deliveries(&flow.name, id).await?;
    Ok(kept.into_iter().map(delivery).collect())
}

fn delivery(kept: KeptDelivery) -> Delivery {
    Delivery {
        downstream: kept.name,
        state: match kept.state {
            DeliveryState::Waiting => "waiting",
            DeliveryState::InFlight => "in-flight",
            DeliveryState::Delivered => "delivered",
            DeliveryState::GivenUp => "given-up",
        }
        .to_owned(),
        attempts: kept.attempts,
        // An older version may have stored it with its URL.
        error: kept.error.map(|error| masked::text(&error)),
    }
}

async fn held(admin: &Admin, flow: &Flow) -> Result<Option<String>, Error> {
    let reports = oracles::reports(admin).await?;
    Ok(oracles::held_of(flow.name.as_str(), &reports).next())
}
