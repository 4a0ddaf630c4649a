//! What is measured of the way to one downstream.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::attempt::{FailureKind, Outcome};
use floodgate_flow::{Downstream, FaultKind};
use floodgate_ledger::Route;
use floodgate_process::metrics::table;
use floodgate_process::seldom::Seldom;

pub(super) struct Meter {
    pub delivered: Counter,
    pub given_up: Counter,
    pub panics: Counter,
    pub told: Told,
    duration: Histogram,
    failures: [(FailureKind, Counter); FailureKind::ALL.len()],
}

/// When the log last told of single deliveries, which strangers choose.
#[derive(Default)]
pub(super) struct Told {
    pub failed: Seldom,
    pub given_up: Seldom,
    pub not_written_down: Seldom,
}

impl Meter {
    pub fn of(route: &Route) -> Self {
        let labels = [route.flow.as_str(), &route.downstream.name];
        let [flow, downstream] = labels;
        let failures = |kind: FailureKind| {
            let labels = [flow, downstream, kind.as_str()];
            (kind, table::DELIVERY_FAULTS.of(labels))
        };
        Self {
            delivered: table::DELIVERIES.of(labels),
            given_up: table::DEAD_LETTERS_BURIED.of([flow, FaultKind::Delivery.as_str()]),
            panics: table::TASK_PANICS.of(["delivery"]),
            told: Told::default(),
            duration: table::DELIVERY_DURATION.of(labels),
            failures: FailureKind::ALL.map(failures),
        }
    }

    pub fn attempted(&self, outcome: &Outcome, after: Duration) {
        if matches!(outcome, Outcome::Lost) {
            return;
        }
        self.duration.record(after);
        if let Outcome::Failed(failure) = outcome {
            let mut known = self.failures.iter();
            if let Some((_, count)) = known.find(|(kind, _)| *kind == failure.kind()) {
                count.increment(1);
            }
        }
    }
}

/// Whether a downstream is left alone, for as long as somebody delivers to it.
pub(super) struct Away {
    is: AtomicBool,
    /// Flows may call their downstreams the same.
    shown: Gauge,
}

impl Away {
    pub fn of(downstream: &Downstream) -> Self {
        let shown = table::BREAKER_OPEN.of([&downstream.name]);
        Self {
            is: AtomicBool::new(false),
            shown,
        }
    }

    pub fn is(&self, away: bool) {
        match (self.is.swap(away, Ordering::Relaxed), away) {
            (false, true) => self.shown.increment(1.0),
            (true, false) => self.shown.decrement(1.0),
            _ => {}
        }
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.is(false);
    }
}
