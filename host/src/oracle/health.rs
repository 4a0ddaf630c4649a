use std::collections::VecDeque;

use crate::backbone::StreamId;

/// Judgements that count.
const WINDOW: usize = 1_000;
/// Judgements before a share says anything.
const ENOUGH: usize = 100;
/// Entries of a batch that do not all fail by chance.
const WHOLE_BATCH: usize = 32;

/// Whether an oracle, rather than the entries it is given, is at fault. One
/// per loaded digest: a new oracle starts with a clean record.
#[derive(Debug, Default)]
pub struct Health {
    /// The last judgements, oldest first; true: it failed.
    window: VecDeque<bool>,
    failed: usize,
    ever_succeeded: bool,
    /// The first entry that failed, while none has succeeded.
    first_failed: Option<StreamId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Fine,
    /// It fails whatever it is given: nothing that failed is an entry's fault.
    Broken,
}

impl Health {
    /// Takes in what became of one batch, after it was split to find the
    /// guilty entries.
    pub fn observe(&mut self, succeeded: usize, failed: &[StreamId]) -> Condition {
        self.ever_succeeded |= succeeded > 0;
        for _ in 0..succeeded.min(WINDOW) {
            self.record(false);
        }
        for _ in 0..failed.len().min(WINDOW) {
            self.record(true);
        }
        if self.never_worked(failed)
            || (succeeded == 0 && failed.len() >= WHOLE_BATCH)
            || (self.window.len() >= ENOUGH && self.failed * 2 > self.window.len())
        {
            Condition::Broken
        } else {
            Condition::Fine
        }
    }

    /// One entry that fails again and again proves nothing: two do.
    fn never_worked(&mut self, failed: &[StreamId]) -> bool {
        if self.ever_succeeded {
            return false;
        }
        let Some(first) = self.first_failed.or(failed.first().copied()) else {
            return false;
        };
        self.first_failed = Some(first);
        failed.iter().any(|id| *id != first)
    }

    fn record(&mut self, failed: bool) {
        if self.window.len() == WINDOW && self.window.pop_front() == Some(true) {
            self.failed -= 1;
        }
        self.window.push_back(failed);
        self.failed += usize::from(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<u64>) -> Vec<StreamId> {
        range.map(|ms| StreamId { ms, seq: 0 }).collect()
    }

    #[test]
    fn one_bad_entry_alone_never_condemns_a_new_oracle() {
        let mut health = Health::default();
        for _ in 0..50 {
            assert_eq!(health.observe(0, &ids(7..8)), Condition::Fine);
        }
    }

    #[test]
    fn a_new_oracle_that_fails_two_different_entries_is_broken() {
        let mut health = Health::default();
        assert_eq!(health.observe(0, &ids(7..8)), Condition::Fine);
        assert_eq!(health.observe(0, &ids(8..9)), Condition::Broken);
        assert_eq!(Health::default().observe(0, &ids(1..3)), Condition::Broken);
    }

    #[test]
    fn an_oracle_that_once_succeeded_may_fail_a_few() {
        let mut health = Health::default();
        assert_eq!(health.observe(1, &[]), Condition::Fine);
        assert_eq!(health.observe(0, &ids(0..31)), Condition::Fine);
    }

    #[test]
    fn a_large_batch_that_fails_entirely_is_the_oracles_fault() {
        let mut health = Health::default();
        health.observe(1_000, &[]);
        assert_eq!(health.observe(1, &ids(0..32)), Condition::Fine);
        assert_eq!(health.observe(0, &ids(0..32)), Condition::Broken);
    }

    #[test]
    fn more_than_half_of_the_window_failing_is_broken_and_half_is_not() {
        let mut health = Health::default();
        for n in 0..500 {
            assert_eq!(health.observe(1, &ids(n..n + 1)), Condition::Fine);
        }
        assert_eq!(health.observe(0, &ids(0..1)), Condition::Broken);
    }

    #[test]
    fn fewer_than_a_hundred_judgements_say_nothing_about_shares() {
        let mut health = Health::default();
        assert_eq!(health.observe(1, &[]), Condition::Fine);
        for n in 0..98 {
            assert_eq!(health.observe(0, &ids(n..n + 1)), Condition::Fine);
        }
        assert_eq!(health.observe(0, &ids(99..100)), Condition::Broken);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut health = Health::default();
        health.observe(1, &ids(0..31));
        health.observe(1_000, &[]);
        assert_eq!(health.failed, 0);
        for n in 0..400 {
            assert_eq!(health.observe(0, &ids(n..n + 1)), Condition::Fine);
        }
    }
}
