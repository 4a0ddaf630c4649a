//! A flow answers 503 for as long as one of its oracles is not there, or holds
//! it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use floodgate_admin::Admin;
use floodgate_admin::types::WorkerOracle;
use floodgate_flow::{Flow, Flows};
use floodgate_ingest::{Hindered, Ingest};
use floodgate_oracle_host::{Hindrance, Registry};
use floodgate_report::{InFlow, Standing};

const PERIOD: Duration = Duration::from_secs(1);

/// Follows the oracles of this process. What is missing is known when this
/// returns, before the future is polled.
pub(super) fn follow_registry(
    ingest: Arc<Ingest>,
    mut flows: Flows,
    registry: Arc<Registry>,
    stop: CancellationToken,
) -> impl Future<Output = ()> {
    let mut changes = registry.changes();
    let look = move |flows: &mut Flows| {
        let now = flows.borrow_and_update().clone();
        ingest.use_flows(&now.live);
        for flow in now.live.iter() {
            ingest.hinder(&flow.name, registry.hindrance(flow).map(hindered_by));
        }
    };
    look(&mut flows);
    async move {
        let follow = async {
            loop {
                tokio::select! {
                    Ok(()) = changes.changed() => {}
                    Ok(()) = flows.changed() => {}
                    else => return,
                }
                look(&mut flows);
            }
        };
        stop.run_until_cancelled(follow).await;
    }
}

/// Follows what the workers publish. While none says anything, what was last
/// said counts, and in the beginning everything is taken: the backbone keeps
/// it for the workers to come.
pub(super) async fn follow_workers(ingest: Arc<Ingest>, admin: Admin, stop: CancellationToken) {
    let mut flows = admin.flows.clone();
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            Ok(()) = flows.changed() => {}
        }
        let now = flows.borrow_and_update().clone();
        ingest.use_flows(&now.live);
        let rows = admin.oracles().await.unwrap_or_default();
        if rows.is_empty() {
            continue;
        }
        for flow in now.live.iter() {
            ingest.hinder(&flow.name, hindered(flow, &rows));
        }
    }
}

/// A flow waits for a component that workers name and none of them has, and is
/// held where all of them hold it.
fn hindered(flow: &Flow, rows: &[WorkerOracle]) -> Option<Hindered> {
    let mut uses = flow.oracles.iter().map(|usage| &*usage.component);
    uses.find_map(|name| {
        let rows = || {
            rows.iter()
                .map(|row| &row.oracle)
                .filter(|row| row.name == name)
        };
        if rows().next().is_some() && rows().all(|row| row.digest.is_none()) {
            return Some(Hindered::Waiting(name.to_owned()));
        }
        let in_flow = || {
            let all = rows().flat_map(|row| &row.in_flows);
            all.filter(|stands| stands.flow == flow.name.as_str())
        };
        let held = |stands: &InFlow| stands.standing == Standing::Held;
        (in_flow().next().is_some() && in_flow().all(held)).then_some(Hindered::Held)
    })
}

/// Tells the front end what keeps a flow of this process from being judged.
fn hindered_by(hindrance: Hindrance) -> Hindered {
    match hindrance {
        Hindrance::Missing(component) => Hindered::Waiting(component.to_string()),
        Hindrance::Held(_) => Hindered::Held,
    }
}
