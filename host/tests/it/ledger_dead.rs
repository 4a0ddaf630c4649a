//! What the ledger promises of dead letters.

use bytes::Bytes;
use floodgate::flow::{Digest, EntryFault, FaultKind, FlowName};
use floodgate::ledger::{Buried, DeadFilter, DeadLetter, Ledger, Postgres};

use crate::ledger::{by, count, decided, ids, ledger, stream_id};

fn letter(seq: u64, id: &str, body: &'static str) -> DeadLetter {
    DeadLetter {
        flow: FlowName::new("f"),
        partition: 3,
        stream_id: stream_id(seq),
        id: id.into(),
        body: Bytes::from_static(body.as_bytes()),
        attributes: vec![("key".to_owned(), "shop".to_owned())],
        fault: EntryFault {
            kind: FaultKind::WrongCount,
            error: "2 results for 3 entries".to_owned(),
            oracle: Some(("mempool-risk".to_owned(), Digest::of(b"component"))),
        },
        attempts: 5,
        deliveries: 9,
        received_at: 1_766_700_000_123,
        first_at: 1_766_700_001_001,
        last_at: 1_766_700_002_002 + seq,
    }
}

async fn dead(ledger: &Postgres) -> Vec<Buried> {
    ledger.dead(&DeadFilter::default()).await.unwrap()
}

fn dead_ids(buried: &[Buried]) -> Vec<&str> {
    buried.iter().map(|buried| &*buried.letter.id).collect()
}

#[tokio::test]
async fn a_dead_letter_comes_back_with_everything_needed_to_requeue_it() {
    let (ledger, _) = ledger().await;
    let letter = letter(1, "x", "{}");
    let stored = ledger.bury(std::slice::from_ref(&letter)).await.unwrap();
    assert_eq!(ids(&stored), ["x"]);
    let buried = dead(&ledger).await.pop().unwrap();
    assert_eq!(format!("{:?}", buried.letter), format!("{letter:?}"));
}

#[tokio::test]
async fn any_fault_can_be_read_back() {
    let (ledger, _) = ledger().await;
    let kinds = [
        FaultKind::Trap,
        FaultKind::Timeout,
        FaultKind::Memory,
        FaultKind::Refused,
        FaultKind::BadScore,
        FaultKind::WrongCount,
        FaultKind::Ledger,
        FaultKind::Malformed,
        FaultKind::Conflict,
    ];
    let letters: Vec<_> = (0..)
        .zip(kinds)
        .map(|(seq, kind)| {
            let mut letter = letter(seq, "x", "{}");
            letter.fault.kind = kind;
            letter
        })
        .collect();
    ledger.bury(&letters).await.unwrap();
    let mut read: Vec<_> = dead(&ledger).await;
    read.reverse();
    let read: Vec<_> = read.iter().map(|buried| buried.letter.fault.kind).collect();
    assert_eq!(read, kinds);
}

#[tokio::test]
async fn what_is_decided_is_not_buried_and_still_proven() {
    let (ledger, _) = ledger().await;
    ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    let letters = [letter(1, "x", "{}"), letter(2, "y", "{}")];
    let stored = ledger.bury(&letters).await.unwrap();
    assert_eq!(ids(&stored), ["x", "y"]);
    assert_eq!(dead_ids(&dead(&ledger).await), ["y"]);
}

#[tokio::test]
async fn a_conflict_is_buried_beside_the_decision_that_it_contradicts() {
    let (ledger, _) = ledger().await;
    ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    ledger.bury(&[letter(2, "x", r#"{"a":1}"#)]).await.unwrap();
    assert_eq!(dead(&ledger).await[0].letter.body, r#"{"a":1}"#);
    assert_eq!(dead(&ledger).await[0].letter.attributes[0].1, "shop");
    // The decision once more removes its own letter only.
    ledger
        .keep(&by("f"), &[decided(3, "x", "{}")])
        .await
        .unwrap();
    assert_eq!(dead(&ledger).await.len(), 1);
}

#[tokio::test]
async fn storing_a_decision_removes_the_dead_letter_of_the_entry() {
    let (ledger, _) = ledger().await;
    let letters = [letter(1, "x", "{}"), letter(2, "y", "{}")];
    ledger.bury(&letters).await.unwrap();
    ledger
        .keep(&by("g"), &[decided(9, "x", "{}")])
        .await
        .unwrap();
    assert_eq!(dead(&ledger).await.len(), 2, "of another flow");
    ledger
        .keep(&by("f"), &[decided(9, "x", "{}")])
        .await
        .unwrap();
    assert_eq!(dead_ids(&dead(&ledger).await), ["y"]);
}

#[tokio::test]
async fn whether_decided_or_dead_first_an_entry_is_never_both() {
    let (ledger, client) = ledger().await;
    for round in 0..20 {
        let id = format!("id-{round}");
        let decision = [decided(round, &id, "{}")];
        let letter = [letter(round, &id, "{}")];
        let by = by("f");
        let (kept, buried) = tokio::join!(ledger.keep(&by, &decision), ledger.bury(&letter));
        assert_eq!(
            (ids(&kept.unwrap().stored), ids(&buried.unwrap())),
            (vec![&*id], vec![&*id])
        );
    }
    assert_eq!(count(&client, "decisions").await, 20);
    assert_eq!(count(&client, "dead_letters").await, 0);
}

#[tokio::test]
async fn what_no_text_or_time_can_hold_is_buried_all_the_same() {
    let (ledger, _) = ledger().await;
    let mut odd = letter(1, "i\0d", "\0not json");
    odd.fault.error = "guest said \0".to_owned();
    odd.received_at = u64::MAX;
    ledger.bury(&[odd]).await.unwrap();
    let buried = dead(&ledger).await.pop().unwrap().letter;
    assert_eq!(buried.body, "\0not json");
    assert_eq!(buried.fault.error, "guest said \u{fffd}");
}

#[tokio::test]
async fn a_dead_letter_is_removed_only_as_the_one_that_was_seen() {
    let (ledger, _) = ledger().await;
    ledger.bury(&[letter(1, "x", "{}")]).await.unwrap();
    let seen = dead(&ledger).await.pop().unwrap();
    ledger.bury(&[letter(1, "x", "{}")]).await.unwrap();
    let died_again = dead(&ledger).await.pop().unwrap();
    assert!(died_again.generation > seen.generation);
    assert!(!ledger.remove_dead(&seen).await.unwrap());
    assert!(ledger.remove_dead(&died_again).await.unwrap());
    assert!(!ledger.remove_dead(&died_again).await.unwrap());
    assert!(dead(&ledger).await.is_empty());
}

#[tokio::test]
async fn dead_letters_are_found_by_flow_fault_and_id_newest_first() {
    let (ledger, _) = ledger().await;
    let mut of_another_flow = letter(3, "x", "{}");
    of_another_flow.flow = FlowName::new("g");
    let mut trapped = letter(2, "y", "{}");
    trapped.fault.kind = FaultKind::Trap;
    ledger
        .bury(&[
            letter(1, "x", "{}"),
            trapped,
            of_another_flow,
            letter(4, "z", "{}"),
        ])
        .await
        .unwrap();
    let found = async |filter: DeadFilter| {
        let buried = ledger.dead(&filter).await.unwrap();
        let seqs = buried.iter().map(|buried| buried.letter.stream_id.seq);
        seqs.collect::<Vec<_>>()
    };
    let any = DeadFilter::default;
    assert_eq!(found(any()).await, [4, 3, 2, 1]);
    let flow = Some("f".to_owned());
    assert_eq!(found(DeadFilter { flow, ..any() }).await, [4, 2, 1]);
    let fault = Some(FaultKind::Trap.as_str().to_owned());
    assert_eq!(found(DeadFilter { fault, ..any() }).await, [2]);
    let id = Some("x".to_owned());
    assert_eq!(found(DeadFilter { id, ..any() }).await, [3, 1]);
    let limit = Some(2);
    assert_eq!(found(DeadFilter { limit, ..any() }).await, [4, 3]);
}
