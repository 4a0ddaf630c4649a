use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use serde::Serialize;

use super::files::Fault;
use crate::cold::ColdFile;

/// What was read for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scanned {
    pub files: u64,
    /// Of the files.
    pub bytes: u64,
    /// That were decoded, whether they matched or not.
    pub cold_rows: u64,
    /// That the ledger gave.
    pub hot_rows: u64,
}

/// A cold file that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub file: String,
    pub why: String,
}

/// Kept while a plan is made and run.
#[derive(Default)]
pub(super) struct Tally {
    pub hot_rows: AtomicU64,
    files: Mutex<BTreeMap<i64, ColdFile>>,
    skipped: Mutex<BTreeMap<String, String>>,
}

impl Tally {
    /// A statement may name its table twice.
    pub fn looks_at(&self, file: &ColdFile) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(file.number, file.clone());
    }

    pub fn skips(&self, fault: &Fault) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.insert(fault.file.clone(), fault.why.clone());
    }

    /// Decided while the plan is made, and for as long as it runs: what counts in
    /// neither the files nor the ledger would be missing, what does in both be
    /// there twice.
    pub fn has_skipped(&self, file: &ColdFile) -> bool {
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.contains_key(&file.path)
    }

    /// Those that are read, and those that could not be.
    pub fn looked_at(&self) -> Vec<ColdFile> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.values().cloned().collect()
    }

    pub fn read(&self) -> Vec<ColdFile> {
        let mut files = self.looked_at();
        files.retain(|file| !self.has_skipped(file));
        files
    }

    pub fn skipped(&self) -> Vec<Skipped> {
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = skipped.iter();
        let skipped = skipped.map(|(file, why)| Skipped {
            file: file.clone(),
            why: why.clone(),
        });
        skipped.collect()
    }

    /// After the plan has run.
    pub fn scanned(&self, plan: &Arc<dyn ExecutionPlan>) -> Scanned {
        let mut scanned = Scanned {
            files: self.read().len() as u64,
            hot_rows: self.hot_rows.load(Ordering::Relaxed),
            ..Scanned::default()
        };
        add_up(plan, &mut scanned);
        scanned
    }
}

fn add_up(plan: &Arc<dyn ExecutionPlan>, scanned: &mut Scanned) {
    if plan.downcast_ref::<DataSourceExec>().is_some()
        && let Some(metrics) = plan.metrics()
    {
        let sum = |name: &str| {
            metrics
                .sum_by_name(name)
                .map_or(0, |sum| sum.as_usize() as u64)
        };
        scanned.bytes += sum("bytes_scanned");
        let given = metrics.output_rows().unwrap_or(0) as u64;
        scanned.cold_rows += given + sum("pushdown_rows_pruned");
    }
    for child in plan.children() {
        add_up(child, scanned);
    }
}
