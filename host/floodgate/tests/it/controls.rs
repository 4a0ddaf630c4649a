//! What was judged during the last day speaks for and against an oracle on trial.

use serde_json::Value;

use crate::host::{DEADLINE, Host, MEMPOOL_RISK, MISBEHAVING, Site, told_to};
use crate::support;

/// A host whose operator names a control that is told to do `example`. Four
/// owners had one judged that is told to do `sampled`, which the oracle in force
/// does not listen to.
async fn host_with(example: &str, sampled: &str) -> Host {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK).impatient();
    site.examples(&[told_to(1, example)]);
    let host = Host::start_on(site).await;
    host.accepted(&told_to(2, sampled)).await;
    support::eventually(DEADLINE, "it is a control", async || {
        controls(&host).await == 1
    })
    .await;
    // Instead of posting with four keys for an hour, the test copies the rows.
    host.site
        .query(
            "INSERT INTO oracle_controls
             SELECT flow, oracle, hour - 1, owner, 'owner:' || owner, id || owner,
                    body, attributes, received_at
             FROM oracle_controls, generate_series(1, 4) AS owner;
             DELETE FROM oracle_controls WHERE sender LIKE 'quarter:%'",
        )
        .await;
    assert_eq!(controls(&host).await, 4);
    host
}

async fn controls(host: &Host) -> usize {
    host.site
        .query("SELECT id FROM oracle_controls")
        .await
        .len()
}

async fn oracle(host: &Host) -> Value {
    host.get("/oracles").await[0].clone()
}

#[tokio::test]
async fn one_that_breaks_on_the_examples_and_judges_what_clients_send_is_taken() {
    let host = host_with("trap", "high").await;
    let before = host.digest().await;
    host.drop(MISBEHAVING);
    host.until_digest_is_not(&before).await;
    host.accepted(&told_to(3, "high")).await;
    host.until_kept(1).await;
    assert_eq!(oracle(&host).await["refused"], Value::Null);
}

#[tokio::test]
async fn one_that_judges_the_examples_and_breaks_on_what_clients_send_is_taken_and_suspected() {
    let host = host_with("high", "trap").await;
    let before = host.digest().await;
    host.drop(MISBEHAVING);
    host.until_digest_is_not(&before).await;
    support::eventually(DEADLINE, "a person is told", async || {
        oracle(&host).await["in_flows"][0]["standing"] == "suspected"
    })
    .await;
    host.accepted(&told_to(3, "high")).await;
    host.until_kept(1).await;
}

#[tokio::test]
async fn one_that_breaks_on_both_is_refused() {
    let host = host_with("trap", "trap").await;
    let before = host.digest().await;
    host.drop(MISBEHAVING);
    let refused = support::eventually_some(DEADLINE, "it is refused", async || {
        let refused = oracle(&host).await["refused"]["error"].clone();
        refused.as_str().map(str::to_owned)
    })
    .await;
    assert!(
        refused.contains("5 of 5 controls end in a trap"),
        "{refused}"
    );
    assert_eq!(host.digest().await, before);
}
