//! Flow files that change while their flows run: everything is checked before
//! anything is swapped, and where something is wrong all stays as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use metrics::Counter;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use walkdir::WalkDir;

use super::component_names;
use crate::backbone::{self, Backbone};
use crate::flow::{Flow, FlowSet};
use crate::ledger::Ledger;
use crate::metrics::table::FILES_READ;
use crate::oracle::Registry;
use crate::watch::{SETTLE, Stamp, stirs};

static TAKEN: LazyLock<Counter> = LazyLock::new(|| FILES_READ.of(["flows", "taken"]));
static REFUSED: LazyLock<Counter> = LazyLock::new(|| FILES_READ.of(["flows", "refused"]));

/// How often the directory is looked at even if nothing is heard of it.
const POLL: Duration = Duration::from_secs(1);

/// Reads the flow files again when they change.
pub(super) struct Reload {
    pub dir: PathBuf,
    pub flows: watch::Sender<FlowSet>,
    pub backbone: Arc<dyn Backbone>,
    pub ledger: Arc<dyn Ledger>,
    /// Where this process works.
    pub registry: Option<Arc<Registry>>,
    /// The memory of an instance for which there is room, in bytes.
    pub max_memory: usize,
}

/// Something that has to be there did not answer.
struct TryAgain;

type Stamps = BTreeMap<PathBuf, Stamp>;

impl Reload {
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&self) {
        // They are there from the beginning, at 0.
        LazyLock::force(&TAKEN);
        LazyLock::force(&REFUSED);
        let (_watcher, mut stirred) = stirs(&self.dir);
        let mut polls = tokio::time::interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = None;
        loop {
            tokio::select! {
                _ = polls.tick() => {}
                Ok(()) = stirred.changed() => {}
            }
            let found = stamps(&self.dir);
            if seen.as_ref() == Some(&found) {
                continue;
            }
            // A flow file and its schema are written one after the other.
            tokio::time::sleep(SETTLE).await;
            if stamps(&self.dir) != found {
                continue;
            }
            seen = match self.take().await {
                Ok(()) => Some(found),
                Err(TryAgain) => None,
            };
        }
    }

    async fn take(&self) -> Result<(), TryAgain> {
        let dir = self.dir.clone();
        let loaded = tokio::task::spawn_blocking(move || Flow::load_dir(&dir)).await;
        match loaded {
            Ok(Ok(flows)) => self.swap(flows).await,
            Ok(Err(problems)) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                let error = problems.join("; ");
                REFUSED.increment(1);
                error!(
                    error,
                    "flow files have problems, the flows stay as they are"
                );
                Ok(())
            }
            Err(error) => {
                error!(%error, "flow files not read");
                Ok(())
            }
        }
    }

    async fn swap(&self, loaded: Vec<Flow>) -> Result<(), TryAgain> {
        let before = self.flows.borrow().clone();
        let known = |flow: &Flow| before.live.iter().find(|known| known.is_same_as(flow));
        let (mut live, mut new) = (Vec::new(), Vec::new());
        for flow in loaded {
            if let Some(known) = known(&flow) {
                live.push(Arc::clone(known));
                continue;
            }
            let flow = Arc::new(flow);
            new.push(Arc::clone(&flow));
            live.push(flow);
        }
        if new.is_empty() && live.len() == before.live.len() {
            return Ok(());
        }
        if let Err(error) = self.check(&new).await? {
            REFUSED.increment(1);
            error!(error, "flow files not taken, the flows stay as they are");
            return Ok(());
        }
        self.note(&new).await?;
        if let Some(registry) = &self.registry {
            registry.use_components(component_names(&new)).await;
        }
        self.put_in_force(&before, live, &new);
        Ok(())
    }

    /// Before anything is decided by them: a decision names its flow file by a
    /// digest, and whoever makes it again looks that up in the ledger.
    async fn note(&self, new: &[Arc<Flow>]) -> Result<(), TryAgain> {
        for flow in new {
            if let Err(error) = self.ledger.accept_flow(&flow.name, &flow.source).await {
                warn!(flow = %flow.name, %error, "flow file changed and could not be noted, trying again");
                return Err(TryAgain);
            }
        }
        Ok(())
    }

    /// What only running servers can tell.
    async fn check(&self, new: &[Arc<Flow>]) -> Result<Result<(), String>, TryAgain> {
        for flow in new {
            let mut uses = flow.oracles.iter();
            if let Some(usage) = uses.find(|usage| usage.limits.memory > self.max_memory) {
                return Ok(Err(format!(
                    "flow {}: {} may use more memory than any oracle could at the start of this process, restart it",
                    flow.name, usage.component
                )));
            }
        }
        let partitions: Vec<_> = new
            .iter()
            .map(|flow| (flow.name.clone(), flow.stream.partitions))
            .collect();
        match self.backbone.check(&partitions).await {
            Ok(_) => Ok(Ok(())),
            Err(unfit @ backbone::Error::Unfit { .. }) => Ok(Err(unfit.to_string())),
            Err(error) => {
                warn!(%error, "flow files changed and could not be checked, trying again");
                Err(TryAgain)
            }
        }
    }

    fn put_in_force(&self, before: &FlowSet, live: Vec<Arc<Flow>>, new: &[Arc<Flow>]) {
        for flow in new {
            match before.live.iter().any(|old| old.name == flow.name) {
                true => info!(flow = %flow.name, digest = %flow.digest, "flow changed"),
                false => info!(flow = %flow.name, digest = %flow.digest, "flow added"),
            }
        }
        let is_gone = |flow: &&Arc<Flow>| live.iter().all(|now| now.name != flow.name);
        for flow in before.live.iter().filter(is_gone) {
            info!(flow = %flow.name, "flow removed, what is open of it is worked off");
        }
        let draining = before.all().filter(is_gone).cloned().collect();
        self.flows.send_replace(FlowSet {
            draining,
            live: live.into(),
        });
        TAKEN.increment(1);
    }
}

/// What tells one state of a directory's flow files, schemas and SQL from
/// another. SQL may lie in a directory beside the flow file, and no deeper;
/// what happens there nobody tells, so it is found with the next look.
fn stamps(dir: &Path) -> Stamps {
    let files = WalkDir::new(dir).min_depth(1).max_depth(2);
    let stamped = files.into_iter().flatten().filter_map(|file| {
        let found = file.metadata().ok().filter(|found| found.is_file())?;
        Some((file.into_path(), Stamp::of(&found)))
    });
    stamped.collect()
}
