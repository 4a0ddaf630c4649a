//! What is due leaves the ledger every ten minutes. Any number of workers may
//! ask for it: the archive lets one at a time.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::client::{Archive, Error};
use super::wire::{Moved, Pass};
use floodgate_flow::{FlowSet, Flows};
use floodgate_process::metrics::table;

/// Files are of a day; minutes make no difference to what is due.
const PERIOD: Duration = Duration::from_secs(600);

/// After the first try that failed, as where the archive is just being started;
/// then twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// How often this process' passes ended how.
struct Passes {
    whole: Counter,
    problems: Counter,
    failed: Counter,
    busy: Counter,
}

impl Passes {
    fn none_yet() -> Self {
        let of = |outcome| table::ARCHIVE_PASSES.of([outcome]);
        Self {
            whole: of("whole"),
            problems: of("problems"),
            failed: of("failed"),
            busy: of("busy"),
        }
    }
}

/// Asks at once, and then again and again, for as long as a flow has `hot`.
/// A pass that is under way when `stop` is told ends as the archive likes.
pub async fn keep_moving(archive: Arc<Archive>, mut flows: Flows, stop: CancellationToken) {
    let passes = Passes::none_yet();
    let follow = async {
        let mut retry = FIRST_RETRY;
        loop {
            wait_for_work(&archive, &mut flows).await;
            let pause = match move_once(&archive, &passes).await {
                Ok(()) => {
                    retry = FIRST_RETRY;
                    PERIOD.mul_f64(rand::random_range(0.9..1.1))
                }
                Err(error) => {
                    // An archive that is started together with this is soon there.
                    match retry == FIRST_RETRY {
                        true => debug!(%error, "what is due was not moved yet"),
                        false => {
                            warn!(%error, "what is due was not moved out of the ledger, trying again");
                        }
                    }
                    let pause = retry;
                    retry = (retry * 2).min(PERIOD);
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    stop.run_until_cancelled(follow).await;
}

/// Until a flow wants to be moved and there is somebody who does it.
async fn wait_for_work(archive: &Archive, flows: &mut Flows) {
    let known = flows.wait_for(is_hot).await.is_ok();
    match (known, archive.is_configured()) {
        (true, true) => return,
        (true, false) => warn!(
            "a flow has keep.hot and no floodgate-archive is configured (--archive-url): everything stays in the ledger"
        ),
        // Nobody changes them any more: the process ends.
        (false, _) => {}
    }
    std::future::pending().await
}

fn is_hot(flows: &FlowSet) -> bool {
    flows.all().any(|flow| flow.table.hot.is_some())
}

async fn move_once(archive: &Archive, passes: &Passes) -> Result<(), Error> {
    let pass = archive.run().await;
    match pass.inspect_err(|_| passes.failed.increment(1))? {
        Some(pass) => {
            tell(&pass);
            match pass.problems.is_empty() {
                true => passes.whole.increment(1),
                false => passes.problems.increment(1),
            }
        }
        None => {
            debug!("somebody else is moving what is due");
            passes.busy.increment(1);
        }
    }
    Ok(())
}

fn tell(pass: &Pass) {
    for (files, what) in [
        (&pass.moved, "decisions moved out of the ledger"),
        (&pass.merged, "small files made one"),
    ] {
        for Moved {
            flow,
            day,
            file,
            rows,
            bytes,
            seconds,
        } in files
        {
            info!(flow, day, file, rows, bytes, seconds, "{what}");
        }
    }
    for problem in &pass.problems {
        warn!(problem, "not all was moved that is due");
    }
}
