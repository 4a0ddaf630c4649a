//! The client, before somebody that answers as it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::ArchiveSettings;
use super::stand_in::stand_in;
use super::*;
use floodgate_flow::{Flow, FlowSet, Typed, ValueType};

fn named(url: &str, token: Option<&std::path::Path>) -> Result<Archive, SettingsError> {
    Archive::named(&ArchiveSettings {
        archive_url: Some(url.to_owned()),
        archive_token_file: token.map(Into::into),
    })
}

fn query(parameters: &BTreeMap<String, Typed>) -> Query<'_> {
    Query {
        flow: "events",
        sql: "SELECT $from",
        parameters,
        timeout_ms: 10_000,
        cache_ms: 0,
        explain: false,
    }
}

#[tokio::test]
async fn a_query_is_sent_with_its_token_and_comes_back_in_columns() {
    let answer = json!({
        "columns": [{"name": "date", "type": "date"}, {"name": "n", "type": "integer"}],
        "rows": [["2026-01-01", 7]],
        "skipped": [{"file": "a", "why": "cut short"}],
        "scanned": {"files": 1, "bytes": 2, "cold_rows": 3, "hot_rows": 4},
        "cached": false, "elapsed_ms": 5,
    });
    let (url, asked) = stand_in(200, answer).await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "0123456789abcdef\n").unwrap();
    let archive = named(&format!("{url}/"), Some(token.path())).unwrap();
    let value = json!("2026-01-01");
    let from = Typed {
        kind: ValueType::Date,
        value,
    };
    let parameters = BTreeMap::from([("from".to_owned(), from)]);
    let answer = archive.query(&query(&parameters)).await.unwrap();
    assert_eq!(answer.rows[0][1].get(), "7");
    assert_eq!((answer.scanned.hot_rows, answer.skipped.len()), (4, 1));
    let asked = asked.lock().unwrap();
    let (head, token, body) = &asked[0];
    assert_eq!(head, "POST /query");
    assert_eq!(token.as_deref(), Some("Bearer 0123456789abcdef"));
    let from = json!({"type": "date", "value": "2026-01-01"});
    assert_eq!(body["parameters"]["from"], from);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_archive() {
    let (url, _) = stand_in(507, json!({"detail": "more than 512 MiB"})).await;
    let archive = named(&url, None).unwrap();
    match archive.query(&query(&BTreeMap::new())).await {
        Err(Error::Refused { status, detail }) => {
            assert_eq!((status.as_u16(), &*detail), (507, "more than 512 MiB"));
        }
        other => panic!("{other:?}"),
    }
    let (url, _) = stand_in(200, json!({"columns": 7})).await;
    let archive = named(&url, None).unwrap();
    let answer = archive.query(&query(&BTreeMap::new())).await;
    assert!(matches!(answer, Err(Error::Refused { status, .. }) if status == 502));
}

#[tokio::test]
async fn what_the_archive_does_not_have_or_somebody_else_does_is_no_failure() {
    let (url, asked) = stand_in(404, json!({"detail": "no such entry"})).await;
    let found = named(&url, None).unwrap().entry("events", 3, "a/b c").await;
    assert!(found.unwrap().is_none());
    assert_eq!(
        asked.lock().unwrap()[0].0,
        "GET /entries/events/3/a%2Fb%20c"
    );
    let (url, _) = stand_in(409, json!({"detail": "somebody else"})).await;
    assert!(named(&url, None).unwrap().run().await.unwrap().is_none());
}

#[tokio::test]
async fn an_archive_that_is_nowhere_is_told_apart_from_one_that_is_away() {
    let nowhere = Archive::nowhere();
    assert!(matches!(nowhere.ping().await, Err(Error::NotConfigured)));
    assert!(!nowhere.is_configured() && !named("", None).unwrap().is_configured());
    let archive = Archive::starting();
    assert!(archive.is_configured());
    assert!(matches!(archive.ping().await, Err(Error::Away { .. })));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap().to_string();
    drop(listener);
    archive.is_at(&gone);
    let error = archive.ping().await.unwrap_err().to_string();
    assert!(error.contains(&gone) && error.contains("floodgate-archive serve"));
    let (url, _) = stand_in(200, json!({"ledger": "embedded"})).await;
    archive.is_at(&url);
    archive.ping().await.unwrap();
}

#[tokio::test]
async fn whoever_shows_another_token_than_the_archive_wants_is_told_what_to_do() {
    let (url, _) = stand_in(401, json!({"detail": "it wants its token"})).await;
    let archive = named(&url, None).unwrap();
    let pinged = archive.ping().await.unwrap_err();
    let asked = archive.query(&query(&BTreeMap::new())).await.unwrap_err();
    for error in [pinged, asked] {
        assert!(matches!(error, Error::NotLetIn { .. }), "{error:?}");
        let error = error.to_string();
        for part in [&*url, "it wants its token", "--archive-token-file"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

#[test]
fn what_is_no_url_or_no_token_is_refused_and_not_quoted() {
    for url in ["ftp://archive", "http://", "http://a b", "http://a?b"] {
        assert!(matches!(named(url, None), Err(SettingsError::Url)), "{url}");
    }
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "a secret\n").unwrap();
    let error = named("http://a", Some(token.path())).err().unwrap();
    assert!(!error.to_string().contains("secret"), "{error}");
}

/// A set of one flow; what it keeps is moved where `hot` says so.
fn flows(hot: &str) -> FlowSet {
    let dir = tempfile::tempdir().unwrap();
    let file = format!(
        "[admit]\npath = \"/x\"\nschema = \"x.json\"\nid = {{ generate = \"uuid\" }}\n[keep]\n{hot}\n"
    );
    std::fs::write(dir.path().join("x.toml"), file).unwrap();
    std::fs::write(dir.path().join("x.json"), "true").unwrap();
    let flows = Flow::load_dir(dir.path()).ok().unwrap();
    FlowSet {
        live: flows.into_iter().map(Arc::new).collect(),
        ..FlowSet::default()
    }
}

#[tokio::test]
async fn what_is_due_is_asked_to_be_moved_as_soon_as_a_flow_wants_it() {
    let (url, asked) = stand_in(200, json!({"moved": [], "problems": ["p"]})).await;
    let archive = Arc::new(named(&url, None).unwrap());
    let (change, follow) = tokio::sync::watch::channel(flows(""));
    let stop = CancellationToken::new();
    let moving = tokio::spawn(keep_moving(archive.clone(), follow, stop.clone()));
    // What was asked before it is answered came before, too.
    archive.ping().await.unwrap();
    change.send_replace(flows("hot = \"7d\""));
    let moved = async || {
        asked
            .lock()
            .unwrap()
            .iter()
            .any(|(head, ..)| head == "POST /run")
    };
    while !moved().await {
        tokio::task::yield_now().await;
    }
    let heads: Vec<String> = asked
        .lock()
        .unwrap()
        .iter()
        .map(|asked| asked.0.clone())
        .collect();
    assert_eq!(heads, ["GET /readyz", "POST /run"]);
    assert!(!moving.is_finished());
    stop.cancel();
    moving.await.unwrap();
}

#[tokio::test]
async fn how_a_pass_ended_is_counted() {
    for (status, answer, outcome) in [
        (200, json!({"moved": [], "problems": []}), "whole"),
        (200, json!({"problems": ["the disk is full"]}), "problems"),
        (503, json!({"detail": "the ledger is away"}), "failed"),
        (409, json!({"detail": "somebody else"}), "busy"),
    ] {
        let recorder = PrometheusBuilder::new().build_recorder();
        let counted = recorder.handle();
        let _this_thread_is_counted = metrics::set_default_local_recorder(&recorder);
        let (url, _) = stand_in(status, answer).await;
        let archive = Arc::new(named(&url, None).unwrap());
        let (_change, follow) = tokio::sync::watch::channel(flows("hot = \"7d\""));
        let stop = CancellationToken::new();
        let moving = tokio::spawn(keep_moving(archive, follow, stop.clone()));
        let one = format!("floodgate_archive_passes_total{{outcome=\"{outcome}\"}} 1");
        let until_counted = async {
            while !counted.render().contains(&one) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), until_counted).await;
        let counted = counted.render();
        assert!(waited.is_ok(), "{outcome}: {counted}");
        let others = counted.lines().filter(|line| line.ends_with("\"} 0"));
        assert_eq!(others.count(), 3, "{outcome}: {counted}");
        stop.cancel();
        moving.await.unwrap();
    }
}

#[tokio::test]
async fn without_an_archive_nothing_is_moved_and_nothing_hangs() {
    let (_change, follow) = tokio::sync::watch::channel(flows("hot = \"7d\""));
    let stop = CancellationToken::new();
    let archive = Arc::new(Archive::nowhere());
    let moving = tokio::spawn(keep_moving(archive, follow, stop.clone()));
    stop.cancel();
    moving.await.unwrap();
}
