//! What a start makes of a ledger that is not as it should be.

use std::time::Duration;

use floodgate_prove::servers::look_into;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::host::{DEADLINE, Ground, MEMPOOL_RISK, Site, drainer, post};
use crate::support::{self, eventually, eventually_some, request};

async fn ready(address: &str) -> (StatusCode, Value) {
    let url = format!("{address}/readyz");
    let (status, _, page) = request("GET", &url, &[], String::new()).await;
    (status, serde_json::from_slice(&page).unwrap())
}

#[tokio::test]
async fn while_nothing_can_be_stored_nothing_is_taken() {
    let postgres = support::postgres().await;
    let client = look_into(&postgres).await.unwrap();
    client
        .batch_execute("CREATE SCHEMA floodgate; CREATE TABLE floodgate.audit (mine int)")
        .await
        .unwrap();
    let site = Site::on(Ground::of(support::redis().await, postgres)).with_oracle(MEMPOOL_RISK);
    let mut floodgate = site.serve("all");
    let (url, admin) = (floodgate.url().await, floodgate.admin_url().await);
    let unready = json!({"status": "unready", "reasons": ["ledger-unusable"]});
    for address in [&url, &admin] {
        eventually(DEADLINE, "it is not ready", async || {
            ready(address).await == (StatusCode::SERVICE_UNAVAILABLE, unready.clone())
        })
        .await;
    }
    let transactions = format!("{url}/transactions");
    let (status, problem) = post(&transactions, &drainer(1)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem["type"], "urn:floodgate:problem:ledger-unusable");

    client
        .batch_execute("DROP TABLE floodgate.audit")
        .await
        .unwrap();
    eventually(DEADLINE, "it is taken", async || {
        post(&transactions, &drainer(1)).await.0 == StatusCode::ACCEPTED
    })
    .await;
    eventually(DEADLINE, "it is ready", async || {
        ready(&url).await.0 == StatusCode::OK
    })
    .await;
    eventually(DEADLINE, "it is decided", async || site.kept().await == 1).await;
}

#[tokio::test]
async fn whom_postgres_lets_not_in_hears_it_once_and_the_start_ends() {
    let nowhere = format!("{}_of_nobody", support::postgres().await);
    let site = Site::on(Ground::of(support::redis().await, nowhere)).with_oracle(MEMPOOL_RISK);
    let mut floodgate = site.serve("all");
    assert_eq!(floodgate.wait_exit().await, 1);
    // The log is read by a thread, which may still be at it.
    let said = eventually_some(Duration::from_secs(5), "it says why", async || {
        let said = floodgate.stderr();
        said.contains("\nerror: ").then_some(said)
    })
    .await;
    let times = said.matches("3D000").count();
    assert!(times > 0, "{said}");
    assert!(times <= 2, "once when it was seen, once at the end: {said}");
    let flood = said.lines().count();
    assert!(flood < 20, "{flood} lines: {said}");
}

#[tokio::test]
async fn a_ledger_whose_schema_has_another_name_works_and_its_scripts_find_it() {
    let postgres = support::postgres().await;
    let site = Site::on(Ground::of(support::redis().await, postgres)).with_oracle(MEMPOOL_RISK);
    let mut floodgate = site.serve_with("all", &["--database-schema", "risk_2"]);
    let url = format!("{}/transactions", floodgate.url().await);
    assert_eq!(post(&url, &drainer(1)).await.0, StatusCode::ACCEPTED);
    eventually(
        DEADLINE,
        "it is kept, and seen by old clients",
        async || {
            site.query("SELECT tx_hash FROM public.transactions")
                .await
                .len()
                == 1
        },
    )
    .await;
    let count = "SELECT count(*)::text FROM risk_2.decisions";
    assert_eq!(site.query(count).await, [["1"]]);
    let script = std::process::Command::new("bash")
        .arg(crate::host::repository().join("scripts/query_db.sh"))
        .args(["--recent", "5"])
        .env("DATABASE_URL", site.postgres())
        .env("FLOODGATE_DATABASE_SCHEMA", "risk_2")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&script.stdout);
    assert!(script.status.success(), "{script:?}");
    assert!(shown.contains("HIGH"), "{shown}");
}
