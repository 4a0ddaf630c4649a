use std::sync::Arc;

use anyhow::{Context, anyhow};
use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::backbone::{Backbone, Redis};
use crate::flow::Flow;
use crate::ingest::{self, Ingest};
use crate::ledger::{Ledger, Postgres};
use crate::oracle::{Engine, EngineOptions, Registry, RegistryOptions};
use crate::settings::ServeSettings;
use crate::worker::Worker;

/// Settings, parts, bind, print what was bound, wait for a signal, drain.
pub(super) async fn run(settings: ServeSettings) -> anyhow::Result<()> {
    start_logging();
    let flows = load_flows(&settings)?;
    let backbone: Arc<dyn Backbone> = Arc::new(Redis::new(settings.backbone.url()?)?);
    let postgres = Postgres::connect(settings.ledger.config()?, 16)?;
    let ledger: Arc<dyn Ledger> = Arc::new(postgres.clone());

    // Requests stop first, then the workers, so that what was answered last is
    // still drained; the admin API answers until the end.
    let (stop_admission, stop_work, stop_admin) = (
        CancellationToken::new(),
        CancellationToken::new(),
        CancellationToken::new(),
    );
    let admin = Admin {
        flows: flows.clone(),
        backbone: backbone.clone(),
        ledger: ledger.clone(),
    };
    let admin = admin::Server::bind(settings.admin, admin).await?;
    let ingest = settings
        .role
        .admits()
        .then(|| Arc::new(start_ingest(&flows, &backbone, &ledger)));
    let front_end = match &ingest {
        Some(ingest) => Some(bind_front_end(&settings, ingest.clone()).await?),
        None => None,
    };
    if let Some(front_end) = &front_end {
        println!("listening on http://{}", front_end.local_addr());
    }
    println!("admin on http://{}", admin.local_addr());
    let admin = tokio::spawn(admin.run(stop_admin.clone()));
    let admission = front_end.map(|server| tokio::spawn(server.run(stop_admission.clone())));
    let mut work = JoinSet::new();
    if settings.role.works() {
        work.spawn(migrate_when_there(postgres, stop_work.clone()));
        let registry =
            start_worker(&settings, &flows, backbone, ledger, &stop_work, &mut work).await?;
        if let Some(ingest) = ingest {
            work.spawn(refuse_while_waiting(
                ingest,
                flows,
                registry,
                stop_work.clone(),
            ));
        }
    }

    wait_for_signal().await?;
    info!("stopping, waiting for requests and batches in flight; a second signal quits at once");
    let drain = async {
        stop_admission.cancel();
        if let Some(admission) = admission {
            admission.await?;
        }
        stop_work.cancel();
        while work.join_next().await.is_some() {}
        stop_admin.cancel();
        admin.await
    };
    tokio::select! {
        drained = tokio::time::timeout(settings.drain, drain) => match drained {
            Ok(drained) => drained.context("drain")?,
            Err(_) => warn!("not drained in time, entries come again when their lease has run out"),
        },
        second = wait_for_signal() => second?,
    }
    Ok(())
}

/// Human on a terminal, JSON otherwise; both to standard error.
fn start_logging() {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;

    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
}

/// All problems of all files at once.
fn load_flows(settings: &ServeSettings) -> anyhow::Result<Arc<[Arc<Flow>]>> {
    let flows = Flow::load_dir(&settings.flows.flows).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|p| format!("\n  {p}")).collect();
        anyhow!("the flow files have problems:{}", lines.concat())
    })?;
    Ok(flows.into_iter().map(Arc::new).collect())
}

fn start_ingest(
    flows: &[Arc<Flow>],
    backbone: &Arc<dyn Backbone>,
    ledger: &Arc<dyn Ledger>,
) -> Ingest {
    let (redis, postgres) = (backbone.clone(), ledger.clone());
    let health: ingest::Health = Arc::new(move || {
        let (redis, postgres) = (redis.clone(), postgres.clone());
        async move { admin::health(&*redis, &*postgres).await.into() }.boxed()
    });
    Ingest::start(flows.to_vec(), backbone, health)
}

async fn bind_front_end(
    settings: &ServeSettings,
    ingest: Arc<Ingest>,
) -> anyhow::Result<ingest::Server> {
    let options = ingest::Options {
        max_connections: settings.max_connections,
        drain_timeout: settings.drain,
        ..ingest::Options::default()
    };
    Ok(ingest::Server::bind(settings.listen, options, ingest).await?)
}

async fn start_worker(
    settings: &ServeSettings,
    flows: &Arc<[Arc<Flow>]>,
    backbone: Arc<dyn Backbone>,
    ledger: Arc<dyn Ledger>,
    stop: &CancellationToken,
    work: &mut JoinSet<()>,
) -> anyhow::Result<Arc<Registry>> {
    let name = worker_name();
    let uses = flows.iter().flat_map(|flow| &flow.oracles);
    let mut options = EngineOptions {
        cache: Some(settings.cache_dir()),
        ..EngineOptions::default()
    };
    for usage in uses {
        options.max_memory = options.max_memory.max(usage.limits.memory);
    }
    let engine = Engine::new(&options)?;
    let registry = RegistryOptions {
        dir: settings.oracles.clone(),
        poll: settings.oracle_poll,
        engine: Arc::new(engine),
        ledger: ledger.clone(),
        names: component_names(flows),
    };
    let registry = Registry::start(registry, stop.clone()).await?;
    let reports = admin::publish_reports(
        name.clone(),
        backbone.clone(),
        registry.clone(),
        stop.clone(),
    );
    work.spawn(reports);
    info!(worker = %name, "worker started");
    let worker = Worker::new(name, backbone, ledger, registry.clone());
    work.spawn(worker.run(flows.to_vec(), stop.clone()));
    Ok(registry)
}

/// A flow answers 503 for as long as one of its oracles is not there.
async fn refuse_while_waiting(
    ingest: Arc<Ingest>,
    flows: Arc<[Arc<Flow>]>,
    registry: Arc<Registry>,
    stop: CancellationToken,
) {
    let mut changes = registry.changes();
    loop {
        for flow in flows.iter() {
            let mut names = flow.oracles.iter().map(|usage| &usage.component);
            let missing = names.find(|name| registry.current(name).is_none());
            ingest.wait_for(&flow.name, missing.map(ToString::to_string));
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

fn component_names(flows: &[Arc<Flow>]) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = flows
        .iter()
        .flat_map(|flow| flow.oracles.iter().map(|usage| usage.component.clone()))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Unique among all workers that ever were: consumers are never mixed up.
fn worker_name() -> Arc<str> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}-{}-{}", std::process::id(), &unique[..8]).into()
}

/// A Postgres that is away at start is waited for; until then decisions are
/// not stored and nothing is settled.
async fn migrate_when_there(postgres: Postgres, stop: CancellationToken) {
    loop {
        match postgres.migrate().await {
            Ok(applied) if applied.is_empty() => return,
            Ok(applied) => {
                info!(applied = applied.join(", "), "ledger brought up to date");
                return;
            }
            Err(error) => warn!(%error, "ledger not brought up to date, trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
        }
    }
}

async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
