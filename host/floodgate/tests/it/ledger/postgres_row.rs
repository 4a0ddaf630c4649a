//! What a row of Postgres has for people.

use floodgate_ledger::{Ledger, Postgres};
use floodgate_prove::servers::look_into;
use tokio_postgres::{Client, Row};

use super::*;
use crate::support;

async fn row(client: &Client, id: &str) -> Row {
    let query =
        "SELECT *, body::text AS text, oracles::text AS judged, received_at::text AS received
                 FROM decisions WHERE id = $1";
    client.query_one(query, &[&id]).await.unwrap()
}

#[tokio::test]
async fn a_kept_decision_can_be_explained_from_its_row() {
    let rig = Rig::postgres().await;
    // Spaces and a doubled key: json keeps what jsonb would not.
    let body = r#"{"b":  1.0, "a": 2, "a": 3}"#;
    let kept = rig
        .ledger
        .keep(&by("f"), &[decided(7, "x", body)])
        .await
        .unwrap();
    assert_eq!(kept.stored.entries(), [(stream_id(7), Arc::from("x"))]);

    let row = row(rig.client(), "x").await;
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
    let rig = Rig::postgres().await;
    let made = unjudged(1, "x");
    rig.ledger.keep(&by("f"), &[made]).await.unwrap();
    let row = row(rig.client(), "x").await;
    assert_eq!(row.get::<_, Option<f64>>("score"), None);
    assert_eq!(row.get::<_, Option<&str>>("label"), None);
    assert_eq!(row.get::<_, Vec<String>>("reasons"), Vec::<String>::new());
    assert_eq!(row.get::<_, &str>("output"), "done");
}

#[tokio::test]
async fn what_is_stored_was_flushed_even_where_the_database_would_not_wait() {
    let url = support::postgres().await;
    let client = look_into(&url).await.unwrap();
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
