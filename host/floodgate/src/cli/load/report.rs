use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::drain::Drained;
use super::{Arguments, Seen};

/// What a load run measured.
#[derive(Serialize)]
pub(super) struct Report {
    pub requests: u64,
    connections: usize,
    seconds: f64,
    per_second: f64,
    pub accepted: u64,
    /// Accepted before, and told so.
    replayed: u64,
    /// Refused or failed, by what was said.
    others: BTreeMap<String, u64>,
    latency_ms: Latency,
    /// `None`: nobody waited for it.
    pub queue: Option<Drained>,
}

#[derive(Serialize)]
struct Latency {
    min: f64,
    avg: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Report {
    pub fn new(arguments: &Arguments, seen: Seen, took: Duration) -> Self {
        let seconds = took.as_secs_f64();
        Self {
            requests: arguments.requests,
            connections: arguments.concurrency,
            seconds,
            per_second: arguments.requests as f64 / seconds,
            accepted: seen.accepted,
            replayed: seen.replayed,
            latency_ms: Latency::of(&seen.latency),
            others: seen.others,
            queue: None,
        }
    }

    pub fn answered_202(&self) -> u64 {
        self.accepted + self.replayed
    }

    pub fn not_accepted(&self) -> u64 {
        self.others.values().sum()
    }

    /// All but the queue.
    pub fn in_words(&self) -> String {
        let Latency {
            min,
            avg,
            p50,
            p95,
            p99,
            max,
        } = self.latency_ms;
        let others = self.others.iter();
        let others: String = others
            .map(|(what, count)| format!("  {what}: {count}\n"))
            .collect();
        format!(
            "\
{} requests over {} connections in {:.2} s: {:.0} per second
  accepted {}, replayed {}
{others}  latency in ms: min {min:.2}, avg {avg:.2}, p50 {p50:.2}, p95 {p95:.2}, p99 {p99:.2}, max {max:.2}",
            self.requests,
            self.connections,
            self.seconds,
            self.per_second,
            self.accepted,
            self.replayed,
        )
    }
}

impl Latency {
    /// Of microseconds.
    fn of(histogram: &Histogram<u64>) -> Self {
        let ms = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        Self {
            min: ms(histogram.min()),
            avg: histogram.mean() / 1000.0,
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
            max: ms(histogram.max()),
        }
    }
}
