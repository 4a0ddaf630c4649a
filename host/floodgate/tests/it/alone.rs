//! Oracles that judge an entry by its company.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::host::{DEADLINE, MISBEHAVING, Site, post, told_to};
use crate::support::{self, Floodgate, eventually};

/// `misbehaving` scores such an entry by how many came before it in its batch.
const COUNT: &str = "count";

/// A site where a worker finds `count` entries at its start, so that it reads
/// whole batches of them.
async fn with_unread(site: Site, count: u64) -> (Site, Floodgate) {
    let site = site
        .with_oracle(MISBEHAVING)
        .with_flow("when = \"high\"", "when = \"always\"")
        .with_flow("# batch = false", "batch = true")
        .with_flow("tx_hash = \"{id}\", ", "")
        .with_flow("# max_body = \"64KiB\"", "max_body = \"8MiB\"");
    let mut api = site.serve("api");
    let url = format!("{}/transactions", api.url().await);
    let numbers: Vec<u64> = (1..=count).collect();
    for some in numbers.chunks(1000) {
        let bodies: Vec<Value> = some.iter().map(|number| told_to(*number, COUNT)).collect();
        let (status, said) = post(&url, &json!(bodies)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{said}");
    }
    (site, api)
}

async fn until_kept(site: &Site, count: i64) {
    eventually(DEADLINE, "all are kept", async || {
        site.kept().await == count
    })
    .await;
}

#[tokio::test]
async fn an_oracle_that_is_asked_alone_says_the_same_of_all() {
    let alone = "component = \"mempool-risk\"\nalone = true\n#";
    let site = Site::new()
        .await
        .with_flow("component = \"mempool-risk\"", alone);
    let (site, _api) = with_unread(site, 300).await;
    let _worker = site.serve("worker");
    until_kept(&site, 300).await;
    let scores = site.query("SELECT DISTINCT score FROM decisions").await;
    assert_eq!(scores, [["0.001"]]);
}

#[tokio::test]
async fn one_of_ten_thousand_is_judged_again_and_a_difference_is_counted() {
    let (site, _api) = with_unread(Site::new().await, 10_000).await;
    let mut worker = site.serve("worker");
    let admin = worker.admin_url().await;
    let counted = async |metric: &str| {
        let url = format!("{admin}/metrics");
        let (_, _, page) = support::request("GET", &url, &[], "").await;
        let page = String::from_utf8(page.to_vec()).unwrap();
        let mut lines = page.lines().filter(|line| line.starts_with(metric));
        lines.find_map(|line| line.rsplit(' ').next().map(str::to_owned))
    };
    eventually(DEADLINE, "one is judged again", async || {
        counted("floodgate_oracle_rechecks_total").await.as_deref() == Some("1")
    })
    .await;
    eventually(DEADLINE, "it is told from the first", async || {
        counted("floodgate_oracle_differences_total")
            .await
            .as_deref()
            == Some("1")
    })
    .await;
    until_kept(&site, 10_000).await;
}
