use std::time::Duration;

use anyhow::Context;
use metrics::with_local_recorder;
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tokio::time::MissedTickBehavior;

use super::table::{BUILD_INFO, TABLE};
use super::{Kind, Metric};

/// From half a millisecond, where a commit of a fast disk begins, to ten
/// seconds, beyond which nobody waits for an answer.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Groups and batches are at most 256 entries; there is room for them to grow.
const ENTRIES: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// How often what histograms took in is put into its buckets. Until then each
/// measurement takes 16 bytes: 50,000 entries a second, each measured on its
/// way in and at its end, are less than two megabytes.
const UPKEEP: Duration = Duration::from_secs(1);

/// What everything in this process is counted by.
#[derive(Clone)]
pub struct Recorder {
    handle: PrometheusHandle,
}

impl Recorder {
    /// Once per process, and before anything asks for a handle.
    ///
    /// # Errors
    /// When there is one already.
    pub fn install() -> anyhow::Result<Self> {
        let recorder = prometheus()?;
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).context("install the metrics recorder")?;
        describe();
        BUILD_INFO.of([env!("CARGO_PKG_VERSION")]).set(1.0);
        Ok(Self { handle })
    }

    /// In Prometheus' text format, 0.0.4.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Keeps what is measured small, for as long as it is polled.
    pub async fn keep_up(self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.handle.run_upkeep();
        }
    }
}

/// As [`Recorder::render`], of gauges that `set` sets and that nobody keeps:
/// what it does not set is not there, however often it was before.
///
/// # Errors
/// When the recorder cannot be made.
pub fn snapshot(set: impl FnOnce()) -> Result<String, BuildError> {
    let recorder = prometheus()?;
    with_local_recorder(&recorder, || {
        describe();
        set();
    });
    Ok(recorder.handle().render())
}

fn prometheus() -> Result<PrometheusRecorder, BuildError> {
    let histograms = TABLE.iter().filter(|metric| metric.kind == Kind::Histogram);
    let mut builder = PrometheusBuilder::new();
    for metric in histograms {
        let name = Matcher::Full(metric.name.to_owned());
        builder = builder.set_buckets_for_metric(name, buckets(metric))?;
    }
    Ok(builder.build_recorder())
}

fn buckets(metric: &Metric) -> &'static [f64] {
    match metric.unit {
        metrics::Unit::Seconds => SECONDS,
        _ => ENTRIES,
    }
}

fn describe() {
    for Metric {
        name,
        kind,
        unit,
        help,
        ..
    } in TABLE.iter().copied()
    {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *unit, *help),
            Kind::Gauge => metrics::describe_gauge!(*name, *unit, *help),
            Kind::Histogram => metrics::describe_histogram!(*name, *unit, *help),
        }
    }
}
