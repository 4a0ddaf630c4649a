use std::pin::Pin;

use futures_util::future::join_all;
use futures_util::poll;

use super::*;
use crate::Refusal;
use crate::batcher::{Batcher, IN_FLIGHT, OF_A_BATCH, QUEUE};
use floodgate_backbone::{AppendLimits, Appended, NewEntry, Origin};
use floodgate_flow::{BodyHash, FlowName, Partition};
use floodgate_http::{Grant, Peers};

type Outcome = Result<Appended, Refusal>;

fn start() -> (Arc<FakeBackbone>, Arc<Batcher>) {
    let backbone = Arc::new(FakeBackbone::default());
    let partition = Partition {
        flow: FlowName::new("x"),
        index: 0,
    };
    let limits = AppendLimits::of_backlog(10);
    let batcher = Batcher::start(backbone.clone(), partition, limits);
    (backbone, Arc::new(batcher))
}

fn entry(number: usize, size: usize) -> NewEntry {
    let body = Bytes::from(vec![b' '; size]);
    NewEntry {
        id: number.to_string().into(),
        body_hash: BodyHash::of(&body),
        body,
        origin: Origin::default(),
    }
}

async fn grant() -> Grant {
    let peer = Peers::default().of([127, 0, 0, 1].into());
    Budget::new(1 << 30).take_whole(&peer, 1).await.unwrap()
}

/// Requests that have asked and not been answered yet.
async fn ask(
    batcher: &Arc<Batcher>,
    entries: Vec<NewEntry>,
) -> Vec<Pin<Box<dyn Future<Output = Outcome>>>> {
    let mut asked = Vec::new();
    for entry in entries {
        let batcher = Arc::clone(batcher);
        let mut request: Pin<Box<dyn Future<Output = Outcome>>> =
            Box::pin(async move { batcher.append(entry, grant().await).await });
        assert!(poll!(&mut request).is_pending(), "answered too early");
        asked.push(request);
    }
    asked
}

/// One call under way, of one entry.
async fn occupy(
    backbone: &FakeBackbone,
    batcher: &Arc<Batcher>,
) -> Vec<Pin<Box<dyn Future<Output = Outcome>>>> {
    backbone.hold();
    let asked = ask(batcher, vec![entry(1_000_000, 1)]).await;
    backbone.until_calls_began(1).await;
    asked
}

#[tokio::test]
async fn a_lone_request_does_not_wait_for_company() {
    let (backbone, batcher) = start();
    for number in 0..3 {
        let appended = within_deadline(batcher.append(entry(number, 1), grant().await)).await;
        assert!(matches!(appended, Ok(Appended::New(_))));
    }
    assert_eq!(backbone.groups(), [1, 1, 1]);
}

#[tokio::test]
async fn groups_gather_while_a_call_is_under_way_up_to_128() {
    let (backbone, batcher) = start();
    let mut asked = occupy(&backbone, &batcher).await;
    asked.extend(ask(&batcher, (0..300).map(|number| entry(number, 1)).collect()).await);
    backbone.until_calls_began(3).await;
    assert_eq!(
        backbone.groups(),
        [1, 128, 128],
        "what is not full waits behind the first"
    );
    backbone.release();
    for outcome in within_deadline(join_all(asked)).await {
        assert!(matches!(outcome, Ok(Appended::New(_))));
    }
    assert_eq!(backbone.groups(), [1, 128, 128, 44]);
}

#[tokio::test]
async fn full_groups_are_under_way_beside_each_other_up_to_a_bound() {
    let (backbone, batcher) = start();
    let mut asked = occupy(&backbone, &batcher).await;
    let more = (0..128 * (IN_FLIGHT + 1)).map(|number| entry(number, 1));
    asked.extend(ask(&batcher, more.collect()).await);
    backbone.until_calls_began(IN_FLIGHT).await;
    tokio::task::yield_now().await;
    assert_eq!(backbone.groups().len(), IN_FLIGHT);
    backbone.release();
    within_deadline(join_all(asked)).await;
    assert_eq!(backbone.groups()[1..], [128; IN_FLIGHT + 1]);
}

#[tokio::test]
async fn a_group_of_large_bodies_is_smaller() {
    let (backbone, batcher) = start();
    let mut asked = occupy(&backbone, &batcher).await;
    asked.extend(
        ask(
            &batcher,
            (0..5).map(|number| entry(number, 400 << 10)).collect(),
        )
        .await,
    );
    backbone.release();
    within_deadline(join_all(asked)).await;
    assert_eq!(
        backbone.groups()[1..],
        [3, 2],
        "a mebibyte is reached with the third"
    );
}

#[tokio::test]
async fn the_same_entry_twice_in_a_group_is_appended_once() {
    let (backbone, batcher) = start();
    let mut asked = occupy(&backbone, &batcher).await;
    asked.extend(ask(&batcher, vec![entry(1, 1), entry(1, 1), entry(1, 2)]).await);
    backbone.release();
    let outcomes = within_deadline(join_all(asked)).await;
    assert!(matches!(
        outcomes[1..],
        [
            Ok(Appended::New(_)),
            Ok(Appended::Replayed { .. }),
            Err(Refusal::Conflict)
        ]
    ));
}

#[tokio::test]
async fn a_failed_call_refuses_its_group_and_all_who_wait_at_once() {
    let (backbone, batcher) = start();
    let mut asked = occupy(&backbone, &batcher).await;
    asked.extend(ask(&batcher, (0..100).map(|number| entry(number, 1)).collect()).await);
    backbone.set_away(true);
    backbone.release();
    for outcome in within_deadline(join_all(asked)).await {
        assert!(matches!(outcome, Err(Refusal::BackboneAway)));
    }
    assert_eq!(
        backbone.groups(),
        [1],
        "nobody waited for another call to fail"
    );
    backbone.set_away(false);
    let appended = within_deadline(batcher.append(entry(7, 1), grant().await)).await;
    assert!(matches!(appended, Ok(Appended::New(_))));
}

#[tokio::test]
async fn a_full_queue_refuses_exactly_what_does_not_fit() {
    let (backbone, batcher) = start();
    let mut asked = occupy(&backbone, &batcher).await;
    asked.extend(
        ask(
            &batcher,
            (0..QUEUE).map(|number| entry(number, 1)).collect(),
        )
        .await,
    );
    let refused = within_deadline(batcher.append(entry(QUEUE, 1), grant().await)).await;
    assert!(matches!(refused, Err(Refusal::Overloaded)));
    backbone.release();
    for outcome in within_deadline(join_all(asked)).await {
        assert!(matches!(outcome, Ok(Appended::New(_))));
    }
    assert_eq!(backbone.len(), QUEUE + 1);
}

#[tokio::test]
async fn a_single_entry_waits_behind_a_group_of_a_large_batch_and_not_behind_all() {
    let (backbone, batcher) = start();
    let mut asked = occupy(&backbone, &batcher).await;
    let large: Vec<NewEntry> = (0..128 * 100).map(|number| entry(number, 1)).collect();
    let held = Arc::new(grant().await);
    let mut batch = Box::pin(batcher.append_all(large, 128 * 100, &held));
    assert!(poll!(&mut batch).is_pending());
    // One group of the batch goes beside the call that is under way.
    backbone.until_calls_began(2).await;
    asked.extend(ask(&batcher, vec![entry(2_000_000, 1)]).await);
    backbone.release();
    let (first, single) = (asked.swap_remove(0), asked.swap_remove(0));
    within_deadline(first).await.unwrap();
    let single = async {
        within_deadline(single).await.unwrap();
        backbone.groups().len()
    };
    let (appended, groups) = tokio::join!(within_deadline(batch), single);
    assert_eq!(appended.unwrap().len(), 128 * 100);
    assert!(groups <= 4, "{groups} groups went before it");
}

#[tokio::test]
async fn one_group_of_a_giant_batch_is_under_way_however_small_its_parts_are() {
    let (backbone, batcher) = start();
    let _asked = occupy(&backbone, &batcher).await;
    let part: Vec<NewEntry> = (0..128 * 4).map(|number| entry(number, 1)).collect();
    let held = Arc::new(grant().await);
    let mut batch = Box::pin(batcher.append_all(part, 128 * 100, &held));
    assert!(poll!(&mut batch).is_pending());
    backbone.until_calls_began(2).await;
    // All tasks of this test share one thread, so every other task runs meanwhile.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(poll!(&mut batch).is_pending());
    assert_eq!(backbone.groups(), [1, 128]);
}

#[tokio::test]
async fn large_batches_take_turns() {
    let (backbone, batcher) = start();
    let _asked = occupy(&backbone, &batcher).await;
    let held = Arc::new(grant().await);
    let of = |first: usize, groups: usize| -> Vec<NewEntry> {
        (first..first + 128 * groups)
            .map(|number| entry(number, 1))
            .collect()
    };
    let mut long = Box::pin(batcher.append_all(of(0, 200), 128 * 200, &held));
    assert!(poll!(&mut long).is_pending());
    let short = batcher.append_all(of(1_000_000, 2), 128 * 2, &held);
    let mut short = Box::pin(short);
    assert!(poll!(&mut short).is_pending());
    backbone.release();
    let short = async {
        within_deadline(short).await.unwrap();
        backbone.groups().len()
    };
    let (_, groups) = tokio::join!(within_deadline(long), short);
    assert!(
        groups <= 2 * OF_A_BATCH + 2,
        "{groups} groups went before it"
    );
}

#[tokio::test]
async fn what_is_queued_is_appended_though_everybody_left() {
    let (backbone, batcher) = start();
    let mut asked = occupy(&backbone, &batcher).await;
    asked.extend(ask(&batcher, (0..3).map(|number| entry(number, 1)).collect()).await);
    drop(asked);
    drop(batcher);
    backbone.release();
    backbone.until_calls_began(2).await;
    assert_eq!(backbone.groups()[1..], [3]);
}
