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
use tracing::{debug, error, info, warn};
use walkdir::WalkDir;

use super::followed::{self, Word};
use floodgate_backbone::{self as backbone, Backbone};
use floodgate_flow::{Flow, FlowName, FlowSet};
use floodgate_ledger::Ledger;
use floodgate_oracle_host::{FlowNotTried, Registry};
use floodgate_process::metrics::table::{FILES_READ, FLOW_FILES_REFUSED};
use floodgate_process::watch::{SETTLE, Stamp, stirs};

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

/// Why changed files are not in force.
enum NotTaken {
    /// Something that has to be there did not answer.
    TryAgain,
    /// Something is wrong with them, which was said.
    Refused,
    /// An oracle fails its controls under them. Another component may not.
    FailsControls(FlowName, String),
}
use NotTaken::TryAgain;

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
        let mut oracles = self.registry.as_ref().map(|registry| registry.changes());
        let mut seen = None;
        let mut fails = None;
        loop {
            tokio::select! {
                _ = polls.tick() => {}
                Ok(()) = stirred.changed() => {}
            }
            let swapped = |oracles: &mut watch::Receiver<u64>| {
                let swapped = oracles.has_changed().unwrap_or_default();
                oracles.mark_unchanged();
                swapped
            };
            if oracles.as_mut().is_some_and(swapped) && fails.is_some() {
                seen = None;
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
            let taken = self.take().await;
            FLOW_FILES_REFUSED.of([]).set(match taken {
                Ok(()) | Err(TryAgain) => 0.0,
                Err(_) => 1.0,
            });
            seen = match taken {
                Err(TryAgain) => None,
                // Workers may take it once another component is there.
                Err(NotTaken::FailsControls(..)) if self.registry.is_none() => None,
                _ => Some(found),
            };
            fails = match taken {
                Err(NotTaken::FailsControls(flow, error)) => {
                    // Said once, however often it is tried.
                    if fails.as_ref() != Some(&error) {
                        REFUSED.increment(1);
                        error!(error, "flow files not taken, the flows stay as they are");
                        if let Some(registry) = &self.registry {
                            registry.flow_refused(&flow, &error);
                        }
                    }
                    Some(error)
                }
                _ => None,
            };
        }
    }

    async fn take(&self) -> Result<(), NotTaken> {
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
                Err(NotTaken::Refused)
            }
            Err(error) => {
                error!(%error, "flow files not read");
                Err(NotTaken::Refused)
            }
        }
    }

    async fn swap(&self, loaded: Vec<Flow>) -> Result<(), NotTaken> {
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
            self.not_taken(&new, &error);
            REFUSED.increment(1);
            error!(error, "flow files not taken, the flows stay as they are");
            return Err(NotTaken::Refused);
        }
        self.try_on_controls(&before, &new).await?;
        self.note(&new).await?;
        let set = self.put_together(&before, live, &new);
        if let Some(registry) = &self.registry {
            registry.use_flows(set.all()).await;
        }
        self.flows.send_replace(set);
        TAKEN.increment(1);
        if let Some(registry) = &self.registry {
            for flow in &new {
                let known = before.find(flow.name.as_str());
                registry.flow_changed(flow, known.map(|known| &**known));
            }
            let is_gone = |flow: &&Arc<Flow>| self.flows.borrow().find_live(&flow.name).is_none();
            for flow in before.live.iter().filter(is_gone) {
                registry.flow_removed(flow);
            }
        }
        Ok(())
    }

    /// Has the oracles judge the controls under what is new.
    async fn try_on_controls(&self, before: &FlowSet, new: &[Arc<Flow>]) -> Result<(), NotTaken> {
        let Some(registry) = &self.registry else {
            return self.follow_workers(before, new).await;
        };
        for flow in new {
            let known = before.find(flow.name.as_str());
            let tried = registry.try_flow(flow, known.map(|known| &**known)).await;
            tried.map_err(|not| match not {
                FlowNotTried::Fails(error) => {
                    registry.not_taken(flow, &error);
                    NotTaken::FailsControls(flow.name.clone(), error)
                }
                FlowNotTried::TryAgain => TryAgain,
            })?;
        }
        Ok(())
    }

    /// Takes what workers took, where this process has no oracles.
    async fn follow_workers(&self, before: &FlowSet, new: &[Arc<Flow>]) -> Result<(), NotTaken> {
        let flows = followed::tried(before, new);
        if flows.is_empty() {
            return Ok(());
        }
        let reports = self.backbone.reports().await.map_err(|_| TryAgain)?;
        match followed::word(&reports, &flows) {
            Word::Taken => Ok(()),
            Word::Refused(flow, error) => Err(NotTaken::FailsControls(flow, error)),
            Word::NotYet(flow) => {
                debug!(%flow, "flow file changed, no worker has tried it yet");
                Err(TryAgain)
            }
        }
    }

    /// Tells front ends what this worker does not take.
    fn not_taken(&self, new: &[Arc<Flow>], error: &str) {
        if let Some(registry) = &self.registry {
            for flow in new {
                registry.not_taken(flow, error);
            }
        }
    }

    /// Before anything is decided by them: a decision names its flow file by a
    /// digest, and whoever makes it again looks that up in the ledger.
    async fn note(&self, new: &[Arc<Flow>]) -> Result<(), NotTaken> {
        for flow in new {
            if let Err(error) = self.ledger.accept_flow(&flow.name, &flow.source).await {
                warn!(flow = %flow.name, %error, "flow file changed and could not be noted, trying again");
                return Err(TryAgain);
            }
        }
        Ok(())
    }

    /// What only running servers can tell.
    async fn check(&self, new: &[Arc<Flow>]) -> Result<Result<(), String>, NotTaken> {
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

    fn put_together(&self, before: &FlowSet, live: Vec<Arc<Flow>>, new: &[Arc<Flow>]) -> FlowSet {
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
        FlowSet {
            draining,
            live: live.into(),
        }
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
