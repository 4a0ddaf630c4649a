//! What is done to processes and servers, and undone.

use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use tokio::time::sleep;

use super::fault::Done;
use super::flows::ProvenFlow;
use super::stage::Stage;
use floodgate_backbone::LEASE;

pub(super) async fn kill_api(stage: &Stage, away: Duration) -> anyhow::Result<Done> {
    let mut api = stage.api.lock().await;
    api.kill()?;
    sleep(away).await;
    api.restart()?;
    Done::of(format!("killed, started again after {away:.1?}"))
}

pub(super) async fn kill_redis(stage: &Stage, away: Duration) -> anyhow::Result<Done> {
    let mut redis = stage.redis.lock().await;
    redis.end(Signal::KILL)?;
    sleep(away).await;
    redis.restart().await?;
    Done::of(format!("killed, started again after {away:.1?}"))
}

pub(super) async fn kill_postgres(stage: &Stage, away: Duration) -> anyhow::Result<Done> {
    let mut postgres = stage.postgres.lock().await;
    postgres.kill()?;
    sleep(away).await;
    postgres.restart().await?;
    Done::of(format!("killed, started again after {away:.1?}"))
}

pub(super) async fn fail_over_redis(stage: &Stage) -> anyhow::Result<Done> {
    stage.fail_over_redis().await?;
    Done::of("a replica took over, all connections stayed open")
}

pub(super) async fn kill_worker(
    stage: &Stage,
    first: usize,
    away: Duration,
) -> anyhow::Result<Done> {
    let (number, mut worker) = stage.some_worker(first).await;
    worker.kill()?;
    sleep(away).await;
    worker.restart()?;
    Done::of(format!("killed {number}, started again after {away:.1?}"))
}

pub(super) async fn stop_worker(
    stage: &Stage,
    first: usize,
    more: Duration,
) -> anyhow::Result<Done> {
    let (number, mut worker) = stage.some_worker(first).await;
    // Long enough for others to have taken over all that it held.
    let stopped = LEASE + Duration::from_secs(3) + more;
    worker.signal(Signal::STOP);
    sleep(stopped).await;
    worker.signal(Signal::CONT);
    Done::of(format!("stopped {number} for {stopped:.1?}"))
}

pub(super) fn swap_oracle(stage: &Stage) -> anyhow::Result<Done> {
    let version = stage.swap_oracles()?;
    Ok(Done {
        what: format!("dropped version {version}"),
        version: Some(version),
        shut_out: false,
    })
}

/// Not without its data, which would lose what was acknowledged by definition.
pub(super) async fn empty_redis(stage: &Stage, away: Duration) -> anyhow::Result<Done> {
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

pub(super) async fn full_redis(stage: &Stage, lasts: Duration) -> anyhow::Result<Done> {
    // Held, so that nobody starts it again with the limit forgotten.
    let _redis = stage.redis.lock().await;
    limit_redis(stage, used_by_redis(stage).await?).await?;
    sleep(lasts).await;
    limit_redis(stage, 0).await?;
    Done::of(format!("full for {lasts:.1?}"))
}

pub(super) async fn used_by_redis(stage: &Stage) -> anyhow::Result<u64> {
    let mut connection = stage
        .redis_client
        .get_multiplexed_async_connection()
        .await?;
    let info: redis::InfoDict = redis::cmd("INFO")
        .arg("memory")
        .query_async(&mut connection)
        .await?;
    info.get("used_memory").context("redis tells its memory")
}

/// To so many bytes; 0: no limit.
pub(super) async fn limit_redis(stage: &Stage, bytes: u64) -> anyhow::Result<()> {
    let mut connection = stage
        .redis_client
        .get_multiplexed_async_connection()
        .await?;
    redis::cmd("CONFIG")
        .arg("SET")
        .arg("maxmemory")
        .arg(bytes)
        .query_async(&mut connection)
        .await
        .context("limit the memory of redis")
}
