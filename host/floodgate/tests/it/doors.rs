//! Who gets through which door: pages of other origins, hosts without a name,
//! keys of other owners.

use std::path::Path;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::StatusCode;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::host::{DEADLINE, Ground, Site};
use crate::services::Service;
use crate::support;

/// What is said to these bytes until the connection is closed.
async fn raw(address: &str, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let read = stream.read_to_end(&mut said);
    tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
    String::from_utf8(said).unwrap()
}

/// Waits until the flow at this path has its oracle.
async fn until_open(url: &str, path: &str) {
    let url = format!("{url}{path}");
    support::eventually(DEADLINE, "the flow admits", async || {
        let (status, ..) = support::request("POST", &url, &[], "{}").await;
        status == StatusCode::UNPROCESSABLE_ENTITY
    })
    .await;
}

#[tokio::test]
async fn a_page_of_another_origin_posts_nothing() {
    let site = Service::site_on(Ground::embedded().await, &["tasks"]);
    let front = Service::start_on(site).await;
    until_open(&front.url, "/tasks").await;
    let body = json!({"payload": "text"}).to_string();
    let host = front.url.strip_prefix("http://").unwrap();
    let elsewhere = [("origin", "https://evil.example")];
    // A Blob without a type, sent with `no-cors` or by sendBeacon, has no
    // Content-Type; of a page within a file the origin is null.
    for headers in [
        vec![("sec-fetch-site", "cross-site"), elsewhere[0]],
        vec![("sec-fetch-site", "same-site")],
        vec![elsewhere[0], ("content-type", "application/json")],
        vec![("origin", "null")],
        vec![("origin", "http://127.0.0.1:1")],
    ] {
        let (status, answer, problem) = front
            .request("POST", "/tasks", &headers, body.clone())
            .await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{headers:?}");
        assert_eq!(problem["type"], "urn:floodgate:problem:foreign-origin");
        assert!(!answer.contains_key("access-control-allow-origin"));
    }
    let refused = "floodgate_requests_refused_total{flow=\"tasks\",reason=\"foreign-origin\"} 5";
    let url = format!("{}/metrics", front.admin);
    let (_, _, metrics) = support::request("GET", &url, &[], String::new()).await;
    assert!(String::from_utf8_lossy(&metrics).contains(refused));
    let own = format!("http://{host}");
    for (taken, headers) in [
        vec![],
        vec![("sec-fetch-site", "same-origin"), elsewhere[0]],
        vec![("sec-fetch-site", "none")],
        vec![("origin", &*own)],
    ]
    .into_iter()
    .enumerate()
    {
        let (status, _, answer) = front
            .request("POST", "/tasks", &headers, body.clone())
            .await;
        assert_eq!(status, StatusCode::CREATED, "{headers:?}");
        assert_eq!(answer["task_id"], taken + 1, "nothing else was taken");
    }
}

#[tokio::test]
async fn pages_that_cors_allows_may_post_those_of_files_too() {
    let site = Service::site_on(Ground::embedded().await, &["tasks"]);
    let named = "https://app.example,null";
    let mut floodgate = site.serve_with("all", &["--cors-origin", named]);
    let url = floodgate.url().await;
    until_open(&url, "/tasks").await;
    let url = format!("{url}/tasks");
    let post = async |origin: &str| {
        let headers = [("origin", origin), ("sec-fetch-site", "cross-site")];
        let body = json!({"payload": "text"}).to_string();
        support::request("POST", &url, &headers, body).await
    };
    for origin in ["https://app.example", "null"] {
        let (status, headers, _) = post(origin).await;
        assert_eq!(status, StatusCode::CREATED, "{origin}");
        assert_eq!(headers["access-control-allow-origin"], origin);
    }
    let (status, headers, _) = post("https://evil.example").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(!headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn http_1_1_needs_a_host_and_no_other_version_does() {
    let site = Service::site_on(Ground::embedded().await, &["tasks"]);
    let front = Service::start_on(site).await;
    for address in [&front.url, &front.admin] {
        let address = address.strip_prefix("http://").unwrap();
        for (head, status) in [
            ("GET /healthz HTTP/1.1\r\nconnection: close", 400),
            (
                "GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\nconnection: close",
                400,
            ),
            (
                "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close",
                200,
            ),
            ("GET /healthz HTTP/1.0", 200),
        ] {
            let said = raw(address, &format!("{head}\r\n\r\n")).await;
            let (line, _) = said.split_once("\r\n").unwrap();
            assert_eq!(
                line.split(' ').nth(1),
                Some(&*status.to_string()),
                "{head:?}: {said}"
            );
            if status == 400 {
                let head = said.to_lowercase();
                assert!(
                    head.contains("content-type: application/problem+json"),
                    "{said}"
                );
                assert!(head.contains("x-request-id: "), "{said}");
            }
        }
    }
    // Its requests name their authority, and have no Host.
    let mut client = Client::builder(TokioExecutor::new());
    let client = client.http2_only(true).build_http::<Empty<Bytes>>();
    let url = format!("{}/healthz", front.url).parse().unwrap();
    assert_eq!(client.get(url).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_idempotency_key_that_others_can_guess_is_refused_where_ids_are_generated() {
    let site = Service::site_on(
        Ground::embedded().await,
        &["tasks", "credit", "transactions"],
    );
    let front = Service::start_on(site).await;
    for path in ["/tasks", "/credit-request", "/transactions"] {
        until_open(&front.url, path).await;
    }
    let post = async |path: &str, key: &str, body: &Value| {
        let (status, _, answer) = front
            .post_with(path, &[("idempotency-key", key)], body)
            .await;
        (status, answer)
    };
    let long = "k".repeat(22);
    for (path, body) in [
        ("/tasks", json!({"payload": "text"})),
        ("/credit-request", json!({"age": 20, "value": 1})),
    ] {
        for short in ["1", &long[1..]] {
            let (status, problem) = post(path, short, &body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
            let kind = "urn:floodgate:problem:guessable-idempotency-key";
            assert_eq!(problem["type"], kind);
        }
        assert!(post(path, &long, &body).await.0.is_success(), "{path}");
    }
    let body = crate::host::drainer(1);
    let (status, _) = post("/transactions", "1", &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "the body has the id");
}

/// Makes a key, and adds its line to a key file.
fn new_key(file: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["keys", "new", "--file", file.to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The flow `tasks`, for holders of keys.
fn keyed_tasks(ground: Ground, more: &str, open: bool) -> Site {
    let site = Service::site_on(ground, &["tasks"]);
    site.rewrite_flow("tasks", |text| {
        let text = text.replace(
            "generate = \"sequence\" }",
            &format!("generate = \"sequence\" }}\nkeys = true\n{more}"),
        );
        match open {
            true => text
                .replace("[track]\n", "[track]\nopen = true\n")
                .replace("[[health]]\n", "[[health]]\nopen = true\n"),
            false => text,
        }
    });
    site
}

async fn an_entry_is_shown_to_its_owner_alone_whichever_key_that_has(ground: Ground) {
    let site = keyed_tasks(ground, "", false);
    let file = site.flows.path().join("keys");
    let path = file.to_str().unwrap();
    let shop = new_key(&file, &["shop"]);
    let till = new_key(&file, &["till"]);
    let next = new_key(&file, &["shop-2", "--owner", "shop", "--flow", "tasks"]);
    let other = new_key(&file, &["other", "--flow", "events"]);
    let service = Service::start_keyed(site, &["--keys-file", path]).await;
    let get = async |path: &str, key: Option<&str>| {
        let headers: Vec<_> = key.map(|key| ("x-api-key", key)).into_iter().collect();
        service.request("GET", path, &headers, String::new()).await
    };
    let body = json!({"payload": "mine"});
    let idempotent = [("x-api-key", &*shop), ("idempotency-key", "1")];
    let first = support::eventually_some(DEADLINE, "it is taken", async || {
        let (status, _, answer) = service.post_with("/tasks", &idempotent, &body).await;
        (status == StatusCode::CREATED).then_some(answer)
    })
    .await;
    let path = format!("/tasks/{}", first["task_id"]);
    for path in [&*path, "/health"] {
        let (status, headers, problem) = get(path, None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(headers.contains_key("www-authenticate"));
        assert_eq!(problem["type"], "urn:floodgate:problem:unauthorized");
        assert_eq!(get(path, Some("fgk_no")).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(get(path, Some(&other)).await.0, StatusCode::FORBIDDEN);
    }
    // Until it is kept, while it is, and when nobody but the ledger knows it.
    for state in ["at once", "kept"] {
        if state == "kept" {
            support::eventually(DEADLINE, "it is done", async || {
                get(&path, Some(&shop)).await.2["status"] == "done"
            })
            .await;
        }
        for key in [&shop, &next] {
            let (status, headers, page) = get(&path, Some(key)).await;
            assert_eq!(status, StatusCode::OK, "{state}");
            assert_eq!(page["payload"], "mine");
            assert_eq!(headers["cache-control"], "no-store");
        }
        let (status, _, hidden) = get(&path, Some(&till)).await;
        let (_, _, unknown) = get("/tasks/99999", Some(&till)).await;
        assert_eq!(
            (status, &hidden),
            (StatusCode::NOT_FOUND, &unknown),
            "{state}"
        );
        assert_eq!(hidden["detail"], "Task not found");
    }
    assert_eq!(get("/health", Some(&till)).await.0, StatusCode::OK);
    // After a rotation the same Idempotency-Key means the same; another owner's
    // does not.
    for (key, same) in [(&next, true), (&till, false)] {
        let headers = [("x-api-key", &**key), ("idempotency-key", "1")];
        let (_, headers, again) = service.post_with("/tasks", &headers, &body).await;
        assert_eq!(again == first, same);
        assert_eq!(headers.contains_key("idempotent-replayed"), same);
    }
    if let Ground::Servers { redis, .. } = &service.site.ground {
        let client = redis::Client::open(&**redis).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let forget = redis::cmd("FLUSHDB").query_async(&mut connection).await;
        let () = forget.unwrap();
        let (status, _, page) = get(&path, Some(&next)).await;
        assert_eq!((status, &page["payload"]), (StatusCode::OK, &json!("mine")));
        assert_eq!(get(&path, Some(&till)).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn on_servers_an_entry_is_shown_to_its_owner_alone() {
    let ground = Ground::servers().await;
    an_entry_is_shown_to_its_owner_alone_whichever_key_that_has(ground).await;
}

#[tokio::test]
async fn on_a_file_an_entry_is_shown_to_its_owner_alone() {
    let ground = Ground::embedded().await;
    an_entry_is_shown_to_its_owner_alone_whichever_key_that_has(ground).await;
}

#[tokio::test]
async fn the_first_sender_owns_an_id_and_the_same_body_of_another_is_a_replay() {
    let site = Service::site_on(Ground::embedded().await, &["posting"]);
    site.rewrite_flow("posting", |text| {
        let text = text.replace("batch = ", "# batch = ");
        let text = text.replacen("[admit]\n", "[admit]\nkeys = true\n", 1);
        // Nobody is there to deliver to: it stays open.
        text.replace("localhost:8080", "127.0.0.1:9")
    });
    let file = site.flows.path().join("keys");
    let (first, second) = (new_key(&file, &["first"]), new_key(&file, &["second"]));
    let arguments = ["--keys-file", file.to_str().unwrap()];
    let service = Service::start_keyed(site, &arguments).await;
    let id = crate::downstream::id(1);
    let body = json!({
        "id": id, "amount": 100.5, "currency": "usd", "description": "rent",
        "timestamp": "2026-01-02T03:04:05Z", "metadata": {},
    });
    let path = format!("/api/transactions/{id}");
    for (key, replayed, shown) in [
        (&first, false, StatusCode::OK),
        (&second, true, StatusCode::NOT_FOUND),
    ] {
        let key = [("x-api-key", &**key)];
        let (status, headers, answer) = service.post_with("/api/transactions", &key, &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(headers.contains_key("idempotent-replayed"), replayed);
        let (status, ..) = service.request("GET", &path, &key, String::new()).await;
        assert_eq!(status, shown);
    }
}

#[tokio::test]
async fn pages_of_a_flow_with_keys_count_in_its_rate_unless_they_are_open() {
    for open in [false, true] {
        let site = keyed_tasks(Ground::embedded().await, "rate = \"2/h\"", open);
        let file = site.flows.path().join("keys");
        let key = new_key(&file, &["shop"]);
        let arguments = ["--keys-file", file.to_str().unwrap()];
        let service = Service::start_keyed(site, &arguments).await;
        let mut statuses = Vec::new();
        for path in ["/health", "/tasks/1", "/health"] {
            let key = [("x-api-key", &*key)];
            let headers = if open { &[][..] } else { &key };
            let (status, headers, _) = service.request("GET", path, headers, String::new()).await;
            assert_eq!(headers.contains_key("ratelimit"), !open, "{path}");
            statuses.push(status.as_u16());
        }
        let last = if open { 200 } else { 429 };
        assert_eq!(statuses, [200, 404, last]);
    }
}

#[tokio::test]
async fn the_description_says_which_calls_want_a_key() {
    let described = async |open: bool| {
        let site = keyed_tasks(Ground::embedded().await, "rate = \"9/s\"", open);
        let service = Service::start_keyed(site, &[]).await;
        service.get("/openapi.json").await.1["paths"].clone()
    };
    for open in [false, true] {
        let paths = described(open).await;
        let post = &paths["/tasks"]["post"];
        assert_eq!(post["security"], json!([{"ApiKey": []}]));
        assert!(post["responses"]["403"].is_object());
        for path in ["/tasks/{id}", "/health"] {
            let get = &paths[path]["get"];
            assert_eq!(get["security"].is_null(), open, "{path}");
            for status in ["401", "403", "429"] {
                assert_eq!(get["responses"][status].is_null(), open, "{path} {status}");
            }
            let headers = &get["responses"]["200"]["headers"];
            assert_eq!(headers["RateLimit"].is_null(), open, "{path}");
        }
        let page = &paths["/health"]["get"]["responses"]["503"]["content"];
        assert!(page["application/json"].is_object());
    }
}
