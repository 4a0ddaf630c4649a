use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// Seconds; a statistic over a year may take ten.
const SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// What `GET /metrics` tells.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Once in a process.
    ///
    /// # Errors
    /// The second time.
    pub fn install() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new().set_buckets(&SECONDS)?;
        recorder.install_recorder().map(Self)
    }

    pub(super) fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}
