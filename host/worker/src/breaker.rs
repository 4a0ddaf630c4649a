//! While the ledger is away nothing is read: what a worker holds, no other
//! worker can take up.

use metrics::Gauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use floodgate_process::metrics::table::LEDGER_BREAKER_OPEN;

/// Opened by a call that the ledger did not answer, and closed by the first
/// that it did. Whoever holds a batch goes on calling, so it never stays open
/// for want of a try.
pub(super) struct Breaker {
    open: watch::Sender<bool>,
    shown: Gauge,
}

impl Default for Breaker {
    fn default() -> Self {
        let shown = LEDGER_BREAKER_OPEN.of([]);
        shown.set(0.0);
        Self {
            open: watch::Sender::new(false),
            shown,
        }
    }
}

impl Breaker {
    pub fn note(&self, away: bool) {
        let changed = self
            .open
            .send_if_modified(|open| std::mem::replace(open, away) != away);
        if changed {
            self.shown.set(f64::from(u8::from(away)));
        }
        match (changed, away) {
            (true, true) => warn!("ledger away, reading stops until it answers"),
            (true, false) => info!("ledger answers, reading goes on"),
            _ => {}
        }
    }

    /// Waits until it is closed, or `stop`.
    pub async fn closed(&self, stop: &CancellationToken) {
        let mut open = self.open.subscribe();
        // Its sender lives as long as this value.
        let _ = stop.run_until_cancelled(open.wait_for(|open| !open)).await;
    }
}
