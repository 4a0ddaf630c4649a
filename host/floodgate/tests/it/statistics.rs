//! Statistics, before somebody in place of floodgate-archive.

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::archive::{Archive, QUERY, SQL, get, site};
use crate::host::{DEADLINE, Ground, Host, drainer};
use crate::metrics::told::until_told;
use crate::support::{self, eventually};

async fn metrics(host: &Host) -> String {
    let url = format!("{}/metrics", host.admin);
    let (_, _, page) = support::request("GET", &url, &[], String::new()).await;
    String::from_utf8(page.to_vec()).unwrap()
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
    let refused = "floodgate_files_read_total{kind=\"flows\",outcome=\"refused\"}";
    until_told(&host.admin, &[(refused, 1.0)]).await;
    let (status, _) = get(&host, "/stats/hours?from=2026-01-01").await;
    assert_eq!(status, StatusCode::OK, "and changes nothing");
    let other = SQL.replace("n FROM", "count(*) AS n FROM");
    std::fs::write(&file, &other).unwrap();
    eventually(DEADLINE, "the other SQL is asked", async || {
        get(&host, "/stats/hours?from=2026-01-01").await;
        archive.asked("POST /query")[0]["sql"] == *other
    })
    .await;
    let page = metrics(&host).await;
    let counted =
        r#"floodgate_queries_total{flow="transactions",path="/stats/hours",outcome="answered"}"#;
    assert!(page.contains(counted), "{page}");
    assert!(
        page.contains("floodgate_part_up{part=\"archive\"} 1"),
        "{page}"
    );
}

#[tokio::test]
async fn sql_that_fits_no_table_is_told_before_anybody_asks() {
    let archive = Archive::start().await;
    archive.answers("POST /plan", 400, json!({"detail": "no column n"}));
    let site = site(Ground::embedded().await, QUERY);
    let host = Host::start_in(site, &archive.env()).await;
    let told = async |what: &str| {
        eventually(DEADLINE, what, async || {
            let log = host.floodgate.stderr();
            let mut lines = log.lines();
            lines.any(|line| {
                let parts = ["\"transactions\"", "\"/stats/hours\"", what];
                parts.iter().all(|part| line.contains(part))
            })
        })
        .await;
    };
    told("no column n").await;
    let plan = archive.asked("POST /plan").into_iter();
    let mut plans = plan.filter(|plan| plan["sql"] == SQL);
    let from = json!({"type": "date", "value": "2026-01-31"});
    let plan = json!({"flow": "transactions", "sql": SQL, "parameters": {"from": from}});
    assert_eq!((plans.next(), plans.next()), (Some(plan), None));
    let (status, _) = get(&host, "/stats/hours?from=2026-01-01").await;
    assert_eq!(status, StatusCode::OK, "nothing is refused for it");
    archive.answers("POST /plan", 400, json!({"detail": "no column m"}));
    let other = SQL.replace("n FROM", "m FROM");
    std::fs::write(host.site.flows.path().join("stats/hours.sql"), &other).unwrap();
    told("no column m").await;
    assert!(
        archive
            .asked("POST /plan")
            .iter()
            .any(|plan| plan["sql"] == *other)
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
    // Whoever writes it into a file has what was stored, also what a terminal obeys.
    let body = "red \u{1b}[31m, del \u{7f}, bell \u{7}, C1 \u{9b}2J";
    let columns = json!([{"name": "body", "type": "text"}]);
    let stored = json!({"columns": columns, "rows": [[body]]});
    archive.answers_once("POST /query", 200, stored.clone());
    let csv = host.cli(&["query", "transactions", sql, "--csv"]);
    assert_eq!(csv, format!("body\n\"{body}\"\n"));
    archive.answers_once("POST /query", 200, stored);
    let json = host.cli(&["query", "transactions", sql, "--json"]);
    assert!(json.contains('\u{7f}'), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json, json!([{ "body": body }]));
    let explained = host.cli(&["query", "transactions", sql, "--explain"]);
    assert!(explained.contains("Scan") && explained.contains("4 rows of the ledger"));
    let refused = json!({"detail": "no column m\u{1b}[2J"});
    archive.answers("POST /query", 400, refused);
    let output = host.try_cli(&["query", "transactions", "SELECT m FROM transactions"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no column m\\u{1b}[2J"), "{said}");
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
async fn an_archive_that_wants_another_token_is_told_from_a_healthy_one() {
    let archive = Archive::start().await;
    let no_token = json!({"detail": "it wants its token: Authorization: Bearer <token>"});
    for call in ["GET /readyz", "POST /query"] {
        archive.answers(call, 401, no_token.clone());
    }
    let site = site(Ground::embedded().await, QUERY);
    let host = Host::start_in(site, &archive.env()).await;
    let health = host.cli(&["health"]);
    assert!(health.contains("--archive-token-file"), "{health}");
    let metrics = metrics(&host).await;
    let up = "floodgate_part_up{part=\"archive\"}";
    assert!(metrics.contains(&format!("{up} 0")), "{metrics}");
    let (status, problem) = get(&host, "/stats/hours?from=2026-01-01").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem["type"], "urn:floodgate:problem:archive-away");
    let away = "floodgate_queries_total{flow=\"transactions\",path=\"/stats/hours\",outcome=\"archive-away\"}";
    until_told(&host.admin, &[(away, 1.0)]).await;
    let output = host.try_cli(&["query", "transactions", "SELECT 1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--archive-token-file"), "{said}");
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
