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
    of_another_flow.flow = floodgate_flow::FlowName::new("credit");
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
    assert_eq!(row.get::<_, f64>(9), 0.002, "1.7 us");
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
                 FROM events ORDER BY id";
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

#[tokio::test]
async fn an_event_is_looked_up_by_its_uuid_and_by_an_index() {
    let rig = Rig::postgres().await;
    let id = "A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let batch = [decided(1, id, "{}"), decided(2, "no-uuid", "{}")];
    rig.ledger.keep(&by("events"), &batch).await.unwrap();
    let client = rig.client();
    let of_type = "SELECT pg_typeof(event_id)::text, pg_typeof(inference_time_ms)::text
        FROM events, (SELECT inference_time_ms FROM transactions RIGHT JOIN (SELECT) AS one ON true) AS t
        WHERE event_id = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'";
    let row = client.query_one(of_type, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("uuid", "numeric"));
    let without_id = "SELECT count(*) FROM events WHERE event_id IS NULL";
    let without_id = client.query_one(without_id, &[]).await.unwrap();
    assert_eq!(without_id.get::<_, i64>(0), 1);
    for (view, index) in [
        (
            "events WHERE event_id = gen_random_uuid()",
            "decisions_event_id",
        ),
        ("tasks WHERE id = 7", "decisions_task_id"),
    ] {
        let plan = format!("SET enable_seqscan = off; EXPLAIN SELECT * FROM {view}");
        let plan = format!(
            "{:?}",
            client
                .simple_query(&plan.replace(
                    "gen_random_uuid()",
                    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"
                ))
                .await
                .unwrap()
        );
        assert!(plan.contains(index), "{plan}");
    }
}

#[tokio::test]
async fn nothing_can_be_written_through_a_view() {
    let rig = Rig::postgres().await;
    let (ledger, client) = (&rig.ledger, rig.client());
    for flow in ["transactions", "events", "tasks"] {
        let body = r#"{"payload":"text"}"#;
        ledger
            .keep(&by(flow), &[decided(1, "7", body)])
            .await
            .unwrap();
    }
    let before = rig.count("decisions").await;
    for name in ["transactions", "events", "tasks"] {
        // By its own schema, and as old clients name it.
        for view in [name.to_owned(), format!("public.{name}")] {
            for change in [
                format!("DELETE FROM {view}"),
                format!("UPDATE {view} SET created_at = now()"),
                format!("INSERT INTO {view} (id) VALUES (1)"),
            ] {
                let refused = client.batch_execute(&change).await.unwrap_err();
                let code = refused.code().map(|state| state.code().to_owned());
                assert_eq!(code.as_deref(), Some("55000"), "{change}: {refused}");
            }
        }
    }
    assert_eq!(rig.count("decisions").await, before);
}

#[tokio::test]
async fn a_task_that_failed_is_shown_and_one_that_died_after_its_decision_is_done() {
    let rig = Rig::postgres().await;
    let mut letters = Vec::new();
    for (seq, id, body) in [(1, "7", r#"{"payload":"text"}"#), (2, "8", "\0no json")] {
        let mut letter = super::dead::letter(seq, id, body);
        letter.flow = floodgate_flow::FlowName::new("tasks");
        letters.push(letter);
    }
    rig.ledger.bury(&letters).await.unwrap();
    rig.ledger
        .keep(&by("tasks"), &[decided(3, "9", r#"{"payload":"done"}"#)])
        .await
        .unwrap();
    let query = "SELECT id, payload, status, result FROM tasks ORDER BY id";
    let rows = rig.client().query(query, &[]).await.unwrap();
    let rows: Vec<(i64, Option<&str>, &str, Option<&str>)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect();
    let expected = [
        (7, Some("text"), "failed", None),
        (8, None, "failed", None),
        (9, Some("done"), "done", None),
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn what_somebody_built_upon_a_view_does_not_stop_the_migration_of_its_types() {
    const MIGRATION: &str =
        include_str!("../../../../../migrations/postgres/V15__views_of_the_old_services.sql");
    const BEFORE: &str =
        include_str!("../../../../../migrations/postgres/V8__events_and_tasks_views.sql");
    let rig = Rig::postgres().await;
    let client = rig.client();
    let views = BEFORE
        .split_at(BEFORE.find("CREATE VIEW events").unwrap())
        .1;
    let undo = "DROP VIEW public.events, public.tasks; DROP VIEW events, tasks;
        DROP INDEX dead_letters_by_generation, dead_letters_of_flow, dead_letters_by_stream_id,
            decisions_event_id, decisions_task_id;
        DROP FUNCTION bytes_text(bytea, text); DROP FUNCTION read_only() CASCADE";
    let upon = "CREATE VIEW upon AS SELECT event_id FROM events; GRANT SELECT ON tasks TO PUBLIC";
    for sql in [undo, views, upon, MIGRATION] {
        client.batch_execute(sql).await.unwrap();
    }
    let kind = "SELECT format_type(atttypid, NULL) FROM pg_attribute
        WHERE attrelid = 'events'::regclass AND attname = 'event_id'";
    let kind = client.query_one(kind, &[]).await.unwrap();
    assert_eq!(kind.get::<_, &str>(0), "text", "it is used by another");
    let granted = "SELECT has_table_privilege('public', 'tasks', 'SELECT')";
    assert!(
        client
            .query_one(granted, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    );
    let refused = client.batch_execute("DELETE FROM upon").await;
    assert!(refused.is_ok(), "there was nothing to delete");
}
