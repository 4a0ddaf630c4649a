use floodgate::ledger::{Ledger, Postgres};

use crate::support;

#[tokio::test]
async fn hosts_that_start_at_once_apply_each_migration_once() {
    let url = support::postgres().await;
    let migrate = async || {
        let ledger = Postgres::connect(url.parse().unwrap(), 1).unwrap();
        ledger.migrate().await.unwrap()
    };
    let applied = tokio::join!(migrate(), migrate(), migrate(), migrate());
    let mut names = [applied.0, applied.1, applied.2, applied.3].concat();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
    assert!(names[0].starts_with("V1__"), "{names:?}");
    assert_eq!(migrate().await, Vec::<String>::new());
}

#[tokio::test]
async fn without_its_tables_the_ledger_asks_for_a_person() {
    let url = support::postgres().await;
    let ledger = Postgres::connect(url.parse().unwrap(), 1).unwrap();
    let error = ledger.choices().await.unwrap_err();
    assert!(
        matches!(error, floodgate::ledger::Error::Other(_)),
        "{error:?}"
    );
}
