use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// `/readyz` says so first, for those who turn away then. Requests stop next,
/// then the workers, so that what was answered last is still drained; the admin
/// API answers until the end.
#[derive(Default)]
pub(super) struct Stop {
    pub notice: CancellationToken,
    pub admission: CancellationToken,
    pub work: CancellationToken,
    pub admin: CancellationToken,
}

pub(super) struct Running {
    pub admission: Option<JoinHandle<()>>,
    pub work: JoinSet<()>,
    pub admin: JoinHandle<()>,
    pub stop: Stop,
}

impl Running {
    pub async fn drain(mut self, notice: Duration) -> Result<(), JoinError> {
        self.stop.notice.cancel();
        tokio::time::sleep(notice).await;
        self.stop.admission.cancel();
        if let Some(admission) = self.admission {
            admission.await?;
        }
        self.stop.work.cancel();
        while self.work.join_next().await.is_some() {}
        self.stop.admin.cancel();
        self.admin.await
    }
}

/// Waits for as long as `patience`, or until a second signal.
///
/// # Errors
/// Where the process ends before it is drained: whoever waits for it hears by
/// its exit code that something was cut off.
pub(super) async fn until_drained(
    drain: impl Future<Output = Result<(), JoinError>>,
    patience: Duration,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    tokio::select! {
        drained = tokio::time::timeout(patience, drain) => match drained {
            Ok(drained) => drained.context("drain"),
            Err(_) => bail!(
                "not drained within {patience:?}: requests in flight were cut off, and entries in \
                 flight come again when their lease has run out; --drain is how long a stop waits"
            ),
        },
        () = signals.next() => bail!(
            "a second signal cut the stop off: entries in flight come again when their lease has run out"
        ),
    }
}

/// Of those that ask a process to end.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they are counted and no longer end the process.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
        })
    }

    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
