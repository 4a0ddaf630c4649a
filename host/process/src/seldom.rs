//! Log lines that a stranger can set off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often such a line is written at most.
const EVERY: Duration = Duration::from_secs(60);

/// Lets a log line be written at most once a minute, and counts how often it
/// would have been: else whoever sets it off could fill the disk.
#[derive(Debug, Default)]
pub struct Seldom {
    times: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl Seldom {
    pub const fn new() -> Self {
        Self {
            times: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }

    /// Returns how often it happened since the line was written last, if it is
    /// to be written now.
    pub fn now(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        self.times.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.duration_since(last) < EVERY) {
            return None;
        }
        *last = Some(now);
        Some(self.times.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_at_once_and_then_once_a_minute_with_how_often_it_was() {
        let (seldom, began) = (Seldom::new(), Instant::now());
        let at = |seconds| seldom.at(began + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(1));
        for second in 1..60 {
            assert_eq!(at(second), None);
        }
        assert_eq!(at(60), Some(60));
        assert_eq!(at(119), None);
        assert_eq!(at(10_000), Some(2));
    }
}
