//! The `transactions` view: what a client of the old service selects from.

use tokio_postgres::SimpleQueryMessage;

use super::{Rig, by, decided};

fn transaction(value: &str, gas: &str, timestamp: &str, more: &str) -> String {
    format!(
        r#"{{"tx_hash":"0xAB","from_address":"0x01","to_address":"0x02","value_eth":{value},
            "gas_price_gwei":{gas},"input_data":"0x","timestamp":{timestamp}{more}}}"#
    )
}

#[tokio::test]
async fn the_view_has_the_columns_that_old_clients_know() {
    let rig = Rig::postgres().await;
    let (ledger, client) = (&rig.ledger, rig.client());
    let body = transaction("12.5", "30", "1766700000", "");
    let mut of_another_flow = by("transactions");
    of_another_flow.flow = floodgate::flow::FlowName::new("credit");
    ledger
        .keep(&of_another_flow, &[decided(1, "0xcd", &body)])
        .await
        .unwrap();
    ledger
        .keep(&by("transactions"), &[decided(1, "0xab", &body)])
        .await
        .unwrap();
    let query = "SELECT tx_hash, from_address, to_address, value_eth::float8, gas_price_gwei,
                        input_data, tx_timestamp, risk_score, priority, inference_time_ms::float8,
                        created_at <= now(), id
                 FROM transactions";
    let rows = client.query(query, &[]).await.unwrap();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(row.get::<_, &str>(0), "0xab");
    assert_eq!((row.get(1), row.get(2)), ("0x01", "0x02"));
    assert_eq!(row.get::<_, f64>(3), 12.5);
    assert_eq!(row.get::<_, i64>(4), 30);
    assert_eq!(row.get::<_, &str>(5), "0x");
    assert_eq!(row.get::<_, i64>(6), 1_766_700_000);
    assert_eq!((row.get(7), row.get(8)), (0.93, "HIGH"));
    assert_eq!(row.get::<_, f64>(9), 0.0017);
    assert!(row.get::<_, bool>(10));
    assert!(row.get::<_, i64>(11) > 0);
}

#[tokio::test]
async fn no_number_that_the_schema_admits_makes_the_view_fail() {
    let rig = Rig::postgres().await;
    let (ledger, client) = (&rig.ledger, rig.client());
    let escaped_nul = r#","memo":"\u0000""#;
    let bodies = [
        transaction("1e-20000", "3e1", "30.0", ""),
        transaction("1e308", "1e30", "1e30", ""),
        transaction("1e200000", "1e400", "1e999999999999", ""),
        transaction("1", "1", "1", escaped_nul),
        r#""not even an object""#.to_owned(),
    ];
    let batch: Vec<_> = (0..)
        .zip(&bodies)
        .map(|(seq, body)| decided(seq, &format!("{seq}"), body))
        .collect();
    ledger.keep(&by("transactions"), &batch).await.unwrap();

    let query = "SELECT length(value_eth::text), gas_price_gwei, tx_timestamp, from_address
                 FROM transactions ORDER BY tx_hash";
    let messages = client.simple_query(query).await.unwrap();
    let rows: Vec<[Option<&str>; 4]> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some([0, 1, 2, 3].map(|column| row.get(column))),
            _ => None,
        })
        .collect();
    let from = Some("0x01");
    let expected = [
        [None, Some("30"), Some("30"), from],
        [Some("309"), None, None, from],
        [None, None, None, from],
        [None; 4],
        [None; 4],
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn an_event_without_a_zone_is_in_utc_whatever_the_session_says() {
    let rig = Rig::postgres().await;
    let (ledger, client) = (&rig.ledger, rig.client());
    let event = |time: &str| {
        format!(
            r#"{{"event_id":"e","occurred_at":"{time}","user_id":"u","event_type":"login","properties":{{"n":1}}}}"#
        )
    };
    let bodies = [
        event("2026-01-02T03:04:05"),
        event("2026-01-02T03:04:05Z"),
        event("2026-01-02T05:04:05+02:00"),
        event("2026-02-30T00:00:00"),
        r#"{"properties":{},"memo":"\u0000"}"#.to_owned(),
        "7".to_owned(),
    ];
    let batch: Vec<_> = (0..)
        .zip(&bodies)
        .map(|(seq, body)| decided(seq, &seq.to_string(), body))
        .collect();
    ledger.keep(&by("events"), &batch).await.unwrap();
    client
        .batch_execute("SET timezone = 'Asia/Tokyo'")
        .await
        .unwrap();
    let query = "SELECT occurred_at, user_id, event_type, properties ->> 'n'
                 FROM events ORDER BY event_id";
    let rows = client.query(query, &[]).await.unwrap();
    let expected: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    for row in &rows[..3] {
        assert_eq!(row.get::<_, Option<jiff::Timestamp>>(0), Some(expected));
        assert_eq!((row.get(1), row.get(2), row.get(3)), ("u", "login", "1"));
    }
    for row in &rows[3..] {
        assert_eq!(row.get::<_, Option<jiff::Timestamp>>(0), None);
    }
}

#[tokio::test]
async fn tasks_are_found_by_their_number_among_whatever_else_is_kept() {
    let rig = Rig::postgres().await;
    let (ledger, client) = (&rig.ledger, rig.client());
    let body = r#"{"payload":"text"}"#;
    ledger
        .keep(
            &by("tasks"),
            &[decided(1, "7", body), decided(2, "x", body)],
        )
        .await
        .unwrap();
    ledger
        .keep(&by("credit"), &[decided(3, "not-a-number", body)])
        .await
        .unwrap();
    let query = "SELECT payload, status, result FROM tasks WHERE id = 7";
    let row = client.query_one(query, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("text", "done"));
}
