//! The proof of the promise: everything that one machine can do to a running
//! Floodgate is done to it, and then every id is accounted for.
//!
//! An onlooker's view: servers, api and workers are processes of their own,
//! entries come in over HTTP, and what became of them is read from Postgres.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod books;
mod breaking;
mod entry;
mod fault;
mod flows;
mod host;
mod hostile;
mod load;
mod proxy;
mod reconcile;
mod recovery;
mod report;
mod schedule;
pub mod servers;
mod stage;
pub mod stand_in;
mod waits;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use self::flows::ProvenFlow;
use self::load::Load;
use self::recovery::{Recovery, Watch};
use self::schedule::{Planned, Schedule};
use self::stage::Stage;
use floodgate_backbone::Backbone;
use floodgate_flow::{FlowName, Partition};

pub use self::fault::Fault;
pub use self::proxy::Proxy;
pub use self::reconcile::{Cases, Mistake, Reconciliation};
pub use self::report::{FaultRow, Report};
pub use self::waits::Waited;

/// Within this everything that was accepted has to be decided or dead once
/// the faults are over: leases of 30 s run out, what was held is taken over
/// and tried again.
const SETTLED: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub struct Options {
    /// How long there is no fault at first: what the others are held against.
    pub calm: Duration,
    /// How long faults are injected.
    pub lasts: Duration,
    pub seed: u64,
    pub faults: Vec<Fault>,
    /// Entries per second.
    pub rate: u32,
    pub workers: usize,
}

/// Runs a whole proof; what the processes log goes to the directory `logs`.
/// Nothing that was started outlives the returned future's end.
///
/// # Errors
/// Where the proof could not be made, or `interrupt` was cancelled. What it
/// found out is in the report.
pub async fn prove(
    options: Options,
    logs: &Path,
    interrupt: CancellationToken,
) -> anyhow::Result<Report> {
    ensure!(options.workers > 0, "a proof needs a worker");
    ensure!(!options.faults.is_empty(), "a proof needs a fault");
    let start = Stage::start(options.workers, logs);
    let stage = tokio::select! {
        stage = start => stage.context("start what is to be proven")?,
        () = interrupt.cancelled() => bail!("interrupted"),
    };
    let mut proof = Proof::new(options, stage);
    let report = tokio::select! {
        report = proof.run() => report,
        () = interrupt.cancelled() => Err(anyhow!("interrupted")),
    };
    proof.end().await?;
    report
}

struct Proof {
    options: Options,
    stage: Arc<Stage>,
    load: Arc<Load>,
    started: Instant,
    posting: JoinSet<()>,
    /// Cancelled once nobody waits for answers any more.
    give_up: CancellationToken,
    following: JoinSet<()>,
    injections: JoinSet<anyhow::Result<Recovery>>,
}

impl Proof {
    fn new(options: Options, stage: Stage) -> Self {
        Self {
            load: Arc::new(Load::new(options.seed, stage.api_port)),
            options,
            stage: Arc::new(stage),
            started: Instant::now(),
            posting: JoinSet::new(),
            give_up: CancellationToken::new(),
            following: JoinSet::new(),
            injections: JoinSet::new(),
        }
    }

    async fn run(&mut self) -> anyhow::Result<Report> {
        let stop = CancellationToken::new();
        let stage = self.stage.clone();
        let posting = self
            .load
            .clone()
            .run(self.options.rate, stop.clone(), self.give_up.clone());
        // The good client runs on a runtime of its own. Otherwise its tasks would wait
        // behind the tasks of the hostile client, and the waits would include that.
        let own = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the good client")?;
        self.posting.spawn_blocking(move || own.block_on(posting));
        let load = self.load.clone();
        self.following
            .spawn(async move { recovery::follow(&load, &stage).await });

        sleep(self.options.calm).await;
        let calm = Waited::of(self.load.waits.between(self.started, Instant::now()));
        self.inject().await?;
        let mut recoveries = Vec::new();
        while let Some(recovery) = self.injections.join_next().await {
            recoveries.push(recovery.context("inject a fault")??);
        }
        stop.cancel();
        let deadline = Instant::now() + SETTLED;
        let posted = timeout_at(deadline, self.posting.join_next()).await;
        self.give_up.cancel();
        if posted.is_err() {
            progress(self.started, "some requests are still not answered");
        }
        self.until_settled(deadline).await;
        self.stage.nobody_died().await?;
        self.report(calm, &recoveries).await
    }

    /// Injects what is planned until the time is over and each fault came. One
    /// at a time, but for those that take long: others come on top of them.
    async fn inject(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + self.options.lasts;
        let mut long: Option<oneshot::Receiver<()>> = None;
        let mut schedule = Schedule::new(self.options.seed, self.options.faults.clone());
        while let Some(planned) = schedule.next(end.saturating_duration_since(Instant::now())) {
            sleep(planned.pause).await;
            let is_long = planned.fault.is_long();
            if is_long && let Some(lasting) = long.take() {
                // Where it failed, the injection itself tells why.
                let _ = lasting.await;
            }
            self.stage.nobody_died().await?;
            let (undone, is_undone) = oneshot::channel();
            let (stage, load) = (self.stage.clone(), self.load.clone());
            self.injections
                .spawn(injection(planned, self.started, stage, load, undone));
            if is_long {
                long = Some(is_undone);
            } else {
                // Where it failed, the injection itself tells why.
                let _ = is_undone.await;
            }
        }
        Ok(())
    }

    /// Until nothing is open, or `deadline`.
    async fn until_settled(&self, deadline: Instant) {
        let mut said = Instant::now();
        loop {
            let mut open = 0;
            for flow in ProvenFlow::ALL {
                let partition = Partition {
                    flow: FlowName::new(flow.name()),
                    index: 0,
                };
                match self.stage.backbone.depth(&partition).await {
                    Ok(depth) => open += depth.open.max(depth.pending),
                    Err(_) => open += 1,
                }
            }
            if open == 0 || Instant::now() > deadline {
                return;
            }
            if said.elapsed() > Duration::from_secs(5) {
                progress(self.started, &format!("{open} entries are open"));
                said = Instant::now();
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn report(&self, calm: Waited, recoveries: &[Recovery]) -> anyhow::Result<Report> {
        let client = books::connect(&self.stage).await?;
        let mut flows = Vec::new();
        for flow in ProvenFlow::ALL {
            let books = books::read(&self.stage, &self.load, &client, flow).await?;
            flows.push(reconcile::reconcile(flow, &books));
        }
        Ok(Report {
            seed: self.options.seed,
            seconds: self.started.elapsed().as_secs_f64(),
            calm,
            faults: report::rows(&self.options.faults, recoveries),
            flows,
            repeats: books::repeats(&client).await?,
        })
    }

    /// Ends all tasks and all processes.
    async fn end(mut self) -> anyhow::Result<()> {
        self.give_up.cancel();
        self.posting.shutdown().await;
        self.following.shutdown().await;
        self.injections.shutdown().await;
        // Waits for processes.
        tokio::task::spawn_blocking(move || drop(self))
            .await
            .context("end all processes")
    }
}

async fn injection(
    planned: Planned,
    started: Instant,
    stage: Arc<Stage>,
    load: Arc<Load>,
    undone: oneshot::Sender<()>,
) -> anyhow::Result<Recovery> {
    let Planned { fault, seed, .. } = planned;
    let watch = Watch::begin(fault, &load);
    let done = fault.inject(&stage, &load, seed).await;
    let done = done.with_context(|| fault.name())?;
    progress(started, &format!("{}: {}", fault.name(), done.what));
    // Nobody listens where nobody waits for it.
    let _ = undone.send(());
    let recovery = watch
        .until_recovered(&done, &load, &stage, fault.held_at_most())
        .await;
    let waited = Waited::of(recovery.waits.clone());
    let how = match recovery.took {
        Some(took) => format!("recovered from after {:.1} s", took.as_secs_f64()),
        None => "not recovered from".to_owned(),
    };
    let (name, p99, longest) = (fault.name(), waited.p99_ms, waited.longest_ms);
    let others = format!("others waited {p99:.0} ms (p99), {longest:.0} ms at most");
    progress(started, &format!("{name}: {how}; {others}"));
    Ok(recovery)
}

/// For whoever waits; the report goes to standard output.
fn progress(started: Instant, what: &str) {
    let after = started.elapsed().as_secs_f64();
    let _gone = writeln!(std::io::stderr(), "{after:7.1} s  {what}");
}
