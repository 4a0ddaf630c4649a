use super::*;

async fn consumers(rig: &Rig) -> Vec<String> {
    let mut connection = rig.connection();
    let consumers: redis::streams::StreamInfoConsumersReply = redis::cmd("XINFO")
        .arg(&["CONSUMERS", STREAM, "workers"])
        .query_async(&mut connection)
        .await
        .unwrap();
    consumers.consumers.into_iter().map(|c| c.name).collect()
}

#[tokio::test]
async fn a_silent_consumer_is_removed_only_when_it_holds_nothing() {
    let rig = Rig::redis().await;
    rig.fill(1).await;
    let read = rig.read("silent", 1).await;
    let beat = async || rig.backbone.heartbeat(&rig.partition, "w").await.unwrap();
    beat().await;
    assert!(consumers(&rig).await.contains(&"silent".to_owned()));
    rig.settle(&read, Duration::ZERO).await;
    beat().await;
    assert!(!consumers(&rig).await.contains(&"silent".to_owned()));
}

#[tokio::test]
async fn a_consumer_whose_worker_lives_stays_though_it_holds_nothing() {
    let rig = Rig::redis().await;
    rig.fill(1).await;
    let read = rig.read("quiet", 1).await;
    rig.settle(&read, Duration::ZERO).await;
    let beat = async |worker| {
        rig.backbone
            .heartbeat(&rig.partition, worker)
            .await
            .unwrap()
    };
    beat("quiet").await;
    beat("w").await;
    assert_eq!(consumers(&rig).await, ["quiet"]);
}

#[tokio::test]
async fn what_waits_for_its_next_attempt_survives_every_removal() {
    let rig = Rig::redis().await;
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    let back = stream_ids(&read);
    let handed = rig.backbone.hand_back(&rig.partition, "w", &back);
    handed.await.unwrap();
    rig.backbone.leave(&rig.partition, "w").await.unwrap();
    rig.backbone.heartbeat(&rig.partition, "v").await.unwrap();
    assert_eq!(consumers(&rig).await, ["retry"]);
    assert_eq!(ids(&rig.claim_some("v").await), ["1"]);
}

#[tokio::test]
async fn whoever_leaves_hands_back_all_that_it_holds() {
    let rig = Rig::redis().await;
    rig.fill(5).await;
    rig.read("w", 5).await;
    rig.backbone.leave(&rig.partition, "w").await.unwrap();
    assert_eq!(consumers(&rig).await, ["retry"]);
    assert_eq!(rig.claim_some("v").await.len(), 5);
}

#[tokio::test]
async fn a_group_that_is_gone_is_made_anew_and_every_open_entry_comes_again() {
    let rig = Rig::redis().await;
    rig.fill(300).await;
    let read = rig.read("w", 200).await;
    rig.settle(&read[..100], Duration::from_secs(60)).await;
    let trimmed = rig.backbone.trim(&rig.partition, Duration::ZERO);
    trimmed.await.unwrap();
    let _gone: u64 = rig.raw(&format!("XGROUP DESTROY {STREAM} workers")).await;
    let mut reader = rig.backbone.reader(&rig.partition, "v").await.unwrap();
    assert!(
        reader.read(500).await.unwrap().is_empty(),
        "it makes the group"
    );
    let again = reader.read(500).await.unwrap();
    assert_eq!(
        ids(&again),
        (101..=300).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    assert_eq!(rig.open().await, 200);
    rig.settle(&again, Duration::from_secs(60)).await;
    assert_eq!(rig.open().await, 0);
}

#[tokio::test]
async fn a_group_that_nobody_has_read_since_is_trimmed_and_made_anew_again() {
    let rig = Rig::redis().await;
    rig.fill(1).await;
    assert_eq!(rig.read("w", 1).await[0].stream_id.seq, 0);
    let trim = async || {
        let trimmed = rig.backbone.trim(&rig.partition, Duration::ZERO);
        trimmed.await.unwrap();
    };
    trim().await;
    for _ in 0..2 {
        let _gone: u64 = rig.raw(&format!("XGROUP DESTROY {STREAM} workers")).await;
        rig.backbone.prepare(&rig.partition).await.unwrap();
        trim().await;
    }
    assert_eq!(ids(&rig.read("v", 10).await), ["1"]);
}

#[tokio::test]
async fn without_a_floor_settled_entries_come_again_too_and_the_count_still_ends_at_0() {
    let rig = Rig::redis().await;
    rig.fill(10).await;
    let read = rig.read("w", 5).await;
    rig.settle(&read, Duration::from_secs(60)).await;
    let _gone: u64 = rig.raw(&format!("XGROUP DESTROY {STREAM} workers")).await;
    assert!(rig.read("v", 10).await.is_empty());
    let again = rig.read("v", 100).await;
    assert_eq!(again.len(), 10);
    rig.settle(&again, Duration::from_secs(60)).await;
    assert_eq!(rig.open().await, 0);
}

#[tokio::test]
async fn a_partition_that_lost_everything_has_another_landmark() {
    let rig = Rig::redis().await;
    rig.fill(3).await;
    let landmark = async || rig.backbone.landmark(&rig.partition).await.unwrap();
    let before = landmark().await.unwrap();
    assert_eq!(before.open, 3);
    let _flushed: String = rig.raw("FLUSHDB").await;
    assert_eq!(landmark().await, None);
    rig.backbone.prepare(&rig.partition).await.unwrap();
    let after = landmark().await.unwrap();
    assert_ne!(after.born, before.born);
    assert_eq!(after.open, 0);
}
