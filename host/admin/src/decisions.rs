use super::api::Query;
use super::pending::{max, timestamp};
use super::types::{DecidedBy, Kept, WholeDecision};
use super::{Admin, Error};
use floodgate_archive_client::Found;
use floodgate_flow::masked;
use floodgate_flow::{Attributes, Digest, FlowName, Judged, REQUEST_ID, attribute};
use floodgate_ledger::ListedDecision;

/// The decisions that were kept last.
pub(super) async fn latest(admin: &Admin, query: &Query<'_>) -> Result<Vec<Kept>, Error> {
    let max = max(query)?;
    let flow = query
        .get("flow")
        .map(|name| admin.flow(&name))
        .transpose()?;
    let name = flow.as_ref().map(|flow| &flow.name);
    let latest = admin.ledger.latest(name, max).await?;
    Ok(latest.into_iter().map(kept).collect())
}

pub(super) fn kept(decision: ListedDecision) -> Kept {
    Kept {
        flow: decision.flow.to_string(),
        id: decision.id.to_string(),
        label: decision.outcome.label.map(|label| label.to_string()),
        score: decision.outcome.score,
        reasons: decision.outcome.reasons,
        oracles: decided_by(decision.outcome.oracles),
        received_at: timestamp(decision.received_at),
        decided_at: timestamp(decision.outcome.decided_at),
        request_id: request_id(&decision.attributes),
    }
}

pub(super) fn request_id(attributes: &Attributes) -> Option<String> {
    attribute(attributes, REQUEST_ID).map(str::to_owned)
}

/// Also of a flow whose file was removed since.
pub(super) async fn whole(admin: &Admin, flow: &str, id: &str) -> Result<WholeDecision, Error> {
    let in_force = admin.flow(flow).ok();
    let id = &*in_force
        .as_ref()
        .map_or(id.into(), |flow| flow.admit.normal_id(id));
    let found = admin.decision(&FlowName::new(flow), id).await?;
    let Found { decision, .. } = found.ok_or_else(|| {
        Error::NotFound(format!(
            "flow {flow} keeps no decision on {id}; floodgate why {flow} {id} says what became of it"
        ))
    })?;
    let kept = admin.ledger.definition(decision.flow_digest).await?;
    let definition = kept.as_deref().map(masked::text);
    let is_the_one = |source: &String| Digest::of(source.as_bytes()) == decision.flow_digest;
    let definition_masked = definition != kept && kept.as_ref().is_some_and(is_the_one);
    let listed = decision.listed;
    Ok(WholeDecision {
        flow: listed.flow.to_string(),
        id: listed.id.to_string(),
        body: decision.body,
        body_hash: hex::encode(decision.body_hash.0),
        received_at: listed.received_at,
        attributes: listed.attributes,
        outcome: listed.outcome,
        threshold: decision.threshold,
        flow_digest: decision.flow_digest,
        erased_at: decision.erased_at.and_then(timestamp),
        definition,
        definition_masked,
    })
}

pub(super) fn decided_by(oracles: Vec<Judged>) -> Vec<DecidedBy> {
    let by = oracles.into_iter().map(|judged| DecidedBy {
        name: judged.name.to_string(),
        digest: judged.digest.to_string(),
        score: judged.score,
    });
    by.collect()
}
