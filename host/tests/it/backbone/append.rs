use super::*;
use floodgate::backbone::Requeue;

#[tokio::test]
async fn within_one_group_an_id_is_appended_once_and_another_body_is_a_conflict() {
    let rig = Rig::new().await;
    let group = [
        entry("a", "{}"),
        entry("a", "{}"),
        entry("a", "[]"),
        entry("b", "{}"),
    ];
    let appended = rig.append(&group).await;
    let expected = [NEW, REPLAYED, CONFLICT, NEW];
    assert_eq!(appended, expected);
    assert_eq!(rig.open().await, 2);
    assert_eq!(ids(&rig.read("w", 10).await), ["a", "b"]);
}

#[tokio::test]
async fn a_full_backlog_refuses_what_is_new_and_answers_what_is_known() {
    let rig = Rig::new().await;
    let group = [entry("a", "{}"), entry("b", "{}"), entry("c", "{}")];
    let append = async || rig.append_up_to(2, &group).await;
    let (new, known, full) = (NEW, REPLAYED, BACKLOG_FULL);
    assert_eq!(append().await, [new, new, full]);
    assert_eq!(append().await, [known, known, full]);
    let read = rig.read("w", 1).await;
    rig.settle(&read, Duration::from_secs(60)).await;
    assert_eq!(append().await, [known, known, new]);
}

#[tokio::test]
async fn an_id_outlives_its_entry_by_what_the_flow_remembers() {
    let rig = Rig::new().await;
    rig.fill(1).await;
    let ttl = async || -> i64 {
        let mut connection = rig.redis.clone();
        let script = "return redis.call('PTTL', redis.call('KEYS', ARGV[1])[1])";
        redis::Script::new(script)
            .arg("floodgate:{orders:0}:id:*")
            .invoke_async(&mut connection)
            .await
            .unwrap()
    };
    let day = 24 * 3600 * 1000;
    assert!((6 * day..=7 * day).contains(&ttl().await));
    let read = rig.read("w", 1).await;
    rig.settle(&read, Duration::from_secs(60)).await;
    assert!((50_000..=60_000).contains(&ttl().await));
    assert_eq!(rig.append(&[entry("1", "{}")]).await, [REPLAYED]);
}

#[tokio::test]
async fn a_dead_entry_is_requeued_once_however_often_it_is_asked() {
    let rig = Rig::new().await;
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    let stored = proof(&read).await;
    let buried = rig.backbone.settle_dead(&rig.partition, &stored);
    buried.await.unwrap();
    assert_eq!(rig.open().await, 0);
    let dead = Requeue {
        id: "1".into(),
        body: "{}".into(),
        body_hash: BodyHash::of(b"{}"),
        attributes: vec![("key".to_owned(), "shop".to_owned())],
        stream_id: read[0].stream_id,
    };
    let requeue = async |dead| rig.backbone.requeue(&rig.partition, dead).await.unwrap();
    let earlier = Requeue {
        stream_id: StreamId { ms: 1, seq: 1 },
        ..dead.clone()
    };
    assert!(!requeue(&earlier).await, "it died once more since");
    assert!(requeue(&dead).await);
    assert!(!requeue(&dead).await);
    assert_eq!(rig.open().await, 1);
    assert_eq!(ids(&rig.read("w", 10).await), ["1"]);
}

#[tokio::test]
async fn what_somebody_else_wrote_is_delivered_as_malformed() {
    let rig = Rig::new().await;
    let _id: String = rig.raw(&format!("XADD {STREAM} * hello world")).await;
    let read = rig.read("w", 10).await;
    assert!(matches!(read[0].payload, Payload::Malformed { .. }));
}

#[tokio::test]
async fn what_is_appended_before_any_worker_came_is_open() {
    let rig = Rig::new().await;
    rig.fill(3).await;
    let _gone: u64 = rig.raw(&format!("XGROUP DESTROY {STREAM} workers")).await;
    assert_eq!(rig.open().await, 3);
    let depth = rig.backbone.depth(&rig.partition).await.unwrap();
    assert!(depth.oldest.is_some());
}

#[tokio::test]
async fn the_age_is_that_of_the_oldest_open_entry_read_or_not() {
    let rig = Rig::new().await;
    let oldest = async || rig.backbone.depth(&rig.partition).await.unwrap().oldest;
    assert_eq!(oldest().await, None);
    let hour = Duration::from_secs(3600);
    // By its id, as if it had been appended an hour ago.
    let (seconds, _): (u64, u64) = rig.raw("TIME").await;
    let old = (seconds - 3600) * 1000;
    let _id: String = rig
        .raw(&format!("XADD {STREAM} {old}-0 id a body {{}}"))
        .await;
    rig.fill(2).await;
    assert!(oldest().await >= Some(hour));
    let read = rig.read("w", 2).await;
    assert!(oldest().await >= Some(hour));
    rig.settle(&read[..1], Duration::ZERO).await;
    assert!(oldest().await < Some(hour));
    rig.settle(&read[1..], Duration::ZERO).await;
    assert!(oldest().await.is_some(), "one is not read yet");
    let read = rig.read("w", 2).await;
    rig.settle(&read, Duration::ZERO).await;
    assert_eq!(oldest().await, None);
}

#[tokio::test]
async fn an_append_tells_where_in_the_stream_an_entry_is_and_was() {
    let rig = Rig::new().await;
    let limits = AppendLimits { max_backlog: 10 };
    let group = [entry("a", "{}"), entry("b", "{}"), entry("a", "{}")];
    let append = async || {
        let appended = rig.backbone.append(&rig.partition, limits, &group);
        appended.await.unwrap()
    };
    let first = append().await;
    let read = stream_ids(&rig.read("w", 10).await);
    let (new, replayed) = (Appended::New, Appended::Replayed);
    assert_eq!(first, [new(read[0]), new(read[1]), replayed(read[0])]);
    let again = append().await;
    assert_eq!(again, [read[0], read[1], read[0]].map(replayed));
}

#[tokio::test]
async fn the_name_of_an_api_key_travels_with_the_entry() {
    let rig = Rig::new().await;
    let keyed = NewEntry {
        key: Some("shop".into()),
        ..entry("a", "{}")
    };
    rig.append(&[keyed, entry("b", "{}")]).await;
    let attributes: Vec<_> = rig
        .read("w", 10)
        .await
        .into_iter()
        .map(|delivery| match delivery.payload {
            Payload::Entry(entry) => entry.attributes,
            Payload::Malformed { error, .. } => panic!("{error}"),
        })
        .collect();
    let expected = [vec![("key".to_owned(), "shop".to_owned())], Vec::new()];
    assert_eq!(attributes, expected);
}

#[tokio::test]
async fn an_idempotency_key_stands_for_the_id_of_its_first_time() {
    let rig = Rig::new().await;
    let claim = async |key: &str, body: &str, id: &str| {
        let (hash, keep) = (BodyHash::of(body.as_bytes()), Duration::from_secs(60));
        let claimed = rig.backbone.claim_key(&rig.partition, key, hash, id, keep);
        claimed.await.unwrap()
    };
    assert_eq!(claim("k", "{}", "1").await.as_deref(), Some("1"));
    assert_eq!(claim("k", "{}", "2").await.as_deref(), Some("1"));
    assert_eq!(claim("k", "[]", "3").await, None, "another body");
    assert_eq!(claim("l", "{}", "4").await.as_deref(), Some("4"));
}

#[tokio::test]
async fn a_bucket_fills_up_evenly_and_not_all_at_once() {
    let rig = Rig::new().await;
    let rate = floodgate::flow::Rate {
        requests: 100,
        per: Duration::from_secs(20),
    };
    let take = async || {
        let flow = FlowName::new("orders");
        let taken = rig.backbone.take_token(&flow, "key/shop", rate);
        taken.await.unwrap()
    };
    while take().await.taken {}
    let none = take().await;
    assert_eq!((none.taken, none.left), (false, 0));
    assert!(none.next_after <= Duration::from_millis(200), "{none:?}");
    support::eventually(Duration::from_secs(10), "there is one", async || {
        take().await.taken
    })
    .await;
    assert!(take().await.left < 50, "it did not just expire");
    let keys: Vec<String> = rig.raw("KEYS floodgate:{orders:rate}:*").await;
    let _set: String = rig.raw(&format!("SET {} nonsense", keys[0])).await;
    assert!(take().await.taken, "what is no bucket is a full one");
}
