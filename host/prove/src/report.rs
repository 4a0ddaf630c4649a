use std::collections::BTreeSet;

use serde::Serialize;

use super::fault::{Fault, HELD};
use super::reconcile::Reconciliation;
use super::recovery::Recovery;
use super::waits::Waited;

/// What a proof found out.
#[derive(Debug, Serialize)]
pub struct Report {
    pub seed: u64,
    pub seconds: f64,
    /// How long entries waited before there was any fault.
    pub calm: Waited,
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
    /// The longest that an entry of the good client waited until it was
    /// accepted, from an injection to its recovery.
    pub longest_wait_ms: f64,
    /// 1 of 100 of these entries waited longer. It is taken over all injections.
    pub p99_ms: f64,
}

impl Report {
    /// The chosen faults that never came, by name.
    pub fn missing(&self) -> Vec<String> {
        let missing = self.faults.iter().filter(|row| row.injected == 0);
        missing.map(|row| row.fault.name()).collect()
    }

    /// Each fault came, and nothing is lost, twice or left, and nobody was held
    /// up by what somebody else did.
    pub fn is_proven(&self) -> bool {
        self.flows.iter().all(Reconciliation::is_right) && self.faults.iter().all(FaultRow::is_over)
    }
}

impl FaultRow {
    fn of(fault: Fault, injections: &[&Recovery]) -> Self {
        let recovered = injections.iter().filter_map(|injection| injection.took);
        let worst = recovered.clone().max().map(|took| took.as_millis());
        let waits = injections.iter().flat_map(|injection| &injection.waits);
        let waited = Waited::of(waits.copied().collect());
        Self {
            fault,
            injected: injections.len(),
            not_recovered: injections.len() - recovered.count(),
            worst_recovery_ms: worst.and_then(|took| u64::try_from(took).ok()),
            refused: injections.iter().map(|injection| injection.refused).sum(),
            unanswered: injections
                .iter()
                .map(|injection| injection.unanswered)
                .sum(),
            longest_wait_ms: waited.longest_ms,
            p99_ms: waited.p99_ms,
        }
    }

    fn is_over(&self) -> bool {
        let most = HELD.as_secs_f64() * 1000.0;
        let others_go_on = !self.fault.is_hostile() || self.longest_wait_ms <= most;
        // Nothing is proven of what never came.
        self.injected > 0 && self.not_recovered == 0 && others_go_on
    }
}

/// Returns a row for each of `faults`, also for those that were never injected.
pub(super) fn rows(faults: &[Fault], recoveries: &[Recovery]) -> Vec<FaultRow> {
    let faults: BTreeSet<Fault> = faults.iter().copied().collect();
    let rows = faults.into_iter().map(|fault| {
        let of_it = recoveries.iter().filter(|one| one.fault == fault);
        FaultRow::of(fault, &of_it.collect::<Vec<_>>())
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Returns a recovery in which a hundred entries waited, each of them a millisecond
    /// longer than the one before. Times are in milliseconds.
    fn recovery(fault: Fault, took: Option<u64>, longest: u64) -> Recovery {
        let waits = (longest - 99..=longest).map(Duration::from_millis);
        Recovery {
            fault,
            took: took.map(Duration::from_millis),
            refused: 2,
            unanswered: 1,
            waits: waits.collect(),
        }
    }

    fn report(fault: Fault, recoveries: &[Recovery]) -> Report {
        Report {
            seed: 0,
            seconds: 0.0,
            calm: Waited::default(),
            faults: rows(&[fault], recoveries),
            flows: Vec::new(),
            repeats: 0,
        }
    }

    #[test]
    fn the_worst_recovery_counts_and_a_missing_one_is_not_forgotten() {
        let fault = Fault::KillApi;
        let recovery = |took, waits| recovery(fault, took, waits);
        let recoveries = [
            recovery(Some(7), 500),
            recovery(None, 400),
            recovery(Some(5), 600),
        ];
        let report = report(fault, &recoveries);
        let expected = FaultRow {
            fault,
            injected: 3,
            not_recovered: 1,
            worst_recovery_ms: Some(7),
            refused: 6,
            unanswered: 3,
            longest_wait_ms: 600.0,
            p99_ms: 597.0,
        };
        assert_eq!(report.faults, [expected]);
        assert!(!report.is_proven());
    }

    #[test]
    fn a_fault_that_never_came_is_named_and_nothing_is_proven() {
        let recoveries = [recovery(Fault::KillApi, Some(7), 500)];
        let came = report(Fault::KillApi, &recoveries);
        assert!(came.is_proven() && came.missing().is_empty());
        let missing = report(Fault::PanicLane, &recoveries);
        assert!(!missing.is_proven());
        assert_eq!(missing.missing(), ["panic-lane"]);
    }

    #[test]
    fn others_wait_for_servers_and_not_for_a_hostile_client() {
        let proven = |fault, waits| {
            let recovery = recovery(fault, Some(61_000), waits);
            report(fault, &[recovery]).is_proven()
        };
        assert!(proven(Fault::Poison, 59_000));
        assert!(!proven(Fault::Poison, 61_000));
        assert!(proven(Fault::KillRedis, 61_000));
    }
}
