use std::collections::BTreeSet;

use jiff::Timestamp;

use super::api::Query;
use super::oracles::{held_of, reports};
use super::types::{FlowStatus, KeptSince, PendingEntry};
use super::{Admin, Error};
use floodgate_backbone::{Depth, Pending, depth_of};
use floodgate_flow::masked;
use floodgate_flow::{FlowName, partitions};
use floodgate_report::Report;

const DEFAULT_MAX: u32 = 100;
const LARGEST_MAX: u32 = 10_000;

pub(super) async fn flows(admin: &Admin) -> Result<Vec<FlowStatus>, Error> {
    let mut all = Vec::new();
    let flows = admin.flows.borrow().clone();
    let reports = reports(admin).await?;
    let running = flows.live.iter().map(|flow| (flow, "running"));
    let draining = flows.draining.iter().map(|flow| (flow, "draining"));
    for (flow, state) in running.chain(draining) {
        let mut stuck = stuck(&reports, &flow.name);
        let depth = match depth_of(&*admin.backbone, flow).await {
            Err(error) if !error.may_pass() => {
                stuck.push(format!("count what is open: {error}"));
                Depth::default()
            }
            depth => depth?,
        };
        if state != "running" && depth.open == 0 && stuck.is_empty() {
            continue;
        }
        let reason = held_of(flow.name.as_str(), &reports).next();
        let state = match (&reason, state) {
            (Some(_), "running") => "held",
            _ => state,
        };
        all.push(FlowStatus {
            name: flow.name.to_string(),
            state: match stuck.is_empty() {
                true => state.to_owned(),
                false => "stuck".to_owned(),
            },
            stuck,
            reason,
            paths: flow
                .paths()
                .map(|(method, path)| format!("{method} {path}"))
                .collect(),
            oracles: flow
                .oracles
                .iter()
                .map(|o| o.component.to_string())
                .collect(),
            open: depth.open,
            waiting: depth.waiting(),
            pending: depth.pending,
            retrying: depth.retrying,
            lost: depth.lost,
            oldest_ms: depth.oldest().map(|age| age.as_millis() as u64),
            decided: depth.decided,
            dead: depth.dead,
        });
    }
    Ok(all)
}

/// What the backbone refuses the workers of a flow, each once.
fn stuck(reports: &[(String, Report)], flow: &FlowName) -> Vec<String> {
    let calls = reports.iter().flat_map(|(_, report)| &report.stuck);
    let of_flow = calls.filter(|call| call.flow == flow.as_str());
    let told = of_flow.map(|call| {
        let (partition, error) = (call.partition, &call.error);
        format!("partition {partition}: {}: {error}", call.call)
    });
    let distinct: BTreeSet<String> = told.collect();
    distinct.into_iter().collect()
}

/// How many rows a call asks for.
pub(super) fn max(query: &Query<'_>) -> Result<u32, Error> {
    match query.get("max") {
        None => Ok(DEFAULT_MAX),
        Some(max) => max
            .parse()
            .ok()
            .filter(|max| (1..=LARGEST_MAX).contains(max))
            .ok_or_else(|| Error::Invalid(format!("max takes 1 to {LARGEST_MAX}"))),
    }
}

/// A whole number, where the call names one.
pub(super) fn number(query: &Query<'_>, name: &str) -> Result<Option<i64>, Error> {
    let number = query.get(name).map(|number| number.parse()).transpose();
    number.map_err(|_| Error::Invalid(format!("{name} takes a whole number")))
}

/// A time in Unix milliseconds, where the call names one.
pub(super) fn time(query: &Query<'_>, name: &str) -> Result<Option<u64>, Error> {
    let Some(time) = query.get(name) else {
        return Ok(None);
    };
    let time: Timestamp = time
        .parse()
        .map_err(|_| Error::Invalid(format!("{name} takes a time, as 2026-01-31T12:00:00Z")))?;
    Ok(Some(u64::try_from(time.as_millisecond()).unwrap_or(0)))
}

/// Pending entries, oldest first.
pub(super) async fn pending(admin: &Admin, query: &Query<'_>) -> Result<Vec<PendingEntry>, Error> {
    let max = max(query)? as usize;
    oldest(admin, query.get("flow").as_deref(), max).await
}

/// Of the named flow, else of all.
pub(super) async fn oldest(
    admin: &Admin,
    flow: Option<&str>,
    max: usize,
) -> Result<Vec<PendingEntry>, Error> {
    let mut all = Vec::new();
    for flow in admin.flows(flow)? {
        for partition in partitions(&flow) {
            let pending = admin.backbone.pending(&partition, max).await?;
            let rows = pending.into_iter();
            all.extend(rows.map(|row| (row.stream_id, pending_entry(&flow.name, row))));
        }
    }
    all.sort_by_key(|(stream_id, _)| *stream_id);
    Ok(all.into_iter().map(|(_, row)| row).take(max).collect())
}

pub(super) fn pending_entry(flow: &FlowName, pending: Pending) -> PendingEntry {
    let faults = pending.faults;
    PendingEntry {
        flow: flow.to_string(),
        partition: pending.partition,
        stream_id: pending.stream_id.to_string(),
        id: pending.id,
        owner: pending.owner,
        idle_ms: u64::try_from(pending.idle.as_millis()).unwrap_or(u64::MAX),
        deliveries: pending.deliveries,
        attempts: faults.as_ref().map_or(0, |faults| faults.attempts),
        next_attempt: pending.next_attempt.and_then(timestamp),
        fault: faults.as_ref().map(|f| f.last.kind.as_str().to_owned()),
        last_error: faults.map(|faults| masked::text(&faults.last.error)),
        held: None,
    }
}

/// `None` for a time beyond the year 9999.
pub(super) fn timestamp(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

/// Decisions that the ledger keeps of entries received since a time.
pub(super) async fn kept_since(
    admin: &Admin,
    flow: &str,
    query: &Query<'_>,
) -> Result<KeptSince, Error> {
    let since = time(query, "since")?;
    let since = since.ok_or_else(|| Error::Invalid("since is missing".to_owned()))?;
    let flow = admin.flow(flow)?;
    let kept = admin.ledger.kept_since(&flow.name, since).await?;
    Ok(KeptSince { kept })
}
