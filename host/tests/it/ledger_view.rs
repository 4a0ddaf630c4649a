//! The `transactions` view: what a client of the old service selects from.

use floodgate::ledger::Ledger;
use tokio_postgres::SimpleQueryMessage;

use crate::ledger::{by, decided, ledger};

fn transaction(value: &str, gas: &str, timestamp: &str, more: &str) -> String {
    format!(
        r#"{{"tx_hash":"0xAB","from_address":"0x01","to_address":"0x02","value_eth":{value},
            "gas_price_gwei":{gas},"input_data":"0x","timestamp":{timestamp}{more}}}"#
    )
}

#[tokio::test]
async fn the_view_has_the_columns_that_old_clients_know() {
    let (ledger, client) = ledger().await;
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
    let (ledger, client) = ledger().await;
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
