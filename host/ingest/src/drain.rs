use std::time::{Duration, Instant};

/// Too far apart, two samples say nothing about now.
const STALE: Duration = Duration::from_secs(30);

/// How fast a full backlog drains, from what the backbone says of its depth:
/// tells refused clients when to come back.
#[derive(Debug)]
pub(super) struct DrainRate {
    /// Entries that should have left before it is worth coming back.
    room: u64,
    last: Option<Sample>,
    per_second: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub at: Instant,
    /// Entries that are open.
    pub open: u64,
    /// Entries that this process has appended since it started.
    pub appended: u64,
}

impl DrainRate {
    pub fn new(max_backlog: u64) -> Self {
        Self {
            room: (max_backlog / 100).max(1),
            last: None,
            per_second: None,
        }
    }

    /// Other front ends append too, so this sees the backlog drain more slowly
    /// than it does: clients rather come back a little late.
    pub fn observe(&mut self, now: Sample) {
        let before = self.last.replace(now);
        self.per_second = before
            .map(|before| (before, now.at.duration_since(before.at)))
            .filter(|(_, between)| !between.is_zero() && *between < STALE)
            .map(|(before, between)| {
                let appended = now.appended - before.appended;
                let left = (before.open + appended).saturating_sub(now.open);
                left as f64 / between.as_secs_f64()
            });
    }

    /// 1 to 60 seconds; 1 while nothing is known.
    pub fn retry_after(&self) -> Duration {
        let seconds = self.per_second.map_or(1.0, |rate| self.room as f64 / rate);
        Duration::from_secs_f64(seconds.clamp(1.0, 60.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_come_back_when_a_hundredth_has_drained() {
        let start = Instant::now();
        let sample = |seconds, open, appended| Sample {
            at: start + Duration::from_secs(seconds),
            open,
            appended,
        };
        let mut rate = DrainRate::new(100_000);
        assert_eq!(rate.retry_after(), Duration::from_secs(1));
        rate.observe(sample(0, 100_000, 0));
        assert_eq!(
            rate.retry_after(),
            Duration::from_secs(1),
            "one sample is no rate"
        );
        rate.observe(sample(2, 99_900, 100));
        assert_eq!(
            rate.retry_after(),
            Duration::from_secs(10),
            "100 a second left"
        );
        rate.observe(sample(3, 99_900, 100));
        assert_eq!(rate.retry_after(), Duration::from_secs(60), "nothing left");
        rate.observe(sample(4, 0, 100));
        assert_eq!(rate.retry_after(), Duration::from_secs(1));
        rate.observe(sample(90, 100_000, 100));
        assert_eq!(
            rate.retry_after(),
            Duration::from_secs(1),
            "too long ago to say"
        );
    }
}
