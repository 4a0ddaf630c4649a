use super::*;

#[tokio::test]
async fn a_rollback_goes_one_digest_back_until_another_file_is_dropped() {
    let host = Host::with(&[0.1, 0.2, 0.3]).await;
    host.roll_back().await;
    host.until_scored(0.2).await;
    assert_eq!(host.status().rolled_back, Some(of(0.3)));
    host.roll_back().await;
    host.until_scored(0.1).await;
    assert_eq!(host.status().rollback, None, "there is nothing before");
    host.drop_file(&floodgate_test_components::constant(0.4));
    host.until_scored(0.4).await;
    until("the choice is over", || host.shelf.choice().is_none()).await;
    assert_eq!(host.status().rolled_back, None);
}

#[tokio::test]
async fn a_rollback_outlives_a_restart() {
    let host = Host::with(&[0.1, 0.2]).await;
    host.roll_back().await;
    let (restarted, _running) = registry(host.dir.path(), &host.shelf).await;
    assert_eq!(restarted.current(NAME).unwrap().digest(), of(0.1));
}

#[tokio::test]
async fn a_pin_holds_whatever_is_dropped_and_ends_with_unpin() {
    let host = Host::with(&[0.1, 0.2]).await;
    host.choose(Some(Choice::Pinned { digest: of(0.1) })).await;
    host.until_scored(0.1).await;
    host.drop_file(&floodgate_test_components::constant(0.3));
    until("the file is known", || {
        host.status().file_digest == Some(of(0.3))
    })
    .await;
    assert_eq!(host.digest(), Some(of(0.1)));
    assert!(host.status().pinned);
    host.choose(None).await;
    host.until_scored(0.3).await;
}

#[tokio::test]
async fn a_ledger_that_is_away_delays_no_swap_and_gets_the_component_later() {
    let host = Host::with(&[0.1]).await;
    host.shelf.away.store(true, Ordering::SeqCst);
    host.drop_file(&floodgate_test_components::constant(0.2));
    host.until_scored(0.2).await;
    host.shelf.away.store(false, Ordering::SeqCst);
    until("it is stored", || {
        host.shelf.components.lock().unwrap().contains_key(&of(0.2))
    })
    .await;
}
