use super::*;

const REMEMBER: Duration = Duration::from_secs(60);

contract!([redis, embedded] {
    settling_twice_or_what_was_never_held_lowers_the_open_count_once,
    settling_forgets_what_was_recorded_of_the_entry,
    trimming_drops_what_is_settled_and_nothing_that_is_pending_or_unread,
    trimming_retains_for_as_long_as_the_flow_says,
});

async fn settling_twice_or_what_was_never_held_lowers_the_open_count_once(rig: Rig) {
    rig.fill(3).await;
    let read = rig.read("w", 2).await;
    rig.settle(&read, REMEMBER).await;
    rig.settle(&read, REMEMBER).await;
    let foreign = Delivery {
        stream_id: StreamId { ms: 1, seq: 1 },
        ..read[0].clone()
    };
    rig.settle(&[foreign], REMEMBER).await;
    assert_eq!((rig.open().await, rig.pending().await), (1, 0));
}

async fn settling_forgets_what_was_recorded_of_the_entry(rig: Rig) {
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    let faults = [failed(&read[0])];
    let recorded = rig
        .backbone
        .record_faults(&rig.partition, "w", &RETRY, &faults);
    recorded.await.unwrap();
    let again = rig.claim_some("w").await;
    rig.settle(&again, REMEMBER).await;
    let known = rig.backbone.faults(&rig.partition, read[0].stream_id);
    assert!(known.await.unwrap().is_none());
    assert!(rig.claim("w").await.is_empty());
}

async fn trimming_drops_what_is_settled_and_nothing_that_is_pending_or_unread(rig: Rig) {
    rig.fill(600).await;
    let first = rig.read("w", 300).await;
    rig.settle(&first[..250], REMEMBER).await;
    rig.trim(Duration::ZERO).await;
    let left = rig.logged().await;
    assert!((350..600).contains(&left), "{left} left of 350 open ones");
    let pending = rig.backbone.pending(&rig.partition, 100).await.unwrap();
    assert_eq!(pending.len(), 50);
    assert!(pending.iter().all(|pending| pending.id.is_some()));
    rig.settle(&first[250..], REMEMBER).await;
    let rest = rig.read("w", 600).await;
    assert_eq!(rest.len(), 300);
    rig.settle(&rest, REMEMBER).await;
    rig.trim(Duration::ZERO).await;
    let left = rig.logged().await;
    assert!(left < 200, "{left} left of none");
}

async fn trimming_retains_for_as_long_as_the_flow_says(rig: Rig) {
    rig.fill(300).await;
    let read = rig.read("w", 300).await;
    rig.settle(&read, REMEMBER).await;
    rig.trim(Duration::from_secs(3600)).await;
    assert_eq!(rig.logged().await, 300);
}
