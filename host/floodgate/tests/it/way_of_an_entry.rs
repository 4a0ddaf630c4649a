//! The real binary on real servers: POST, judge, decide, keep, settle.

use hyper::StatusCode;

use crate::host::{
    ALWAYS_FAILING, DEADLINE, Ground, Ground as Rig, Host, MEMPOOL_RISK, MISBEHAVING, Site,
};
use crate::host::{drainer, get, post, told_to, transaction};
use crate::support;

contract!([servers, embedded] {
    a_high_transaction_is_kept_with_its_reasons_and_a_low_one_is_settled,
    the_same_transaction_is_judged_once_and_another_body_is_a_conflict,
    a_dropped_oracle_judges_from_then_on,
    a_flow_without_its_oracle_answers_503_until_it_is_dropped,
    an_oracle_that_breaks_on_the_controls_is_not_taken,
    an_oracle_that_refuses_everything_holds_the_flow,
});

async fn a_high_transaction_is_kept_with_its_reasons_and_a_low_one_is_settled(ground: Ground) {
    let host = Host::start_with(ground, MEMPOOL_RISK).await;
    let (status, answer) = host.post(&drainer(0xab)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(answer["status"], "accepted");
    host.post(&transaction(2, "0x", 30)).await;
    host.until_kept(1).await;
    host.settled().await;
    let query = "SELECT label_name, reasons, oracles FROM decisions";
    let row = &host.site.query(query).await[0];
    assert_eq!(row[0], "HIGH");
    assert!(row[1].contains("unlimited-approval"), "{row:?}");
    assert!(row[2].contains(&host.digest().await), "{row:?}");
}

async fn the_same_transaction_is_judged_once_and_another_body_is_a_conflict(ground: Ground) {
    let host = Host::start_with(ground, MEMPOOL_RISK).await;
    assert_eq!(host.post(&drainer(1)).await.0, StatusCode::ACCEPTED);
    assert_eq!(host.post(&drainer(1)).await.0, StatusCode::ACCEPTED);
    let other = transaction(1, "0x", 30);
    assert_eq!(host.post(&other).await.0, StatusCode::CONFLICT);
    host.until_kept(1).await;
    host.settled().await;
    assert_eq!(host.kept().await, 1);
}

async fn a_dropped_oracle_judges_from_then_on(ground: Ground) {
    let host = Host::start_with(ground, MEMPOOL_RISK).await;
    let before = host.digest().await;
    host.drop(MISBEHAVING);
    host.until_digest_is_not(&before).await;
    host.post(&told_to(3, "high")).await;
    host.until_kept(1).await;
}

async fn a_flow_without_its_oracle_answers_503_until_it_is_dropped(ground: Ground) {
    let host = Host::start_on(Site::on(ground)).await;
    let (status, problem) = host.post(&drainer(1)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("mempool-risk"), "{detail}");
    host.drop(MEMPOOL_RISK);
    host.accepted(&drainer(2)).await;
    host.until_kept(1).await;
}

#[tokio::test]
async fn a_front_end_of_its_own_hears_from_the_workers_which_oracles_are_there() {
    let site = Site::new().await;
    let mut api = site.serve("api");
    let url = format!("{}/transactions", api.url().await);
    let mut worker = site.serve("worker");
    let admin = worker.admin_url().await;
    support::eventually(DEADLINE, "503 while no worker has it", async || {
        post(&url, &drainer(1)).await.0 == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    site.drop(MEMPOOL_RISK);
    support::eventually(DEADLINE, "202 once it is there", async || {
        post(&url, &drainer(2)).await.0 == StatusCode::ACCEPTED
    })
    .await;
    support::eventually(DEADLINE, "nothing is open any more", async || {
        get(&admin, "/flows").await[0]["open"] == 0
    })
    .await;
    assert!(site.kept().await >= 1);
}

async fn an_oracle_that_breaks_on_the_controls_is_not_taken(ground: Ground) {
    let site = Site::on(ground).with_oracle(MEMPOOL_RISK);
    site.examples(&[told_to(1, "trap")]);
    let host = Host::start_on(site).await;
    let before = host.digest().await;
    host.drop(MISBEHAVING);
    let refused = support::eventually_some(DEADLINE, "it is refused", async || {
        let refused = host.get("/oracles").await[0]["refused"].clone();
        refused.is_object().then_some(refused)
    })
    .await;
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("1 of 1 controls"),
        "{refused}"
    );
    host.accepted(&drainer(2)).await;
    host.until_kept(1).await;
    assert_eq!(host.digest().await, before);
}

/// Nothing is rolled back: what it refuses waits for a person.
async fn an_oracle_that_refuses_everything_holds_the_flow(ground: Ground) {
    let host = Host::start_with(ground, MEMPOOL_RISK).await;
    host.accepted(&drainer(1)).await;
    host.until_kept(1).await;
    host.drop(ALWAYS_FAILING);
    host.until_held("transactions").await;
    let (status, problem) = host.post(&drainer(2)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem["type"], "urn:floodgate:problem:held");
    assert_eq!(host.get("/dead").await.as_array().unwrap().len(), 0);
    host.drop(MEMPOOL_RISK);
    for number in 2..=10 {
        host.accepted(&drainer(number)).await;
    }
    host.until_kept(10).await;
    host.settled().await;
    support::eventually(DEADLINE, "it is running", async || {
        host.get("/flows").await[0]["state"] == "running"
    })
    .await;
}
