//! Flow files that change while their flows run.

use hyper::StatusCode;
use serde_json::json;

use crate::host::{
    DEADLINE, Ground, Host, MEMPOOL_RISK, MISBEHAVING, Site, drainer, post, told_to, transaction,
};
use crate::metrics::told::until_told;
use crate::support;

const ECHO: &str = r#"
[admit]
path = "/echo"
schema = "echo.schema.json"
id = { field = "/n" }

[keep]
when = "always"
"#;

const TAKEN: &str = "floodgate_files_read_total{kind=\"flows\",outcome=\"taken\"}";
const REFUSED: &str = "floodgate_files_read_total{kind=\"flows\",outcome=\"refused\"}";

#[tokio::test]
async fn a_changed_threshold_applies_without_a_restart() {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK);
    let site = site.with_flow("threshold = 0.8", "threshold = 1.0");
    let host = Host::start_on(site).await;
    host.accepted(&drainer(1)).await;
    host.settled().await;
    let kept = host.site.query("SELECT count(*) FROM decisions").await;
    assert_eq!(kept, [["0"]]);
    let change = |text: String| text.replace("threshold = 1.0", "threshold = 0.8");
    host.site.rewrite_flow("transactions", change);
    until_told(&host.admin, &[(TAKEN, 1.0)]).await;
    host.accepted(&drainer(2)).await;
    host.until_kept(1).await;
}

#[tokio::test]
async fn a_dropped_flow_file_starts_a_flow_and_a_removed_one_ends_it() {
    let host = Host::start(MEMPOOL_RISK).await;
    let url = host.url.replace("/transactions", "/echo");
    assert_eq!(post(&url, &json!({"n": 1})).await.0, StatusCode::NOT_FOUND);
    let flows = host.site.flows.path();
    std::fs::write(flows.join("echo.schema.json"), "true").unwrap();
    std::fs::write(flows.join("echo.toml"), ECHO).unwrap();
    support::eventually(DEADLINE, "the new flow admits", async || {
        post(&url, &json!({"n": 1})).await.0 == StatusCode::ACCEPTED
    })
    .await;
    host.until_kept(1).await;
    std::fs::remove_file(flows.join("echo.toml")).unwrap();
    support::eventually(DEADLINE, "the removed flow does not", async || {
        post(&url, &json!({"n": 2})).await.0 == StatusCode::NOT_FOUND
    })
    .await;
    host.accepted(&transaction(1, "0x", 30)).await;
    host.settled().await;
}

#[tokio::test]
async fn what_is_open_of_a_flow_that_is_removed_is_worked_off() {
    let site = Site::new().await.with_oracle(MISBEHAVING);
    let site = site.with_flow("first = \"1s\"", "first = \"200ms\"");
    let host = Host::start_on(site).await;
    host.accepted(&told_to(1, "trap")).await;
    support::eventually(DEADLINE, "it waits for its next attempt", async || {
        host.get("/flows").await[0]["retrying"] == 1
    })
    .await;
    std::fs::rename(
        host.site.flows.path().join("transactions.toml"),
        host.site.flows.path().join("other.toml"),
    )
    .unwrap();
    support::eventually(DEADLINE, "it is shown as draining", async || {
        let flows = host.get("/flows").await;
        flows[1]["name"] == "transactions" && flows[1]["state"] == "draining"
    })
    .await;
    support::eventually(
        DEADLINE,
        "it becomes a dead letter and is gone",
        async || host.get("/flows").await.as_array().unwrap().len() == 1,
    )
    .await;
    assert_eq!(host.get("/dead").await[0]["flow"], "transactions");
}

#[tokio::test]
async fn a_broken_flow_file_changes_nothing_and_is_told_in_the_log() {
    let host = Host::start(MEMPOOL_RISK).await;
    let change = |text: String| text.replace("threshold = 0.8", "threshold = 8");
    host.site.rewrite_flow("transactions", change);
    until_told(&host.admin, &[(REFUSED, 1.0)]).await;
    let said = host.floodgate.stderr();
    assert!(said.contains("decide.threshold"), "{said}");
    host.accepted(&drainer(1)).await;
    host.until_kept(1).await;
    let change = |text: String| {
        let text = text.replace("threshold = 8", "threshold = 0.8");
        text.replace("# partitions = 1", "partitions = 2")
    };
    host.site.rewrite_flow("transactions", change);
    until_told(&host.admin, &[(REFUSED, 2.0)]).await;
    host.accepted(&drainer(2)).await;
    host.until_kept(2).await;
}

#[tokio::test]
async fn a_flow_that_changes_to_an_oracle_that_is_not_there_waits_for_it() {
    let host = Host::start(MEMPOOL_RISK).await;
    let change = |text: String| text.replace("\"mempool-risk\"", "\"other-risk\"");
    host.site.rewrite_flow("transactions", change);
    support::eventually(DEADLINE, "it waits", async || {
        let (status, problem) = host.post(&drainer(1)).await;
        status == StatusCode::SERVICE_UNAVAILABLE && problem["detail"].to_string().contains("other")
    })
    .await;
    host.site.drop_as("other-risk", MEMPOOL_RISK);
    host.accepted(&drainer(2)).await;
    support::eventually(DEADLINE, "it is decided", async || host.kept().await >= 1).await;
    host.settled().await;
}

#[tokio::test]
async fn a_flow_that_waited_goes_on_with_an_oracle_that_was_there_all_the_time() {
    let site = Site::of_flows(Ground::servers().await, &["transactions", "tasks"]);
    site.drop_as("task-echo", MEMPOOL_RISK);
    let host = Host::start_on(site).await;
    support::eventually(DEADLINE, "it waits for its oracle", async || {
        host.post(&drainer(1)).await.0 == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    let change = |text: String| text.replace("\"mempool-risk\"", "\"task-echo\"");
    host.site.rewrite_flow("transactions", change);
    support::eventually(DEADLINE, "it admits", async || {
        host.post(&drainer(1)).await.0 == StatusCode::ACCEPTED
    })
    .await;
    host.until_kept(1).await;
}
