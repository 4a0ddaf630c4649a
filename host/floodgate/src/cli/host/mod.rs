//! A host: front end, workers, or both, over some backbone and some ledger.

mod draining;
mod followed;
mod keys;
mod ledger;
mod reload;
mod stopping;
mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Fuse};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::reload::Reload;
use self::stopping::{Running, Signals, Stop, until_drained};
use super::flows;
use crate::settings::{HostSettings, Role};
use floodgate_admin::{self as admin, Admin};
use floodgate_archive_client::{self as archive, Archive};
use floodgate_backbone::{self as backbone, Backbone};
use floodgate_deliver as deliver;
use floodgate_flow::{Flow, FlowSet};
use floodgate_http::origin::Origins;
use floodgate_http::{Budget, Proxies};
use floodgate_ingest::{self as ingest, Ingest};
use floodgate_ledger::{Ledger, Measured};
use floodgate_oracle_host::{CompileOptions, Engine, EngineOptions, Registry, RegistryOptions};
use floodgate_process::metrics::Recorder;
use floodgate_process::tasks;
use floodgate_readiness::{Asked, Readiness};
use floodgate_worker::{self as worker, Worker};

/// How long a start waits for the backbone and for the ledger, each.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a host stands on.
pub(super) struct Ground {
    pub backbone: Arc<dyn Backbone>,
    pub ledger: Arc<dyn Ledger>,
    pub archive: Arc<Archive>,
}

/// What a host has to say of itself once it is up.
pub(super) struct Started {
    /// `None`: it has no front end.
    pub front_end: Option<SocketAddr>,
    pub admin: SocketAddr,
    pub flows: Arc<[Arc<Flow>]>,
    /// `None`: it does not work.
    pub oracles: Option<Arc<Registry>>,
}

/// Parts, bind, tell what was bound, wait for a signal, drain.
pub(super) async fn run(
    settings: HostSettings,
    role: Role,
    ground: Ground,
    tell: impl FnOnce(&Started),
) -> anyhow::Result<()> {
    tasks::log_panics();
    let panic_on = settings.panic_on.as_deref();
    if let Some(task) = panic_on.and_then(|on| on.strip_prefix("task:")) {
        tasks::panic_once_in(task);
    }
    let stop = Stop::default();
    let mut work = JoinSet::new();
    let (mut parts, in_force) = parts(&settings, role, ground, &stop)?;
    let front_end = match role.admits() {
        true => Some(bind_front_end(&settings, &parts, &stop.work, &mut work).await?),
        false => None,
    };
    parts.front_end = front_end.as_ref().map(|(server, _)| server.local_addr());
    let token = admin::Token::named(&settings.admin_token)?;
    let admin = admin::Server::bind(settings.admin, token, parts.clone())?;
    let flows = parts.flows.borrow().live.clone();
    let tried = CancellationToken::new();
    if let Some((_, ingest)) = &front_end {
        let (ingest, by) = (ingest.clone(), parts.ledger.clone());
        let (tried, stop) = (tried.clone(), stop.work.clone());
        work.spawn(tasks::LEDGER_USABILITY.run(move || {
            let (ingest, by) = (ingest.clone(), by.clone());
            ledger::follow_usability(ingest, by, tried.clone(), stop.clone())
        }));
    }
    let mut fit = within_patience(&parts, &flows, tried, &stop.work).await?;
    let removed = draining::find(&parts, PATIENCE).await;
    in_force.send_modify(|flows| flows.draining = removed.into());
    let max_memory = max_memory(&parts.flows.borrow());
    if role.admits() {
        let (archive, flows) = (parts.archive.clone(), parts.flows.clone());
        let stop = stop.notice.clone();
        work.spawn(
            tasks::ARCHIVE_QUERIES
                .run(move || archive::check_queries(archive.clone(), flows.clone(), stop.clone())),
        );
    }
    let registry = match role.works() {
        true => {
            let (archive, flows) = (parts.archive.clone(), parts.flows.clone());
            let stopped = stop.notice.clone();
            work.spawn(tasks::ARCHIVE_MOVES.run(move || {
                archive::keep_moving(archive.clone(), flows.clone(), stopped.clone())
            }));
            Some(start_worker(&settings, &parts, max_memory, &stop.work, &mut work).await?)
        }
        false => None,
    };
    let reload = Arc::new(Reload {
        dir: settings.flows.flows.clone(),
        flows: in_force,
        backbone: parts.backbone.clone(),
        ledger: parts.ledger.clone(),
        registry: registry.clone(),
        max_memory,
    });
    let stopped = stop.work.clone();
    work.spawn(tasks::FLOW_FILES.run(move || reload.clone().run(stopped.clone())));
    // Whoever is told that it is up may stop it at once.
    let mut signals = Signals::listen()?;
    tell(&Started {
        front_end: parts.front_end,
        admin: admin.local_addr(),
        flows,
        oracles: registry.clone(),
    });
    let readiness = parts.readiness.clone();
    let admission = front_end.map(|front_end| admit(front_end, parts, registry, &stop, &mut work));
    let running = Running {
        admission,
        work,
        admin: tokio::spawn(tasks::ADMIN.run(admin.run(stop.admin.clone()))),
        stop,
    };
    let panicked = tokio::select! {
        () = signals.next() => None,
        Err(unfit) = &mut fit => return Err(unfit),
        task = tasks::vital_one_panicked() => Some(task),
    };
    info!("stopping, waiting for requests and batches in flight; a second signal quits at once");
    let notice = match running.admission.is_some() && readiness.is_asked() {
        true => settings.notice,
        false => Duration::ZERO,
    };
    until_drained(running.drain(notice), notice + settings.drain, &mut signals).await?;
    match panicked {
        None => Ok(()),
        Some(task) => bail!(
            "the task {task} panicked, which is a fault of Floodgate: start this process again, \
             and report what its log says before this"
        ),
    }
}

/// What all of a host look at, and where a change of its flows is told.
fn parts(
    settings: &HostSettings,
    role: Role,
    Ground {
        backbone,
        ledger,
        archive,
    }: Ground,
    stop: &Stop,
) -> anyhow::Result<(Admin, watch::Sender<FlowSet>)> {
    let recorder = Recorder::install()?;
    let kept = recorder.clone();
    tokio::spawn(tasks::METRICS.run(move || kept.clone().keep_up()));
    let flows = flows::load(&settings.flows.flows)?;
    let (in_force, flows) = watch::channel(FlowSet {
        live: flows.into_iter().map(Arc::new).collect(),
        ..FlowSet::default()
    });
    let ledger: Arc<dyn Ledger> = Arc::new(Measured::new(ledger));
    let readiness = Arc::new(Readiness {
        flows: flows.clone(),
        backbone: backbone.clone(),
        ledger: ledger.clone(),
        admits: role.admits(),
        draining: stop.notice.clone(),
        asked: Asked::default(),
    });
    let parts = Admin {
        flows,
        backbone,
        ledger,
        archive,
        metrics: Arc::new(admin::Metrics::new(recorder)),
        readiness,
        front_end: None,
        dashboard: Arc::default(),
    };
    Ok((parts, in_force))
}

/// Makes backbone and ledger ready for these flows. What is away is made ready
/// once it is there; the future that is left ends when the backbone must not
/// be used.
async fn within_patience(
    parts: &Admin,
    flows: &Arc<[Arc<Flow>]>,
    tried: CancellationToken,
    stop: &CancellationToken,
) -> anyhow::Result<Fuse<BoxFuture<'static, anyhow::Result<()>>>> {
    let mut fit = check_when_there(parts.backbone.clone(), flows.clone())
        .boxed()
        .fuse();
    if let Ok(checked) = tokio::time::timeout(PATIENCE, &mut fit).await {
        checked?;
    }
    ledger::until_let_in(&*parts.ledger).await?;
    let (by, flows, stop) = (parts.ledger.clone(), flows.clone(), stop.clone());
    let migrating = tasks::MIGRATIONS.run(move || {
        let (by, flows) = (by.clone(), flows.clone());
        ledger::migrate_when_there(by, flows, tried.clone(), stop.clone())
    });
    let mut migrating = tokio::spawn(migrating);
    // What was pinned is known only once the ledger is up to date.
    let _ = tokio::time::timeout(PATIENCE, &mut migrating).await;
    Ok(fit)
}

/// Takes requests, for as long as there are the oracles to judge them.
fn admit(
    (server, ingest): (ingest::Server, Arc<Ingest>),
    parts: Admin,
    registry: Option<Arc<Registry>>,
    stop: &Stop,
    work: &mut JoinSet<()>,
) -> JoinHandle<()> {
    let stopped = stop.work.clone();
    match registry {
        Some(registry) => {
            let flows = parts.flows;
            work.spawn(tasks::WAITING.run(move || {
                let (ingest, flows) = (ingest.clone(), flows.clone());
                waiting::follow_registry(ingest, flows, registry.clone(), stopped.clone())
            }))
        }
        None => {
            work.spawn(tasks::WAITING.run(move || {
                waiting::follow_workers(ingest.clone(), parts.clone(), stopped.clone())
            }))
        }
    };
    tokio::spawn(tasks::FRONT_END.run(server.run(stop.admission.clone())))
}

async fn bind_front_end(
    settings: &HostSettings,
    parts: &Admin,
    stop: &CancellationToken,
    work: &mut JoinSet<()>,
) -> anyhow::Result<(ingest::Server, Arc<Ingest>)> {
    let origins = Origins::parse(&settings.cors_origins)?;
    let ring = keys::load(&settings.keys)?;
    keys::warn_of_closed_flows(&ring, parts.flows.borrow().live.iter());
    let ring = Arc::new(ArcSwap::from_pointee(ring));
    let (named, followed, stop) = (settings.keys.clone(), ring.clone(), stop.clone());
    work.spawn(
        tasks::KEY_FILE.run(move || keys::follow(named.clone(), followed.clone(), stop.clone())),
    );
    let (backbone, ledger) = (parts.backbone.clone(), parts.ledger.clone());
    let health: ingest::Health = Arc::new(move || {
        let (backbone, ledger) = (backbone.clone(), ledger.clone());
        async move {
            let health = admin::health(&*backbone, &*ledger).await;
            ingest::HealthReport::of(health.redis.is_ok(), health.postgres.is_ok())
        }
        .boxed()
    });
    let ingest = Arc::new(Ingest::new(
        parts.backbone.clone(),
        parts.ledger.clone(),
        parts.archive.clone(),
        health,
        parts.readiness.clone(),
        ring,
        origins.clone(),
    ));
    ingest.use_flows(&parts.flows.borrow().live);
    let partitions = |flow: &Arc<Flow>| usize::from(flow.stream.partitions);
    let partitions = parts.flows.borrow().live.iter().map(partitions).sum();
    let chosen = settings.connections.choose(partitions);
    let mut options = ingest::Options {
        cors: origins.cors(),
        budget: Budget::new(chosen.in_flight),
        ..ingest::Options::default()
    };
    options.limits.connections = chosen.connections;
    options.limits.of_one_peer = chosen.of_one_peer;
    // The whole stop is cut off before, and says so by its exit code.
    options.limits.drain_timeout = settings.drain.saturating_mul(2);
    options.limits.proxies = Proxies::new(&settings.connections.trusted_proxies);
    let server = ingest::Server::bind(settings.listen, options, ingest.clone())?;
    Ok((server, ingest))
}

async fn start_worker(
    settings: &HostSettings,
    parts: &Admin,
    max_memory: usize,
    stop: &CancellationToken,
    work: &mut JoinSet<()>,
) -> anyhow::Result<Arc<Registry>> {
    let name = worker_name();
    let (backbone, ledger) = (parts.backbone.clone(), parts.ledger.clone());
    let engine = Engine::new(&EngineOptions {
        cache: Some(settings.cache_dir()),
        max_memory,
        compile: CompileOptions::default(),
    })?;
    let flows = parts.flows.borrow().all().cloned().collect();
    let registry = RegistryOptions {
        dir: settings.oracles.clone(),
        poll: settings.oracle_poll,
        engine: Arc::new(engine),
        ledger: ledger.clone(),
        flows,
        host: name.clone(),
    };
    let registry = Registry::start(registry, stop.clone()).await?;
    let (deliverer, outbox) = (name.clone(), parts.ledger.clone());
    let (flows, stopped) = (parts.flows.clone(), stop.clone());
    work.spawn(tasks::DELIVERERS.run(move || {
        let (deliverer, outbox) = (deliverer.clone(), outbox.clone());
        deliver::run(deliverer, outbox, flows.clone(), stopped.clone())
    }));
    info!(worker = %name, "worker started");
    let worker = Worker::new(name, backbone, ledger, registry.clone())
        .panicking_on(settings.panic_on.clone());
    let (reporter, stopped) = (worker.clone(), stop.clone());
    work.spawn(tasks::REPORTS.run(move || {
        worker::publish_reports(
            reporter.name.clone(),
            reporter.backbone.clone(),
            reporter.registry.clone(),
            reporter.latencies.clone(),
            reporter.stuck.clone(),
            stopped.clone(),
        )
    }));
    work.spawn(tasks::WORKER.run(worker.run(parts.flows.clone(), stop.clone())));
    Ok(registry)
}

/// The largest memory that any oracle of these flows may use, in bytes.
fn max_memory(flows: &FlowSet) -> usize {
    let oracles = flows.all().flat_map(|flow| &flow.oracles);
    let memory = oracles.map(|usage| usage.limits.memory);
    memory.fold(EngineOptions::default().max_memory, usize::max)
}

/// Unique among all workers that ever were: consumers are never mixed up.
fn worker_name() -> Arc<str> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}-{}-{}", std::process::id(), &unique[..8]).into()
}

/// Checks a backbone that is away at start as soon as it answers.
///
/// # Errors
/// When it must not be used.
async fn check_when_there(
    backbone: Arc<dyn Backbone>,
    flows: Arc<[Arc<Flow>]>,
) -> anyhow::Result<()> {
    let partitions: Vec<_> = flows
        .iter()
        .map(|flow| (flow.name.clone(), flow.stream.partitions))
        .collect();
    loop {
        match backbone.check(&partitions).await {
            Ok(weak) => {
                for what in weak {
                    warn!("backbone keeps less than Floodgate promises: {what}");
                }
                return Ok(());
            }
            Err(unfit @ backbone::Error::Unfit { .. }) => return Err(unfit.into()),
            Err(error) => warn!(%error, "backbone not checked, trying again"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
