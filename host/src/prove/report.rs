use std::collections::BTreeMap;

use serde::Serialize;

use super::fault::Fault;
use super::reconcile::Reconciliation;
use super::recovery::Recovery;

/// What a proof found out.
#[derive(Debug, Serialize)]
pub struct Report {
    pub seed: u64,
    pub seconds: f64,
    pub faults: Vec<FaultRow>,
    pub flows: Vec<Reconciliation>,
    /// Decisions that were made again and, stored before, not stored again:
    /// what the ledger's uniqueness prevented. Crashes of Postgres add to it.
    pub repeats: i64,
}

/// All injections of one fault.
#[derive(Debug, PartialEq, Serialize)]
pub struct FaultRow {
    pub fault: Fault,
    pub injected: usize,
    /// Of these, those after which not all was well again in time.
    pub not_recovered: usize,
    /// The longest time from an injection until all accepted entries had their
    /// decision; `None` where there was no recovery at all.
    pub worst_recovery_ms: Option<u64>,
    /// Requests refused from an injection to its recovery.
    pub refused: u64,
    /// Requests without an answer from an injection to its recovery.
    pub unanswered: u64,
}

impl Report {
    /// Nothing lost, nothing twice, nothing left.
    pub fn is_proven(&self) -> bool {
        self.flows.iter().all(Reconciliation::is_right)
            && self.faults.iter().all(|row| row.not_recovered == 0)
    }
}

/// A row for each of `faults`, also for what was never injected.
pub(super) fn rows(faults: &[Fault], recoveries: &[Recovery]) -> Vec<FaultRow> {
    let empty = |fault: &Fault| {
        let row = FaultRow {
            fault: *fault,
            injected: 0,
            not_recovered: 0,
            worst_recovery_ms: None,
            refused: 0,
            unanswered: 0,
        };
        (*fault, row)
    };
    let mut rows: BTreeMap<Fault, FaultRow> = faults.iter().map(empty).collect();
    for recovery in recoveries {
        let Some(row) = rows.get_mut(&recovery.fault) else {
            continue;
        };
        let took = recovery.took.map(|took| took.as_millis());
        row.injected += 1;
        row.not_recovered += usize::from(took.is_none());
        row.worst_recovery_ms = row
            .worst_recovery_ms
            .max(took.and_then(|took| u64::try_from(took).ok()));
        row.refused += recovery.refused;
        row.unanswered += recovery.unanswered;
    }
    rows.into_values().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_worst_recovery_counts_and_a_missing_one_is_not_forgotten() {
        let recovery = |took: Option<u64>| Recovery {
            fault: Fault::KillApi,
            took: took.map(Duration::from_millis),
            refused: 2,
            unanswered: 1,
        };
        let recoveries = [recovery(Some(7)), recovery(None), recovery(Some(5))];
        let rows = rows(&[Fault::KillApi], &recoveries);
        let expected = FaultRow {
            fault: Fault::KillApi,
            injected: 3,
            not_recovered: 1,
            worst_recovery_ms: Some(7),
            refused: 6,
            unanswered: 3,
        };
        assert_eq!(rows, [expected]);
        let report = Report {
            seed: 0,
            seconds: 0.0,
            faults: rows,
            flows: Vec::new(),
            repeats: 0,
        };
        assert!(!report.is_proven());
    }
}
