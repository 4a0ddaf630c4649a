//! What the ledger promises of decisions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floodgate::backbone::StreamId;
use floodgate::flow::{BodyHash, Decision, Digest, Entry, FlowName, Judged, Label};
use floodgate::ledger::{Decided, DecidedBy, Error, Ledger, Postgres, Stored};
use tokio_postgres::{Client, NoTls, Row};

use crate::support;

/// An empty ledger, and a way to look into it from outside.
pub async fn ledger() -> (Postgres, Client) {
    let url = support::postgres().await;
    let ledger = Postgres::connect(url.parse().unwrap(), 4).unwrap();
    ledger.migrate().await.unwrap();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    (ledger, client)
}

pub fn by(flow: &str) -> DecidedBy {
    DecidedBy {
        flow: FlowName::new(flow),
        flow_digest: Digest::of(b"flow"),
        settings_digest: Some(Digest::of(b"settings")),
        deliver: Vec::new(),
    }
}

pub fn stream_id(seq: u64) -> StreamId {
    StreamId {
        ms: 1_766_700_000_123,
        seq,
    }
}

pub fn decided(seq: u64, id: &str, body: &str) -> Decided {
    Decided {
        stream_id: stream_id(seq),
        entry: Entry {
            id: Arc::from(id),
            body: Bytes::copy_from_slice(body.as_bytes()),
            received_at: 1_766_700_000_123,
            attributes: Vec::new(),
        },
        body_hash: BodyHash::of(body.as_bytes()),
        decision: Decision {
            score: Some(0.93),
            label: Some(Label::High),
            label_name: Some(Arc::from("HIGH")),
            reasons: vec!["gas-price-spike".to_owned(), "with \"quotes\"".to_owned()],
            output: None,
            oracles: vec![Judged {
                reasons: vec!["large-amount".to_owned()],
                name: Arc::from("mempool-risk"),
                digest: Digest::of(b"component"),
                score: 0.93,
            }],
            threshold: 0.8,
            inference: Duration::from_nanos(1_700),
        },
        keep: true,
    }
}

pub fn ids(stored: &Stored) -> Vec<&str> {
    stored.entries().iter().map(|(_, id)| &**id).collect()
}

pub async fn count(client: &Client, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    client.query_one(&query, &[]).await.unwrap().get(0)
}

async fn row(client: &Client, id: &str) -> Row {
    let query =
        "SELECT *, body::text AS text, oracles::text AS judged, received_at::text AS received
                 FROM decisions WHERE id = $1";
    client.query_one(query, &[&id]).await.unwrap()
}

#[tokio::test]
async fn a_kept_decision_can_be_explained_from_its_row() {
    let (ledger, client) = ledger().await;
    // Spaces and a doubled key: json keeps what jsonb would not.
    let body = r#"{"b":  1.0, "a": 2, "a": 3}"#;
    let kept = ledger
        .keep(&by("f"), &[decided(7, "x", body)])
        .await
        .unwrap();
    assert_eq!(kept.stored.entries(), [(stream_id(7), Arc::from("x"))]);

    let row = row(&client, "x").await;
    assert_eq!(row.get::<_, &str>("text"), body);
    assert_eq!(
        row.get::<_, Vec<u8>>("body_hash"),
        BodyHash::of(body.as_bytes()).0
    );
    assert_eq!(row.get::<_, f64>("score"), 0.93);
    assert_eq!(row.get::<_, &str>("label"), "high");
    assert_eq!(row.get::<_, &str>("label_name"), "HIGH");
    let reasons: Vec<&str> = row.get("reasons");
    assert_eq!(reasons, ["gas-price-spike", "with \"quotes\""]);
    let judged: Vec<Judged> = serde_json::from_str(row.get("judged")).unwrap();
    assert_eq!(judged, decided(7, "x", body).decision.oracles);
    assert_eq!(
        row.get::<_, &str>("flow_digest"),
        Digest::of(b"flow").to_string()
    );
    let settings = Digest::of(b"settings").to_string();
    assert_eq!(row.get::<_, &str>("settings_digest"), settings);
    assert_eq!(row.get::<_, f64>("threshold"), 0.8);
    assert_eq!(row.get::<_, f64>("inference_us"), 1.7);
    assert_eq!(row.get::<_, &str>("stream_id"), "1766700000123-7");
    assert!(row.get::<_, &str>("received").contains(":00.123"));
}

#[tokio::test]
async fn a_flow_without_oracles_has_neither_score_nor_label() {
    let (ledger, client) = ledger().await;
    let mut unjudged = decided(1, "x", "{}");
    unjudged.decision.score = None;
    unjudged.decision.label = None;
    unjudged.decision.label_name = None;
    unjudged.decision.reasons.clear();
    unjudged.decision.oracles.clear();
    unjudged.decision.output = Some("done".to_owned());
    ledger.keep(&by("f"), &[unjudged]).await.unwrap();
    let row = row(&client, "x").await;
    assert_eq!(row.get::<_, Option<f64>>("score"), None);
    assert_eq!(row.get::<_, Option<&str>>("label"), None);
    assert_eq!(row.get::<_, Vec<String>>("reasons"), Vec::<String>::new());
    assert_eq!(row.get::<_, &str>("output"), "done");
}

#[tokio::test]
async fn the_same_entry_again_is_proven_and_its_decision_stays_as_it_is() {
    let (ledger, client) = ledger().await;
    ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    let mut again = decided(2, "x", "{}");
    again.decision.score = Some(0.1);
    let kept = ledger.keep(&by("f"), &[again]).await.unwrap();
    assert_eq!(kept.stored.entries(), [(stream_id(2), Arc::from("x"))]);
    assert!(kept.conflicts.is_empty());
    assert_eq!(row(&client, "x").await.get::<_, f64>("score"), 0.93);
    assert_eq!(count(&client, "decisions").await, 1);
}

#[tokio::test]
async fn another_body_under_a_decided_id_is_a_conflict_and_proves_nothing() {
    let (ledger, client) = ledger().await;
    ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    let batch = [decided(2, "x", r#"{"a":1}"#), decided(3, "y", "{}")];
    let kept = ledger.keep(&by("f"), &batch).await.unwrap();
    assert_eq!(kept.conflicts, [stream_id(2)]);
    assert_eq!(ids(&kept.stored), ["y"]);
    assert_eq!(row(&client, "x").await.get::<_, &str>("text"), "{}");
}

#[tokio::test]
async fn of_one_id_twice_in_a_batch_the_first_wins() {
    let (ledger, client) = ledger().await;
    let batch = [
        decided(1, "x", "{}"),
        decided(2, "x", "{}"),
        decided(3, "x", r#"{"a":1}"#),
    ];
    let kept = ledger.keep(&by("f"), &batch).await.unwrap();
    assert_eq!(ids(&kept.stored), ["x", "x"]);
    assert_eq!(kept.conflicts, [stream_id(3)]);
    assert_eq!(row(&client, "x").await.get::<_, &str>("text"), "{}");
}

#[tokio::test]
async fn the_same_id_in_two_flows_is_two_entries() {
    let (ledger, client) = ledger().await;
    ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    let other = decided(1, "x", r#"{"a":1}"#);
    let kept = ledger.keep(&by("g"), &[other]).await.unwrap();
    assert!(kept.conflicts.is_empty());
    assert_eq!(count(&client, "decisions").await, 2);
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_proven_without_a_row() {
    let (ledger, client) = ledger().await;
    let mut low = decided(1, "low", "{}");
    low.keep = false;
    let kept = ledger
        .keep(&by("f"), &[low, decided(2, "high", "{}")])
        .await;
    assert_eq!(ids(&kept.unwrap().stored), ["low", "high"]);
    assert_eq!(count(&client, "decisions").await, 1);
}

#[tokio::test]
async fn a_batch_with_refused_data_stores_nothing() {
    let (ledger, client) = ledger().await;
    let mut nul_reason = decided(2, "reason", "{}");
    nul_reason.decision.reasons = vec!["a\0b".to_owned()];
    let mut nul_output = decided(2, "output", "{}");
    nul_output.decision.output = Some("a\0b".to_owned());
    let mut not_utf8 = decided(2, "utf8", "{}");
    not_utf8.entry.body = Bytes::from_static(b"\xff");
    for refused in [nul_reason, nul_output, not_utf8, decided(2, "json", "{")] {
        let what = refused.entry.id.clone();
        let batch = [decided(1, "good", "{}"), refused];
        let error = ledger.keep(&by("f"), &batch).await.unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{what}: {error:?}");
        assert_eq!(count(&client, "decisions").await, 0, "{what}");
    }
}

#[tokio::test]
async fn what_was_decided_before_is_told_apart_from_what_was_not() {
    let (ledger, _) = ledger().await;
    let batch = [decided(1, "x", "{}"), decided(2, "y", "{}")];
    ledger.keep(&by("f"), &batch).await.unwrap();
    let same = BodyHash::of(b"{}");
    let asked = [
        (stream_id(3), Arc::from("x"), same),
        (stream_id(4), Arc::from("y"), BodyHash::of(b"[]")),
        (stream_id(5), Arc::from("z"), same),
    ];
    let kept = ledger.kept_before(&by("f").flow, &asked).await.unwrap();
    assert_eq!(kept.stored.entries(), [(stream_id(3), Arc::from("x"))]);
    assert_eq!(kept.conflicts, [stream_id(4)]);
}

#[tokio::test]
async fn overlapping_batches_of_several_workers_are_stored_once() {
    let (ledger, client) = ledger().await;
    let worker = |reversed: bool| {
        let ledger = ledger.clone();
        let mut batch: Vec<_> = (0..256)
            .map(|n| decided(n, &format!("id-{n}"), "{}"))
            .collect();
        if reversed {
            batch.reverse();
        }
        async move { ledger.keep(&by("f"), &batch).await.unwrap() }
    };
    let kept = tokio::join!(worker(false), worker(true), worker(false), worker(true));
    for kept in [kept.0, kept.1, kept.2, kept.3] {
        assert_eq!(kept.stored.entries().len(), 256);
    }
    assert_eq!(count(&client, "decisions").await, 256);
}

#[tokio::test]
async fn what_is_stored_was_flushed_even_where_the_database_would_not_wait() {
    let url = support::postgres().await;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let database = client.query_one("SELECT current_database()", &[]).await;
    let database: String = database.unwrap().get(0);
    client
        .batch_execute(&format!(
            "ALTER DATABASE {database} SET synchronous_commit = off"
        ))
        .await
        .unwrap();
    let ledger = Postgres::connect(url.parse().unwrap(), 1).unwrap();
    ledger.migrate().await.unwrap();
    // The default of a column is evaluated in the session of the ledger.
    client
        .batch_execute(
            "ALTER TABLE decisions ADD COLUMN seen text DEFAULT
             current_setting('synchronous_commit') || ' ' || current_setting('application_name')",
        )
        .await
        .unwrap();
    ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    assert_eq!(
        row(&client, "x").await.get::<_, &str>("seen"),
        "on floodgate"
    );
}
