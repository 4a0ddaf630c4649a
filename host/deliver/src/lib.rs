//! The outbox: handing decisions to other services, each once.
//!
//! A deliverer asks before it posts. Whatever it forgets, for whatever reason,
//! another one takes up when the lease has run out, and asks first, too.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod attempt;
mod breaker;
mod client;
mod deliverer;
mod meter;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::client::HttpClient;
use self::deliverer::Deliverer;
use floodgate_flow::{Downstream, FlowName, Flows};
use floodgate_http::client::Client;
use floodgate_ledger::{Outbox, Route};
use floodgate_process::tasks::DELIVERER;

/// What runs for one downstream of one flow.
struct Running {
    downstream: Arc<Downstream>,
    stop: CancellationToken,
}

/// Delivers for all flows that there are at the time, in the name of
/// `deliverer`, until `stop`; then finishes what is in flight and returns.
pub async fn run(
    deliverer: Arc<str>,
    outbox: Arc<dyn Outbox>,
    mut flows: Flows,
    stop: CancellationToken,
) {
    let http = Client::default();
    let mut running: HashMap<(FlowName, Arc<str>), Running> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let now = flows.borrow_and_update().clone();
        let wanted: HashMap<_, _> = now
            .all()
            .flat_map(|flow| flow.deliver.iter().map(move |to| (flow, to)))
            .map(|(flow, to)| ((flow.name.clone(), Arc::clone(&to.name)), (flow, to)))
            .collect();
        running.retain(|key, running| {
            let same = wanted
                .get(key)
                .is_some_and(|(_, to)| **to == running.downstream);
            if !same {
                running.stop.cancel();
            }
            same
        });
        for (key, (flow, to)) in wanted {
            if running.contains_key(&key) {
                continue;
            }
            let stop = stop.child_token();
            let route = Route {
                flow: flow.name.clone(),
                downstream: Arc::clone(to),
                deliverer: Arc::clone(&deliverer),
            };
            let http = HttpClient::of(to, &http);
            let started = Deliverer::new(route, flow.stream, Arc::clone(&outbox), http);
            let stopped = stop.clone();
            tasks.spawn(DELIVERER.run(move || started.clone().run(stopped.clone())));
            let downstream = Arc::clone(to);
            running.insert(key, Running { downstream, stop });
        }
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = flows.changed() => {}
            Some(_stopped) = tasks.join_next() => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}
