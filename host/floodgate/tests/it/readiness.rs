//! `/readyz`: whether a load balancer should send anything more.

use std::process::Output;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::host::{DEADLINE, Ground, MEMPOOL_RISK, Site, drainer, post};
use crate::support::{self, Floodgate, PrivatePostgres, PrivateRedis, request};

/// One process and its two addresses.
struct Process {
    floodgate: Floodgate,
    /// `None`: it has no front end.
    url: Option<String>,
    admin: String,
}

impl Process {
    async fn start(site: &Site, role: &str, args: &[&str]) -> Self {
        let mut floodgate = site.serve_with(role, args);
        let url = match role {
            "worker" => None,
            _ => Some(floodgate.url().await),
        };
        let admin = floodgate.admin_url().await;
        Self {
            floodgate,
            url,
            admin,
        }
    }

    /// What both addresses say, once they say this.
    async fn until(&self, status: StatusCode, page: Value) {
        for address in self.url.iter().chain([&self.admin]) {
            support::eventually(DEADLINE, &format!("{address} says {page}"), async || {
                ready(address).await == (status, page.clone())
            })
            .await;
        }
    }

    async fn until_ready(&self) {
        self.until(StatusCode::OK, json!({"status": "ready"})).await;
    }

    async fn until_unready(&self, reason: &str) {
        let page = json!({"status": "unready", "reasons": [reason]});
        self.until(StatusCode::SERVICE_UNAVAILABLE, page).await;
    }

    fn cli_ready(&self) -> Output {
        std::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
            .args(["health", "--ready", "--admin", &self.admin])
            .output()
            .unwrap()
    }

    async fn post(&self, number: u64) -> StatusCode {
        let url = format!("{}/transactions", self.url.as_ref().unwrap());
        post(&url, &drainer(number)).await.0
    }
}

async fn ready(address: &str) -> (StatusCode, Value) {
    let url = format!("{address}/readyz");
    let (status, _, page) = request("GET", &url, &[], String::new()).await;
    (status, serde_json::from_slice(&page).unwrap())
}

async fn site_on(redis: &PrivateRedis) -> Site {
    let ground = Ground::of(redis.url(), support::postgres().await);
    Site::on(ground).with_oracle(MEMPOOL_RISK)
}

async fn set(redis: &PrivateRedis, name: &str, value: &str) {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut call = redis::cmd("CONFIG");
    let set: Result<(), _> = call
        .arg(&["SET", name, value])
        .query_async(&mut connection)
        .await;
    set.unwrap();
}

#[tokio::test]
async fn it_is_not_ready_while_redis_is_away_or_nearly_full() {
    let mut redis = PrivateRedis::start().await;
    let site = site_on(&redis).await;
    let process = Process::start(&site, "all", &[]).await;
    process.until_ready().await;
    set(&redis, "maxmemory", "1").await;
    process.until_unready("memory-scarce").await;
    set(&redis, "maxmemory", "0").await;
    process.until_ready().await;
    redis.stop();
    process.until_unready("backbone-away").await;
    redis.restart().await;
    process.until_ready().await;
}

#[tokio::test]
async fn a_redis_that_hangs_is_not_waited_for() {
    let mut redis = PrivateRedis::start().await;
    let site = site_on(&redis).await;
    let front = Process::start(&site, "api", &[]).await;
    let worker = Process::start(&site, "worker", &[]).await;
    front.until_ready().await;
    worker.until_ready().await;
    redis.pause();
    front.until_unready("backbone-away").await;
    worker.until_unready("backbone-away").await;
    redis.resume();
    front.until_ready().await;
    worker.until_ready().await;
}

#[tokio::test]
async fn it_is_ready_until_no_flow_has_room() {
    let ground = Ground::servers().await;
    let site = Site::of_flows(ground, &["transactions", "credit"]).with_oracle(MEMPOOL_RISK);
    let site = site.with_flow("max_backlog = 1_000_000", "max_backlog = 1");
    // Without a worker nothing is settled.
    let front = Process::start(&site, "api", &[]).await;
    assert_eq!(front.post(1).await, StatusCode::ACCEPTED);
    assert_eq!(front.post(2).await, StatusCode::SERVICE_UNAVAILABLE);
    front.until_ready().await;
    std::fs::remove_file(site.flows.path().join("credit.toml")).unwrap();
    front.until_unready("backlog-full").await;
    let worker = Process::start(&site, "worker", &[]).await;
    front.until_ready().await;
    worker.until_ready().await;
}

#[tokio::test]
async fn without_postgres_a_front_end_is_ready_and_a_worker_is_not() {
    let mut postgres = PrivatePostgres::start().await;
    let ground = Ground::of(support::redis().await, postgres.url());
    let site = Site::on(ground).with_oracle(MEMPOOL_RISK);
    let front = Process::start(&site, "api", &[]).await;
    let worker = Process::start(&site, "worker", &[]).await;
    worker.until_ready().await;
    postgres.kill();
    worker.until_unready("ledger-away").await;
    front.until_ready().await;
    assert_eq!(front.post(1).await, StatusCode::ACCEPTED);
    postgres.restart().await;
    worker.until_ready().await;
}

#[tokio::test]
async fn told_to_stop_it_says_so_before_it_takes_nothing_more() {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK);
    let mut process = Process::start(&site, "all", &["--notice", "1h"]).await;
    process.until_ready().await;
    assert!(process.cli_ready().status.success());
    process.floodgate.sigterm();
    process.until_unready("draining").await;
    assert_eq!(process.post(1).await, StatusCode::ACCEPTED);
    let asked = process.cli_ready();
    assert!(!asked.status.success());
    let why = String::from_utf8_lossy(&asked.stderr);
    assert!(why.contains("draining"), "{why}");
    // A second signal waits for nothing, and the exit code says so.
    process.floodgate.sigterm();
    assert_eq!(process.floodgate.wait_exit().await, 1);
}

#[tokio::test]
async fn the_notice_ends_by_itself_and_where_nobody_asked_there_is_none() {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK);
    let mut asked = Process::start(&site, "api", &["--notice", "100ms"]).await;
    asked.until_ready().await;
    asked.floodgate.sigterm();
    assert_eq!(asked.floodgate.wait_exit().await, 0);
    let mut unasked = Process::start(&site, "api", &["--notice", "1h"]).await;
    unasked.floodgate.sigterm();
    assert_eq!(unasked.floodgate.wait_exit().await, 0);
}

#[tokio::test]
async fn a_stop_that_cuts_requests_off_says_so_by_its_exit_code() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let site = Site::new().await.with_oracle(MEMPOOL_RISK);
    let mut process = Process::start(&site, "all", &["--drain", "300ms"]).await;
    process.until_ready().await;
    let address = process.url.clone().unwrap();
    let address = address.trim_start_matches("http://");
    let mut unfinished = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /transactions HTTP/1.1\r\nhost: {address}\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: 10\r\n\r\n"
    );
    unfinished.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 16];
    let read = unfinished.read(&mut answer).await.unwrap();
    assert!(
        answer[..read].starts_with(b"HTTP/1.1 100"),
        "it is at work on it"
    );
    process.floodgate.sigterm();
    assert_eq!(process.floodgate.wait_exit().await, 1);
}
