//! Redis and Postgres that are away, at the start and later.

use hyper::StatusCode;
use serde_json::Value;

use crate::host::{DEADLINE, Ground, Host, MEMPOOL_RISK, MISBEHAVING, Site, drainer, told_to};
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
    let pending = host.get("/pending").await;
    let pending = pending.as_array().unwrap();
    assert!(!pending.is_empty());
    for pending in pending {
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

const LOST: &str = "floodgate_entries_lost_total{flow=\"transactions\"}";

/// When the stream was born and how much of it was open, as the ledger has it.
async fn landmark(host: &Host) -> Option<(String, String)> {
    let noted = host.site.query("SELECT born, open FROM landmarks").await;
    let row = noted.into_iter().next()?;
    Some((row[0].clone(), row[1].clone()))
}

async fn until_another_landmark(host: &Host, than: &str) {
    support::eventually(2 * DEADLINE, "another life is noted", async || {
        landmark(host).await.is_some_and(|(born, _)| born != than)
    })
    .await;
}

#[tokio::test]
async fn an_emptied_redis_is_worked_on_and_what_is_gone_is_alarmed_on() {
    let redis = support::redis().await;
    let site = Site::on(Ground::of(redis.clone(), support::postgres().await));
    let site = site.with_flow("first = \"1s\"", "first = \"1h\"");
    let site = site.with_flow("max = \"5m\"", "max = \"1h\"");
    let host = Host::start_on(site.with_oracle(MISBEHAVING)).await;
    host.accepted(&told_to(1, "high")).await;
    host.until_kept(1).await;
    host.accepted(&told_to(2, "trap")).await;
    let what = "what is open is noted";
    let (born, _) = support::eventually_some(2 * DEADLINE, what, async || {
        landmark(&host).await.filter(|(_, open)| open == "1")
    })
    .await;
    support::tell_redis(&redis, &["FLUSHDB"]).await;
    host.accepted(&told_to(3, "high")).await;
    host.until_kept(2).await;
    until_another_landmark(&host, &born).await;
    until_told(&host.admin, &[(LOST, 1.0)]).await;
}

#[tokio::test]
async fn a_redis_that_was_emptied_while_nothing_was_open_lost_nothing() {
    let redis = support::redis().await;
    let site = Site::on(Ground::of(redis.clone(), support::postgres().await));
    let host = Host::start_on(site.with_oracle(MEMPOOL_RISK)).await;
    host.accepted(&drainer(1)).await;
    host.until_kept(1).await;
    host.settled().await;
    let (born, _) = support::eventually_some(2 * DEADLINE, "it is noted", async || {
        landmark(&host).await.filter(|(_, open)| open == "0")
    })
    .await;
    support::tell_redis(&redis, &["FLUSHDB"]).await;
    host.accepted(&drainer(2)).await;
    host.until_kept(2).await;
    until_another_landmark(&host, &born).await;
    until_told(&host.admin, &[(LOST, 0.0)]).await;
}

/// What Redis refuses is no longer called a Redis that is away.
#[tokio::test]
async fn what_redis_will_never_take_makes_the_partition_stuck_and_acknowledges_nothing() {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK);
    let host = Host::start_in(site, &[("FLOODGATE_LEASE", "2s")]).await;
    host.accepted(&drainer(1)).await;
    host.until_kept(1).await;
    host.settled().await;
    let stuck = "floodgate_partition_stuck{flow=\"transactions\",partition=\"0\"}";
    until_told(&host.admin, &[(stuck, 0.0)]).await;
    // A list, where the faults belong: an append does not touch them.
    let key = "floodgate:{transactions:0}:faults";
    support::tell_redis(host.site.redis(), &["LPUSH", key, "1"]).await;
    host.accepted(&drainer(2)).await;
    until_told(&host.admin, &[(stuck, 1.0)]).await;
    let flow = support::eventually_some(DEADLINE, "flows say so", async || {
        let flow = host.get("/flows").await[0].clone();
        (flow["state"] == "stuck").then_some(flow)
    })
    .await;
    assert_eq!(flow["open"], 1, "{flow}");
    let told = flow["stuck"].as_array().unwrap();
    let says = |what: &str| {
        told.iter()
            .any(|call| call.as_str().unwrap().contains(what))
    };
    assert!(says("partition 0") && says("WRONGTYPE"), "{flow}");
    support::tell_redis(host.site.redis(), &["DEL", key]).await;
    host.until_kept(2).await;
    support::eventually(2 * DEADLINE, "it works again", async || {
        let flow = host.get("/flows").await[0].clone();
        flow["open"] == 0 && flow["state"] == "running"
    })
    .await;
    until_told(&host.admin, &[(stuck, 0.0)]).await;
}

#[tokio::test]
async fn after_a_graceful_failover_of_redis_it_is_unready_until_it_finds_the_other_one() {
    let (before, after) = (PrivateRedis::start().await, PrivateRedis::start().await);
    let name = before.proxy().await;
    let url = format!("redis://127.0.0.1:{}", name.port());
    let site = Site::on(Ground::of(url, support::postgres().await));
    let host = Host::start_on(site.with_oracle(MEMPOOL_RISK)).await;
    host.accepted(&drainer(1)).await;
    host.until_kept(1).await;
    let ready = async || {
        let url = host.url.replace("/transactions", "/readyz");
        let (status, _, page) = request("GET", &url, &[], String::new()).await;
        let page: Value = serde_json::from_slice(&page).unwrap();
        (status, page["reasons"].clone())
    };
    before.hand_over_to(&after).await;
    support::eventually(DEADLINE, "it is not ready", async || {
        let away = serde_json::json!(["backbone-away"]);
        ready().await == (StatusCode::SERVICE_UNAVAILABLE, away)
    })
    .await;
    assert_eq!(
        host.post(&drainer(2)).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    name.lead_to(after.port());
    host.accepted(&drainer(2)).await;
    host.until_kept(2).await;
    host.settled().await;
    support::eventually(DEADLINE, "it is ready", async || {
        ready().await.0 == StatusCode::OK
    })
    .await;
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
