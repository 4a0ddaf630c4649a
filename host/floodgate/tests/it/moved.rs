//! Entries that left the ledger, before somebody in place of floodgate-archive.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::archive::{Archive, get, leave_the_ledger, move_to, site};
use crate::host::{DEADLINE, Ground, Host, Site, drainer};
use crate::metrics::told::until_told;
use crate::support::{eventually, request};

const TRACK: &str = r#"
[track]
path = "/transactions/{id}"
keep = "0s"
reply = { id = "{id}", label = "{label}", reasons = "{reasons}" }
"#;

/// Lines of the log.
fn logged_of_tracking(host: &Host) -> usize {
    let log = host.floodgate.stderr();
    log.matches("\"target\":\"floodgate_ingest::track\"")
        .count()
}

/// Only the ledger remembers an entry.
async fn tracking() -> Site {
    let site = site(Ground::servers().await, TRACK);
    site.with_flow("remember = \"10m\"", "remember = \"0s\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_was_moved_is_told_of_as_before() {
    let archive = Archive::start().await;
    let site = tracking().await;
    let host = Host::start_in(site, &archive.env()).await;
    let body = drainer(1);
    let id = body["tx_hash"].as_str().unwrap();
    host.accepted(&body).await;
    host.until_kept(1).await;
    host.settled().await;
    let path = format!("/transactions/{id}");
    let before = get(&host, &path).await;
    let decision = host.get(&format!("/decisions/transactions/{id}")).await;
    let verify = || host.try_cli(&["oracle", "verify", "transactions", id]);
    eventually(DEADLINE, "it verifies", async || verify().status.success()).await;
    move_to(&host, &archive, &decision).await;
    assert_eq!(get(&host, &path).await, before);
    let moved = host.get(&format!("/decisions/transactions/{id}")).await;
    assert_eq!(moved, decision);
    assert!(verify().status.success());
    let why = host.cli(&["why", "transactions", id]);
    assert!(
        why.starts_with("decided at ") && why.contains("file 7"),
        "{why}"
    );
    archive.answers("GET /entries", 503, json!({"detail": "the bucket is away"}));
    let (status, problem) = get(&host, &path).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert_eq!(problem["type"], "urn:floodgate:problem:archive-away");
    let output = host.try_cli(&["why", "transactions", id]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("the bucket is away"));
    let logged = async || logged_of_tracking(&host) == 1;
    eventually(DEADLINE, "that it is away is logged", logged).await;
    let (status, _) = get(&host, "/transactions/0xnobody").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_an_archive_nobody_is_told_to_ask_again_for_what_was_moved() {
    let host = Host::start_on(tracking().await).await;
    let body = drainer(1);
    let id = body["tx_hash"].as_str().unwrap();
    host.accepted(&body).await;
    host.until_kept(1).await;
    host.settled().await;
    leave_the_ledger(&host).await;
    let url = format!("{}/{id}", host.url);
    let (status, headers, problem) = request("GET", &url, &[], String::new()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!headers.contains_key("retry-after"), "{headers:?}");
    let problem: Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!(problem["type"], "urn:floodgate:problem:no-archive");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("--archive-url"), "{detail}");
    // It is no failure of anything: nobody is to look at it.
    assert_eq!(logged_of_tracking(&host), 0);
}

#[tokio::test]
async fn what_is_due_is_moved_from_the_start() {
    let archive = Archive::start().await;
    let site = site(Ground::embedded().await, "");
    let site = site.with_flow("when = \"high\"", "when = \"high\"\nhot = \"7d\" #");
    let day = json!({"flow": "transactions", "day": "2026-01-01", "file": 3, "rows": 1000});
    let pass = json!({"moved": [day], "problems": ["the disk is nearly full"]});
    archive.answers("POST /run", 200, pass);
    let host = Host::start_in(site, &archive.env()).await;
    let told = "floodgate_archive_passes_total{outcome=\"problems\"}";
    until_told(&host.admin, &[(told, 1.0)]).await;
    assert_eq!(archive.asked("POST /run").len(), 1);
}
