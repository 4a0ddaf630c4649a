//! Which fault comes when: the same for the same seed.

use std::collections::BTreeSet;
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

/// Plans injections until the time is over. Every fault comes once before any
/// comes again, and once at least, however short the time is.
pub(super) struct Schedule {
    chance: StdRng,
    faults: Vec<Fault>,
    round: Vec<Fault>,
    came: BTreeSet<Fault>,
}

impl Schedule {
    pub fn new(seed: u64, faults: Vec<Fault>) -> Self {
        Self {
            chance: StdRng::seed_from_u64(seed),
            faults,
            round: Vec::new(),
            came: BTreeSet::new(),
        }
    }

    /// Returns what comes next, with this much of the time left: a fault that
    /// is over in time, or one that did not come yet.
    pub fn next(&mut self, left: Duration) -> Option<Planned> {
        // The rest of this round, and a whole one.
        for _ in 0..self.round.len() + self.faults.len() {
            let planned = self.plan()?;
            let in_time = planned.pause + planned.fault.lasts() <= left;
            if self.came.insert(planned.fault) || in_time {
                return Some(planned);
            }
        }
        None
    }

    fn plan(&mut self) -> Option<Planned> {
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

    const ENDLESS: Duration = Duration::MAX;

    fn planned(seed: u64, count: usize) -> Vec<Planned> {
        let mut schedule = Schedule::new(seed, Fault::value_variants().to_vec());
        let planned = std::iter::from_fn(|| schedule.next(ENDLESS));
        planned.take(count).collect()
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
    fn every_fault_comes_once_however_short_the_time_is_and_none_comes_again() {
        let all = Fault::value_variants();
        for seconds in [0, 1, 3] {
            let mut schedule = Schedule::new(5, all.to_vec());
            let left = Duration::from_secs(seconds);
            let planned = std::iter::from_fn(|| schedule.next(left));
            let came: Vec<_> = planned.map(|planned| planned.fault).collect();
            assert_eq!(came.len(), all.len(), "{seconds} s: {came:?}");
            assert_eq!(came.iter().collect::<BTreeSet<_>>().len(), all.len());
        }
    }

    #[test]
    fn what_came_comes_again_if_it_is_over_in_time() {
        let mut schedule = Schedule::new(6, vec![Fault::StopWorker, Fault::KillApi]);
        for _ in 0..2 {
            schedule.next(Duration::ZERO).unwrap();
        }
        let short = Duration::from_secs(10);
        for _ in 0..5 {
            assert_eq!(schedule.next(short).unwrap().fault, Fault::KillApi);
        }
        assert_eq!(schedule.next(Duration::from_secs(1)), None);
    }

    #[test]
    fn what_takes_long_begins_early() {
        let first = &planned(4, 1)[0];
        assert!(first.fault.is_long(), "{first:?}");
    }
}
