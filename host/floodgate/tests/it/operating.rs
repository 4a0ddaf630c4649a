//! What a person does with it: roll back, pin, stop, and mistype.

use crate::host::{DEADLINE, Host, MEMPOOL_RISK, MISBEHAVING, Site, UNIFORM_RISK};
use crate::host::{drainer, told_to};
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
    let dropped = format!("pinned, {} was dropped", &first[..12]);
    support::eventually(DEADLINE, "it is said that it waits", async || {
        host.cli(&["oracles"]).contains(&dropped)
    })
    .await;
    assert_eq!(host.digest().await, second);
    let slip = host.try_cli(&["oracles", "pin", "mempool-risk", &first[..3]]);
    let said = String::from_utf8_lossy(&slip.stderr);
    assert!(
        !slip.status.success() && said.contains("four hex digits"),
        "{said}"
    );
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
        (
            vec!["oracles", "unpin", "nobody"],
            "there are: mempool-risk",
        ),
        (vec!["oracles", "rollback", "mempool-risk"], "before"),
    ] {
        // What a name was is written down in the background.
        support::eventually(DEADLINE, said, async || {
            let output = host.try_cli(&arguments);
            assert!(!output.status.success(), "{arguments:?}");
            String::from_utf8_lossy(&output.stderr).contains(said)
        })
        .await;
    }
}

#[tokio::test]
async fn flows_are_listed_and_checked_without_a_start() {
    let host = Host::start(MEMPOOL_RISK).await;
    let listed = host.cli(&["flows"]);
    assert!(
        listed.contains("/transactions") && listed.contains("running"),
        "{listed}"
    );
    let flows = host.site.flows.path().to_str().unwrap().to_owned();
    let oracles = host.site.oracles.path().to_str().unwrap().to_owned();
    let said = host.cli(&["flows", "check", &flows, "--oracles", &oracles]);
    assert_eq!(
        said,
        "transactions: ok, POST /transactions, GET /stats/transactions/decisions, \
         GET /stats/transactions/reasons, GET /stats/transactions/senders, \
         GET /stats/transactions/scores\n"
    );
    let typo = Site::new()
        .await
        .with_flow("threshold = 0.8", "treshold = 0.8");
    let flows = typo.flows.path().to_str().unwrap().to_owned();
    let output = host.try_cli(&["flows", "check", &flows]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("did you mean threshold?"), "{stderr}");
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

#[tokio::test]
async fn why_tells_what_became_of_an_entry_at_every_station_of_its_way() {
    let site = Site::new().await.with_oracle(MISBEHAVING);
    let site = site
        .with_flow("attempts = 5", "attempts = 2")
        .with_flow("first = \"1s\"", "first = \"2s\"");
    let host = Host::start_on(site).await;
    let why = |number: u64| {
        let id = told_to(number, "")["tx_hash"].as_str().unwrap().to_owned();
        host.cli(&["why", "transactions", &id])
    };
    let tells = async |number: u64, what: &str| {
        support::eventually(DEADLINE, what, async || why(number).starts_with(what)).await;
    };
    assert!(why(1).starts_with("never seen"));
    host.post(&told_to(1, "high")).await;
    tells(1, "decided at").await;
    assert!(why(1).contains("HIGH, score 0.9\nreasons: told-to"));
    host.post(&told_to(2, "")).await;
    tells(2, "decided and not kept").await;
    host.post(&told_to(3, "trap")).await;
    tells(3, "pending: its next attempt is at").await;
    assert!(why(3).contains("1 attempts failed, the last of trap"));
    tells(3, "dead since").await;
    assert!(why(3).contains("after 2 attempts, of trap"));
}

#[tokio::test]
async fn why_tells_that_an_entry_waits_for_a_worker() {
    let site = Site::new().await;
    let (_api, admin) = site.with_three_unread().await;
    let id = told_to(3, "")["tx_hash"].as_str().unwrap().to_owned();
    let why = crate::host::get(&admin, &format!("/why/transactions/{id}")).await;
    assert_eq!(
        (&why["state"], &why["ahead"]),
        (&"waiting".into(), &2.into())
    );
    assert_eq!(why["missing_oracle"], "mempool-risk");
}

#[tokio::test]
async fn what_is_open_of_a_removed_flow_is_worked_off_by_its_last_definition() {
    let site = Site::new().await;
    let (mut api, _) = site.with_three_unread().await;
    api.sigterm();
    assert_eq!(api.wait_exit().await, 0);
    let file = |name: &str| site.flows.path().join(name);
    let flow = std::fs::read_to_string(file("transactions.toml")).unwrap();
    let other = flow.replace("\"/transactions\"", "\"/other\"");
    std::fs::write(file("other.toml"), other).unwrap();
    std::fs::remove_file(file("transactions.toml")).unwrap();

    let host = Host::start_on(site).await;
    let flows = host.get("/flows").await;
    assert_eq!(
        (&flows[1]["name"], &flows[1]["state"]),
        (&"transactions".into(), &"draining".into())
    );
    assert_eq!(flows[1]["open"], 3);
    host.drop(MISBEHAVING);
    host.until_kept(3).await;
    support::eventually(DEADLINE, "nothing of it is open", async || {
        host.get("/flows").await.as_array().unwrap().len() == 1
    })
    .await;
    assert_eq!(
        crate::host::post(&url_of(&host, "/transactions"), &told_to(4, ""))
            .await
            .0,
        404
    );
}

fn url_of(host: &Host, path: &str) -> String {
    host.url.replace("/transactions", path)
}
