use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde::Serialize;

use super::rates::{Rate, Rates};
use crate::types::{Dead, FlowStatus, Kept, PendingEntry, WorkerOracle};
use crate::{Admin, Error, Health, dead, decisions, health, oracles, pending};
use floodgate_ledger::DeadFilter;
use floodgate_process::fresh::within;
use floodgate_report::Report;

/// Rows of each table: who needs more asks with a filter, or the CLI.
const ROWS: u32 = 50;

/// All that the page shows.
#[derive(Serialize)]
pub(super) struct Snapshot {
    at: Timestamp,
    version: &'static str,
    /// Whether this process has a front end to post to.
    front_end: bool,
    parts: Known<Health>,
    flows: Known<Vec<FlowNow>>,
    /// Living workers.
    workers: Option<usize>,
    oracles: Known<Vec<WorkerOracle>>,
    /// The oldest.
    pending: Known<Vec<PendingEntry>>,
    /// The latest, without their bodies.
    dead: Known<Vec<Dead>>,
    /// The latest, newest first.
    high: Known<Vec<Kept>>,
}

#[derive(Serialize)]
struct FlowNow {
    #[serde(flatten)]
    status: FlowStatus,
    /// Oracles of it that no worker runs.
    missing: Vec<String>,
    #[serde(flatten)]
    rate: Option<Rate>,
    #[serde(flatten)]
    latency: Option<Latency>,
}

/// From received to settled, of the last seconds.
#[derive(Clone, Copy, Serialize)]
struct Latency {
    p50_ms: u64,
    p99_ms: u64,
}

/// Each part of a snapshot is known, or it is known why not.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Known<T> {
    Known(T),
    Unknown(String),
}

impl<T> Known<T> {
    /// A part that is away must not keep the others from being shown.
    async fn of(asking: impl Future<Output = Result<T, Error>>) -> Self {
        match within(asking).await {
            Ok(known) => Self::Known(known),
            Err(why) => Self::Unknown(why.to_string()),
        }
    }

    fn map<U>(self, map: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::Known(known) => Known::Known(map(known)),
            Self::Unknown(why) => Known::Unknown(why),
        }
    }
}

impl Snapshot {
    pub async fn take(admin: &Admin, rates: &mut Rates) -> Self {
        let (parts, flows, reports, pending, dead, high) = tokio::join!(
            Known::of(async { Ok(health(&*admin.backbone, &*admin.ledger).await) }),
            Known::of(pending::flows(admin)),
            Known::of(oracles::reports(admin)),
            Known::of(pending::oldest(admin, None, ROWS as usize)),
            Known::of(dead_letters(admin)),
            Known::of(high(admin)),
        );
        let said = match &reports {
            Known::Known(reports) => reports.as_slice(),
            Known::Unknown(_) => &[],
        };
        let workers = matches!(reports, Known::Known(_)).then_some(said.len());
        let flows = flows.map(|flows| {
            let rates = rates.of(Instant::now(), &flows);
            flows_now(flows, &rates, workers.map(|_| said))
        });
        let rows = |(worker, report)| oracles::rows(worker, report);
        Self {
            at: Timestamp::now(),
            version: env!("CARGO_PKG_VERSION"),
            front_end: admin.front_end.is_some(),
            parts,
            flows,
            workers,
            oracles: reports.map(|reports| reports.into_iter().flat_map(rows).collect()),
            pending,
            dead,
            high,
        }
    }
}

async fn dead_letters(admin: &Admin) -> Result<Vec<Dead>, Error> {
    let filter = DeadFilter {
        limit: ROWS,
        ..DeadFilter::default()
    };
    let buried = admin.ledger.dead(&filter).await?;
    Ok(buried
        .into_iter()
        .map(|buried| dead::dead(buried, None))
        .collect())
}

/// Whatever their flows call it.
async fn high(admin: &Admin) -> Result<Vec<Kept>, Error> {
    let high = admin.ledger.latest_high(ROWS).await?;
    Ok(high.into_iter().map(decisions::kept).collect())
}

fn flows_now(
    flows: Vec<FlowStatus>,
    rates: &HashMap<String, Rate>,
    reports: Option<&[(String, Report)]>,
) -> Vec<FlowNow> {
    let flows = flows.into_iter().map(|status| FlowNow {
        missing: reports.map_or_else(Vec::new, |reports| missing(&status, reports)),
        rate: rates.get(&status.name).copied(),
        latency: latency(&status.name, reports.unwrap_or_default()),
        status,
    });
    flows.collect()
}

fn missing(flow: &FlowStatus, reports: &[(String, Report)]) -> Vec<String> {
    let names = flow.oracles.iter().map(String::as_str);
    let missing = oracles::missing_of(names, reports);
    missing.map(str::to_owned).collect()
}

/// Over all workers; `None` where nothing was settled within the last seconds.
fn latency(flow: &str, reports: &[(String, Report)]) -> Option<Latency> {
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for (_, report) in reports {
        for (ms, entries) in report.latency.get(flow).into_iter().flatten() {
            *counts.entry(*ms).or_default() += entries;
        }
    }
    let mut all: Histogram<u64> = Histogram::new(2).ok()?;
    for (ms, entries) in counts {
        all.record_n(ms, entries).ok()?;
    }
    (!all.is_empty()).then(|| Latency {
        p50_ms: all.value_at_quantile(0.5),
        p99_ms: all.value_at_quantile(0.99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_of_all_workers_together_and_none_where_nothing_was_settled() {
        let report = |counts: &[(u64, u64)]| Report {
            stuck: Vec::new(),
            oracles: Vec::new(),
            flows: None,
            latency: [("transactions".to_owned(), counts.to_vec())].into(),
        };
        let quick = ("a".to_owned(), report(&[(10, 60)]));
        let slow = ("b".to_owned(), report(&[(10, 30), (90_000, 10)]));
        let reports = [quick, slow];
        let Latency { p50_ms, p99_ms } = latency("transactions", &reports).unwrap();
        assert_eq!(p50_ms, 10);
        assert!((90_000..91_000).contains(&p99_ms), "{p99_ms}");
        assert!(latency("tasks", &reports).is_none());
    }
}
