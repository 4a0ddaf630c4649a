//! The program, over HTTP.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::rig::{Rig, events};

pub struct Service {
    child: Child,
    address: String,
    out: BufReader<ChildStdout>,
}

impl Service {
    pub fn start(rig: &Rig, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_floodgate-archive"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(rig.dir.path())
            .arg("--flows")
            .arg(&rig.flows)
            .args(arguments)
            .env_clear()
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on http://")
            .unwrap()
            .to_owned();
        Self {
            child,
            address,
            out,
        }
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost");
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(request.body(Full::from(body)).unwrap()).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> (StatusCode, Value) {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let response = send.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// As an init system ends it; whether it ended well.
    pub fn stop(mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.out, &mut rest).unwrap();
        assert_eq!(rest, "", "nothing but the address is printed");
        self.child.wait().unwrap().success()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Where it has ended, there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn query(sql: &str) -> Option<Value> {
    Some(json!({"flow": "events", "sql": sql, "cache_ms": 60000}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_service_answers_moves_and_stops() {
    let rig = Rig::embedded();
    rig.keep("events", &events()).await;
    let service = Service::start(&rig, &[]);
    let (status, health) = service.call("GET", "/healthz", None).await;
    assert_eq!(status, StatusCode::OK, "{health}");
    assert_eq!(health["ledger"], "embedded");
    assert!(
        health["cold"].as_str().unwrap().starts_with("file:///"),
        "{health}"
    );

    let count = "SELECT day AS d, count(*) AS n FROM events WHERE day = '2026-01-02' GROUP BY day";
    let (status, before) = service.call("POST", "/query", query(count)).await;
    assert_eq!(status, StatusCode::OK, "{before}");
    assert_eq!(before["rows"], json!([["2026-01-02", 60]]));
    let columns = json!([{"name": "d", "type": "date"}, {"name": "n", "type": "integer"}]);
    assert_eq!(before["columns"], columns);
    assert_eq!(before["cached"], false);
    let (_, again) = service.call("POST", "/query", query(count)).await;
    assert_eq!(again["cached"], true);
    assert_eq!(again["rows"], before["rows"]);

    let (status, report) = service.call("POST", "/run", Some(json!({}))).await;
    assert_eq!(status, StatusCode::OK, "{report}");
    assert_eq!(report["moved"].as_array().unwrap().len(), 6, "{report}");
    let explained = json!({"flow": "events", "sql": count, "explain": true});
    let (_, after) = service.call("POST", "/query", Some(explained)).await;
    assert_eq!(after["rows"], before["rows"]);
    assert_eq!(after["scanned"]["files"], 1);
    assert!(
        after["plan"].as_str().unwrap().contains("DataSourceExec"),
        "{after}"
    );

    let file = rig.ledger.moved("events", "e-1-1").await.unwrap().unwrap();
    let (_, entry) = service
        .call("GET", &format!("/entries/events/{file}/e-1-1"), None)
        .await;
    assert_eq!(entry["label_name"], "HIGH", "{entry}");
    let (status, _) = service
        .call("GET", &format!("/entries/events/{file}/none"), None)
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let erase = json!({"flow": "events", "id": "e-1-1"});
    let (status, erased) = service.call("POST", "/erase", Some(erase.clone())).await;
    assert_eq!(
        (status, erased["files"].as_array().unwrap().len()),
        (StatusCode::OK, 1)
    );
    assert_eq!(
        service.call("POST", "/erase", Some(erase)).await.1,
        json!({"files": []})
    );

    let (_, metrics) = service.call("GET", "/metrics", None).await;
    assert!(
        metrics
            .as_str()
            .unwrap()
            .contains("floodgate_archive_queries_total"),
        "{metrics}"
    );
    assert!(service.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_wrong_is_said_as_a_problem() {
    let rig = Rig::embedded();
    let service = Service::start(&rig, &[]);
    let plan = |sql: &str| Some(json!({"flow": "events", "sql": sql, "parameters": {}}));
    for (path, body, expected) in [
        (
            "/query",
            query("DELETE FROM events"),
            StatusCode::BAD_REQUEST,
        ),
        (
            "/query",
            query("SELECT $x"),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "/query",
            Some(json!({"flow": "x", "sql": "SELECT 1"})),
            StatusCode::NOT_FOUND,
        ),
        (
            "/query",
            Some(json!({"sql": "SELECT 1"})),
            StatusCode::BAD_REQUEST,
        ),
        (
            "/query",
            query("SELECT value FROM generate_series(0, 100000)"),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            "/plan",
            plan("SELECT nothing FROM events"),
            StatusCode::BAD_REQUEST,
        ),
        ("/plan", plan("SELECT user_id FROM events"), StatusCode::OK),
    ] {
        let (status, problem) = service.call("POST", path, body).await;
        assert_eq!(status, expected, "{problem}");
        if status != StatusCode::OK {
            assert_eq!(problem["status"], expected.as_u16());
            assert!(problem["detail"].is_string(), "{problem}");
        }
    }
    let (_, problem) = service.call("POST", "/query", query("SELECT $x")).await;
    assert_eq!(problem["errors"][0]["parameter"], "x");
    let long = json!({
        "flow": "events",
        "sql": "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b WHERE a.value % 7 = b.value % 5",
        "timeout_ms": 200,
    });
    assert_eq!(
        service.call("POST", "/query", Some(long)).await.0,
        StatusCode::GATEWAY_TIMEOUT
    );
    let foreign = Request::builder()
        .uri("/healthz")
        .header("host", "example.org");
    let (status, _) = service.send(foreign.body(Full::default()).unwrap()).await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(
        service.call("GET", "/query", None).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert!(service.stop());
}

/// The host erases in the ledger, and then says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_that_is_kept_does_not_quote_what_was_erased() {
    let rig = Rig::embedded();
    rig.keep("events", &events()[..1]).await;
    let service = Service::start(&rig, &[]);
    let asked = async || {
        let body = query("SELECT body FROM events");
        let (status, answer) = service.call("POST", "/query", body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let body = answer["rows"][0][0].as_str().unwrap_or_default();
        (body.contains("e-1-0"), answer["cached"].clone())
    };
    assert_eq!(asked().await, (true, json!(false)));
    rig.run("UPDATE decisions SET body = 'null', erased_at = 1")
        .await;
    assert_eq!(
        asked().await,
        (true, json!(true)),
        "it is not computed anew"
    );
    let (status, said) = service.call("POST", "/forget", Some(json!({}))).await;
    assert_eq!((status, said), (StatusCode::OK, json!({})));
    assert_eq!(asked().await, (false, json!(false)));
    assert_eq!(
        service.call("GET", "/forget", None).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broken_flow_file_stops_no_other_flow_and_is_told() {
    let kept = "[keep]\nwhen = \"always\"\nhot = \"7d\"\n";
    let rig = Rig::embedded().with_flow("events", kept);
    rig.keep("events", &events()).await;
    std::fs::write(rig.flows.join("broken.toml"), "[keep").unwrap();
    let service = Service::start(&rig, &[]);
    let names_it = |said: &Value| said.to_string().contains("broken.toml");

    let count = query("SELECT count(*) FROM events");
    let (status, answer) = service.call("POST", "/query", count).await;
    assert_eq!((status, &answer["rows"]), (StatusCode::OK, &json!([[360]])));
    let of_broken = json!({"flow": "broken", "sql": "SELECT 1"});
    let (status, problem) = service.call("POST", "/query", Some(of_broken)).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(names_it(&problem), "{problem}");

    let (status, report) = service.call("POST", "/run", Some(json!({}))).await;
    assert_eq!(status, StatusCode::OK, "{report}");
    assert_eq!(report["moved"].as_array().unwrap().len(), 6, "{report}");
    assert_eq!(report["problems"].as_array().unwrap().len(), 1);
    assert!(names_it(&report["problems"]), "{report}");
    std::fs::write(rig.flows.join("events.toml"), "[keep").unwrap();
    let erase = json!({"flow": "events", "id": "e-1-1"});
    let (status, erased) = service.call("POST", "/erase", Some(erase)).await;
    assert_eq!(status, StatusCode::OK, "{erased}");
    assert_eq!(erased["files"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_else_is_let_near_it_without_a_token() {
    let rig = Rig::embedded();
    let refused = Command::new(env!("CARGO_BIN_EXE_floodgate-archive"))
        .args(["serve", "--listen", "0.0.0.0:0", "--data-dir"])
        .arg(rig.dir.path())
        .env_clear()
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("--token-file"), "{error}");

    let file = rig.dir.path().join("token");
    std::fs::write(&file, "0123456789abcdef\n").unwrap();
    let service = Service::start(&rig, &["--token-file", file.to_str().unwrap()]);
    assert_eq!(
        service.call("POST", "/query", query("SELECT 1")).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        service.call("GET", "/healthz", None).await.0,
        StatusCode::OK
    );
    assert_eq!(
        service.call("GET", "/readyz", None).await.0,
        StatusCode::UNAUTHORIZED
    );
    for path in ["/metrics", "/readyz"] {
        let shown = Request::builder()
            .uri(path)
            .header("host", "elsewhere")
            .header("authorization", "Bearer 0123456789abcdef");
        let (status, _) = service.send(shown.body(Full::default()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}");
    }
}
