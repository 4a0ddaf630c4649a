//! When a fault is over for those who use Floodgate.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::books;
use super::fault::{Done, Fault};
use super::flows::ProvenFlow;
use super::load::Load;
use super::stage::Stage;

/// What came of one injection.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    pub fault: Fault,
    /// From the injection until an entry accepted after the fault was over,
    /// and all that were accepted before it, had their decisions. `None`:
    /// that did not happen in time.
    pub took: Option<Duration>,
    /// Requests that were refused in that time, for whatever reason.
    pub refused: u64,
    /// Requests that were not answered in that time.
    pub unanswered: u64,
    /// How long good entries waited in that time until they were accepted.
    pub waits: Vec<Duration>,
}

/// Begins with the injection.
pub(super) struct Watch {
    fault: Fault,
    began: Instant,
    refused: u64,
    unanswered: u64,
}

impl Watch {
    pub fn begin(fault: Fault, load: &Load) -> Self {
        Self {
            fault,
            began: Instant::now(),
            refused: load.refused.load(Ordering::Relaxed),
            unanswered: load.unanswered.load(Ordering::Relaxed),
        }
    }

    /// To be called when the fault is undone.
    pub async fn until_recovered(
        self,
        done: &Done,
        load: &Load,
        stage: &Stage,
        most: Duration,
    ) -> Recovery {
        let recovered = timeout(most, recovered(done, load, stage)).await;
        let recovered = recovered.is_ok() && !done.shut_out;
        let now = Instant::now();
        Recovery {
            fault: self.fault,
            took: recovered.then(|| now - self.began),
            refused: load.refused.load(Ordering::Relaxed) - self.refused,
            unanswered: load.unanswered.load(Ordering::Relaxed) - self.unanswered,
            waits: load.waits.between(self.began, now),
        }
    }
}

async fn recovered(done: &Done, load: &Load, stage: &Stage) {
    let mut waits_for = load.undecided();
    // The witness that the way in is open.
    waits_for.extend(load.next_accepted().await);
    while !load.undecided().is_disjoint(&waits_for) {
        sleep(Duration::from_millis(50)).await;
    }
    if let Some(version) = done.version {
        until_judged_by(stage, version).await;
    }
}

async fn until_judged_by(stage: &Stage, version: usize) {
    loop {
        if let Ok(client) = books::connect(stage).await {
            while let Ok(judged) = judged_by(&client, &stage.digests_since(version)).await {
                if judged {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn judged_by(client: &tokio_postgres::Client, digests: &[String]) -> anyhow::Result<bool> {
    for flow in [ProvenFlow::KeepAlways, ProvenFlow::Echo] {
        if !books::judged_by(client, flow, digests).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Looks again and again which accepted entries have their decision. Ends
/// with its task.
pub(super) async fn follow(load: &Load, stage: &Stage) {
    loop {
        if let Ok(client) = books::connect(stage).await {
            while look(load, &client).await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn look(load: &Load, client: &tokio_postgres::Client) -> anyhow::Result<()> {
    let undecided = load.undecided();
    let ids: Vec<&str> = undecided.iter().map(String::as_str).collect();
    load.decided(books::decided_of(client, &ids).await?);
    Ok(())
}
