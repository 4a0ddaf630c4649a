//! What somebody else does to a stream of ours.

use super::*;

const REMEMBER: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_id_outlives_its_entry_by_what_the_flow_remembers() {
    let rig = Rig::redis().await;
    rig.fill(1).await;
    let ttl = async || -> i64 {
        let mut connection = rig.connection();
        let script = "return redis.call('PTTL', redis.call('KEYS', ARGV[1])[1])";
        redis::Script::new(script)
            .arg("floodgate:{orders:0}:id:*")
            .invoke_async(&mut connection)
            .await
            .unwrap()
    };
    assert_eq!(ttl().await, -1, "an open entry's does not expire");
    let read = rig.read("w", 1).await;
    rig.settle(&read, Duration::from_secs(60)).await;
    assert!((50_000..=60_000).contains(&ttl().await));
    assert_eq!(rig.append(&[entry("1", "{}")]).await, [REPLAYED]);
}

#[tokio::test]
async fn what_somebody_else_wrote_is_delivered_as_malformed() {
    let rig = Rig::redis().await;
    let _id: String = rig.raw(&format!("XADD {STREAM} * hello world")).await;
    let read = rig.read("w", 10).await;
    assert!(matches!(read[0].payload, Payload::Malformed { .. }));
}

#[tokio::test]
async fn what_is_appended_before_any_worker_came_is_open() {
    let rig = Rig::redis().await;
    rig.fill(3).await;
    let _gone: u64 = rig.raw(&format!("XGROUP DESTROY {STREAM} workers")).await;
    assert_eq!(rig.open().await, 3);
    let depth = rig.backbone.depth(&rig.partition).await.unwrap();
    assert!(depth.oldest().is_some());
}

#[tokio::test]
async fn an_entry_that_was_trimmed_while_pending_is_counted_as_lost() {
    let rig = Rig::redis().await;
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    rig.forget(&read[0], "w").await;
    let _trimmed: u64 = rig.raw(&format!("XTRIM {STREAM} MAXLEN 0")).await;
    assert!(rig.claim("v").await.is_empty());
    let depth = rig.backbone.depth(&rig.partition).await.unwrap();
    assert_eq!((depth.lost, depth.open, depth.pending), (1, 0, 0));
}

#[tokio::test]
async fn an_id_whose_entry_somebody_else_trimmed_can_be_sent_again() {
    let rig = Rig::redis().await;
    rig.fill(2).await;
    let read = rig.read("w", 1).await;
    rig.settle(&read, REMEMBER).await;
    let _trimmed: u64 = rig.raw(&format!("XTRIM {STREAM} MAXLEN 0")).await;
    let again = rig.append(&[entry("1", "{}"), entry("2", "{}")]).await;
    assert_eq!(again, [REPLAYED, NEW], "one was settled, one is lost");
    assert_eq!(ids(&rig.read("w", 2).await), ["2"]);
}

#[tokio::test]
async fn nothing_that_a_holder_does_makes_a_trimmed_entry_vanish_uncounted() {
    let rig = Rig::redis().await;
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    let _trimmed: u64 = rig.raw(&format!("XTRIM {STREAM} MAXLEN 0")).await;
    let held = stream_ids(&read);
    let renewed = rig.backbone.renew(&rig.partition, "w", &held);
    assert_eq!(renewed.await.unwrap(), held);
    let handed = rig.backbone.hand_back(&rig.partition, "w", &held);
    handed.await.unwrap();
    rig.record("w", &read[0], &RETRY).await;
    assert_eq!((rig.open().await, rig.pending().await), (1, 1));
    rig.settle(&read, Duration::ZERO).await;
    assert_eq!((rig.open().await, rig.pending().await), (0, 0));
}

#[tokio::test]
async fn what_was_trimmed_unread_is_counted_as_lost_and_no_longer_as_open() {
    let rig = Rig::redis().await;
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
    let rig = Rig::redis().await;
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
async fn what_is_no_bucket_is_a_full_one() {
    let rig = Rig::redis().await;
    let rate = floodgate_flow::Rate {
        tokens: 1,
        per: Duration::from_secs(3600),
        of: floodgate_flow::RateOf::Requests,
    };
    let take = async || {
        let flow = FlowName::new("orders");
        let taken =
            rig.backbone
                .take_tokens(&flow, "key/shop", rate, floodgate_backbone::Cost::ONE);
        taken.await.unwrap().taken
    };
    assert_eq!((take().await, take().await), (true, false));
    let keys: Vec<String> = rig.raw("KEYS floodgate:{orders:rate}:*").await;
    let _set: String = rig.raw(&format!("SET {} nonsense", keys[0])).await;
    assert!(take().await);
}
