use std::sync::atomic::{AtomicU64, Ordering};

use super::observation::Observation;

/// What an oracle did since it came into force.
#[derive(Default)]
pub(super) struct Tally {
    pub calls: AtomicU64,
    pub entries: AtomicU64,
    pub faults: AtomicU64,
    /// Microseconds spent in it.
    pub judging_us: AtomicU64,
}

impl Tally {
    pub fn add(&self, judged: &Observation<'_>) {
        let faults = (judged.broke + judged.refused) as u64;
        for (count, more) in [
            (&self.calls, judged.calls),
            (&self.entries, judged.succeeded as u64 + faults),
            (&self.faults, faults),
            (&self.judging_us, judged.took.as_micros() as u64),
        ] {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub fn begin_again(&self) {
        for count in [&self.calls, &self.entries, &self.faults, &self.judging_us] {
            count.store(0, Ordering::Relaxed);
        }
    }
}
