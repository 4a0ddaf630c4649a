//! Who may come in, and how often.

use std::path::Path;

use floodgate_prove::servers::look_into;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::host::{DEADLINE, Ground, Site};
use crate::metrics::told::until_told;
use crate::services::Service;
use crate::support;

/// Makes a key as a person would, and adds it to a key file.
fn new_key(file: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["keys", "new", "--file", file.to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn events(rate: &str) -> Site {
    let site = Service::site(&["events"]).await;
    site.rewrite_flow("events", |text| text.replace("1000/s", rate));
    site
}

fn batch(number: usize) -> Value {
    json!([{
        "event_id": format!("00000000-0000-4000-8000-{number:012}"),
        "occurred_at": "2026-01-02T03:04:05Z", "user_id": "u", "event_type": "login",
    }])
}

#[tokio::test]
async fn only_a_key_of_the_flow_comes_in_and_its_name_travels_with_the_entry() {
    let site = events("1000/s").await;
    let file = site.flows.path().join("keys");
    let shop = new_key(&file, &["shop"]);
    let other = new_key(&file, &["other", "--flow", "credit"]);
    let front = Service::front_end_with(site, &["--keys-file", file.to_str().unwrap()]).await;
    let post = async |key: Option<&str>| {
        let key = key.map(|key| ("x-api-key", key));
        let headers: Vec<_> = [("x-request-id", "first")].into_iter().chain(key).collect();
        front.post_with("/events", &headers, &batch(1)).await
    };
    let (status, headers, problem) = post(None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(headers.contains_key("www-authenticate"));
    assert_eq!(problem["type"], "urn:floodgate:problem:unauthorized");
    assert_eq!(post(Some("fgk_wrong")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(post(Some(&other)).await.0, StatusCode::FORBIDDEN);
    let (status, _, answer) = post(Some(&shop)).await;
    assert_eq!(
        (status, answer),
        (StatusCode::OK, json!({"ok": true, "queued": 1}))
    );
    assert_eq!(front.open("events").await, 1);
    let _worker = front.site.serve("worker");
    let postgres = front.site.postgres().to_owned();
    support::eventually(DEADLINE, "its name is kept", async || {
        let client = look_into(&postgres).await.unwrap();
        let query = "SELECT attributes::text FROM decisions";
        let row = client.query_opt(query, &[]).await.ok().flatten();
        let attributes = r#"[["request-id","first"],["key","shop"],["owner","shop"]]"#;
        row.is_some_and(|row| row.get::<_, &str>(0) == attributes)
    })
    .await;
}

#[tokio::test]
async fn a_key_file_is_read_again_when_it_changes() {
    let site = events("1000/s").await;
    let file = site.flows.path().join("keys");
    let first = new_key(&file, &["first"]);
    let front = Service::front_end_with(site, &["--keys-file", file.to_str().unwrap()]).await;
    let accepted = async |key: &str| {
        let headers = [("x-api-key", key)];
        front.post_with("/events", &headers, &batch(1)).await.0 == StatusCode::OK
    };
    assert!(accepted(&first).await);
    let second = new_key(&file, &["second"]);
    let both = std::fs::read_to_string(&file).unwrap();
    support::eventually(DEADLINE, "the second key is known", async || {
        accepted(&second).await
    })
    .await;
    assert!(accepted(&first).await);
    std::fs::write(&file, "nonsense").unwrap();
    let refused = "floodgate_files_read_total{kind=\"keys\",outcome=\"refused\"}";
    until_told(&front.admin, &[(refused, 1.0)]).await;
    assert!(
        accepted(&first).await,
        "a file with problems changes nothing"
    );
    let line = both
        .lines()
        .find(|line| line.starts_with("second"))
        .unwrap();
    std::fs::write(&file, line).unwrap();
    support::eventually(DEADLINE, "the first key is gone", async || {
        !accepted(&first).await
    })
    .await;
}

#[tokio::test]
async fn a_bad_key_file_or_origin_stops_the_start() {
    let site = events("1000/s").await;
    let file = site.flows.path().join("keys");
    std::fs::write(&file, "a sha256:00\nb\n").unwrap();
    for (args, told) in [
        (["--keys-file", file.to_str().unwrap()], "line 2"),
        (["--cors-origin", "example.com"], "--cors-origin"),
    ] {
        let mut floodgate = site.serve_with("api", &args);
        assert_eq!(floodgate.wait_exit().await, 1);
        assert!(floodgate.stderr().contains(told), "{}", floodgate.stderr());
    }
}

#[tokio::test]
async fn all_front_ends_share_one_bucket_which_fills_up_again() {
    let site = events("3/min").await;
    let file = site.flows.path().join("keys");
    let (shop, other) = (new_key(&file, &["shop"]), new_key(&file, &["other"]));
    let (redis, postgres) = (site.redis().to_owned(), site.postgres().to_owned());
    let args = ["--keys-file", file.to_str().unwrap()];
    let first = Service::front_end_with(site, &args).await;
    let second = Site::of_flows(Ground::of(redis, postgres), &["events"]);
    second.rewrite_flow("events", |text| text.replace("1000/s", "3/min"));
    let second = Service::front_end_with(second, &args).await;
    let post = async |front: &Service, key: &str, body: Value| {
        front
            .post_with("/events", &[("x-api-key", key)], &body)
            .await
    };
    // A body that is refused counts, too.
    assert_eq!(
        post(&first, &shop, json!({})).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(post(&second, &shop, batch(1)).await.0, StatusCode::OK);
    let (status, headers, _) = post(&first, &shop, batch(2)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["ratelimit-policy"], r#""requests";q=3;w=60"#);
    let limit = headers["ratelimit"].to_str().unwrap();
    assert!(limit.starts_with(r#""requests";r=0;t="#), "{limit}");
    let (status, headers, problem) = post(&second, &shop, batch(3)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let after: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&after), "{after}");
    assert_eq!(problem["type"], "urn:floodgate:problem:rate-limited");
    assert_eq!(
        post(&second, &other, batch(3)).await.0,
        StatusCode::OK,
        "a bucket for each key"
    );
}

#[tokio::test]
async fn a_rate_of_entries_lets_one_batch_into_debt_and_then_waits() {
    let site = events("10 entries/min").await;
    let file = site.flows.path().join("keys");
    let (shop, other) = (new_key(&file, &["shop"]), new_key(&file, &["other"]));
    let front = Service::front_end_with(site, &["--keys-file", file.to_str().unwrap()]).await;
    let post = async |key: &str, numbers: std::ops::Range<usize>| {
        let items: Vec<Value> = numbers.map(|number| batch(number)[0].clone()).collect();
        let headers = [("x-api-key", key)];
        front.post_with("/events", &headers, &items.into()).await
    };
    let left = |headers: &hyper::HeaderMap| headers["ratelimit"].to_str().unwrap().to_owned();
    let (status, headers, _) = post(&shop, 0..4).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["ratelimit-policy"], r#""entries";q=10;w=60"#);
    assert!(
        left(&headers).starts_with(r#""entries";r=6;t="#),
        "{headers:?}"
    );
    // More than is left, and more than the bucket holds.
    let (status, headers, answer) = post(&shop, 4..24).await;
    assert_eq!((status, &answer["queued"]), (StatusCode::OK, &json!(20)));
    assert!(
        left(&headers).starts_with(r#""entries";r=0;t="#),
        "{headers:?}"
    );
    let (status, headers, problem) = post(&shop, 24..25).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(problem["type"], "urn:floodgate:problem:rate-limited");
    let after: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(
        (60..=90).contains(&after),
        "14 too many and one more: {after}"
    );
    assert_eq!(post(&other, 24..25).await.0, StatusCode::OK);
    assert_eq!(front.open("events").await, 25);
}

#[tokio::test]
async fn without_keys_the_peer_has_a_bucket_that_fills_up() {
    let site = Service::site(&["tasks"]).await;
    site.rewrite_flow("tasks", |text| {
        text.replace(
            "generate = \"sequence\" }",
            "generate = \"sequence\" }\nrate = \"2/s\"",
        )
    });
    let front = Service::front_end_on(site).await;
    let post = async || front.post("/tasks", &json!({"payload": "x"})).await.0;
    support::eventually(DEADLINE, "the bucket is empty", async || {
        post().await == StatusCode::TOO_MANY_REQUESTS
    })
    .await;
    support::eventually(DEADLINE, "there is a token again", async || {
        post().await == StatusCode::CREATED
    })
    .await;
}

#[tokio::test]
async fn pages_of_the_named_origins_may_use_it_and_no_others() {
    let site = Service::site(&["tasks"]).await;
    let origin = "https://app.example.com";
    let front = Service::front_end_with(site, &["--cors-origin", origin]).await;
    let preflight = async |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-api-key"),
        ];
        front
            .request("OPTIONS", "/tasks", &headers, String::new())
            .await
            .1
    };
    let allowed = preflight(origin).await;
    assert_eq!(allowed["access-control-allow-origin"], origin);
    let headers = allowed["access-control-allow-headers"].to_str().unwrap();
    assert!(headers.contains("idempotency-key"), "{headers}");
    assert!(
        allowed.contains_key("x-request-id"),
        "it is on every answer"
    );
    assert!(
        !preflight("https://evil.example.com")
            .await
            .contains_key("access-control-allow-origin")
    );
    let body = json!({"payload": "x"});
    let (status, headers, _) = front
        .post_with("/tasks", &[("origin", origin)], &body)
        .await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(headers["access-control-allow-origin"], origin);
    let exposed = headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("x-request-id"), "{exposed}");
    assert!(
        headers["vary"]
            .to_str()
            .unwrap()
            .to_lowercase()
            .contains("origin")
    );
    let off = Service::front_end(&["tasks"]).await;
    let (_, headers, _) = off.post_with("/tasks", &[("origin", origin)], &body).await;
    assert!(!headers.contains_key("access-control-allow-origin"));
}
