//! Somebody in place of floodgate-archive, and hosts before it: what the real
//! one finds is told by its own tests. Where a command is waited for, a second
//! thread answers it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::host::{Ground, Host, MEMPOOL_RISK, Site};
use crate::support;

pub const QUERY: &str = r#"
[[query]]
path = "/stats/hours"
sql = "stats/hours.sql"
reply = { from = "{from}", hours = "{rows}" }
[query.parameters]
from = { type = "date" }
"#;
pub const SQL: &str = "SELECT hour, n FROM transactions WHERE at >= $from";

/// Answers as it is told to, by the method and the beginning of the path.
pub struct Archive {
    pub url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<Vec<Told>>,
    asked: Mutex<Vec<(String, Value)>>,
}

struct Told {
    call: &'static str,
    status: u16,
    answer: Value,
    once: bool,
}

impl Told {
    fn new(call: &'static str, status: u16, answer: Value, once: bool) -> Self {
        Self {
            call,
            status,
            answer,
            once,
        }
    }
}

impl Shared {
    fn answer(&self, head: &str) -> (u16, Value) {
        let mut answers = self.answers.lock().unwrap();
        let known = answers.iter().position(|told| head.starts_with(told.call));
        match known {
            None => (404, json!({"detail": "nothing is there"})),
            Some(at) if answers[at].once => {
                let Told { status, answer, .. } = answers.remove(at);
                (status, answer)
            }
            Some(at) => (answers[at].status, answers[at].answer.clone()),
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Archive {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::<Shared>::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        let archive = Self {
            url,
            shared,
            serving,
        };
        archive.answers("GET /readyz", 200, json!({"ledger": "postgres"}));
        archive.answers("POST /run", 200, json!({"moved": []}));
        archive.answers("POST /plan", 200, json!({}));
        let found = json!({
            "columns": [{"name": "hour", "type": "time"}, {"name": "n", "type": "integer"}],
            "rows": [["2026-01-01T00:00:00Z", 7]],
            "scanned": {"files": 1, "bytes": 2048, "cold_rows": 3, "hot_rows": 4},
            "elapsed_ms": 5, "plan": "Scan",
        });
        archive.answers("POST /query", 200, found);
        archive
    }

    pub fn answers(&self, call: &'static str, status: u16, answer: Value) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.insert(0, Told::new(call, status, answer, false));
    }

    /// The next of these calls, before what it was told to answer otherwise.
    pub fn answers_once(&self, call: &'static str, status: u16, answer: Value) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.insert(0, Told::new(call, status, answer, true));
    }

    /// The bodies of these calls, the last one first.
    pub fn asked(&self, call: &str) -> Vec<Value> {
        let asked = self.shared.asked.lock().unwrap();
        let of = asked
            .iter()
            .rev()
            .filter(|(head, _)| head.starts_with(call));
        of.map(|(_, body)| body.clone()).collect()
    }

    pub fn env(&self) -> [(&str, &str); 1] {
        [("FLOODGATE_ARCHIVE_URL", &self.url)]
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        let answer = service_fn(move |request: Request<Incoming>| {
            let shared = Arc::clone(&shared);
            async move {
                let head = format!("{} {}", request.method(), request.uri().path());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                shared.asked.lock().unwrap().push((head.clone(), body));
                let (status, answer) = shared.answer(&head);
                let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                Ok::<_, Infallible>(response)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
    }
}

/// With `more` in the flow file of `transactions`.
pub fn site(ground: Ground, more: &str) -> Site {
    let site = Site::on(ground).with_oracle(MEMPOOL_RISK);
    site.rewrite_flow("transactions", |text| text + more);
    std::fs::write(site.flows.path().join("stats/hours.sql"), SQL).unwrap();
    site
}

pub async fn get(host: &Host, path: &str) -> (StatusCode, Value) {
    let url = host.url.replace("/transactions", path);
    let (status, _, answer) = support::request("GET", &url, &[], String::new()).await;
    (status, serde_json::from_slice(&answer).unwrap_or_default())
}

/// As the archiver would: out of the ledger, into file 7.
pub async fn move_to(host: &Host, archive: &Archive, decision: &Value) {
    let outcome = &decision["outcome"];
    let stream_id = host.site.query("SELECT stream_id FROM decisions").await;
    let time = |ms: &Value| {
        let ms = ms.as_i64().unwrap();
        jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
    };
    let entry = json!({
        "seq": 1, "id": decision["id"], "flow": "transactions",
        "at": time(&decision["received_at"]), "received_at": time(&decision["received_at"]),
        "decided_at": time(&outcome["decided_at"]), "score": outcome["score"],
        "label": "high", "label_name": outcome["label"], "reasons": outcome["reasons"],
        "output": null, "oracles": outcome["oracles"], "threshold": decision["threshold"],
        "inference_us": 1.5, "flow_digest": decision["flow_digest"], "settings_digest": null,
        "stream_id": stream_id[0][0], "attributes": decision["attributes"], "deliveries": null,
        "body_hash": decision["body_hash"], "body": decision["body"], "erased_at": null,
    });
    archive.answers("GET /entries/transactions/7/", 200, entry);
    leave_the_ledger(host).await;
}

/// Into file 7, wherever that is.
pub async fn leave_the_ledger(host: &Host) {
    host.site
        .query(
            "WITH gone AS (DELETE FROM decisions RETURNING flow, id, body_hash)
             INSERT INTO moved (flow, id_hash, body_hash, file)
             SELECT flow, substring(sha256(convert_to(id, 'UTF8')) FOR 16), body_hash, 7 FROM gone",
        )
        .await;
    let kept = host.site.query("SELECT count(*) FROM decisions").await;
    assert_eq!(kept, [["0"]]);
}
