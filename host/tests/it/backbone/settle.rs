use super::*;

const REMEMBER: Duration = Duration::from_secs(60);

#[tokio::test]
async fn settling_twice_or_what_was_never_held_lowers_the_open_count_once() {
    let rig = Rig::new().await;
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

#[tokio::test]
async fn what_was_trimmed_unread_is_counted_as_lost_and_no_longer_as_open() {
    let rig = Rig::new().await;
    rig.fill(5).await;
    let read = rig.read("w", 1).await;
    let _trimmed: u64 = rig.raw(&format!("XTRIM {STREAM} MAXLEN 0")).await;
    let count = async || {
        let trimmed = rig.backbone.trim(&rig.partition, Duration::ZERO);
        trimmed.await.unwrap();
        let depth = rig.backbone.depth(&rig.partition).await.unwrap();
        (depth.lost, depth.open)
    };
    assert_eq!(count().await, (0, 5), "one of them may still be settled");
    rig.settle(&read, REMEMBER).await;
    assert_eq!(count().await, (4, 0));
    rig.append(&[entry("6", "{}")]).await;
    assert_eq!(count().await, (4, 1), "it is only unread");
}

#[tokio::test]
async fn what_somebody_else_wrote_leaves_no_room_for_more_than_the_backlog() {
    let rig = Rig::new().await;
    for _ in 0..3 {
        let foreign = format!("XADD {STREAM} * id foreign body {{}}");
        let _id: String = rig.raw(&foreign).await;
    }
    let read = rig.read("w", 3).await;
    rig.settle(&read, REMEMBER).await;
    let trimmed = rig.backbone.trim(&rig.partition, Duration::ZERO);
    trimmed.await.unwrap();
    let group = [entry("a", "{}"), entry("b", "{}")];
    assert_eq!(rig.append_up_to(1, &group).await, [NEW, BACKLOG_FULL]);
}

#[tokio::test]
async fn settling_forgets_what_was_recorded_of_the_entry() {
    let rig = Rig::new().await;
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

#[tokio::test]
async fn trimming_drops_what_is_settled_and_nothing_that_is_pending_or_unread() {
    let rig = Rig::new().await;
    rig.fill(600).await;
    let first = rig.read("w", 300).await;
    rig.settle(&first[..250], REMEMBER).await;
    let trim = async || {
        let trimmed = rig.backbone.trim(&rig.partition, Duration::ZERO);
        trimmed.await.unwrap();
        rig.raw::<u64>(&format!("XLEN {STREAM}")).await
    };
    let left = trim().await;
    assert!((350..600).contains(&left), "{left} left of 350 open ones");
    let oldest: Vec<(String, redis::Value)> =
        rig.raw(&format!("XRANGE {STREAM} - + COUNT 1")).await;
    let oldest: StreamId = oldest[0].0.parse().unwrap();
    assert!(oldest <= first[250].stream_id);
    rig.settle(&first[250..], REMEMBER).await;
    let rest = rig.read("w", 600).await;
    assert_eq!(rest.len(), 300);
    rig.settle(&rest, REMEMBER).await;
    let left = trim().await;
    assert!(left < 200, "{left} left of none");
}

#[tokio::test]
async fn trimming_retains_for_as_long_as_the_flow_says() {
    let rig = Rig::new().await;
    rig.fill(300).await;
    let read = rig.read("w", 300).await;
    rig.settle(&read, REMEMBER).await;
    let trimmed = rig.backbone.trim(&rig.partition, Duration::from_secs(3600));
    trimmed.await.unwrap();
    assert_eq!(rig.raw::<u64>(&format!("XLEN {STREAM}")).await, 300);
}
