//! What is done to the stage, and undone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use serde::Serialize;
use tokio::time::sleep;

use super::flows::ProvenFlow;
use super::load::Load;
use super::stage::Stage;
use crate::backbone::LEASE;

/// What is done to a running Floodgate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL to a worker, which is started again
    KillWorker,
    /// SIGKILL to the api, which is started again
    KillApi,
    /// SIGKILL to Redis, which is started again with its data
    KillRedis,
    /// SIGKILL to Postgres and its sessions, which is started again with its data
    KillPostgres,
    /// SIGSTOP to a worker for longer than its lease
    StopWorker,
    /// Answers of Redis are lost and then all connections to it
    CutRedis,
    /// Answers of Postgres are lost and then all connections to it
    CutPostgres,
    /// The oracle traps on some entries
    TrapOracle,
    /// Other oracles are dropped
    SwapOracle,
    /// Redis is started again and its consumer groups are gone
    EmptyRedis,
    /// Redis has no memory left
    FullRedis,
}

/// What a fault leaves to be looked for.
pub(super) struct Done {
    /// What was done to whom, for people.
    pub what: String,
    /// A version of the oracles of which one, or a later one, has to be seen
    /// at work.
    pub version: Option<usize>,
}

impl Done {
    fn of(what: impl Into<String>) -> anyhow::Result<Self> {
        Ok(Self {
            what: what.into(),
            version: None,
        })
    }
}

impl Fault {
    /// Whether other faults are injected while this one lasts.
    pub fn is_long(self) -> bool {
        self == Self::StopWorker
    }

    /// How long it lasts, at most.
    pub fn lasts(self) -> Duration {
        match self {
            Self::StopWorker => LEASE + Duration::from_secs(6),
            _ => Duration::from_secs(5),
        }
    }

    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Does it and undoes it. The same `seed` makes the same choices.
    pub(super) async fn inject(
        self,
        stage: &Stage,
        load: &Load,
        seed: u64,
    ) -> anyhow::Result<Done> {
        let mut chance = StdRng::seed_from_u64(seed);
        let away = Duration::from_millis(chance.random_range(0..1_500));
        let deaf = Duration::from_millis(chance.random_range(20..500));
        let first = chance.random_range(0..stage.workers.len());
        match self {
            Self::KillWorker => kill_worker(stage, first, away).await,
            Self::StopWorker => stop_worker(stage, first, away).await,
            Self::KillApi => {
                let mut api = stage.api.lock().await;
                api.kill()?;
                sleep(away).await;
                api.restart()?;
                Done::of(format!("killed, started again after {away:.1?}"))
            }
            Self::KillRedis => {
                let mut redis = stage.redis.lock().await;
                redis.end(Signal::KILL)?;
                sleep(away).await;
                redis.restart().await?;
                Done::of(format!("killed, started again after {away:.1?}"))
            }
            Self::KillPostgres => {
                let mut postgres = stage.postgres.lock().await;
                postgres.kill()?;
                sleep(away).await;
                postgres.restart().await?;
                Done::of(format!("killed, started again after {away:.1?}"))
            }
            Self::CutRedis => {
                stage.redis_wire.cut(deaf, away).await;
                Done::of(format!("deaf for {deaf:.1?}, cut for {away:.1?}"))
            }
            Self::CutPostgres => {
                stage.postgres_wire.cut(deaf, away).await;
                Done::of(format!("deaf for {deaf:.1?}, cut for {away:.1?}"))
            }
            Self::TrapOracle => {
                let lasts = Duration::from_secs(1) + away;
                load.trapping.store(true, Ordering::Relaxed);
                sleep(lasts).await;
                load.trapping.store(false, Ordering::Relaxed);
                Done::of(format!("entries that trap for {lasts:.1?}"))
            }
            Self::SwapOracle => swap_oracle(stage),
            Self::EmptyRedis => empty_redis(stage, away).await,
            Self::FullRedis => full_redis(stage, Duration::from_secs(1) + away).await,
        }
    }
}

async fn kill_worker(stage: &Stage, first: usize, away: Duration) -> anyhow::Result<Done> {
    let (number, mut worker) = stage.some_worker(first).await;
    worker.kill()?;
    sleep(away).await;
    worker.restart()?;
    Done::of(format!("killed {number}, started again after {away:.1?}"))
}

async fn stop_worker(stage: &Stage, first: usize, more: Duration) -> anyhow::Result<Done> {
    let (number, mut worker) = stage.some_worker(first).await;
    // Long enough for others to have taken over all that it held.
    let stopped = LEASE + Duration::from_secs(3) + more;
    worker.signal(Signal::STOP);
    sleep(stopped).await;
    worker.signal(Signal::CONT);
    Done::of(format!("stopped {number} for {stopped:.1?}"))
}

fn swap_oracle(stage: &Stage) -> anyhow::Result<Done> {
    let version = stage.swap_oracles()?;
    Ok(Done {
        what: format!("dropped version {version}"),
        version: Some(version),
    })
}

/// Not without its data, which would lose what was acknowledged by definition.
async fn empty_redis(stage: &Stage, away: Duration) -> anyhow::Result<Done> {
    let mut redis = stage.redis.lock().await;
    redis.end(Signal::KILL)?;
    sleep(away).await;
    redis.restart().await?;
    let mut connection = stage
        .redis_client
        .get_multiplexed_async_connection()
        .await?;
    for flow in ProvenFlow::ALL {
        let () = redis::cmd("XGROUP")
            .arg("DESTROY")
            .arg(Stage::key(flow, "stream"))
            .arg("workers")
            .query_async(&mut connection)
            .await
            .context("destroy a consumer group")?;
    }
    Done::of(format!(
        "killed, started again after {away:.1?} without groups"
    ))
}

async fn full_redis(stage: &Stage, lasts: Duration) -> anyhow::Result<Done> {
    // Held, so that nobody starts it again with the limit forgotten.
    let _redis = stage.redis.lock().await;
    let mut connection = stage
        .redis_client
        .get_multiplexed_async_connection()
        .await?;
    let info: redis::InfoDict = redis::cmd("INFO")
        .arg("memory")
        .query_async(&mut connection)
        .await?;
    let used: u64 = info.get("used_memory").context("redis tells its memory")?;
    limit(&mut connection, used).await?;
    sleep(lasts).await;
    limit(&mut connection, 0).await?;
    Done::of(format!("full for {lasts:.1?}"))
}

/// 0: no limit.
async fn limit(
    connection: &mut redis::aio::MultiplexedConnection,
    bytes: u64,
) -> anyhow::Result<()> {
    redis::cmd("CONFIG")
        .arg("SET")
        .arg("maxmemory")
        .arg(bytes)
        .query_async(connection)
        .await
        .context("limit the memory of redis")
}
