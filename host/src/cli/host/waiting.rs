//! A flow answers 503 for as long as one of its oracles is not there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::flow::{Flow, Flows};
use crate::ingest::Ingest;
use crate::oracle::Registry;

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
        refuse(&ingest, &now.live, |name| registry.current(name).is_none());
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
        let mut runs: BTreeMap<String, bool> = BTreeMap::new();
        for row in admin.oracles().await.unwrap_or_default() {
            *runs.entry(row.oracle.name).or_default() |= row.oracle.digest.is_some();
        }
        if !runs.is_empty() {
            refuse(&ingest, &now.live, |name| runs.get(name) == Some(&false));
        }
    }
}

fn refuse(ingest: &Ingest, flows: &[Arc<Flow>], is_missing: impl Fn(&str) -> bool) {
    for flow in flows {
        let mut names = flow.oracles.iter().map(|usage| &*usage.component);
        let missing = names.find(|name| is_missing(name));
        ingest.wait_for(&flow.name, missing.map(str::to_owned));
    }
}
