//! Judges one entry of many a second time, alone: whether an oracle says of an
//! entry what it says of it in company cannot be seen otherwise.

use std::sync::atomic::{AtomicU64, Ordering};

use super::blame::Found;
use super::judge::Answer;
use floodgate_flow::{FaultKind, Verdict};
use floodgate_oracle_host::Refusal;

/// One entry of so many. It costs nothing that is seen, and an oracle that
/// depends on its batch is found out within minutes where it matters.
const EVERY: u64 = 10_000;

/// Counts entries, and says whose turn it is. Clients do not know the count,
/// so none chooses what is looked at.
#[derive(Default)]
pub(super) struct Due(AtomicU64);

impl Due {
    /// Counts a batch of `len` entries, and returns the place of the one that
    /// is due, if one is. The first of a batch is as good as alone: the last
    /// is taken instead.
    pub fn of_batch(&self, len: usize) -> Option<usize> {
        let before = self.0.fetch_add(len as u64, Ordering::Relaxed);
        let at = usize::try_from(EVERY - 1 - before % EVERY).ok()?;
        match at {
            at if at >= len => None,
            0 => Some(len - 1),
            at => Some(at),
        }
    }
}

/// Whether an entry's verdict was another one when it was judged alone. What
/// ran out of time or memory says nothing, nor what had no verdict before.
pub(super) fn differs(before: &Answer, alone: &Result<Verdict, Refusal>) -> bool {
    match (before, alone) {
        (Found::Result(Ok(before)), Ok(alone)) => {
            before.score.to_bits() != alone.score.to_bits()
                || before.reasons != alone.reasons
                || before.output != alone.output
        }
        (Found::Result(Ok(_)), Err(refusal)) => {
            !matches!(refusal.kind, FaultKind::Timeout | FaultKind::Memory)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_ten_thousand_is_due_whatever_the_batches() {
        for len in [1, 7, 256, 9_999] {
            let due = Due::default();
            let batches = 50_000 / len;
            let taken = (0..batches).filter_map(|_| due.of_batch(len));
            let taken: Vec<usize> = taken.collect();
            assert_eq!(taken.len(), batches * len / 10_000, "{len}");
            assert!(!taken.is_empty());
            assert!(taken.iter().all(|at| *at < len && (*at > 0 || len == 1)));
        }
    }

    #[test]
    fn another_score_reason_output_or_refusal_differs_and_a_timeout_does_not() {
        let verdict = Verdict {
            score: 0.5,
            reasons: vec!["a".to_owned()],
            output: None,
        };
        let before = || Found::Result(Ok(verdict.clone()));
        assert!(!differs(&before(), &Ok(verdict.clone())));
        for other in [
            Verdict {
                score: 0.25,
                ..verdict.clone()
            },
            Verdict {
                reasons: Vec::new(),
                ..verdict.clone()
            },
            Verdict {
                output: Some("b".to_owned()),
                ..verdict.clone()
            },
        ] {
            assert!(differs(&before(), &Ok(other)));
        }
        let fault = |kind| {
            let error = String::new();
            Err(Refusal { kind, error })
        };
        assert!(differs(&before(), &fault(FaultKind::Refused)));
        assert!(!differs(&before(), &fault(FaultKind::Timeout)));
        assert!(!differs(&Found::Unknown, &Ok(verdict.clone())));
    }
}
