//! All that runs: two servers, the wires to them, an api and workers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::entry::PANIC;
use super::flows::{ProvenFlow, drop_oracles, write_flow, write_flows};
use super::host::Host;
use super::proxy::Proxy;
use super::servers::{self, User, free_port};
use floodgate_backbone::{self as backbone, Backbone};

/// Of the api: few enough for a hostile client to use them all up.
const MAX_CONNECTIONS: &str = "200";

const START: Duration = Duration::from_secs(60);

/// Ends with this value, with everything that it started.
pub(super) struct Stage {
    pub api: Mutex<Host>,
    pub workers: Vec<Mutex<Host>>,
    /// Where entries are posted.
    pub api_port: u16,
    /// Where the api is operated.
    pub admin_port: u16,
    pub redis_wire: Proxy,
    pub postgres_wire: Proxy,
    pub redis: Mutex<servers::Redis>,
    pub postgres: Mutex<servers::Postgres>,
    /// What was Redis before a failover. It goes on answering, as a replica.
    former_redis: Mutex<Option<servers::Redis>>,
    /// An onlooker's wire, which is not cut.
    onlooker: Proxy,
    pub backbone: backbone::Redis,
    pub redis_client: redis::Client,
    pub ledger_url: String,
    logs: PathBuf,
    flows: PathBuf,
    oracles: PathBuf,
    dropped: std::sync::Mutex<Vec<Vec<String>>>,
    /// Last, so that it is removed last.
    directory: TempDir,
}

impl Stage {
    /// Starts everything and waits until it works; what is logged goes to `logs`.
    pub async fn start(workers: usize, logs: &Path) -> anyhow::Result<Self> {
        let directory = User::Current.directory(&std::env::temp_dir())?;
        let path = directory.path();
        open_to_all(path)?;
        let (redis, postgres) = tokio::try_join!(
            servers::Redis::start(path, Some(logs.join("redis.log"))),
            servers::Postgres::start(path, Some(logs.join("postgres.log")), true),
        )?;
        let redis_wire = Proxy::start(redis.port()).await?;
        let postgres_wire = Proxy::start(postgres.port()).await?;
        let onlooker = Proxy::start(redis.port()).await?;
        let onlooker_url = format!("redis://127.0.0.1:{}", onlooker.port());
        let (oracles, flows) = (path.join("oracles"), path.join("flows"));
        std::fs::create_dir(&oracles).context("make the directory of the oracles")?;
        write_flows(&flows)?;
        let digests = drop_oracles(&oracles, 0)?;

        let environment = environment(path, &redis_wire, &postgres_wire);
        let (api_port, admin_port) = (free_port(), free_port());
        let host = |role: &str, port: u16, admin: u16, log: String| {
            let arguments = [
                ["--role", role],
                ["--listen", &format!("127.0.0.1:{port}")],
                ["--admin", &format!("127.0.0.1:{admin}")],
                ["--max-connections", MAX_CONNECTIONS],
                ["--panic-on", PANIC],
            ];
            let arguments = arguments.as_flattened().iter();
            let arguments = arguments.map(|&argument| argument.to_owned()).collect();
            Host::start(path, logs.join(log), arguments, environment.clone()).map(Mutex::new)
        };
        let stage = Self {
            api: host("api", api_port, admin_port, "api.log".to_owned())?,
            workers: (1..=workers)
                .map(|number| host("worker", 0, 0, format!("worker-{number}.log")))
                .collect::<anyhow::Result<_>>()?,
            api_port,
            admin_port,
            redis_wire,
            postgres_wire,
            backbone: backbone::Redis::new(&onlooker_url)?,
            redis_client: redis::Client::open(onlooker_url)?,
            onlooker,
            former_redis: Mutex::default(),
            ledger_url: postgres.url(),
            redis: Mutex::new(redis),
            postgres: Mutex::new(postgres),
            logs: logs.to_owned(),
            flows,
            oracles,
            dropped: std::sync::Mutex::new(vec![digests]),
            directory,
        };
        stage.until_it_works(workers).await?;
        Ok(stage)
    }

    async fn until_it_works(&self, workers: usize) -> anyhow::Result<()> {
        let end = Instant::now() + START;
        let digests = self.digests_since(0);
        loop {
            let ready = self.workers_with(&digests).await;
            let api = tokio::net::TcpStream::connect(("127.0.0.1", self.api_port)).await;
            if ready == workers && api.is_ok() {
                return Ok(());
            }
            self.nobody_died().await?;
            ensure!(
                Instant::now() < end,
                "{ready} of {workers} workers and {} api are ready after {START:?}",
                usize::from(api.is_ok())
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many workers report all of these digests.
    async fn workers_with(&self, digests: &[String]) -> usize {
        let reports = self.backbone.reports().await.unwrap_or_default();
        let has_all = |report: &str| digests.iter().all(|digest| report.contains(digest));
        let ready = reports.iter().filter(|(_, report)| has_all(report));
        ready.count()
    }

    /// Waits until some worker has the oracles of this version in force.
    pub async fn until_in_force(&self, version: usize) {
        let digests = self.digests_since(version);
        while self.workers_with(&digests).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Puts the file of a flow in its place, with this setting of `age-rule`.
    pub fn write_flow(&self, flow: ProvenFlow, min_age: &str) -> anyhow::Result<()> {
        write_flow(&self.flows, flow, min_age)
    }

    /// Makes a replica the new Redis, without losing anything. Whoever is
    /// connected stays connected to the former one, which is a replica now.
    pub async fn fail_over_redis(&self) -> anyhow::Result<()> {
        let mut redis = self.redis.lock().await;
        // The one before it: nobody should be connected to it any more.
        let mut former = self.former_redis.lock().await;
        drop(former.take());
        let log = self.logs.join("redis.log");
        let replica = servers::Redis::start(self.directory.path(), Some(log)).await?;
        redis.hand_over_to(&replica).await?;
        self.redis_wire.lead_to(replica.port());
        self.onlooker.lead_to(replica.port());
        // An onlooker has no business with the former one.
        self.onlooker.cut(Duration::ZERO, Duration::ZERO).await;
        *former = Some(std::mem::replace(&mut redis, replica));
        Ok(())
    }

    /// # Errors
    /// Where a process ended that nobody ended.
    pub async fn nobody_died(&self) -> anyhow::Result<()> {
        if self.api.lock().await.died() {
            bail!("the api ended by itself; its log says why");
        }
        for (at, worker) in self.workers.iter().enumerate() {
            // Who holds it is doing something to it.
            let Ok(mut worker) = worker.try_lock() else {
                continue;
            };
            if worker.died() {
                bail!("worker {} ended by itself; its log says why", at + 1);
            }
        }
        Ok(())
    }

    /// A worker that nothing is done to, from `first` on; waits where there
    /// is none. Its number counts from 1, as in the names of the logs.
    pub async fn some_worker(&self, first: usize) -> (usize, MutexGuard<'_, Host>) {
        let count = self.workers.len();
        let free = (0..count)
            .map(|offset| (first + offset) % count)
            .find_map(|at| Some((at + 1, self.workers[at].try_lock().ok()?)));
        match free {
            Some(free) => free,
            None => (first + 1, self.workers[first].lock().await),
        }
    }

    /// Drops oracles that judge alike under new digests; returns their version.
    pub fn swap_oracles(&self) -> anyhow::Result<usize> {
        let mut dropped = self.dropped();
        let version = dropped.len();
        dropped.push(drop_oracles(&self.oracles, u32::try_from(version)?)?);
        Ok(version)
    }

    /// Of the oracles of this version and of those dropped since.
    pub fn digests_since(&self, version: usize) -> Vec<String> {
        self.dropped()
            .iter()
            .skip(version)
            .flatten()
            .cloned()
            .collect()
    }

    /// Of all oracles that were dropped.
    pub fn digests(&self) -> BTreeSet<String> {
        self.digests_since(0).into_iter().collect()
    }

    fn dropped(&self) -> std::sync::MutexGuard<'_, Vec<Vec<String>>> {
        // The list is whole after any push.
        let dropped = self.dropped.lock();
        dropped.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The keys that a fault reaches for and a count is read from.
    pub fn key(flow: ProvenFlow, name: &str) -> String {
        format!("floodgate:{{{}:0}}:{name}", flow.name())
    }
}

fn environment(directory: &Path, redis: &Proxy, postgres: &Proxy) -> Vec<(&'static str, String)> {
    let at = |name: &str| directory.join(name).display().to_string();
    let redis = format!("redis://127.0.0.1:{}", redis.port());
    let postgres = format!("postgres://postgres@127.0.0.1:{}/postgres", postgres.port());
    vec![
        ("REDIS_URL", redis),
        ("DATABASE_URL", postgres),
        ("FLOODGATE_FLOWS", at("flows")),
        ("FLOODGATE_ORACLES", at("oracles")),
        ("FLOODGATE_CACHE", at("cache")),
    ]
}

/// Postgres may run as another user and has its data in here.
fn open_to_all(directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let passable = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(directory, passable).context("open the directory to postgres")
}
