//! Statistics, and entries that left the ledger, before somebody in place of
//! floodgate-archive: what it finds is told by the archive's own tests. Where a
//! command is waited for, a second thread answers it.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::host::{DEADLINE, Ground, Host, MEMPOOL_RISK, Site, drainer};
use crate::support::{self, Floodgate, eventually, eventually_some};

const QUERY: &str = r#"
[[query]]
path = "/stats/hours"
sql = "stats/hours.sql"
reply = { from = "{from}", hours = "{rows}" }
[query.parameters]
from = { type = "date" }
"#;
const SQL: &str = "SELECT hour, n FROM transactions WHERE at >= $from";

/// Answers as it is told to, by the method and the beginning of the path.
pub struct Archive {
    url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<Vec<(&'static str, u16, Value)>>,
    asked: Mutex<Vec<(String, Value)>>,
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
        archive.answers("GET /healthz", 200, json!({"ledger": "postgres"}));
        archive.answers("POST /run", 200, json!({"moved": []}));
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
        answers.insert(0, (call, status, answer));
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
                let answers = shared.answers.lock().unwrap();
                let known = answers.iter().find(|(call, ..)| head.starts_with(call));
                let (status, answer) = known.map_or_else(
                    || (404, json!({"detail": "nothing is there"})),
                    |(_, status, answer)| (*status, answer.clone()),
                );
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
fn site(ground: Ground, more: &str) -> Site {
    let site = Site::on(ground).with_oracle(MEMPOOL_RISK);
    site.rewrite_flow("transactions", |text| text + more);
    std::fs::write(site.flows.path().join("stats/hours.sql"), SQL).unwrap();
    site
}

async fn get(host: &Host, path: &str) -> (StatusCode, Value) {
    let url = host.url.replace("/transactions", path);
    let (status, _, answer) = support::request("GET", &url, &[], String::new()).await;
    (status, serde_json::from_slice(&answer).unwrap_or_default())
}

#[tokio::test]
async fn a_path_answers_by_its_sql_which_is_read_again_when_it_changes() {
    let archive = Archive::start().await;
    let site = site(Ground::embedded().await, QUERY);
    let host = Host::start_in(site, &archive.env()).await;
    let (status, answer) = get(&host, "/stats/hours?from=2026-01-01").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let hours = json!([{"hour": "2026-01-01T00:00:00Z", "n": 7}]);
    assert_eq!(answer, json!({"from": "2026-01-01", "hours": hours}));
    assert_eq!(archive.asked("POST /query")[0]["sql"], SQL);
    let file = host.site.flows.path().join("stats/hours.sql");
    std::fs::write(&file, "DELETE FROM transactions").unwrap();
    eventually(DEADLINE, "the mistake is told", async || {
        host.floodgate
            .stderr()
            .contains("does something else than read")
    })
    .await;
    let (status, _) = get(&host, "/stats/hours?from=2026-01-01").await;
    assert_eq!(status, StatusCode::OK, "and changes nothing");
    let other = SQL.replace("n FROM", "count(*) AS n FROM");
    std::fs::write(&file, &other).unwrap();
    eventually(DEADLINE, "the other SQL is asked", async || {
        get(&host, "/stats/hours?from=2026-01-01").await;
        archive.asked("POST /query")[0]["sql"] == *other
    })
    .await;
    let metrics = format!("{}/metrics", host.admin);
    let (_, _, page) = support::request("GET", &metrics, &[], String::new()).await;
    let page = String::from_utf8(page.to_vec()).unwrap();
    let counted =
        r#"floodgate_queries_total{flow="transactions",path="/stats/hours",outcome="answered"}"#;
    assert!(page.contains(counted), "{page}");
    assert!(
        page.contains("floodgate_part_up{part=\"archive\"} 1"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_asks_with_sql_and_is_answered_in_each_form() {
    let archive = Archive::start().await;
    let site = site(Ground::embedded().await, QUERY);
    let host = Host::start_in(site, &archive.env()).await;
    let sql = "SELECT hour, n FROM transactions";
    let table = host.cli(&["query", "transactions", sql, "--param", "from=2026-01-01"]);
    assert!(table.contains("hour") && table.contains("2026-01-01T00:00:00Z"));
    let asked = &archive.asked("POST /query")[0];
    assert_eq!(asked["sql"], sql);
    let from = json!({"type": "date", "value": "2026-01-01"});
    assert_eq!(asked["parameters"], json!({"from": from}));
    let json: Value =
        serde_json::from_str(&host.cli(&["query", "transactions", sql, "--json"])).unwrap();
    assert_eq!(json, json!([{"hour": "2026-01-01T00:00:00Z", "n": 7}]));
    let csv = host.cli(&["query", "transactions", sql, "--csv"]);
    assert_eq!(csv, "hour,n\n2026-01-01T00:00:00Z,7\n");
    let explained = host.cli(&["query", "transactions", sql, "--explain"]);
    assert!(explained.contains("Scan") && explained.contains("4 rows of the ledger"));
    archive.answers("POST /query", 400, json!({"detail": "no column m"}));
    let output = host.try_cli(&["query", "transactions", "SELECT m FROM transactions"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no column m"));
    let output = host.try_cli(&["query", "transactions", sql, "--param", "from"]);
    assert_eq!(output.status.code(), Some(2));
    let skipped = json!([{"file": "a.parquet", "why": "cut short"}]);
    let cut = json!({"columns": [], "rows": [], "skipped": skipped});
    archive.answers("POST /query", 200, cut);
    let output = host.try_cli(&["query", "transactions", sql]);
    assert_eq!(output.status.code(), Some(1), "it is not all");
    assert!(String::from_utf8_lossy(&output.stderr).contains("a.parquet: cut short"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_archive_all_is_well_but_what_needs_it() {
    let site = site(Ground::embedded().await, QUERY);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let host = Host::start_in(site, &[("FLOODGATE_ARCHIVE_URL", &url)]).await;
    let (status, problem) = get(&host, "/stats/hours?from=2026-01-01").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem["type"], "urn:floodgate:problem:archive-away");
    assert!(
        !problem["detail"].as_str().unwrap().contains(&url),
        "{problem}"
    );
    host.accepted(&drainer(1)).await;
    host.until_kept(1).await;
    assert_eq!(host.get("/healthz").await["archive"], "away");
    assert_eq!(host.get("/healthz").await["status"], "ok");
    let health: Value = serde_json::from_str(&host.cli(&["health", "--json"])).unwrap();
    assert_eq!(health["archive"], "away");
    let output = host.try_cli(&["query", "transactions", "SELECT 1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&url));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_was_moved_is_told_of_as_before() {
    let track = "\n[track]\npath = \"/transactions/{id}\"\nkeep = \"0s\"\nreply = { id = \"{id}\", label = \"{label}\", reasons = \"{reasons}\" }\n";
    let archive = Archive::start().await;
    let site = site(Ground::servers().await, track);
    let site = site.with_flow("remember = \"10m\"", "remember = \"0s\"");
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
    let (status, _) = get(&host, "/transactions/0xnobody").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// As the archiver would: out of the ledger, into file 7.
pub async fn move_to(host: &Host, archive: &Archive, decision: &Value) {
    let outcome = &decision["outcome"];
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
        "stream_id": "1-1", "attributes": decision["attributes"], "deliveries": null,
        "body_hash": decision["body_hash"], "body": decision["body"], "erased_at": null,
    });
    archive.answers("GET /entries/transactions/7/", 200, entry);
    host.site
        .query(
            "WITH gone AS (DELETE FROM decisions RETURNING flow, id, body_hash)
             INSERT INTO moved (flow, id_hash, body_hash, file)
             SELECT flow, substring(sha256(convert_to(id, 'UTF8')) FOR 16), body_hash, 7 FROM gone",
        )
        .await;
    assert_eq!(host.kept().await, 0);
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
    eventually(DEADLINE, "it was asked and told", async || {
        let log = host.floodgate.stderr();
        log.contains("decisions moved out of the ledger") && log.contains("nearly full")
    })
    .await;
    assert_eq!(archive.asked("POST /run").len(), 1);
}

/// A program in place of floodgate-archive that says where `archive` listens,
/// notes its environment, its process id and its arguments, and stays.
fn program(archive: &Archive) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("floodgate-archive");
    let noted = dir.path().join("noted");
    let script = format!(
        "#!/bin/sh\necho listening on {}\nenv >{}\necho $$ \"$@\" >>{}\nexec sleep 1000\n",
        archive.url,
        dir.path().join("env").display(),
        noted.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

/// Process id and arguments of the start of this number.
async fn started(dir: &Path, number: usize) -> (u32, String) {
    eventually_some(DEADLINE, "the archive is started", async || {
        let noted = std::fs::read_to_string(dir.join("noted")).unwrap_or_default();
        let line = noted.lines().nth(number)?;
        let (pid, arguments) = line.split_once(' ')?;
        Some((pid.parse().ok()?, arguments.to_owned()))
    })
    .await
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn dev_starts_the_archive_it_finds_and_ends_it_however_it_ends_itself() {
    let archive = Archive::start().await;
    let dir = program(&archive);
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", dir.path().display());
    let site = site(Ground::embedded().await, QUERY);
    let mut host = Host::start_in(site, &[("PATH", &path)]).await;
    let (first, arguments) = started(dir.path(), 0).await;
    assert!(
        arguments.starts_with("serve --listen 127.0.0.1:0 --data-dir "),
        "{arguments}"
    );
    let flows = host.site.flows.path().to_str().unwrap();
    assert!(
        arguments.ends_with(&format!("--flows {flows}")),
        "{arguments}"
    );
    let answered = async || get(&host, "/stats/hours?from=2026-01-01").await.0 == StatusCode::OK;
    eventually(DEADLINE, "it answers", answered).await;
    let out = host.floodgate.stdout();
    let told = format!(
        "statistics: {}",
        dir.path().join("floodgate-archive").display()
    );
    assert!(out.contains(&told), "{out}");
    let pid = rustix::process::Pid::from_raw(i32::try_from(first).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let (second, _) = started(dir.path(), 1).await;
    eventually(DEADLINE, "it answers again", answered).await;
    host.floodgate.kill();
    host.floodgate.wait_exit().await;
    eventually(DEADLINE, "nobody is left", async || !runs(second)).await;
    let mut floodgate = host.site.serve_in("all", &[], &[("PATH", &path)]);
    floodgate.url().await;
    let (third, _) = started(dir.path(), 2).await;
    floodgate.sigterm();
    assert_eq!(floodgate.wait_exit().await, 0);
    assert!(!runs(third), "it is waited for");
}

/// Whoever has the variables of a production in their shell tries nothing out on it.
#[tokio::test]
async fn what_dev_starts_hears_of_no_other_servers() {
    let archive = Archive::start().await;
    let dir = program(&archive);
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", dir.path().display());
    let others = [
        ("FLOODGATE_COLD", "s3://production/cold"),
        ("FLOODGATE_ARCHIVE_TOKEN_FILE", "/nowhere/token"),
        ("DATABASE_URL", "postgres://production/floodgate"),
    ];
    let site = site(Ground::embedded().await, QUERY);
    let host = Host::start_in(site, &[&[("PATH", &*path)][..], &others].concat()).await;
    started(dir.path(), 0).await;
    let env = std::fs::read_to_string(dir.path().join("env")).unwrap();
    assert!(env.contains(&path), "{env}");
    for (name, _) in others {
        assert!(!env.contains(name), "{name}: {env}");
    }
    let answered = async || get(&host, "/stats/hours?from=2026-01-01").await.0 == StatusCode::OK;
    eventually(DEADLINE, "it answers", answered).await;
}

#[tokio::test]
async fn dev_without_one_says_how_to_get_it_and_starts_none_beside_a_named_one() {
    let archive = Archive::start().await;
    let dir = program(&archive);
    let path = std::env::var("PATH").unwrap();
    let both = format!("{}:{path}", dir.path().display());
    let site = site(Ground::embedded().await, QUERY);
    let said = async |floodgate: &Floodgate| {
        eventually_some(DEADLINE, "it says who answers", async || {
            let out = floodgate.stdout();
            let line = out.lines().find(|line| line.starts_with("statistics: "));
            line.map(str::to_owned)
        })
        .await
    };
    let named = [("PATH", &*both), ("FLOODGATE_ARCHIVE_URL", &archive.url)];
    let mut floodgate = site.serve_in("all", &[], &named);
    assert!(said(&floodgate).await.contains(&archive.url));
    floodgate.sigterm();
    assert_eq!(floodgate.wait_exit().await, 0);
    assert!(!dir.path().join("noted").exists(), "none was started");
    let floodgate = site.serve_in("all", &[], &[]);
    let line = said(&floodgate).await;
    assert!(
        line.contains("floodgate-archive") && line.contains("PATH"),
        "{line}"
    );
}
