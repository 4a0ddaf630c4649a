//! The migration to the cold tier, on a ledger that has decisions.

use super::*;

contract!([postgres, embedded] {
    old_events_happened_when_they_say_and_no_body_stops_the_migration,
});

const POSTGRES: &str = include_str!("../../../../../migrations/postgres/V12__cold_tier.sql");
const EMBEDDED: &str = include_str!("../../../../../migrations/embedded/V6__cold_tier.sql");

const UNDO: &str = "DROP INDEX decisions_at;
    DROP TABLE moved;
    DROP TABLE cold_files;
    ALTER TABLE decisions DROP COLUMN at;
    ALTER TABLE decisions DROP COLUMN erased_at;
    CREATE INDEX decisions_by_time ON decisions (flow, decided_at);";

const UNDO_ON_POSTGRES: &str = "ALTER TABLE deliveries
    ADD CONSTRAINT deliveries_flow_id_fkey
    FOREIGN KEY (flow, id) REFERENCES decisions (flow, id) ON DELETE CASCADE";

async fn old_events_happened_when_they_say_and_no_body_stops_the_migration(rig: Rig) {
    let received = 1_766_700_000_123;
    let bodies = [
        (
            r#"{"occurred_at":"2026-01-02T03:04:05"}"#,
            1_767_323_045_000,
        ),
        (
            r#"{"occurred_at":"2026-01-02T05:04:05.25+02:00"}"#,
            1_767_323_045_250,
        ),
        (r#"{"occurred_at":"1969-12-31T23:59:59.5Z"}"#, -500),
        (r#"{"occurred_at":"now"}"#, received),
        (r#"{"occurred_at":"infinity"}"#, received),
        (r#"{"occurred_at":2460000}"#, received),
        (r#"{"occurred_at":"2026-13-01T00:00:00"}"#, received),
        (r#"{"occurred_at":"0001-01-01T00:00:00+14:00"}"#, received),
        (r#"{"occurred_at":"9999-12-31T23:59:59Z"}"#, received),
        (r#"{"memo":"\u0000"}"#, received),
        ("7", received),
    ];
    let rows: Vec<_> = (0..)
        .zip(&bodies)
        .map(|(seq, (body, _))| decided(seq, &seq.to_string(), body))
        .collect();
    rig.ledger.keep(&by("events"), &rows).await.unwrap();
    rig.ledger.keep(&by("tasks"), &rows[..1]).await.unwrap();
    rig.run(UNDO).await;
    if rig.is_postgres() {
        rig.run(UNDO_ON_POSTGRES).await;
        rig.run(POSTGRES).await;
    } else {
        rig.run(EMBEDDED).await;
    }
    let happened = async |flow: &str, id: usize, ms: i64| {
        let at = match rig.is_postgres() {
            true => format!("timestamptz 'epoch' + {ms} * interval '1 ms'"),
            false => ms.to_string(),
        };
        let row = format!("decisions WHERE flow = '{flow}' AND id = '{id}' AND at = {at}");
        rig.count(&row).await == 1
    };
    for (id, (body, at)) in bodies.iter().enumerate() {
        assert!(happened("events", id, *at).await, "{body}");
    }
    assert!(
        happened("tasks", 0, received).await,
        "only events said when"
    );
    rig.ledger.keep(&by("events"), &rows).await.unwrap();
    assert_eq!(rig.count("decisions").await, bodies.len() as i64 + 1);
}
