use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// How long entries waited from their first request until they were accepted,
/// however often they had to be sent.
#[derive(Default)]
pub(super) struct Waits {
    /// In the order in which they ended.
    all: Mutex<Vec<(Instant, Duration)>>,
}

/// Of the waits that ended in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Waited {
    pub count: usize,
    pub p99_ms: f64,
    pub longest_ms: f64,
}

impl Waits {
    /// To be called when it ended.
    pub fn add(&self, took: Duration) {
        self.add_at(Instant::now(), took);
    }

    fn add_at(&self, at: Instant, took: Duration) {
        // A push is whole or did not happen.
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((at, took));
    }

    pub fn between(&self, from: Instant, to: Instant) -> Vec<Duration> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let of_then = all.iter().filter(|(at, _)| (from..=to).contains(at));
        of_then.map(|(_, took)| *took).collect()
    }
}

impl Waited {
    pub(super) fn of(mut waits: Vec<Duration>) -> Self {
        waits.sort_unstable();
        let ms = |wait: Option<&Duration>| wait.map_or(0.0, |wait| wait.as_secs_f64() * 1000.0);
        // The nearest rank: 1 in 100 waited longer.
        let rank = (waits.len() * 99).div_ceil(100);
        Self {
            count: waits.len(),
            p99_ms: ms(waits.get(rank.saturating_sub(1))),
            longest_ms: ms(waits.last()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_waits_longer_than_the_p99() {
        let ms = Duration::from_millis;
        let waited = Waited::of((1..=200).rev().map(ms).collect());
        let expected = Waited {
            count: 200,
            p99_ms: 198.0,
            longest_ms: 200.0,
        };
        assert_eq!(waited, expected);
        assert_eq!(Waited::of(Vec::new()), Waited::default());
        assert_eq!(Waited::of(vec![ms(7)]).p99_ms, 7.0);
    }

    #[test]
    fn a_wait_counts_when_it_ended() {
        let waits = Waits::default();
        let start = Instant::now();
        for seconds in 1..=3 {
            let took = Duration::from_secs(seconds);
            waits.add_at(start + took, took);
        }
        let at = |seconds| start + Duration::from_secs_f64(seconds);
        let middle = waits.between(at(1.5), at(2.5));
        assert_eq!(middle, [Duration::from_secs(2)]);
    }
}
