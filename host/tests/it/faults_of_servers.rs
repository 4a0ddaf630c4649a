//! Redis and Postgres that are away, at the start and later.

use hyper::StatusCode;
use serde_json::Value;

use crate::host::{DEADLINE, Ground, Host, MEMPOOL_RISK, Site, drainer};
use crate::metrics::told::until_told;
use crate::support::{self, PrivatePostgres, PrivateRedis, request};

async fn health(host: &Host) -> (StatusCode, serde_json::Value) {
    let url = host.url.replace("/transactions", "/healthz");
    let (status, _, body) = request("GET", &url, &[], String::new()).await;
    (status, serde_json::from_slice(&body).unwrap())
}

async fn until_healthy(host: &Host) {
    support::eventually(DEADLINE, "it is healthy", async || {
        health(host).await.0 == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn without_redis_at_the_start_it_answers_503_and_recovers_by_itself() {
    let mut redis = PrivateRedis::start().await;
    redis.stop();
    let site = Site::on(Ground::of(redis.url(), support::postgres().await));
    let host = Host::start_on(site.with_oracle(MEMPOOL_RISK)).await;
    let (status, _) = host.post(&drainer(1)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let (status, said) = health(&host).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&said["status"], &said["redis"]),
        (&"degraded".into(), &"error".into())
    );
    let asked = host.try_cli(&["health"]);
    assert!(!asked.status.success());
    let parts = String::from_utf8_lossy(&asked.stdout);
    let away = |line: &str| line.contains("redis") && line.contains("error");
    assert!(parts.lines().any(away), "{parts}");
    redis.restart().await;
    host.accepted(&drainer(1)).await;
    host.until_kept(1).await;
    until_healthy(&host).await;
    let said: Value = serde_json::from_str(&host.cli(&["health", "--json"])).unwrap();
    assert_eq!(said["redis"], "ok");
}

#[tokio::test]
async fn redis_killed_later_costs_503s_and_no_entry() {
    let mut redis = PrivateRedis::start().await;
    let site = Site::on(Ground::of(redis.url(), support::postgres().await));
    let host = Host::start_on(site.with_oracle(MEMPOOL_RISK)).await;
    for number in 1..=50 {
        host.accepted(&drainer(number)).await;
    }
    redis.kill();
    let (status, _) = host.post(&drainer(51)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    redis.restart().await;
    host.accepted(&drainer(51)).await;
    host.until_kept(51).await;
    host.settled().await;
}

#[tokio::test]
async fn redis_that_hangs_is_answered_with_503_and_comes_back() {
    let (host, mut redis) = Host::on_private_redis().await;
    redis.pause();
    let (status, _) = host.post(&drainer(2)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    redis.resume();
    host.accepted(&drainer(2)).await;
    host.until_kept(2).await;
}

#[tokio::test]
async fn without_postgres_entries_wait_and_use_up_no_attempt() {
    let (host, mut postgres) = Host::on_private_postgres().await;
    postgres.kill();
    for number in 2..=30 {
        host.accepted(&drainer(number)).await;
    }
    let (status, said) = health(&host).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&said["redis"], &said["postgres"]),
        (&"ok".into(), &"error".into())
    );
    support::eventually(DEADLINE, "the worker holds some", async || {
        host.get("/flows").await[0]["pending"].as_u64() > Some(0)
    })
    .await;
    for pending in host.get("/pending").await.as_array().unwrap() {
        assert_eq!(pending["attempts"], 0, "{pending}");
    }
    postgres.restart().await;
    host.until_kept(30).await;
    host.settled().await;
    until_healthy(&host).await;
}

#[tokio::test]
async fn while_postgres_is_away_a_worker_hoards_nothing() {
    let (host, mut postgres) = Host::on_private_postgres().await;
    postgres.kill();
    host.accepted(&drainer(2)).await;
    until_told(&host.admin, &[("floodgate_ledger_breaker_open", 1.0)]).await;
    for number in 3..=400 {
        host.accepted(&drainer(number)).await;
    }
    let flow = host.get("/flows").await[0].clone();
    assert_eq!(flow["open"], 399);
    // The one that found out, and the next, whose read was under way.
    assert!(flow["pending"].as_u64().unwrap() <= 2, "{flow}");
    postgres.restart().await;
    host.until_kept(400).await;
}

#[tokio::test]
async fn without_postgres_at_the_start_entries_are_taken_and_wait_for_it() {
    let mut postgres = PrivatePostgres::start().await;
    postgres.stop();
    let site = Site::on(Ground::of(support::redis().await, postgres.url()));
    let host = Host::start_on(site.with_oracle(MEMPOOL_RISK)).await;
    host.accepted(&drainer(1)).await;
    postgres.restart().await;
    host.until_kept(1).await;
    host.settled().await;
}

#[tokio::test]
async fn an_emptied_redis_is_worked_on_and_what_is_gone_is_alarmed_on() {
    let redis = support::redis().await;
    let site = Site::on(Ground::of(redis.clone(), support::postgres().await));
    let host = Host::start_on(site.with_oracle(MEMPOOL_RISK)).await;
    host.accepted(&drainer(1)).await;
    host.until_kept(1).await;
    support::eventually(DEADLINE, "the landmark is noted", async || {
        landmarks(&host).await == 1
    })
    .await;
    support::tell_redis(&redis, &["FLUSHDB"]).await;
    host.accepted(&drainer(2)).await;
    host.until_kept(2).await;
    support::eventually(DEADLINE, "it is alarmed on", async || {
        host.floodgate
            .stderr()
            .contains("backbone lost what it held")
    })
    .await;
}

async fn landmarks(host: &Host) -> i64 {
    let connecting = tokio_postgres::connect(host.site.postgres(), tokio_postgres::NoTls);
    let (client, connection) = connecting.await.unwrap();
    tokio::spawn(connection);
    let counted = client.query_one("SELECT count(*) FROM landmarks", &[]);
    counted.await.map_or(0, |row| row.get(0))
}

#[tokio::test]
async fn a_redis_that_evicts_stops_the_start_and_the_error_names_the_remedy() {
    let redis = PrivateRedis::start().await;
    let evict = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
    support::tell_redis(&redis.url(), &evict).await;
    let site =
        Site::on(Ground::of(redis.url(), support::postgres().await)).with_oracle(MEMPOOL_RISK);
    let mut floodgate = site.serve("all");
    assert_eq!(floodgate.wait_exit().await, 1);
    support::eventually(DEADLINE, "it says why", async || {
        floodgate.stderr().contains("noeviction")
    })
    .await;
}
