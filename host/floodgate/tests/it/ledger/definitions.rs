//! What a ledger promises of sequences, landmarks and the flows it was shown.

use std::collections::BTreeSet;

use floodgate_flow::{Digest, Landmark, Partition};

use super::*;

contract!([postgres, pgbouncer, embedded] {
    ids_count_up_and_nobody_gets_one_twice,
    a_landmark_is_told_until_another_is_noted,
    the_last_definition_of_a_flow_is_remembered,
    every_definition_is_kept_by_its_digest,
    migrating_again_does_nothing,
});

async fn ids_count_up_and_nobody_gets_one_twice(rig: Rig) {
    let flow = FlowName::new("f");
    let next = async |count| rig.ledger.next_ids(&flow, count).await.unwrap();
    assert_eq!((next(10).await, next(1).await, next(5).await), (1, 11, 12));
    let block = async || {
        let first = next(100).await;
        first..first + 100
    };
    let blocks = tokio::join!(block(), block(), block(), block());
    let all: BTreeSet<u64> = [blocks.0, blocks.1, blocks.2, blocks.3]
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(
        (all.len(), all.first(), all.last()),
        (400, Some(&17), Some(&416))
    );
    let other = rig.ledger.next_ids(&FlowName::new("g"), 1).await;
    assert_eq!(other.unwrap(), 1);
}

async fn a_landmark_is_told_until_another_is_noted(rig: Rig) {
    let partition = Partition {
        flow: FlowName::new("f"),
        index: 1,
    };
    let landmark = |born: &str, open| Landmark {
        born: born.to_owned(),
        open,
    };
    let note = async |landmark: Landmark| {
        let before = rig.ledger.note_landmark(&partition, &landmark).await;
        before.unwrap()
    };
    assert_eq!(note(landmark("a", 3)).await, None);
    assert_eq!(note(landmark("a", 5)).await, Some(landmark("a", 3)));
    assert_eq!(note(landmark("b", 0)).await, Some(landmark("a", 5)));
}

async fn the_last_definition_of_a_flow_is_remembered(rig: Rig) {
    for (flow, source) in [("g", "1"), ("f", "2"), ("f", "3"), ("f", "3")] {
        let flow = FlowName::new(flow);
        rig.ledger.accept_flow(&flow, source).await.unwrap();
    }
    let flows = [("f", "3"), ("g", "1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(rig.ledger.accepted_flows().await.unwrap(), flows);
}

async fn every_definition_is_kept_by_its_digest(rig: Rig) {
    let flow = FlowName::new("f");
    for source in ["1", "é", "1"] {
        rig.ledger.accept_flow(&flow, source).await.unwrap();
    }
    for (source, kept) in [("1", true), ("é", true), ("2", false)] {
        let found = rig.ledger.definition(Digest::of(source.as_bytes())).await;
        assert_eq!(found.unwrap(), kept.then(|| source.to_owned()));
    }
    assert_eq!(rig.count("definitions").await, 2);
}

async fn migrating_again_does_nothing(rig: Rig) {
    assert!(rig.ledger.migrate().await.unwrap().applied.is_empty());
    rig.ledger.ping().await.unwrap();
}
