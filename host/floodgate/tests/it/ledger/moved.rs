//! What a ledger promises of decisions that were moved to the cold tier: their
//! ids stay known.

use super::dead::letter;
use super::rig::move_on_postgres;
use super::*;
use crate::support;

contract!([postgres, pgbouncer, embedded] {
    what_was_moved_is_known_by_its_file_in_its_flow,
    the_same_entry_again_is_proven_without_a_second_row,
    another_body_under_a_moved_id_is_a_conflict,
    what_was_moved_counts_as_decided_before,
    what_was_moved_is_not_buried_and_another_body_is,
    a_batch_may_have_moved_and_new_entries,
    when_it_happened_is_kept_beside_when_it_was_received,
    of_a_move_and_a_repetition_at_the_same_time_nothing_is_kept_twice,
});

const OTHER: &str = r#"{"a":1}"#;

impl Rig {
    async fn with_moved(self, id: &str) -> Self {
        let batch = [decided(1, id, "{}")];
        self.ledger.keep(&by("f"), &batch).await.unwrap();
        self.move_to_cold("f", id, 7).await;
        self
    }
}

async fn what_was_moved_is_known_by_its_file_in_its_flow(rig: Rig) {
    let rig = rig.with_moved("x").await;
    let file = async |flow: &str, id: &str| {
        let file = rig.ledger.moved(&FlowName::new(flow), id).await;
        file.unwrap()
    };
    assert_eq!(file("f", "x").await, Some(7));
    assert_eq!(file("f", "y").await, None);
    assert_eq!(file("g", "x").await, None);
    let decision = rig.ledger.decision(&FlowName::new("f"), "x").await;
    assert!(decision.unwrap().is_none());
}

async fn the_same_entry_again_is_proven_without_a_second_row(rig: Rig) {
    let rig = rig.with_moved("x").await;
    let again = [decided(2, "x", "{}")];
    let kept = rig.ledger.keep(&by("f"), &again).await.unwrap();
    assert_eq!(kept.stored.entries(), [(stream_id(2), Arc::from("x"))]);
    assert!(kept.conflicts.is_empty());
    assert_eq!(rig.count("decisions").await, 0);
    assert_eq!(rig.count("deliveries").await, 0);
    let elsewhere = rig.ledger.keep(&by("g"), &again).await.unwrap();
    assert_eq!(ids(&elsewhere.stored), ["x"]);
    assert_eq!(rig.count("decisions WHERE flow = 'g'").await, 1);
}

async fn another_body_under_a_moved_id_is_a_conflict(rig: Rig) {
    let rig = rig.with_moved("x").await;
    let other = [decided(2, "x", OTHER)];
    let kept = rig.ledger.keep(&by("f"), &other).await.unwrap();
    assert_eq!(kept.conflicts, [stream_id(2)]);
    assert!(kept.stored.entries().is_empty());
    assert_eq!(rig.count("decisions").await, 0);
}

async fn what_was_moved_counts_as_decided_before(rig: Rig) {
    let rig = rig.with_moved("x").await;
    let rig = rig.with_moved("y").await;
    let asked = [
        (stream_id(3), Arc::from("x"), BodyHash::of(b"{}")),
        (stream_id(4), Arc::from("y"), BodyHash::of(b"[]")),
        (stream_id(5), Arc::from("z"), BodyHash::of(b"{}")),
    ];
    let kept = rig.ledger.kept_before(&by("f").flow, &asked).await.unwrap();
    assert_eq!(kept.stored.entries(), [(stream_id(3), Arc::from("x"))]);
    assert_eq!(kept.conflicts, [stream_id(4)]);
}

async fn what_was_moved_is_not_buried_and_another_body_is(rig: Rig) {
    let rig = rig.with_moved("x").await;
    let letters = [letter(2, "x", "{}"), letter(3, "x", OTHER)];
    let stored = rig.ledger.bury(&letters).await.unwrap();
    assert_eq!(ids(&stored), ["x", "x"]);
    let dead = rig.dead().await;
    let bodies: Vec<_> = dead.iter().map(|dead| &dead.letter.body[..]).collect();
    assert_eq!(bodies, [OTHER.as_bytes()]);
}

async fn a_batch_may_have_moved_and_new_entries(rig: Rig) {
    let rig = rig.with_moved("b").await;
    let batch = [
        decided(2, "a", "{}"),
        decided(3, "b", "{}"),
        decided(4, "b", OTHER),
        decided(5, "c", "{}"),
    ];
    let kept = rig.ledger.keep(&by("f"), &batch).await.unwrap();
    assert_eq!(ids(&kept.stored), ["a", "b", "c"]);
    assert_eq!(kept.conflicts, [stream_id(4)]);
    assert_eq!(rig.count("decisions").await, 2);
}

async fn when_it_happened_is_kept_beside_when_it_was_received(rig: Rig) {
    let mut earlier = decided(1, "x", "{}");
    // Before 1970.
    earlier.at = -62_135_596_800_000;
    rig.ledger.keep(&by("f"), &[earlier]).await.unwrap();
    let the_year_1 = match rig.is_postgres() {
        true => "'0001-01-01 00:00:00+00'",
        false => "-62135596800000",
    };
    let found = format!("decisions WHERE at = {the_year_1} AND received_at > at");
    assert_eq!(rig.count(&found).await, 1);
}

async fn of_a_move_and_a_repetition_at_the_same_time_nothing_is_kept_twice(rig: Rig) {
    let by = by("f");
    for round in 0..20 {
        let id = format!("id-{round}");
        let batch = [decided(round, &id, "{}")];
        rig.ledger.keep(&by, &batch).await.unwrap();
        let (kept, ()) = tokio::join!(rig.ledger.keep(&by, &batch), rig.move_to_cold("f", &id, 7));
        assert_eq!(ids(&kept.unwrap().stored), [&*id]);
    }
    assert_eq!(rig.count("decisions").await, 0);
    assert_eq!(rig.count("moved").await, 20);
}

#[tokio::test]
async fn who_keeps_while_the_archiver_moves_waits_and_sees_what_it_moved() {
    let rig = Rig::postgres().await;
    let by = by("f");
    let batch = [decided(1, "x", "{}"), decided(2, "y", "{}")];
    rig.ledger.keep(&by, &batch).await.unwrap();
    let client = rig.client();
    client.batch_execute("BEGIN").await.unwrap();
    for id in ["x", "y"] {
        move_on_postgres(client, "f", id, 7).await;
    }
    let again = [decided(3, "x", "{}"), decided(4, "y", OTHER)];
    let letters = [letter(5, "x", "{}")];
    let moving = async {
        let waiting = "SELECT count(*) FROM pg_locks
            JOIN pg_database ON pg_database.oid = pg_locks.database
            WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted";
        support::eventually(Duration::from_secs(10), "both wait", async || {
            let row = client.query_one(waiting, &[]).await.unwrap();
            row.get::<_, i64>(0) == 2
        })
        .await;
        client.batch_execute("COMMIT").await.unwrap();
    };
    let (kept, buried, ()) = tokio::join!(
        rig.ledger.keep(&by, &again),
        rig.ledger.bury(&letters),
        moving
    );
    let kept = kept.unwrap();
    assert_eq!(ids(&kept.stored), ["x"]);
    assert_eq!(kept.conflicts, [stream_id(4)]);
    assert_eq!(ids(&buried.unwrap()), ["x"]);
    assert_eq!(rig.count("decisions").await, 0);
    assert_eq!(rig.count("dead_letters").await, 0);
}
