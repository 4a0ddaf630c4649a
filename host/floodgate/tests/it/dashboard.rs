//! The page at the admin address, and what it is told.

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::host::{DEADLINE, Ground, Host, MEMPOOL_RISK, Site, UNIFORM_RISK};
use crate::host::{drainer, get, post, transaction};
use crate::support::{self, request};

/// `GET /stream`, as a page follows it.
struct Stream {
    body: Incoming,
    text: String,
}

impl Stream {
    async fn open(admin: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::get(format!("{admin}/stream"));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next snapshot; `None` when the stream ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.split_once("data: ").map(|(_, data)| data.to_owned());
                self.text = rest.to_owned();
                match data {
                    Some(data) => return Some(serde_json::from_str(&data).unwrap()),
                    None => continue,
                }
            }
            let frame = self.body.frame().await?.ok()?.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&frame).unwrap());
        }
    }

    /// The first snapshot that is as it should be.
    async fn until(&mut self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let snapshot = self.next().await.unwrap();
                if holds(&snapshot) {
                    return snapshot;
                }
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.unwrap_or_else(|_| panic!("it never came to: {what}"))
    }
}

fn flow(snapshot: &Value) -> &Value {
    &snapshot["flows"]["known"][0]
}

async fn snapshots_tell_the_truth_after_posts_and_after_a_restart(ground: Ground) {
    let mut host = Host::start_with(ground, MEMPOOL_RISK).await;
    let mut stream = Stream::open(&host.admin).await;
    let first = stream.next().await.unwrap();
    assert_eq!(flow(&first)["decided"], 0);
    assert_eq!(first["parts"]["known"]["status"], "ok");
    host.accepted(&drainer(1)).await;
    host.accepted(&transaction(2, "0x", 30)).await;
    let both = |snapshot: &Value| flow(snapshot)["decided"] == 2;
    let decided = stream
        .until("both are decided, and how fast", |snapshot| {
            both(snapshot) && flow(snapshot)["p99_ms"].is_u64()
        })
        .await;
    assert_eq!(flow(&decided)["open"], 0);
    assert!(flow(&decided)["settled_per_s"].as_f64().unwrap() > 0.0);
    let is_told = |snapshot: &Value| {
        let high = snapshot["high"]["known"].as_array().unwrap();
        assert_eq!(high.len(), 1, "{high:?}");
        assert_eq!(high[0]["id"], drainer(1)["tx_hash"]);
        assert_eq!(high[0]["reasons"][0], "gas-price-spike");
    };
    is_told(&decided);
    let oracle = &decided["oracles"]["known"][0];
    assert_eq!(oracle["entries"], 2);
    assert!(oracle["judging_us"].as_u64().unwrap() > 0);

    host.floodgate.sigterm();
    assert_eq!(host.floodgate.wait_exit().await, 0);
    while stream.next().await.is_some() {}
    let host = Host::start_on(host.site).await;
    let mut stream = Stream::open(&host.admin).await;
    let again = stream.next().await.unwrap();
    assert!(both(&again), "{again}");
    is_told(&again);
}

#[tokio::test]
async fn snapshots_tell_the_truth_on_servers() {
    snapshots_tell_the_truth_after_posts_and_after_a_restart(Ground::servers().await).await;
}

#[tokio::test]
async fn snapshots_tell_the_truth_on_a_file() {
    snapshots_tell_the_truth_after_posts_and_after_a_restart(Ground::embedded().await).await;
}

#[tokio::test]
async fn a_refused_swap_is_told_with_its_reason_until_the_file_is_good_again() {
    let host = Host::start_with(Ground::embedded().await, MEMPOOL_RISK).await;
    let mut stream = Stream::open(&host.admin).await;
    let oracle = |snapshot: &Value| snapshot["oracles"]["known"][0].clone();
    let before = stream
        .until("it is in force", |snapshot| {
            oracle(snapshot)["digest"].is_string()
        })
        .await;
    host.drop("README.md");
    let refused = stream
        .until("the swap is refused", |snapshot| {
            oracle(snapshot)["refused"].is_object()
        })
        .await;
    assert_eq!(oracle(&refused)["digest"], oracle(&before)["digest"]);
    let error = oracle(&refused)["refused"]["error"].to_string();
    assert!(error.contains("mempool-risk.wasm"), "{error}");
    host.drop(UNIFORM_RISK);
    let swapped = stream
        .until("another one is taken", |snapshot| {
            oracle(snapshot)["digest"] != oracle(&before)["digest"]
        })
        .await;
    assert_eq!(oracle(&swapped).get("refused"), Some(&Value::Null));
    let since = |snapshot: &Value| oracle(snapshot)["since"].as_str().unwrap().to_owned();
    assert_ne!(since(&swapped), since(&before));
}

#[tokio::test]
async fn many_pages_are_told_the_same() {
    let host = Host::start_with(Ground::embedded().await, MEMPOOL_RISK).await;
    let mut first = Stream::open(&host.admin).await;
    let mut second = Stream::open(&host.admin).await;
    // A page that is slow to read misses one, and sees the next.
    let same = async {
        let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
        let at = |snapshot: Option<Value>| snapshot.unwrap()["at"].as_str().unwrap().to_owned();
        while !of_first.iter().any(|at| of_second.contains(at)) {
            of_first.push(at(first.next().await));
            of_second.push(at(second.next().await));
        }
    };
    tokio::time::timeout(DEADLINE, same).await.unwrap();
}

#[tokio::test]
async fn the_page_is_served_whole_and_closed_to_whatever_is_not_its_own() {
    let host = Host::start_with(Ground::embedded().await, MEMPOOL_RISK).await;
    let (status, headers, page) = request("GET", &host.admin, &[], "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"));
    let page = String::from_utf8(page.to_vec()).unwrap();
    let mut files: Vec<String> = page
        .split('"')
        .filter(|part| part.starts_with("/dashboard/"))
        .map(str::to_owned)
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
    let mut seen = 0;
    while let Some(file) = files.get(seen).cloned() {
        let url = format!("{}{file}", host.admin);
        let (status, headers, text) = request("GET", &url, &[], "").await;
        assert_eq!(status, StatusCode::OK, "{file}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let tag = headers["etag"].to_str().unwrap().to_owned();
        let (status, _, nothing) = request("GET", &url, &[("if-none-match", &tag)], "").await;
        assert_eq!((status, nothing.len()), (StatusCode::NOT_MODIFIED, 0));
        let text = String::from_utf8(text.to_vec()).unwrap();
        for module in text.split("from \"./").skip(1) {
            let (module, _) = module.split_once('"').unwrap();
            let module = format!("/dashboard/{module}");
            if !files.contains(&module) {
                files.push(module);
            }
        }
        seen += 1;
    }
    assert!(seen > 10, "{files:?}");
}

#[tokio::test]
async fn a_sample_of_each_flow_is_accepted_by_way_of_the_admin_address_and_can_be_followed() {
    let names = ["credit", "posting", "tasks", "transactions"];
    let site = Site::of_flows(Ground::embedded().await, &names);
    for name in ["age-rule", "value-rule", "task-echo", "mempool-risk"] {
        site.drop_as(name, &format!("plugins/dist/{name}.wasm"));
    }
    let host = Host::start_on(site).await;
    for name in names {
        let sample = host.get(&format!("/flows/{name}/sample")).await;
        let url = format!("{}/flows/{name}/post", host.admin);
        let (_, posted) = post(&url, &sample["body"]).await;
        assert!(posted["status"].as_u64().unwrap() < 300, "{name}: {posted}");
        let id = posted["id"].as_str().unwrap();
        support::eventually(DEADLINE, "it is decided", async || {
            let why = get(&host.admin, &format!("/why/{name}/{id}")).await;
            why["state"] == "decided"
        })
        .await;
        // A new one each time; where the id is in the body, sending it again is a replay.
        let (_, again) = post(&url, &sample["body"]).await;
        let in_the_body = ["posting", "transactions"].contains(&name);
        assert_eq!(again["replayed"], json!(in_the_body), "{name}");
        let another = host.get(&format!("/flows/{name}/sample")).await;
        assert_eq!(another["body"] != sample["body"], in_the_body, "{name}");
    }
    let url = format!("{}/flows/transactions/post", host.admin);
    let (status, refused) = post(&url, &json!({"tx_hash": "0x1"})).await;
    assert_eq!((status, &refused["status"]), (StatusCode::OK, &json!(422)));
    assert_eq!(refused["body"]["status"], 422);
}

#[tokio::test]
async fn what_is_posted_again_with_its_idempotency_key_is_taken_once() {
    let site = Site::of_flows(Ground::embedded().await, &["tasks"]);
    site.drop_as("task-echo", "plugins/dist/task-echo.wasm");
    let host = Host::start_on(site).await;
    let body = host.get("/flows/tasks/sample").await["body"].to_string();
    let url = format!("{}/flows/tasks/post", host.admin);
    let posted = async |key: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let (_, _, answer) = request("POST", &url, &headers, body.clone()).await;
        serde_json::from_slice::<Value>(&answer).unwrap()
    };
    let first = support::eventually_some(DEADLINE, "it is taken", async || {
        let first = posted("click-1-of-this-very-page").await;
        (first["status"] == 201).then_some(first)
    })
    .await;
    let again = posted("click-1-of-this-very-page").await;
    assert_eq!(
        (&again["id"], &again["replayed"]),
        (&first["id"], &json!(true))
    );
    let another = posted("click-2-of-this-very-page").await;
    assert_ne!(another["id"], first["id"]);
    assert_eq!(another["replayed"], false);
}

#[tokio::test]
async fn a_worker_says_that_it_has_no_front_end_to_post_to() {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK);
    let mut worker = site.serve("worker");
    let admin = worker.admin_url().await;
    let url = format!("{admin}/flows/transactions/post");
    let (status, problem) = post(&url, &drainer(1)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        problem["detail"].as_str().unwrap().contains("--role"),
        "{problem}"
    );
    let mut stream = Stream::open(&admin).await;
    assert_eq!(stream.next().await.unwrap()["front_end"], false);
}
