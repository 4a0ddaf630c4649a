//! Which fault comes when: the same for the same seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::fault::Fault;

/// One injection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Planned {
    /// After the fault before it was over.
    pub pause: Duration,
    pub fault: Fault,
    /// Whatever else is left to chance: which worker, for how long.
    pub seed: u64,
}

/// Injections without end. Every fault comes once before any comes again.
pub(super) struct Schedule {
    chance: StdRng,
    faults: Vec<Fault>,
    round: Vec<Fault>,
}

impl Schedule {
    pub fn new(seed: u64, faults: Vec<Fault>) -> Self {
        Self {
            chance: StdRng::seed_from_u64(seed),
            faults,
            round: Vec::new(),
        }
    }
}

impl Iterator for Schedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if self.round.is_empty() {
            self.round.clone_from(&self.faults);
            self.round.shuffle(&mut self.chance);
            // A stable sort: what takes long comes last in the list, so first.
            self.round.sort_by_key(|fault| fault.is_long());
        }
        let fault = self.round.pop()?;
        Some(Planned {
            pause: Duration::from_millis(self.chance.random_range(500..3_000)),
            fault,
            seed: self.chance.random(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::ValueEnum;

    use super::*;

    fn planned(seed: u64, count: usize) -> Vec<Planned> {
        let faults = Fault::value_variants().to_vec();
        Schedule::new(seed, faults).take(count).collect()
    }

    #[test]
    fn the_same_seed_plans_the_same_and_another_seed_something_else() {
        assert_eq!(planned(1, 50), planned(1, 50));
        assert_ne!(planned(1, 50), planned(2, 50));
    }

    #[test]
    fn every_fault_comes_once_before_any_comes_again() {
        let all = Fault::value_variants().len();
        for round in planned(3, 3 * all).chunks(all) {
            let names: BTreeSet<_> = round.iter().map(|planned| planned.fault).collect();
            assert_eq!(names.len(), all);
        }
    }

    #[test]
    fn what_takes_long_begins_early() {
        let first = &planned(4, 1)[0];
        assert!(first.fault.is_long(), "{first:?}");
    }
}
