use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the workers of this process last published, and until when it counts.
#[derive(Default)]
pub(super) struct Reports {
    by_worker: Mutex<BTreeMap<String, (String, Instant)>>,
}

impl Reports {
    pub fn publish(&self, worker: &str, report: &str, ttl: Duration) {
        let until = Instant::now() + ttl;
        let mut reports = self
            .by_worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        reports.insert(worker.to_owned(), (report.to_owned(), until));
    }

    /// (worker, report)
    pub fn all(&self) -> Vec<(String, String)> {
        let now = Instant::now();
        let mut reports = self
            .by_worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        reports.retain(|_, (_, until)| *until > now);
        let living = reports.iter();
        living
            .map(|(worker, (report, _))| (worker.clone(), report.clone()))
            .collect()
    }
}
