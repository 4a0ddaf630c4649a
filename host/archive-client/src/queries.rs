//! SQL that fits no table is told when its flow comes into force, and not by its
//! first client.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::client::{Archive, Error};
use super::wire::Plan;
use floodgate_flow::{Flow, Flows};

/// An archive that is started together with this is soon there.
const RETRY: Duration = Duration::from_secs(5);

/// Looks at the queries of each flow as it starts or changes, once the archive
/// answers. What is wrong is told, and nothing is refused for it.
pub async fn check_queries(archive: Arc<Archive>, mut flows: Flows, stop: CancellationToken) {
    let follow = async {
        let (mut known, mut told): (Arc<[Arc<Flow>]>, _) = (Arc::default(), false);
        while archive.is_configured() {
            let live = Arc::clone(&flows.borrow_and_update().live);
            let is_new = |flow: &&Arc<Flow>| !known.iter().any(|old| Arc::ptr_eq(old, flow));
            let checked = check(&archive, live.iter().filter(is_new)).await;
            match checked {
                Ok(()) => {
                    known = live;
                    if flows.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    match (&error, told) {
                        // Nothing will come of it before a person did something.
                        (Error::NotLetIn { .. }, false) => {
                            warn!(%error, "no query can be asked");
                            told = true;
                        }
                        _ => debug!(%error, "queries not looked at yet"),
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    };
    stop.run_until_cancelled(follow).await;
}

async fn check<'f>(
    archive: &Archive,
    flows: impl Iterator<Item = &'f Arc<Flow>>,
) -> Result<(), Error> {
    for flow in flows {
        for query in &flow.queries {
            for asked in query.samples() {
                let plan = Plan {
                    flow: flow.name.as_str(),
                    sql: &asked.sql,
                    parameters: &asked.bound,
                };
                match archive.plan(&plan).await {
                    Ok(()) => {}
                    Err(Error::Refused { status, detail })
                        if status != StatusCode::SERVICE_UNAVAILABLE =>
                    {
                        let (flow, path) = (flow.name.as_str(), &*query.path);
                        warn!(flow, path, error = detail, "query that cannot be answered");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}
