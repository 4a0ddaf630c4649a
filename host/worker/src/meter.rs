//! What is measured of a flow that is worked on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Histogram};

use super::blame::Found;
use super::judge::Answer;
use super::recheck::Due;
use floodgate_flow::{Digest, FaultKind, FlowName, Label};
use floodgate_ledger::{Decided, Stored};
use floodgate_process::metrics::table;
use floodgate_process::seldom::Seldom;
use floodgate_process::tasks::LANE;

pub(super) struct Meter {
    flow: FlowName,
    pub read: Histogram,
    pub faults: ByFault,
    pub buried: ByFault,
    /// Lines of the log about single entries, which strangers choose.
    pub told: Told,
    pub lost: Counter,
    /// Of all flows together, as of any other task.
    pub panics: Counter,
    pub decided_after: Histogram,
    high: Counter,
    low: Counter,
    none: Counter,
    /// Of the digests in force, one for each component.
    oracles: Mutex<Vec<Arc<OracleMeter>>>,
}

impl Meter {
    pub fn of(flow: &FlowName) -> Self {
        let name = flow.as_str();
        let labelled = |label| table::DECISIONS.of([name, label]);
        Self {
            read: table::READ_BATCH_ENTRIES.of([name]),
            faults: ByFault::of(|kind| table::ENTRY_FAULTS.of([name, kind.as_str()])),
            buried: ByFault::of(|kind| table::DEAD_LETTERS_BURIED.of([name, kind.as_str()])),
            told: Told::new(),
            lost: table::ENTRIES_LOST.of([name]),
            panics: table::TASK_PANICS.of([LANE.name()]),
            decided_after: table::DECIDED_AFTER.of([name]),
            high: labelled("high"),
            low: labelled("low"),
            none: labelled("none"),
            oracles: Mutex::default(),
            flow: flow.clone(),
        }
    }

    /// That of a component, made anew when another digest comes into force.
    pub fn of_oracle(&self, component: &Arc<str>, digest: Digest) -> Arc<OracleMeter> {
        let mut oracles = self.oracles.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = oracles.iter();
        let known = known.find(|meter| meter.digest == digest && meter.component == *component);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let made = Arc::new(OracleMeter::of(&self.flow, component, digest));
        oracles.retain(|meter| meter.component != *component);
        oracles.push(Arc::clone(&made));
        made
    }

    /// Those of `rows` that `stored` proves; both are in the same order.
    pub fn decided(&self, rows: &[Decided], stored: &Stored) {
        let mut proven = stored.entries().iter().peekable();
        let (mut high, mut low, mut none) = (0, 0, 0);
        for row in rows {
            if proven.next_if(|(id, _)| *id == row.stream_id).is_none() {
                continue;
            }
            match row.decision.label {
                Some(Label::High) => high += 1,
                Some(Label::Low) => low += 1,
                None => none += 1,
            }
        }
        self.high.increment(high);
        self.low.increment(low);
        self.none.increment(none);
    }
}

/// Of one digest of an oracle, in one flow.
pub(super) struct OracleMeter {
    component: Arc<str>,
    digest: Digest,
    judged: Counter,
    duration: Histogram,
    faults: ByFault,
    pub rechecks: Counter,
    pub differences: Counter,
    pub told_differences: Seldom,
    pub due: Due,
}

impl OracleMeter {
    fn of(flow: &FlowName, component: &Arc<str>, digest: Digest) -> Self {
        let short = format!("{digest:.12}");
        let labels = [flow.as_str(), component, &short];
        let [flow, oracle, short] = labels;
        Self {
            component: Arc::clone(component),
            digest,
            judged: table::ENTRIES_JUDGED.of(labels),
            duration: table::JUDGE_DURATION.of(labels),
            rechecks: table::ORACLE_RECHECKS.of(labels),
            differences: table::ORACLE_DIFFERENCES.of(labels),
            told_differences: Seldom::new(),
            due: Due::default(),
            faults: ByFault::of(|kind| {
                let labels = [flow, oracle, short, kind.as_str()];
                match (kind.is_of_oracle(), kind.breaks_oracle()) {
                    (true, true) => table::ORACLE_FAULTS.of(labels),
                    (true, false) => table::ORACLE_REFUSALS.of(labels),
                    (false, _) => Counter::noop(),
                }
            }),
        }
    }

    pub fn called(&self, after: Duration) {
        self.duration.record(after);
    }

    pub fn answered(&self, answers: &[Answer]) {
        let mut judged = 0;
        for answer in answers {
            match answer {
                Found::Result(Ok(_)) => judged += 1,
                Found::Result(Err(refusal)) => self.faults.kind(refusal.kind).increment(1),
                Found::Guilty(fault) => self.faults.kind(fault.kind).increment(1),
                Found::Unknown => {}
            }
        }
        self.judged.increment(judged);
    }
}

/// A count for each kind of fault, there from the beginning.
pub(super) struct ByFault([Counter; FaultKind::ALL.len()]);

impl ByFault {
    fn of(count: impl Fn(FaultKind) -> Counter) -> Self {
        Self(FaultKind::ALL.map(count))
    }

    pub fn kind(&self, kind: FaultKind) -> &Counter {
        &self.0[kind as usize]
    }
}

/// When the log last told of entries of a flow, for each kind of fault.
pub(super) struct Told {
    pub buried: [Seldom; FaultKind::ALL.len()],
    pub counted_as_high: Seldom,
}

impl Told {
    fn new() -> Self {
        Self {
            buried: FaultKind::ALL.map(|_| Seldom::new()),
            counted_as_high: Seldom::new(),
        }
    }
}
