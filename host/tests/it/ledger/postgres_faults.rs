//! The ledger while Postgres is away.

use std::time::Duration;

use floodgate::ledger::{Error, Ledger, Postgres};

use super::{by, decided, ids};
use crate::support::{PrivatePostgres, eventually};

#[tokio::test]
async fn a_killed_postgres_is_unavailable_and_the_ledger_works_again_by_itself() {
    let mut server = PrivatePostgres::start().await;
    let ledger = Postgres::connect(server.url().parse().unwrap(), 2).unwrap();
    ledger.migrate().await.unwrap();
    ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();

    server.kill();
    // The first may find the old connection, the second has to make one.
    for _ in 0..2 {
        let error = ledger.keep(&by("f"), &[decided(2, "y", "{}")]).await;
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
    assert!(ledger.ping().await.is_err());

    server.restart().await;
    eventually(Duration::from_secs(10), "ping", async || {
        ledger.ping().await.is_ok()
    })
    .await;
    let batch = [decided(2, "y", "{}"), decided(3, "x", "{}")];
    let kept = ledger.keep(&by("f"), &batch).await.unwrap();
    assert_eq!(
        ids(&kept.stored),
        ["y", "x"],
        "x survived the crash, with its body"
    );
    assert!(kept.conflicts.is_empty());
}

#[tokio::test]
async fn a_postgres_that_is_away_at_start_is_no_error_until_it_is_asked() {
    let mut server = PrivatePostgres::start().await;
    server.stop();
    let ledger = Postgres::connect(server.url().parse().unwrap(), 2).unwrap();
    let error = ledger.migrate().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let mut low = decided(1, "low", "{}");
    low.keep = false;
    let proven = ledger.keep(&by("f"), &[low]).await.unwrap();
    assert_eq!(ids(&proven.stored), ["low"], "needs no Postgres");

    server.restart().await;
    ledger.migrate().await.unwrap();
    ledger.ping().await.unwrap();
}

#[tokio::test]
async fn a_postgres_that_does_not_answer_is_unavailable_in_the_end() {
    let mut server = PrivatePostgres::start().await;
    let ledger = Postgres::connect(server.url().parse().unwrap(), 1).unwrap();
    ledger.migrate().await.unwrap();
    ledger.ping().await.unwrap();
    server.pause();
    let batch = [decided(1, "x", "{}")];
    let by = by("f");
    let (ping, kept) = tokio::join!(ledger.ping(), ledger.keep(&by, &batch));
    for error in [ping.unwrap_err(), kept.unwrap_err()] {
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
    server.resume();
    let kept = ledger.keep(&by, &batch).await.unwrap();
    assert_eq!(ids(&kept.stored), ["x"]);
}
