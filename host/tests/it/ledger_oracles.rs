//! What the ledger promises of components and of what people said about them.

use floodgate::flow::Digest;
use floodgate::ledger::{Choice, Ledger};

use crate::ledger::{count, ledger};

#[tokio::test]
async fn a_component_that_was_taken_can_be_run_again() {
    let (ledger, _) = ledger().await;
    let bytes = [0, b'a', 0xff];
    let digest = Digest::of(&bytes);
    assert_eq!(ledger.component(digest).await.unwrap(), None);
    ledger
        .component_taken("risk", digest, &bytes)
        .await
        .unwrap();
    let again = ledger.component(digest).await.unwrap().unwrap();
    assert_eq!(again[..], bytes);
}

#[tokio::test]
async fn the_history_of_a_name_has_each_digest_once_and_the_newest_first() {
    let (ledger, client) = ledger().await;
    let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| (Digest::of(bytes), bytes));
    for (digest, bytes) in [a, b, b, a, c] {
        ledger.component_taken("risk", digest, bytes).await.unwrap();
    }
    ledger.component_taken("other", b.0, b.1).await.unwrap();
    let history = ledger.component_history("risk").await.unwrap();
    assert_eq!(history, [c.0, a.0, b.0]);
    let noted = count(&client, "component_history WHERE name = 'risk'").await;
    assert_eq!(noted, 4, "b twice in a row is one row");
    assert_eq!(ledger.component_history("none").await.unwrap(), []);
}

#[tokio::test]
async fn hosts_that_see_a_drop_at_once_note_it_once() {
    let (ledger, client) = ledger().await;
    let digest = Digest::of(b"a");
    let take = || ledger.component_taken("risk", digest, b"a");
    let taken = tokio::join!(take(), take(), take(), take());
    for taken in [taken.0, taken.1, taken.2, taken.3] {
        taken.unwrap();
    }
    assert_eq!(count(&client, "component_history").await, 1);
}

#[tokio::test]
async fn a_choice_counts_until_another_is_made_or_it_is_taken_back() {
    let (ledger, _) = ledger().await;
    let [a, b] = [b"a", b"b"].map(|bytes| Digest::of(bytes));
    let pinned = Choice::Pinned { digest: a };
    let rolled_back = Choice::RolledBack { to: a, rejected: b };
    ledger.choose("risk", Some(&pinned)).await.unwrap();
    ledger.choose("other", Some(&pinned)).await.unwrap();
    ledger.choose("risk", Some(&rolled_back)).await.unwrap();
    let choices = ledger.choices().await.unwrap();
    let other = ("other".to_owned(), pinned);
    assert_eq!(choices, [other.clone(), ("risk".to_owned(), rolled_back)]);
    ledger.choose("risk", None).await.unwrap();
    ledger.choose("risk", None).await.unwrap();
    assert_eq!(ledger.choices().await.unwrap(), [other]);
}
