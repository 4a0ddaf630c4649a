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
    host.drop_file(&guests::constant(0.4));
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
    host.drop_file(&guests::constant(0.3));
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
    host.drop_file(&guests::constant(0.2));
    host.until_scored(0.2).await;
    host.shelf.away.store(false, Ordering::SeqCst);
    until("it is stored", || {
        host.shelf.components.lock().unwrap().contains_key(&of(0.2))
    })
    .await;
}

#[tokio::test]
async fn an_oracle_that_fails_everything_gives_way_to_the_one_before() {
    let host = Host::with(&[0.1, 0.2]).await;
    assert_eq!(host.fails(0..1), Condition::Fine);
    assert_eq!(host.fails(1..2), Condition::Broken);
    assert_eq!(host.status().faults, 2);
    let blamed = host.registry.blame(NAME, of(0.2), "it traps").await;
    assert_eq!(blamed, Blamed::WentBackTo(of(0.1)));
    assert_eq!(host.digest(), Some(of(0.1)));
    assert_eq!(
        host.status().faults,
        0,
        "the one before has a record of its own"
    );
    let again = host.registry.blame(NAME, of(0.2), "it traps").await;
    assert_eq!(
        again,
        Blamed::WentBackTo(of(0.1)),
        "another worker saw it, too"
    );
    until("it is written down", || {
        host.shelf.choice()
            == Some(Choice::RolledBack {
                to: of(0.1),
                rejected: of(0.2),
            })
    })
    .await;
}

#[tokio::test]
async fn going_back_twice_does_not_bring_the_first_broken_one_back() {
    let host = Host::with(&[0.1, 0.2, 0.3]).await;
    host.registry.blame(NAME, of(0.3), "it traps").await;
    let blamed = host.registry.blame(NAME, of(0.2), "it traps, too").await;
    assert_eq!(blamed, Blamed::WentBackTo(of(0.1)));
    until("it is written down", || {
        host.shelf.choice()
            == Some(Choice::RolledBack {
                to: of(0.1),
                rejected: of(0.3),
            })
    })
    .await;
    assert_eq!(host.digest(), Some(of(0.1)));
}

#[tokio::test]
async fn without_one_before_a_broken_oracle_stays_and_the_caller_hears_it() {
    let host = Host::with(&[0.1]).await;
    let blamed = host.registry.blame(NAME, of(0.1), "it traps").await;
    assert_eq!(blamed, Blamed::NoPrevious);
    assert!(
        host.status()
            .last_error
            .is_some_and(|error| error == "it traps")
    );
}

#[tokio::test]
async fn going_back_works_with_the_ledger_away_and_is_written_down_later() {
    let host = Host::with(&[0.1, 0.2]).await;
    host.shelf.away.store(true, Ordering::SeqCst);
    let blamed = host.registry.blame(NAME, of(0.2), "it traps").await;
    assert_eq!(blamed, Blamed::WentBackTo(of(0.1)));
    host.shelf.away.store(false, Ordering::SeqCst);
    until("it is written down", || host.shelf.choice().is_some()).await;
    assert_eq!(host.digest(), Some(of(0.1)));
}

#[tokio::test]
async fn after_a_restart_going_back_finds_the_one_before_in_the_ledger() {
    let host = Host::with(&[0.1, 0.2]).await;
    let (restarted, _running) = registry(host.dir.path(), &host.shelf).await;
    let blamed = restarted.blame(NAME, of(0.2), "it traps").await;
    assert_eq!(blamed, Blamed::WentBackTo(of(0.1)));
    assert_eq!(score(&restarted.current(NAME).unwrap()).await, 0.1);
}

#[tokio::test]
async fn a_broken_oracle_that_is_pinned_stays_pinned() {
    let host = Host::with(&[0.1, 0.2]).await;
    host.choose(Some(Choice::Pinned { digest: of(0.2) })).await;
    until("it is pinned", || host.status().pinned).await;
    let blamed = host.registry.blame(NAME, of(0.2), "it traps").await;
    assert_eq!(blamed, Blamed::NoPrevious);
    assert_eq!(host.digest(), Some(of(0.2)));
}

#[tokio::test]
async fn a_file_dropped_while_going_back_is_not_rejected() {
    let host = Host::with(&[0.1, 0.2]).await;
    let gate = host.shelf.gate.lock().await;
    // Nothing older is in memory after a restart, so going back asks the ledger.
    let (restarted, _running) = registry(host.dir.path(), &host.shelf).await;
    let blaming = Arc::clone(&restarted);
    let blame = tokio::spawn(async move { blaming.blame(NAME, of(0.2), "it traps").await });
    let asked = || host.shelf.asked.load(Ordering::SeqCst);
    until("the ledger is asked", asked).await;
    host.drop_file(&guests::constant(0.3));
    until("the new one is in force", || {
        restarted.current(NAME).map(|oracle| oracle.digest()) == Some(of(0.3))
    })
    .await;
    drop(gate);
    assert_eq!(blame.await.unwrap(), Blamed::WentBackTo(of(0.3)));
    assert_eq!(restarted.current(NAME).unwrap().digest(), of(0.3));
    assert_eq!(host.shelf.choice(), None);
}
