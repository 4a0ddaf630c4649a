//! What a host logs: of which batch it speaks, and no body and no key, however
//! much is logged.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::downstream::{Scripted, post, posting_on};
use crate::host::{DEADLINE, Ground, Host, MISBEHAVING, Site, repository, told_to};
use crate::metrics::told::{Told, until_told};
use crate::services::Service;
use crate::support::{Floodgate, eventually, eventually_some, request};

/// In bodies, as text and as a number: a rule that cannot read an entry quotes
/// the number.
const SECRET: &str = "a-secret-of-the-body";
const SECRET_NUMBER: u64 = 7_316_528_901;
const WRONG_KEY: &str = "fgk_a-secret-key-that-is-wrong";
const ADMIN_TOKEN: &str = "a-secret-token-of-the-admin-address";
/// Apart from a compiler that tells of each instruction, for minutes.
const EVERYTHING: (&str, &str) = (
    "RUST_LOG",
    "trace,cranelift=info,regalloc=info,wasmtime=info",
);

fn with_secret(number: u64, what: &str) -> Value {
    let mut body = told_to(number, what);
    body["note"] = json!(SECRET);
    body
}

fn unreadable(number: u64) -> Value {
    let mut body = with_secret(number, "");
    body["do"] = json!(SECRET_NUMBER);
    body
}

/// Of the host that was driven; its log is whole once it has ended.
async fn holds_no_secret(floodgate: &mut Floodgate, secrets: &[&str]) {
    floodgate.sigterm();
    assert_eq!(floodgate.wait_exit().await, 0);
    let log = floodgate.stderr();
    assert!(log.contains(r#""level":"TRACE""#), "everything is logged");
    let number = SECRET_NUMBER.to_string();
    for secret in [&[SECRET, &number], secrets].concat() {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[tokio::test]
async fn what_is_said_of_a_batch_says_of_which() {
    let site = Site::new()
        .await
        .with_oracle(MISBEHAVING)
        .with_flow("attempts = 5", "attempts = 1");
    let host = Host::start_on(site).await;
    host.accepted(&told_to(1, "high")).await;
    host.until_kept(1).await;
    host.post(&told_to(2, "trap")).await;
    let said = eventually_some(DEADLINE, "the log says that it died", async || {
        let log = host.floodgate.stderr();
        let mut lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.find(|line: &Value| line["fault"] == "trap" && line["level"] == "WARN")
    })
    .await;
    let batch = &said["spans"][0];
    assert_eq!(batch["name"], "batch", "{said}");
    assert_eq!(batch["flow"], "transactions");
    assert_eq!(
        (&batch["partition"], &batch["size"]),
        (&json!(0), &json!(1))
    );
    assert!(batch["worker"].is_string());
}

#[tokio::test]
async fn the_log_of_entries_that_are_refused_kept_and_dead_holds_no_body() {
    let site = Site::new()
        .await
        .with_oracle(MISBEHAVING)
        .with_flow("attempts = 5", "attempts = 1")
        // The flood of logs is no timeout, however busy the machine is.
        .with_flow("# timeout = \"100ms\"", "timeout = \"20s\" #");
    let mut host = Host::start_in(site, &[EVERYTHING]).await;
    host.accepted(&with_secret(1, "high")).await;
    let mut other = with_secret(1, "high");
    other["other"] = json!(SECRET);
    assert_eq!(host.post(&other).await.0, StatusCode::CONFLICT);
    let mut invalid = with_secret(2, "high");
    invalid["tx_hash"] = json!(SECRET);
    for (id, body) in [
        ("not-json", format!("{{{SECRET}")),
        ("not-valid", invalid.to_string()),
    ] {
        let headers = [("x-request-id", id)];
        let (status, ..) = request("POST", &host.url, &headers, body).await;
        assert!(status.is_client_error(), "{status}");
        eventually(DEADLINE, "the log names the request", async || {
            let log = host.floodgate.stderr();
            log.contains(&format!("\"request_id\":\"{id}\""))
        })
        .await;
    }
    for (number, what) in [(3, "trap"), (4, "error"), (5, "seven"), (6, "log-flood")] {
        host.post(&with_secret(number, what)).await;
    }
    host.post(&unreadable(7)).await;
    host.settled().await;
    assert_eq!(host.get("/dead").await.as_array().unwrap().len(), 4);
    host.cli(&["dead", "requeue", "--flow", "transactions", "--dry-run"]);
    host.cli(&["dead", "requeue", "--flow", "transactions"]);
    host.settled().await;
    holds_no_secret(&mut host.floodgate, &[]).await;
}

#[tokio::test]
async fn an_oracle_that_fails_everything_is_not_quoted() {
    let site = Site::new().await.with_oracle(MISBEHAVING);
    let mut host = Host::start_in(site, &[EVERYTHING]).await;
    host.accepted(&unreadable(1)).await;
    host.post(&unreadable(2)).await;
    eventually(DEADLINE, "both have failed", async || {
        host.get("/oracles").await[0]["faults"].as_u64() >= Some(2)
    })
    .await;
    eventually(DEADLINE, "who asks is told what it says", async || {
        let oracles = host.get("/oracles").await;
        let error = oracles[0]["last_error"].as_str().unwrap_or_default();
        error.contains(&SECRET_NUMBER.to_string())
    })
    .await;
    holds_no_secret(&mut host.floodgate, &[]).await;
}

#[tokio::test]
async fn the_log_of_a_delivery_that_fails_holds_no_body() {
    let site = posting_on(Ground::servers().await, "http://127.0.0.1:1", 1);
    let mut floodgate = site.serve_in("all", &[], &[EVERYTHING]);
    let (url, admin) = (floodgate.url().await, floodgate.admin_url().await);
    let url = format!("{url}/api/transactions");
    let body = json!({
        "id": "00000000-0000-4000-8000-000000000001", "amount": 100.5, "currency": "usd",
        "description": SECRET, "timestamp": "2026-01-02T03:04:05Z", "metadata": {},
    });
    let (status, ..) = request("POST", &url, &[], body.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    eventually(DEADLINE, "it was tried", async || {
        let told = Told::by(&admin).await;
        let tried = "floodgate_delivery_faults_total{flow=\"posting\"";
        told.sum(tried) > 0.0
    })
    .await;
    holds_no_secret(&mut floodgate, &[]).await;
}

#[tokio::test]
async fn the_log_holds_no_key() {
    let site = Site::of_flows(Ground::servers().await, &["events"]);
    let file = site.flows.path().join("keys");
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["keys", "new", "shop", "--file", file.to_str().unwrap()])
        .current_dir(repository())
        .output()
        .unwrap();
    let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let args = ["--keys-file", file.to_str().unwrap()];
    let env = [EVERYTHING, ("FLOODGATE_ADMIN_TOKEN", ADMIN_TOKEN)];
    let mut floodgate = site.serve_in("all", &args, &env);
    let url = format!("{}/events", floodgate.url().await);
    let batch = json!([{
        "event_id": "00000000-0000-4000-8000-000000000001", "user_id": SECRET,
        "occurred_at": "2026-01-02T03:04:05Z", "event_type": "login",
    }]);
    for (key, status) in [
        (&*key, StatusCode::OK),
        (WRONG_KEY, StatusCode::UNAUTHORIZED),
    ] {
        let headers = [("x-api-key", key)];
        let (answered, ..) = request("POST", &url, &headers, batch.to_string()).await;
        assert_eq!(answered, status);
    }
    let flows = format!("{}/flows", floodgate.admin_url().await);
    for (token, status) in [
        (ADMIN_TOKEN, StatusCode::OK),
        (WRONG_KEY, StatusCode::UNAUTHORIZED),
    ] {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        let (answered, ..) = request("GET", &flows, &headers, String::new()).await;
        assert_eq!(answered, status);
    }
    eventually(DEADLINE, "it is kept", async || site.kept().await == 1).await;
    holds_no_secret(&mut floodgate, &[&key, WRONG_KEY, ADMIN_TOKEN]).await;
}

/// Lines that a burst of anything a stranger chooses may write, whatever they say.
const FEW: usize = 30;

/// Whoever sends what no oracle can judge fills no disk: the metric has the
/// exact number.
#[tokio::test]
async fn a_burst_of_dead_letters_is_a_few_lines() {
    const BURST: u64 = 200;
    let site = Site::on(Ground::embedded().await)
        .with_oracle(MISBEHAVING)
        .with_flow("attempts = 5", "attempts = 1");
    let host = Host::start_on(site).await;
    host.accepted(&told_to(0, "high")).await;
    host.until_kept(1).await;
    let lines = || host.floodgate.stderr().lines().count();
    let before = lines();
    for number in 1..=BURST {
        host.accepted(&told_to(number, "error")).await;
    }
    let buried = "floodgate_dead_letters_buried_total{flow=\"transactions\",fault=\"refused\"}";
    until_told(&host.admin, &[(buried, BURST as f64)]).await;
    host.settled().await;
    assert!(lines() - before < FEW, "{}", host.floodgate.stderr());
}

#[tokio::test]
async fn a_burst_of_deliveries_that_are_refused_is_a_few_lines() {
    const BURST: usize = 60;
    let refuses = |method: &str, _: &str| match method {
        "GET" => Some("404 Not Found"),
        _ => Some("400 Bad Request"),
    };
    let downstream = Scripted::start(refuses).await;
    let site = posting_on(Ground::embedded().await, &downstream.url, 2);
    let service = Service::start_on(site).await;
    let lines = || service.floodgate.stderr().lines().count();
    let before = lines();
    for number in 0..BURST {
        post(&service, number).await;
    }
    let buried = "floodgate_dead_letters_buried_total{flow=\"posting\",fault=\"delivery\"}";
    until_told(&service.admin, &[(buried, BURST as f64)]).await;
    assert!(lines() - before < FEW, "{}", service.floodgate.stderr());
}
