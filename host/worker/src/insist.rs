use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Whether the same call may succeed later.
pub(super) trait MayPass: std::fmt::Display {
    fn may_pass(&self) -> bool;
}

impl MayPass for floodgate_backbone::Error {
    fn may_pass(&self) -> bool {
        self.may_pass()
    }
}

impl MayPass for floodgate_ledger::Error {
    fn may_pass(&self) -> bool {
        !matches!(self, Self::Data(_))
    }
}

/// The worker stops and the call still fails: what was held is handed back.
#[derive(Debug)]
pub(super) struct Stopped;

/// Makes `call` until it succeeds or fails for good. Infrastructure that is
/// away uses up nothing: whoever insists holds its batch, and with it the
/// reader stops.
///
/// # Errors
/// [`Stopped`] when the call failed and the worker is to stop.
pub(super) async fn insist<T, E: MayPass, F: Future<Output = Result<T, E>>>(
    what: &'static str,
    stop: &CancellationToken,
    mut call: impl FnMut() -> F,
) -> Result<Result<T, E>, Stopped> {
    let mut backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
        .build();
    loop {
        match call().await {
            Err(error) if error.may_pass() => {
                if stop.is_cancelled() {
                    return Err(Stopped);
                }
                warn!(%error, what, "not done, trying again");
            }
            answer => return Ok(answer),
        }
        let pause = backoff.next().unwrap_or(Duration::from_secs(5));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}
