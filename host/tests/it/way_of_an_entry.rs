//! The real binary on real servers: POST, judge, decide, keep, settle.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::support::{self, Floodgate, request};

const DEADLINE: Duration = Duration::from_secs(30);

struct Host {
    floodgate: Floodgate,
    database: tokio_postgres::Client,
    oracles: tempfile::TempDir,
    url: String,
    admin: String,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn drop_oracle(component: &Path, directory: &Path) {
    let aside = directory.join(".dropped");
    std::fs::copy(component, &aside).unwrap();
    std::fs::rename(aside, directory.join("mempool-risk.wasm")).unwrap();
}

impl Host {
    async fn start(component: &str) -> Self {
        let oracles = tempfile::tempdir().unwrap();
        drop_oracle(&repository().join(component), oracles.path());
        Self::start_in(oracles).await
    }

    async fn start_without_oracle() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    fn drop(&self, component: &str) {
        drop_oracle(&repository().join(component), self.oracles.path());
    }

    async fn start_in(oracles: tempfile::TempDir) -> Self {
        let (redis, postgres) = (support::redis().await, support::postgres().await);
        let flows = repository().join("flows").display().to_string();
        let directory = oracles.path().display().to_string();
        let env = [
            ("REDIS_URL", redis.as_str()),
            ("DATABASE_URL", postgres.as_str()),
            ("FLOODGATE_FLOWS", flows.as_str()),
            ("FLOODGATE_ORACLES", directory.as_str()),
        ];
        let mut floodgate = Floodgate::serve(&env, &[]);
        let url = format!("{}/transactions", floodgate.url().await);
        let admin = floodgate.admin_url().await;
        let (database, connection) = tokio_postgres::connect(&postgres, NoTls).await.unwrap();
        tokio::spawn(connection);
        Self {
            floodgate,
            database,
            oracles,
            url,
            admin,
        }
    }

    async fn post(&self, body: &Value) -> (StatusCode, Value) {
        let headers = [("content-type", "application/json")];
        let (status, _, answer) = request("POST", &self.url, &headers, body.to_string()).await;
        (status, serde_json::from_slice(&answer).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.admin);
        let (_, _, answer) = request("GET", &url, &[], String::new()).await;
        serde_json::from_slice(&answer).unwrap()
    }

    async fn kept(&self) -> i64 {
        let query = "SELECT count(*) FROM decisions";
        match self.database.query_one(query, &[]).await {
            Ok(row) => row.get(0),
            Err(_) => 0,
        }
    }

    /// What the worker says that it runs.
    async fn digest(&self) -> String {
        support::eventually_some(DEADLINE, "a digest is reported", async || {
            let oracles = self.get("/oracles").await;
            oracles[0]["digest"].as_str().map(str::to_owned)
        })
        .await
    }

    async fn settled(&self) {
        support::eventually(DEADLINE, "nothing is open any more", async || {
            self.get("/flows").await[0]["open"] == json!(0)
        })
        .await;
    }
}

fn transaction(number: u64, input: &str, gas: u64) -> Value {
    json!({
        "tx_hash": format!("0x{number:064x}"),
        "from_address": "0x52908400098527886e0f7030069857d2e4169ee7",
        "to_address": "0x8617e340b3d01fa5f11f306f4090fd50e238070d",
        "value_eth": 1.0, "gas_price_gwei": gas, "input_data": input,
        "timestamp": 1_766_700_000,
    })
}

fn drainer(number: u64) -> Value {
    let spender = format!("{:0>64}", "8617e340b3d01fa5f11f306f4090fd50e238070d");
    transaction(
        number,
        &format!("0x095ea7b3{spender}{}", "f".repeat(64)),
        500,
    )
}

#[tokio::test]
async fn a_high_transaction_is_kept_with_its_reasons_and_a_low_one_is_settled() {
    let host = Host::start("plugins/dist/mempool-risk.wasm").await;
    let (status, answer) = host.post(&drainer(0xab)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(answer["status"], "accepted");
    host.post(&transaction(2, "0x", 30)).await;
    support::eventually(DEADLINE, "the drainer is kept", async || {
        host.kept().await == 1
    })
    .await;
    host.settled().await;
    let row = host
        .database
        .query_one(
            "SELECT label_name, reasons, oracles::text FROM decisions",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "HIGH");
    assert!(!row.get::<_, Vec<String>>(1).is_empty());
    assert!(row.get::<_, String>(2).contains("mempool-risk"));
}

#[tokio::test]
async fn the_same_transaction_is_judged_once_and_another_body_is_a_conflict() {
    let host = Host::start("plugins/dist/mempool-risk.wasm").await;
    assert_eq!(host.post(&drainer(1)).await.0, StatusCode::ACCEPTED);
    assert_eq!(host.post(&drainer(1)).await.0, StatusCode::ACCEPTED);
    assert_eq!(
        host.post(&transaction(1, "0x", 30)).await.0,
        StatusCode::CONFLICT
    );
    support::eventually(DEADLINE, "it is kept", async || host.kept().await == 1).await;
    host.settled().await;
    assert_eq!(host.kept().await, 1);
}

#[tokio::test]
async fn a_dropped_oracle_judges_from_then_on() {
    let host = Host::start("plugins/dist/mempool-risk.wasm").await;
    let before = host.digest().await;
    host.drop("host/tests/components/misbehaving.wasm");
    support::eventually(DEADLINE, "another digest is reported", async || {
        host.digest().await != before
    })
    .await;
    let mut high = transaction(3, "0x", 30);
    high["do"] = json!("high");
    host.post(&high).await;
    support::eventually(DEADLINE, "the new oracle's HIGH is kept", async || {
        host.kept().await == 1
    })
    .await;
}

#[tokio::test]
async fn a_flow_without_its_oracle_answers_503_until_it_is_dropped() {
    let host = Host::start_without_oracle().await;
    support::eventually(DEADLINE, "503 while it waits", async || {
        host.post(&drainer(1)).await.0 == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    host.drop("plugins/dist/mempool-risk.wasm");
    support::eventually(DEADLINE, "202 once it is there", async || {
        host.post(&drainer(2)).await.0 == StatusCode::ACCEPTED
    })
    .await;
    support::eventually(DEADLINE, "it is kept", async || host.kept().await >= 1).await;
}

#[tokio::test]
async fn only_the_entry_that_traps_is_retried() {
    let host = Host::start("host/tests/components/misbehaving.wasm").await;
    let mut high = transaction(1, "0x", 30);
    high["do"] = json!("high");
    host.post(&high).await;
    support::eventually(DEADLINE, "the good one is kept", async || {
        host.kept().await == 1
    })
    .await;
    let mut bad = transaction(2, "0x", 30);
    bad["do"] = json!("trap");
    host.post(&bad).await;
    support::eventually(DEADLINE, "the fault is recorded", async || {
        host.get("/pending").await[0]["fault"] == json!("trap")
    })
    .await;
    assert_eq!(host.kept().await, 1);
}

#[tokio::test]
async fn sigterm_drains_and_exits_with_0() {
    let mut host = Host::start("plugins/dist/mempool-risk.wasm").await;
    host.post(&drainer(1)).await;
    support::eventually(DEADLINE, "it is kept", async || host.kept().await == 1).await;
    host.floodgate.sigterm();
    assert_eq!(host.floodgate.wait_exit().await, 0);
    assert_eq!(host.kept().await, 1);
}

#[tokio::test]
async fn an_oracle_that_fails_everything_gives_way_to_the_one_before() {
    let host = Host::start("plugins/dist/mempool-risk.wasm").await;
    let before = host.digest().await;
    host.post(&drainer(1)).await;
    support::eventually(DEADLINE, "the first is kept", async || {
        host.kept().await == 1
    })
    .await;
    host.drop("host/tests/components/always-failing.wasm");
    support::eventually(DEADLINE, "the bad one runs", async || {
        host.digest().await != before
    })
    .await;
    for number in 2..10 {
        host.post(&drainer(number)).await;
    }
    support::eventually(DEADLINE, "all are kept", async || host.kept().await == 9).await;
    host.settled().await;
    assert_eq!(host.get("/dead").await, json!([]));
    support::eventually(DEADLINE, "the one before is reported", async || {
        host.digest().await == before
    })
    .await;
}
