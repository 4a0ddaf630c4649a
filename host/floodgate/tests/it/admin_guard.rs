//! Who may call the admin API.

use std::sync::Arc;
use std::time::Duration;

use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::host::{DEADLINE, Ground, MEMPOOL_RISK, Site};
use crate::support::{self, Floodgate, request};

const TOKEN: &str = "a-token-for-tests-only";
const JSON: (&str, &str) = ("content-type", "application/json");

/// In one process on a database file.
struct Guarded {
    _site: Site,
    floodgate: Floodgate,
    admin: String,
}

impl Guarded {
    async fn start(arguments: &[&str]) -> Self {
        Self::start_in(arguments, &[]).await
    }

    async fn start_in(arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let site = Site::on(Ground::embedded().await).with_oracle(MEMPOOL_RISK);
        let mut floodgate = site.serve_in("all", arguments, env);
        let admin = floodgate.admin_url().await;
        Self {
            admin: admin.replace("0.0.0.0", "127.0.0.1"),
            floodgate,
            _site: site,
        }
    }

    async fn call(
        &self,
        call: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, HeaderMap, Value) {
        let (method, path) = call.split_once(' ').unwrap();
        let url = format!("{}{path}", self.admin);
        let (status, headers, body) = request(method, &url, headers, body.to_owned()).await;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        (status, headers, body)
    }

    fn cli(&self, arguments: &[&str], token: &[(&str, &str)]) -> std::process::Output {
        std::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
            .args(arguments)
            .env("FLOODGATE_ADMIN", &self.admin)
            .envs(token.iter().copied())
            .output()
            .unwrap()
    }
}

#[tokio::test]
async fn with_a_token_only_health_is_told_without_it() {
    let token = [("FLOODGATE_ADMIN_TOKEN", TOKEN)];
    let host = Guarded::start_in(&["--admin", "0.0.0.0:0"], &token).await;
    let bearer = format!("Bearer {TOKEN}");
    let wrong = format!("Bearer {TOKEN}!");
    for call in ["GET /flows", "GET /audit", "GET /metrics", "GET /nothing"] {
        let (status, headers, problem) = host.call(call, &[], "").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{call}");
        assert_eq!(headers["content-type"], "application/problem+json");
        let challenge = headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("--admin-token-file"), "{detail}");
        let (status, ..) = host.call(call, &[("authorization", &wrong)], "").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{call}");
    }
    let shown = [("authorization", &*bearer), ("host", "floodgate.internal")];
    let (status, _, flows) = host.call("GET /flows", &shown, "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(flows[0]["name"], "transactions");
    let (status, ..) = host.call("GET /healthz", &[], "").await;
    assert_eq!(status, StatusCode::OK);
    let (status, ..) = host.call("POST /healthz", &[JSON], "{}").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_command_line_shows_the_token_from_a_file_or_the_environment() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{TOKEN}\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let host = Guarded::start(&["--admin-token-file", path]).await;

    let none = host.cli(&["flows"], &[]);
    let said = String::from_utf8_lossy(&none.stderr);
    assert!(
        !none.status.success() && said.contains("--admin-token-file"),
        "{said}"
    );
    assert!(host.cli(&["health"], &[]).status.success());
    let pin = ["oracles", "unpin", "mempool-risk"];
    for (arguments, token) in [
        (vec!["flows", "--admin-token-file", path], vec![]),
        (vec!["flows"], vec![("FLOODGATE_ADMIN_TOKEN_FILE", path)]),
        (vec!["flows"], vec![("FLOODGATE_ADMIN_TOKEN", TOKEN)]),
        (pin.to_vec(), vec![("FLOODGATE_ADMIN_TOKEN", TOKEN)]),
    ] {
        let output = host.cli(&arguments, &token);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} {token:?}: {stderr}");
    }
    let log = host.floodgate.stderr();
    assert!(log.contains("unpin"), "it says what was done: {log}");
    assert!(!log.contains(TOKEN));
}

#[tokio::test]
async fn an_address_that_others_reach_is_not_bound_without_a_token() {
    let short = [("FLOODGATE_ADMIN_TOKEN", "short")];
    for (arguments, env, said) in [
        (vec!["--admin", "0.0.0.0:0"], &[][..], "--admin-token-file"),
        (vec!["--admin", "[::]:0"], &[], "FLOODGATE_ADMIN_TOKEN"),
        (vec![], &short, "at least 16"),
        (vec!["--admin-token-file", "/nowhere"], &[], "/nowhere"),
    ] {
        let site = Site::on(Ground::embedded().await);
        let mut floodgate = site.serve_in("all", &arguments, env);
        assert_eq!(floodgate.wait_exit().await, 1, "{arguments:?}");
        support::eventually(DEADLINE, said, async || floodgate.stderr().contains(said)).await;
        assert!(!floodgate.stdout().contains("admin on"), "{arguments:?}");
    }
}

#[tokio::test]
async fn no_flag_shows_the_token_in_the_list_of_processes() {
    let site = Site::on(Ground::embedded().await);
    let mut floodgate = site.serve_with("all", &["--admin-token", TOKEN]);
    assert_eq!(floodgate.wait_exit().await, 2);
}

#[tokio::test]
async fn without_a_token_a_foreign_name_is_not_answered() {
    let host = Guarded::start(&[]).await;
    for call in ["GET /flows", "GET /healthz", "POST /dead/purge"] {
        let foreign = [("host", "evil.example:9090"), JSON];
        let (status, headers, problem) = host.call(call, &foreign, "{}").await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{call}");
        assert_eq!(headers["content-type"], "application/problem+json");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("--admin-token-file"), "{detail}");
    }
    for own in ["localhost:1234", "[::1]:9090", "127.0.0.1"] {
        let (status, ..) = host.call("GET /flows", &[("host", own)], "").await;
        assert_eq!(status, StatusCode::OK, "{own}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let host = Guarded::start(&[]).await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let origin = ("origin", "https://evil.example");
    let site = ("sec-fetch-site", "same-site");
    for path in [
        "/oracles/mempool-risk/rollback",
        "/oracles/mempool-risk/unpin",
        "/dead/purge",
    ] {
        let call = format!("POST {path}");
        for (headers, refused) in [
            (vec![form], StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (vec![], StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (vec![JSON, origin], StatusCode::FORBIDDEN),
            (vec![JSON, site], StatusCode::FORBIDDEN),
        ] {
            let (status, ..) = host.call(&call, &headers, "{}").await;
            assert_eq!(status, refused, "{call} {headers:?}");
        }
        // A browser asks first; without these headers in the answer it goes no further.
        let asks = [origin, ("access-control-request-method", "POST")];
        let (status, headers, _) = host.call(&format!("OPTIONS {path}"), &asks, "").await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let named = |name: &hyper::header::HeaderName| name.as_str().to_owned();
        let cors = headers
            .keys()
            .map(named)
            .find(|name| name.starts_with("access-control"));
        assert_eq!(cors, None);
    }
    let (_, _, audit) = host.call("GET /audit", &[], "").await;
    assert_eq!(audit, json!([]), "what was not let in changed nothing");
    let own = ("origin", &*host.admin);
    let (status, ..) = host
        .call("POST /oracles/mempool-risk/unpin", &[JSON, own], "{}")
        .await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_tells_a_browser_to_be_careful() {
    let host = Guarded::start(&[]).await;
    for (call, headers) in [
        ("GET /flows", vec![]),
        ("GET /nothing", vec![]),
        ("GET /flows", vec![("host", "evil.example")]),
    ] {
        let (_, headers, _) = host.call(call, &headers, "").await;
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    }
}

#[tokio::test]
async fn clients_that_never_finish_a_call_are_not_waited_for() {
    let host = Guarded::start(&[]).await;
    let address = host.admin.strip_prefix("http://").unwrap();
    let head = format!("POST /dead/purge HTTP/1.1\r\nhost: {address}\r\n");
    let body = format!("{head}content-type: application/json\r\ncontent-length: 9\r\n\r\n{{");
    let left = async |begun: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut said = String::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut said)).await;
        ended.expect("the connection is closed").unwrap();
        said
    };
    let (silent, slow_head, slow_body) = tokio::join!(left(""), left(&head), left(&body));
    assert_eq!(silent, "");
    assert_eq!(slow_head, "", "no answer to half a head");
    assert!(slow_body.starts_with("HTTP/1.1 408 "), "{slow_body}");
}

/// More than the address takes at a time, none of which says all of its head.
#[tokio::test]
async fn half_heads_do_not_shut_the_address() {
    let host = Guarded::start(&[]).await;
    let address = host.admin.strip_prefix("http://").unwrap();
    let mut held = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _closed = stream.write_all(b"GET /metrics HTTP/1.1\r\n").await;
        held.push(stream);
    }
    // Well before their heads are given up.
    support::eventually(Duration::from_secs(5), "others are answered", async || {
        let url = format!("{}/metrics", host.admin);
        let answer = support::try_request("GET", &url, &[], "").await;
        answer.is_ok_and(|(status, ..)| status == StatusCode::OK)
    })
    .await;
}

#[tokio::test]
async fn calls_that_are_refused_are_counted_and_not_written_down_one_by_one() {
    let host = Guarded::start(&[]).await;
    for _ in 0..50 {
        let foreign = [("host", "evil.example")];
        let (status, ..) = host.call("GET /flows", &foreign, "").await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    }
    let url = format!("{}/metrics", host.admin);
    let (_, _, metrics) = support::request("GET", &url, &[], "").await;
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    let counted = r#"floodgate_admin_calls_refused_total{reason="foreign-host"} 50"#;
    assert!(metrics.contains(counted), "{metrics}");
    let log = host.floodgate.stderr();
    assert_eq!(log.matches("evil.example").count(), 0);
    let of_audit = log.matches("\"target\":\"audit\"").count();
    assert_eq!(of_audit, 1, "{log}");
}

/// As many as the address takes at a time, none of which reads its answers.
#[tokio::test]
async fn whoever_takes_no_answer_does_not_shut_the_address() {
    let host = Guarded::start(&[]).await;
    let address = host.admin.strip_prefix("http://").unwrap().parse().unwrap();
    let request = format!("GET /dashboard/style.css HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let requests: Arc<str> = request.repeat(2000).into();
    let mut stuck = JoinSet::new();
    for _ in 0..256 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let requests = Arc::clone(&requests);
        stuck.spawn(async move {
            let _broken_off = stream.write_all(requests.as_bytes()).await;
            // Held until the test ends.
            std::future::pending::<()>().await;
            drop(stream);
        });
    }
    support::eventually(DEADLINE, "others are answered", async || {
        let url = format!("{}/flows", host.admin);
        let call = support::try_request("GET", &url, &[], "");
        let answer = tokio::time::timeout(Duration::from_secs(1), call).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|(status, ..)| status == StatusCode::OK))
    })
    .await;
}
