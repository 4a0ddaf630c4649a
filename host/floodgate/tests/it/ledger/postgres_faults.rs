//! The ledger while Postgres is away.

use std::time::Duration;

use floodgate_ledger::{Error, Ledger, Postgres};
use floodgate_prove::servers::look_into;

use super::rig::Rig;
use super::{by, decided, ids};
use crate::support::{self, PrivatePostgres, eventually};

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

#[tokio::test]
async fn a_postgres_that_takes_no_writes_is_away_and_not_well() {
    let rig = Rig::postgres().await;
    let url = rig.url();
    let read_only = async |on: &str| {
        let admin = look_into(url).await.unwrap();
        let database = admin.query_one("SELECT current_database()", &[]).await;
        let database: String = database.unwrap().get(0);
        let set = format!("ALTER DATABASE {database} SET default_transaction_read_only = {on}");
        admin
            .batch_execute("SET default_transaction_read_only = off")
            .await
            .unwrap();
        admin.batch_execute(&set).await.unwrap();
        Postgres::connect(url.parse().unwrap(), 1).unwrap()
    };
    let ledger = read_only("on").await;
    let kept = ledger.keep(&by("f"), &[decided(1, "x", "{}")]).await;
    for error in [kept.unwrap_err(), ledger.ping().await.unwrap_err()] {
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
    assert!(ledger.choices().await.unwrap().is_empty(), "it can be read");

    let ledger = read_only("off").await;
    ledger.ping().await.unwrap();
    let kept = ledger.keep(&by("f"), &[decided(1, "x", "{}")]).await;
    assert_eq!(ids(&kept.unwrap().stored), ["x"]);
}

#[tokio::test]
async fn whom_postgres_lets_not_in_is_told_from_one_that_is_away() {
    let url = support::postgres().await;
    let nowhere = format!("{url}_of_nobody");
    let nobody = url.replace("postgres@", "nobody:secret@");
    for url in [nowhere, nobody] {
        let ledger = Postgres::connect(url.parse().unwrap(), 1).unwrap();
        for error in [
            ledger.ping().await.unwrap_err(),
            ledger.migrate().await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::Denied(_)), "{error:?}");
            assert!(error.needs_a_person());
            let text = error.to_string();
            assert!(
                text.contains("DATABASE_URL") && !text.contains("secret"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_leaves_no_transaction_behind() {
    let rig = Rig::postgres().await;
    let ledger = Postgres::connect(rig.url().parse().unwrap(), 1).unwrap();
    ledger.ping().await.unwrap();
    let client = rig.client();
    client.batch_execute("BEGIN; LOCK decisions").await.unwrap();
    let (by, batch) = (by("f"), [decided(1, "x", "{}")]);
    let held_up = tokio::time::timeout(Duration::from_millis(300), ledger.keep(&by, &batch));
    assert!(held_up.await.is_err(), "it waits for the lock");
    client.batch_execute("COMMIT").await.unwrap();
    // On the only connection there is.
    let kept = ledger.keep(&by, &batch).await.unwrap();
    assert_eq!(ids(&kept.stored), ["x"]);
    let left = client
        .query_one(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
            &[],
        )
        .await;
    assert_eq!(left.unwrap().get::<_, i64>(0), 0);
}
