//! What the ledger promises of dead letters.

use floodgate_flow::{EntryFault, FaultKind};
use floodgate_ledger::{Buried, DeadFilter, DeadLetter};

use super::*;

contract!([postgres, pgbouncer, embedded] {
    a_dead_letter_comes_back_with_everything_needed_to_requeue_it,
    any_fault_can_be_read_back,
    a_million_would_come_page_by_page_and_without_bodies,
    what_is_decided_is_not_buried_and_still_proven,
    a_conflict_is_buried_beside_the_decision_that_it_contradicts,
    storing_a_decision_removes_the_dead_letter_of_the_entry,
    whether_decided_or_dead_first_an_entry_is_never_both,
    what_no_text_or_time_can_hold_is_buried_all_the_same,
    a_dead_letter_is_removed_only_as_the_one_that_was_seen,
    dead_letters_are_found_by_flow_fault_and_id_newest_first,
});

pub(super) fn letter(seq: u64, id: &str, body: &'static str) -> DeadLetter {
    DeadLetter {
        flow: FlowName::new("f"),
        partition: 3,
        stream_id: stream_id(seq),
        id: id.into(),
        body: Bytes::from_static(body.as_bytes()),
        attributes: [("key".to_owned(), "shop".to_owned())].into(),
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

fn dead_ids(buried: &[Buried]) -> Vec<&str> {
    buried.iter().map(|buried| &*buried.letter.id).collect()
}

async fn a_dead_letter_comes_back_with_everything_needed_to_requeue_it(rig: Rig) {
    let letter = letter(1, "x", "{}");
    let stored = rig
        .ledger
        .bury(std::slice::from_ref(&letter))
        .await
        .unwrap();
    assert_eq!(ids(&stored), ["x"]);
    let buried = rig.dead().await.pop().unwrap();
    assert_eq!(format!("{:?}", buried.letter), format!("{letter:?}"));
}

async fn any_fault_can_be_read_back(rig: Rig) {
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
    rig.ledger.bury(&letters).await.unwrap();
    let mut read: Vec<_> = rig.dead().await;
    read.reverse();
    let read: Vec<_> = read.iter().map(|buried| buried.letter.fault.kind).collect();
    assert_eq!(read, kinds);
}

async fn a_million_would_come_page_by_page_and_without_bodies(rig: Rig) {
    const LETTERS: u64 = 1203;
    let large: &'static str = "x".repeat(4096).leak();
    let letters: Vec<_> = (0..LETTERS)
        .map(|seq| letter(seq, &format!("id-{}", seq % 7), large))
        .collect();
    for some in letters.chunks(100) {
        rig.ledger.bury(some).await.unwrap();
    }
    let mut of_flow = DeadFilter {
        flow: Some("f".to_owned()),
        ..DeadFilter::default()
    };
    let (mut pages, mut seqs) = (Vec::new(), Vec::new());
    loop {
        let page = of_flow.next_page(&*rig.ledger).await.unwrap();
        if page.is_empty() {
            break;
        }
        if pages.is_empty() {
            // In front of what is asked for: it is not seen, and moves nothing.
            rig.ledger
                .bury(&[letter(LETTERS, "late", large)])
                .await
                .unwrap();
        }
        pages.push(page.len());
        for buried in page {
            assert!(buried.letter.body.is_empty());
            seqs.push(buried.letter.stream_id.seq);
        }
    }
    assert_eq!(pages, [500, 500, 203]);
    seqs.sort_unstable();
    assert_eq!(seqs, Vec::from_iter(0..LETTERS));
}

async fn what_is_decided_is_not_buried_and_still_proven(rig: Rig) {
    rig.ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    let letters = [letter(1, "x", "{}"), letter(2, "y", "{}")];
    let stored = rig.ledger.bury(&letters).await.unwrap();
    assert_eq!(ids(&stored), ["x", "y"]);
    assert_eq!(dead_ids(&rig.dead().await), ["y"]);
}

async fn a_conflict_is_buried_beside_the_decision_that_it_contradicts(rig: Rig) {
    rig.ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    rig.ledger
        .bury(&[letter(2, "x", r#"{"a":1}"#)])
        .await
        .unwrap();
    assert_eq!(rig.dead().await[0].letter.body, r#"{"a":1}"#);
    assert_eq!(rig.dead().await[0].letter.attributes[0].1, "shop");
    // The decision once more removes its own letter only.
    rig.ledger
        .keep(&by("f"), &[decided(3, "x", "{}")])
        .await
        .unwrap();
    assert_eq!(rig.dead().await.len(), 1);
}

async fn storing_a_decision_removes_the_dead_letter_of_the_entry(rig: Rig) {
    let letters = [letter(1, "x", "{}"), letter(2, "y", "{}")];
    rig.ledger.bury(&letters).await.unwrap();
    rig.ledger
        .keep(&by("g"), &[decided(9, "x", "{}")])
        .await
        .unwrap();
    assert_eq!(rig.dead().await.len(), 2, "of another flow");
    rig.ledger
        .keep(&by("f"), &[decided(9, "x", "{}")])
        .await
        .unwrap();
    assert_eq!(dead_ids(&rig.dead().await), ["y"]);
}

async fn whether_decided_or_dead_first_an_entry_is_never_both(rig: Rig) {
    for round in 0..20 {
        let id = format!("id-{round}");
        let decision = [decided(round, &id, "{}")];
        let letter = [letter(round, &id, "{}")];
        let by = by("f");
        let (kept, buried) =
            tokio::join!(rig.ledger.keep(&by, &decision), rig.ledger.bury(&letter));
        assert_eq!(
            (ids(&kept.unwrap().stored), ids(&buried.unwrap())),
            (vec![&*id], vec![&*id])
        );
    }
    assert_eq!(rig.count("decisions").await, 20);
    assert_eq!(rig.count("dead_letters").await, 0);
}

async fn what_no_text_or_time_can_hold_is_buried_all_the_same(rig: Rig) {
    let mut odd = letter(1, "i\0d", "\0not json");
    odd.fault.error = "guest said \0".to_owned();
    odd.received_at = u64::MAX;
    rig.ledger.bury(&[odd]).await.unwrap();
    let buried = rig.dead().await.pop().unwrap().letter;
    assert_eq!(buried.body, "\0not json");
    assert_eq!(buried.fault.error, "guest said \u{fffd}");
}

async fn a_dead_letter_is_removed_only_as_the_one_that_was_seen(rig: Rig) {
    rig.ledger.bury(&[letter(1, "x", "{}")]).await.unwrap();
    let seen = rig.dead().await.pop().unwrap();
    rig.ledger.bury(&[letter(1, "x", "{}")]).await.unwrap();
    let died_again = rig.dead().await.pop().unwrap();
    assert!(died_again.generation > seen.generation);
    assert_eq!(rig.ledger.dead_body(&seen).await.unwrap(), None);
    let remove = async |letters: &[Buried]| rig.ledger.remove_dead(letters).await.unwrap();
    let both = [seen, died_again];
    assert_eq!(remove(&both[..1]).await, Vec::<i64>::new());
    assert_eq!(remove(&both).await, [both[1].generation]);
    assert_eq!(remove(&both).await, Vec::<i64>::new());
    assert!(rig.dead().await.is_empty());
}

async fn dead_letters_are_found_by_flow_fault_and_id_newest_first(rig: Rig) {
    let mut of_another_flow = letter(3, "x", "{}");
    of_another_flow.flow = FlowName::new("g");
    let mut trapped = letter(2, "y", "{}");
    trapped.fault.kind = FaultKind::Trap;
    for letter in [
        letter(1, "x", "{}"),
        trapped,
        of_another_flow,
        letter(4, "z", "{}"),
    ] {
        rig.ledger.bury(&[letter]).await.unwrap();
    }
    let found = async |filter: DeadFilter| {
        let buried = rig.ledger.dead(&filter).await.unwrap();
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
    assert_eq!(found(DeadFilter { limit: 2, ..any() }).await, [4, 3]);
    for (which, seqs) in [("x", &[3, 1][..]), (&stream_id(4).to_string(), &[4])] {
        let id_or_stream_id = Some(which.to_owned());
        let filter = DeadFilter {
            id_or_stream_id,
            ..any()
        };
        assert_eq!(found(filter).await, seqs);
    }
}
