use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Latencies, StuckCalls};
use floodgate_backbone::Backbone;
use floodgate_oracle_host::Registry;
use floodgate_report::Report;

const PERIOD: Duration = Duration::from_secs(1);

/// After this long without a word a worker is no longer listed.
const TTL: Duration = Duration::from_secs(10);

/// Publishes what this worker knows of its oracles, which flow files it took, how
/// long entries took it, and what the backbone refuses it, until `stop`.
pub async fn publish_reports(
    worker: Arc<str>,
    backbone: Arc<dyn Backbone>,
    registry: Arc<Registry>,
    latencies: Arc<Latencies>,
    stuck: Arc<StuckCalls>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let report = Report {
            oracles: registry.status(),
            flows: Some(registry.flows_tried()),
            latency: latencies.take_turn(),
            stuck: stuck.all(),
        };
        let text = serde_json::to_string(&report).unwrap_or_default();
        if let Err(error) = backbone.publish(&worker, &text, TTL).await {
            debug!(%error, "report not published");
        }
    }
    // Said once more with no time to live: it is gone at once.
    if let Err(error) = backbone.publish(&worker, "{}", Duration::ZERO).await {
        debug!(%error, "report not withdrawn");
    }
}
