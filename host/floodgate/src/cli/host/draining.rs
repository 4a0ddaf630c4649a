//! Flows whose file was removed while entries of theirs were open.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use floodgate_admin::Admin;
use floodgate_backbone::depth_of;
use floodgate_flow::Flow;
use floodgate_ledger as ledger;

/// Those that have to be worked off by what was noted of them. A ledger that does not answer
/// within `patience` is not waited for: then they wait for the next start.
pub(super) async fn find(admin: &Admin, patience: Duration) -> Vec<Arc<Flow>> {
    match tokio::time::timeout(patience, removed(admin)).await {
        Ok(Ok(flows)) => flows,
        Ok(Err(error)) => {
            warn!(%error, "flows that were removed are not looked for until the next start");
            Vec::new()
        }
        Err(_) => {
            warn!(
                "ledger did not answer, flows that were removed are not looked for until the next start"
            );
            Vec::new()
        }
    }
}

async fn removed(admin: &Admin) -> Result<Vec<Arc<Flow>>, ledger::Error> {
    let flows = admin.flows.borrow().clone();
    let mut draining = Vec::new();
    for (name, source) in admin.ledger.accepted_flows().await? {
        if flows.find(&name).is_some() {
            continue;
        }
        let flow = match Flow::of_source(&name, &source) {
            Ok(flow) => Arc::new(flow),
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                warn!(
                    flow = name,
                    error = problems.join("; "),
                    "flow was removed and its last definition is not understood"
                );
                continue;
            }
        };
        let depth = depth_of(&*admin.backbone, &flow).await;
        let open = depth.map_or(0, |depth| depth.open);
        if open > 0 {
            info!(
                flow = name,
                open, "flow was removed, what is open of it is worked off"
            );
            draining.push(flow);
        }
    }
    Ok(draining)
}
