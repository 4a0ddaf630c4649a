use floodgate_flow::{Digest, FlowName};
use floodgate_ledger::{Ledger, Postgres};

use super::rig::Rig;
use crate::support;

#[tokio::test]
async fn hosts_that_start_at_once_apply_each_migration_once() {
    let url = support::postgres().await;
    let migrate = async || {
        let ledger = Postgres::connect(url.parse().unwrap(), 1).unwrap();
        ledger.migrate().await.unwrap().applied
    };
    let applied = tokio::join!(migrate(), migrate(), migrate(), migrate());
    let mut names = [applied.0, applied.1, applied.2, applied.3].concat();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
    assert!(
        names.iter().any(|name| name.starts_with("V1__")),
        "{names:?}"
    );
    assert_eq!(migrate().await, Vec::<String>::new());
}

#[tokio::test]
async fn without_its_tables_the_ledger_asks_for_a_person() {
    let url = support::postgres().await;
    let ledger = Postgres::connect(url.parse().unwrap(), 1).unwrap();
    let error = ledger.choices().await.unwrap_err();
    assert!(
        matches!(error, floodgate_ledger::Error::Other(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_flow_file_that_was_accepted_before_definitions_were_kept_is_kept_too() {
    const MIGRATION: &str = include_str!("../../../../../migrations/postgres/V10__definitions.sql");
    const SOURCE: &str = "threshold = 0.8 # é";
    let rig = Rig::postgres().await;
    for flow in ["f", "g"].map(FlowName::new) {
        rig.ledger.accept_flow(&flow, SOURCE).await.unwrap();
    }
    let (_table, fill) = MIGRATION.split_at(MIGRATION.find("INSERT").unwrap());
    let again = format!("DELETE FROM definitions; {fill}");
    rig.client().batch_execute(&again).await.unwrap();
    let digest = Digest::of(SOURCE.as_bytes());
    assert!(rig.ledger.definition(digest).await.unwrap().is_some());
    assert_eq!(rig.count("definitions").await, 1);
}
