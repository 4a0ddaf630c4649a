//! What a process tells of its work: logs, and traces where somebody collects
//! them. Never a body and never a key.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod logging;
mod otlp;
pub mod traces;

use std::time::Duration;

use anyhow::Context;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::debug;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How long the end of a process may wait for the collector.
const FLUSH: Duration = Duration::from_secs(3);

/// The telemetry of a process, from its start to its end.
pub struct Telemetry {
    /// `None` where nobody collects traces.
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// On the current runtime.
    ///
    /// # Errors
    /// Where the environment names a collector that cannot be one.
    pub fn start() -> anyhow::Result<Self> {
        let traces = otlp::provider()?;
        // A list and no `Option`: a layer that is not there would be taken for
        // one that wants every span.
        let mut layers = vec![logging::layer()];
        layers.extend(traces.as_ref().map(|to| traces::layer(to).boxed()));
        tracing_subscriber::registry()
            .with(layers)
            .try_init()
            .context("start logging")?;
        Ok(Self { traces })
    }

    /// Hands over the spans that are left, if the collector takes them in time.
    pub async fn stop(self) {
        let Some(traces) = self.traces else { return };
        // It blocks until the exporter, a task of this runtime, has answered.
        let flush = tokio::task::spawn_blocking(move || traces.shutdown());
        if let Ok(Ok(Ok(()))) = tokio::time::timeout(FLUSH, flush).await {
            return;
        }
        debug!("the last spans were not handed over");
    }
}
