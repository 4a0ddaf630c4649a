//! What nobody waits for any more ends in the ledger, too.

use std::time::{Duration, Instant};

use crate::support::{Entry, Kind, Rig, all_hot};

const PATIENCE: Duration = Duration::from_secs(20);

/// A ledger with an entry that takes too long to read.
async fn slow(kind: Kind, condition: &str) -> Rig {
    let rig = Rig::new(kind).await;
    rig.insert(&[Entry::new("slow", "2026-01-02T00:00:00Z")])
        .await;
    rig.execute(&format!(
        "ALTER TABLE decisions RENAME TO slow;
         CREATE VIEW decisions AS SELECT * FROM slow WHERE {condition}"
    ))
    .await;
    rig
}

async fn asleep(rig: &Rig, expected: i64) {
    let asleep = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'";
    let end = Instant::now() + PATIENCE;
    while rig.number(asleep).await != expected {
        assert!(Instant::now() < end, "not {expected} in {PATIENCE:?}");
    }
}

#[tokio::test]
async fn postgres_reads_no_further_for_somebody_who_left_before_the_first_row() {
    let rig = slow(Kind::Postgres, "pg_sleep(3600) IS NOT NULL").await;
    let ledger = rig.ledger();
    let asking = tokio::spawn(async move {
        let snapshot = ledger.snapshot().await.unwrap();
        snapshot.hot(all_hot()).await.map(drop)
    });
    asleep(&rig, 1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    asleep(&rig, 0).await;
}

#[tokio::test]
async fn sqlite_reads_no_further_for_somebody_who_left() {
    let endless = "(WITH RECURSIVE endless (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless)
        SELECT count(*) FROM endless) > 0";
    let rig = slow(Kind::Embedded, endless).await;
    let snapshot = rig.ledger().snapshot().await.unwrap();
    // On the same connection.
    let answers = async |patience| {
        let answer = tokio::time::timeout(patience, snapshot.files("events"));
        answer.await.is_ok_and(|files| files.is_ok())
    };
    let rows = snapshot.hot(all_hot()).await.unwrap();
    let end = Instant::now() + PATIENCE;
    while answers(Duration::from_millis(100)).await {
        assert!(Instant::now() < end, "nothing is read");
    }
    drop(rows);
    assert!(answers(PATIENCE).await, "it is still read");
}
