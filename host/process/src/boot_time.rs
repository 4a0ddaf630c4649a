use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A time that goes on while the process is stopped or the machine sleeps
/// (CLOCK_BOOTTIME); `Instant` stands still during suspend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// Before anything that ever happened on this machine.
    pub const START: Self = Self(Duration::ZERO);

    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        Self(Duration::new(
            now.tv_sec.unsigned_abs(),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        ))
    }

    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }

    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}
