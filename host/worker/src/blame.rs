//! Splits a batch until the guilty entry stands alone.

use std::ops::Range;

/// Calls of an oracle that one batch may cost. A single guilty entry among
/// 256 is found with 17; more guilty ones than the budget finds are judged
/// one by one when they come again.
pub(super) const BUDGET: usize = 32;

/// What splitting found out of one entry.
#[derive(Debug, PartialEq)]
pub(super) enum Found<R, F> {
    /// The oracle answered.
    Result(R),
    /// The oracle failed with this entry alone.
    Guilty(F),
    /// The budget ran out while it was in bad company.
    Unknown,
}

/// Judges `len` entries, halving what fails. `judge` answers for a range of
/// them, in order, or fails as a whole.
pub(super) fn split<R, F>(
    len: usize,
    budget: usize,
    mut judge: impl FnMut(Range<usize>) -> Result<Vec<R>, F>,
) -> Vec<Found<R, F>> {
    let mut found: Vec<Found<R, F>> = (0..len).map(|_| Found::Unknown).collect();
    let mut open = Vec::from([Range { start: 0, end: len }]);
    let mut calls = 0;
    while let Some(range) = open.pop() {
        if range.is_empty() || calls == budget {
            continue;
        }
        calls += 1;
        match judge(range.clone()) {
            Ok(results) => {
                for (at, result) in range.zip(results) {
                    found[at] = Found::Result(result);
                }
            }
            Err(fault) if range.len() == 1 => found[range.start] = Found::Guilty(fault),
            Err(_) => {
                let middle = range.start + range.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn judge_all(
        len: usize,
        budget: usize,
        guilty: &BTreeSet<usize>,
    ) -> (Vec<Found<usize, ()>>, usize) {
        let mut calls = 0;
        let found = split(len, budget, |range| {
            calls += 1;
            if range.clone().any(|at| guilty.contains(&at)) {
                Err(())
            } else {
                Ok(range.collect())
            }
        });
        (found, calls)
    }

    #[test]
    fn one_guilty_entry_of_256_costs_seventeen_calls() {
        for guilty in [0, 100, 255] {
            let (found, calls) = judge_all(256, BUDGET, &BTreeSet::from([guilty]));
            assert_eq!(calls, 17);
            assert_eq!(found[guilty], Found::Guilty(()));
            assert_eq!(
                found
                    .iter()
                    .filter(|f| matches!(f, Found::Result(_)))
                    .count(),
                255
            );
        }
    }

    proptest! {
        #[test]
        fn with_budget_enough_exactly_the_guilty_are_found(
            len in 1..300_usize,
            guilty in prop::collection::btree_set(0..300_usize, 0..20),
        ) {
            let (found, _) = judge_all(len, usize::MAX, &guilty);
            for (at, found) in found.iter().enumerate() {
                let expected = if guilty.contains(&at) { Found::Guilty(()) } else { Found::Result(at) };
                prop_assert_eq!(found, &expected);
            }
        }

        #[test]
        fn no_budget_is_overspent_and_nobody_is_blamed_for_another(
            len in 1..300_usize,
            budget in 0..40_usize,
            guilty in prop::collection::btree_set(0..300_usize, 0..300),
        ) {
            let (found, calls) = judge_all(len, budget, &guilty);
            prop_assert!(calls <= budget);
            prop_assert_eq!(found.len(), len);
            for (at, found) in found.iter().enumerate() {
                match found {
                    Found::Result(_) => prop_assert!(!guilty.contains(&at)),
                    Found::Guilty(()) => prop_assert!(guilty.contains(&at)),
                    Found::Unknown => {}
                }
            }
        }
    }
}
