//! What a ledger promises of components and of what people said about them.

use floodgate_ledger::Choice;

use super::*;

contract!([postgres, pgbouncer, embedded] {
    a_component_that_was_taken_can_be_run_again,
    the_history_of_a_name_has_each_digest_once_and_the_newest_first,
    hosts_that_see_a_drop_at_once_note_it_once,
    a_choice_counts_until_another_is_made_or_it_is_taken_back,
});

async fn a_component_that_was_taken_can_be_run_again(rig: Rig) {
    let bytes = [0, b'a', 0xff];
    let digest = Digest::of(&bytes);
    assert_eq!(rig.ledger.component(digest).await.unwrap(), None);
    rig.ledger
        .component_taken("risk", digest, &bytes)
        .await
        .unwrap();
    let again = rig.ledger.component(digest).await.unwrap().unwrap();
    assert_eq!(again[..], bytes);
}

async fn the_history_of_a_name_has_each_digest_once_and_the_newest_first(rig: Rig) {
    let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| (Digest::of(bytes), bytes));
    for (digest, bytes) in [a, b, b, a, c] {
        rig.ledger
            .component_taken("risk", digest, bytes)
            .await
            .unwrap();
    }
    rig.ledger.component_taken("other", b.0, b.1).await.unwrap();
    let history = rig.ledger.component_history("risk").await.unwrap();
    assert_eq!(history, [c.0, a.0, b.0]);
    let noted = rig.count("component_history WHERE name = 'risk'").await;
    assert_eq!(noted, 4, "b twice in a row is one row");
    assert_eq!(rig.ledger.component_history("none").await.unwrap(), []);
}

async fn hosts_that_see_a_drop_at_once_note_it_once(rig: Rig) {
    let digest = Digest::of(b"a");
    let take = || rig.ledger.component_taken("risk", digest, b"a");
    let taken = tokio::join!(take(), take(), take(), take());
    for taken in [taken.0, taken.1, taken.2, taken.3] {
        taken.unwrap();
    }
    assert_eq!(rig.count("component_history").await, 1);
}

async fn a_choice_counts_until_another_is_made_or_it_is_taken_back(rig: Rig) {
    let [a, b] = [b"a", b"b"].map(|bytes| Digest::of(bytes));
    let pinned = Choice::Pinned { digest: a };
    let rolled_back = Choice::RolledBack { to: a, rejected: b };
    rig.ledger.choose("risk", Some(&pinned)).await.unwrap();
    rig.ledger.choose("other", Some(&pinned)).await.unwrap();
    rig.ledger.choose("risk", Some(&rolled_back)).await.unwrap();
    let choices = rig.ledger.choices().await.unwrap();
    let other = ("other".to_owned(), pinned);
    assert_eq!(choices, [other.clone(), ("risk".to_owned(), rolled_back)]);
    rig.ledger.choose("risk", None).await.unwrap();
    rig.ledger.choose("risk", None).await.unwrap();
    assert_eq!(rig.ledger.choices().await.unwrap(), [other]);
}
