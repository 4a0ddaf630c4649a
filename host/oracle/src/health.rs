use std::collections::VecDeque;

/// Answers that count.
const WINDOW: usize = 200;
/// Answers before a share says anything.
const ENOUGH: usize = 40;

/// Whether there is reason to put an oracle on trial. It decides nothing by
/// itself: what an oracle is given to judge is chosen by strangers.
#[derive(Debug, Default)]
pub struct Health {
    /// The last answers, oldest first; true: it refused to judge.
    window: VecDeque<bool>,
    refused: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Fine,
    /// It broke on an entry, or refuses nearly everything.
    Suspicious,
}

impl Health {
    /// Takes in what became of one batch, after it was split to find the
    /// guilty entries: how many it judged, broke on and refused.
    pub fn observe(&mut self, judged: usize, broke: usize, refused: usize) -> Condition {
        for _ in 0..judged.min(WINDOW) {
            self.record(false);
        }
        for _ in 0..refused.min(WINDOW) {
            self.record(true);
        }
        let refuses_most =
            self.window.len() >= ENOUGH && self.refused * 10 >= self.window.len() * 9;
        match broke > 0 || refuses_most {
            true => Condition::Suspicious,
            false => Condition::Fine,
        }
    }

    fn record(&mut self, refused: bool) {
        if self.window.len() == WINDOW && self.window.pop_front() == Some(true) {
            self.refused -= 1;
        }
        self.window.push_back(refused);
        self.refused += usize::from(refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_that_breaks_it_is_reason_enough_for_a_trial() {
        let mut health = Health::default();
        assert_eq!(health.observe(1_000, 0, 0), Condition::Fine);
        assert_eq!(health.observe(255, 1, 0), Condition::Suspicious);
        assert_eq!(health.observe(255, 0, 0), Condition::Fine);
    }

    #[test]
    fn a_few_dozen_refused_entries_say_nothing() {
        let mut health = Health::default();
        assert_eq!(health.observe(0, 0, ENOUGH - 1), Condition::Fine);
        assert_eq!(health.observe(0, 0, 1), Condition::Suspicious);
    }

    #[test]
    fn nine_of_ten_refused_are_reason_for_a_trial_and_eight_are_not() {
        let mut health = Health::default();
        for _ in 0..100 {
            assert_eq!(health.observe(2, 0, 8), Condition::Fine);
        }
        let mut health = Health::default();
        health.observe(4, 0, 36);
        assert_eq!(health.observe(1, 0, 9), Condition::Suspicious);
    }

    #[test]
    fn old_refusals_are_forgotten() {
        let mut health = Health::default();
        health.observe(0, 0, WINDOW);
        assert_eq!(health.observe(WINDOW / 5, 0, 0), Condition::Fine);
        health.observe(WINDOW, 0, 0);
        assert_eq!(health.refused, 0);
    }
}
