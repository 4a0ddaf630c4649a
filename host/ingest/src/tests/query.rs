//! Statistics, before an archive that answers as it is told to.

#[path = "../../../archive-client/src/stand_in.rs"]
mod stand_in;

use tempfile::TempDir;

use self::stand_in::{Asked, stand_in};
use super::*;
use floodgate_archive_client::ArchiveSettings;

const FLOW: &str = r#"
[admit]
path = "/x"
schema = "x.json"
id = { generate = "uuid" }
[[query]]
path = "/stats/n"
sql = "n.sql"
cache = "30s"
timeout = "7s"
reply = { from = "{from}", days = "{rows}" }
[query.parameters]
from = { type = "date" }
[[query]]
path = "/stats/all"
sql = "all.sql"
"#;

fn flows(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("x.toml", text),
        ("x.json", "true"),
        ("n.sql", "SELECT $from"),
        ("all.sql", "SELECT 1"),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn archive_at(url: &str) -> Archive {
    let settings = ArchiveSettings {
        archive_url: Some(url.to_owned()),
        archive_token_file: None,
    };
    Archive::named(&settings).unwrap()
}

async fn front(archive: Archive) -> Front {
    Front::of(flows(FLOW).path(), archive, Options::default()).await
}

/// In front of an archive that answers everything with this.
async fn before(status: u16, answer: Value) -> (Front, Asked) {
    let (url, asked) = stand_in(status, answer).await;
    (front(archive_at(&url)).await, asked)
}

async fn get(front: &Front, path: &str) -> Answer {
    front.send(request("GET", path)).await
}

fn found(skipped: Value) -> Value {
    json!({
        "columns": [{"name": "day", "type": "date"}, {"name": "a \"b\"", "type": "number"}],
        "rows": [["2026-01-01", 1.50], ["2026-01-02", null]],
        "skipped": skipped,
    })
}

#[tokio::test]
async fn rows_become_objects_in_the_reply_of_the_flow_file() {
    let (front, asked) = before(200, found(json!([]))).await;
    let answer = get(&front, "/stats/n/?from=2026-01-01").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        std::str::from_utf8(&answer.body).unwrap(),
        r#"{"from":"2026-01-01","days":[{"day":"2026-01-01","a \"b\"":1.5},{"day":"2026-01-02","a \"b\"":null}]}"#
    );
    assert_eq!(answer.header("cache-control"), Some("max-age=30"));
    assert_eq!(answer.header("floodgate-incomplete"), None);
    let asked = asked.lock().unwrap()[0].2.clone();
    assert_eq!(
        asked,
        json!({
            "flow": "x", "sql": "SELECT $from",
            "parameters": {"from": {"type": "date", "value": "2026-01-01"}},
            "timeout_ms": 7000, "cache_ms": 30_000, "explain": false,
        })
    );
    let answer = get(&front, "/stats/all").await;
    assert!(answer.body.starts_with(b"{\"rows\":[{\"day\""));
    assert_eq!(answer.header("cache-control"), None);
}

#[tokio::test]
async fn an_answer_without_all_files_says_so_and_is_good_for_nobody_else() {
    let skipped = json!([{"file": "a", "why": "cut short"}, {"file": "b", "why": "cut short"}]);
    let (front, _) = before(200, found(skipped)).await;
    let answer = get(&front, "/stats/n?from=2026-01-01").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("floodgate-incomplete"), Some("2 files"));
    assert_eq!(answer.header("cache-control"), None);
}

#[tokio::test]
async fn wrong_parameters_are_named_and_nobody_is_asked() {
    let (front, asked) = before(200, found(json!([]))).await;
    let answer = get(&front, "/stats/n?from=2026-02-30&to=1").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = answer.problem();
    assert_eq!(problem["type"], "urn:floodgate:problem:invalid-parameter");
    assert_eq!(problem["errors"][0]["parameter"], "from");
    assert_eq!(problem["errors"][1]["parameter"], "to");
    assert!(!answer.detail().contains("2026-02-30"));
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_an_archive_it_says_where_statistics_come_from() {
    let nowhere = front(Archive::nowhere()).await;
    let answer = get(&nowhere, "/stats/all").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.detail().contains("--archive-url"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), None);
    let away = front(Archive::starting()).await;
    let answer = get(&away, "/stats/all").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.detail().contains("floodgate-archive serve"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(away.post(body(1)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_the_archive_refuses_is_told_as_far_as_it_is_the_clients() {
    for (status, told, urn) in [
        (400, 500, "query-refused"),
        (422, 500, "query-refused"),
        (401, 503, "archive-away"),
        (404, 503, "archive-away"),
        (413, 422, "answer-too-large"),
        (421, 503, "archive-away"),
        (500, 503, "archive-away"),
        (502, 503, "archive-away"),
        (503, 503, "archive-away"),
        (504, 504, "query-timeout"),
        (507, 503, "query-memory"),
    ] {
        let (front, _) = before(status, json!({"detail": "in its words"})).await;
        let answer = get(&front, "/stats/all").await;
        assert_eq!(answer.status.as_u16(), told, "{status}");
        let kind = format!("urn:floodgate:problem:{urn}");
        assert_eq!(answer.problem()["type"], kind);
        let quoted = [413, 507].contains(&status);
        assert_eq!(answer.detail().contains("in its words"), quoted, "{status}");
        let retried = answer.header("retry-after").is_some();
        assert_eq!(retried, urn == "archive-away");
    }
    // That of another version.
    let (front, _) = before(200, json!({"columns": 7})).await;
    let answer = get(&front, "/stats/all").await;
    let kind = "urn:floodgate:problem:archive-away";
    assert_eq!(answer.problem()["type"], kind);
}

#[tokio::test]
async fn keys_rates_and_methods_are_those_of_the_flow() {
    let strict = FLOW.replace("schema =", "keys = true\nrate = \"10/s\"\nschema =");
    let (url, asked) = stand_in(200, found(json!([]))).await;
    let front = Front::of(flows(&strict).path(), archive_at(&url), Options::default()).await;
    let (key, line) = crate::keys::new_key("shop", None, &[]);
    let answer = get(&front, "/stats/n?from=2026-01-01").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(!answer.detail().contains("queued"), "{answer:?}");
    assert!(asked.lock().unwrap().is_empty());
    front.keys.store(Arc::new(KeyRing::parse(&line).unwrap()));
    let mut with_key = request("GET", "/stats/n?from=2026-01-01");
    with_key
        .headers_mut()
        .insert("x-api-key", key.parse().unwrap());
    let answer = front.send(with_key).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("cache-control"), Some("private, max-age=30"));
    assert!(answer.header("ratelimit").is_some());
    let answer = front.send(request("POST", "/stats/n")).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    let mut head = request("HEAD", "/stats/n?from=2026-01-01");
    head.headers_mut().insert("x-api-key", key.parse().unwrap());
    let answer = front.send(head).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
}
