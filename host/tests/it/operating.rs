//! What a person does with it: roll back, pin, stop, and mistype.

use crate::host::{DEADLINE, Host, MEMPOOL_RISK, Site, UNIFORM_RISK, drainer};
use crate::support;

#[tokio::test]
async fn a_rollback_goes_to_the_digest_before_and_a_pin_holds_whatever_is_dropped() {
    let host = Host::start(MEMPOOL_RISK).await;
    let first = host.digest().await;
    host.drop(UNIFORM_RISK);
    host.until_digest_is_not(&first).await;
    let second = host.digest().await;
    let runs = async |digest: &str| {
        support::eventually(DEADLINE, "the chosen digest runs", async || {
            host.digest().await == digest
        })
        .await;
    };
    let said = host.cli(&["oracles", "rollback", "mempool-risk"]);
    assert!(said.contains(&first), "{said}");
    runs(&first).await;
    assert!(host.cli(&["oracles"]).contains("rolled back"));
    host.cli(&["oracles", "pin", "mempool-risk", &second[..12]]);
    runs(&second).await;
    host.drop(MEMPOOL_RISK);
    assert!(host.cli(&["oracles"]).contains("pinned"));
    host.cli(&["oracles", "unpin", "mempool-risk"]);
    runs(&first).await;
}

#[tokio::test]
async fn choosing_what_never_was_is_an_error_that_says_what_was() {
    let host = Host::start(MEMPOOL_RISK).await;
    let digest = host.digest().await;
    for (arguments, said) in [
        (
            vec!["oracles", "pin", "mempool-risk", "0000"],
            &digest[..12],
        ),
        (vec!["oracles", "pin", "nobody", "0000"], "nobody"),
        (vec!["oracles", "rollback", "nobody"], "nobody"),
        (vec!["oracles", "rollback", "mempool-risk"], "before"),
    ] {
        let output = host.try_cli(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn sigterm_drains_and_exits_with_0() {
    let mut host = Host::start(MEMPOOL_RISK).await;
    host.post(&drainer(1)).await;
    host.until_kept(1).await;
    host.floodgate.sigterm();
    assert_eq!(host.floodgate.wait_exit().await, 0);
    assert_eq!(host.kept().await, 1);
}

#[tokio::test]
async fn a_typo_in_a_flow_file_stops_the_start_and_names_file_key_and_remedy() {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK);
    let site = site.with_flow("threshold = 0.8", "treshold = 0.8");
    let mut floodgate = site.serve("all");
    assert_eq!(floodgate.wait_exit().await, 1);
    support::eventually(DEADLINE, "it says why", async || {
        let said = floodgate.stderr();
        ["transactions.toml", "treshold", "threshold"]
            .iter()
            .all(|part| said.contains(part))
    })
    .await;
}
