use super::*;
use floodgate_backbone::{Cost, Error, Requeue};

contract!([redis, embedded] {
    within_one_group_an_id_is_appended_once_and_another_body_is_a_conflict,
    a_full_backlog_refuses_what_is_new_and_answers_what_is_known,
    a_dead_entry_is_requeued_once_however_often_it_is_asked,
    an_append_tells_where_in_the_stream_an_entry_is_and_was,
    what_is_known_of_its_request_travels_with_the_entry,
    an_idempotency_key_stands_for_the_id_of_its_first_time,
    a_bucket_fills_up_evenly_and_not_all_at_once,
    a_bucket_goes_into_debt_once_and_is_empty_until_that_is_paid,
    an_id_is_forgotten_when_what_the_flow_remembers_has_passed,
    the_age_is_that_of_the_oldest_open_entry_read_or_not,
    another_number_of_partitions_is_an_error,
});

async fn within_one_group_an_id_is_appended_once_and_another_body_is_a_conflict(rig: Rig) {
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

async fn a_full_backlog_refuses_what_is_new_and_answers_what_is_known(rig: Rig) {
    let group = [entry("a", "{}"), entry("b", "{}"), entry("c", "{}")];
    let append = async || rig.append_up_to(2, &group).await;
    let (new, known, full) = (NEW, REPLAYED, BACKLOG_FULL);
    assert_eq!(append().await, [new, new, full]);
    assert_eq!(append().await, [known, known, full]);
    let read = rig.read("w", 1).await;
    rig.settle(&read, Duration::from_secs(60)).await;
    assert_eq!(append().await, [known, known, new]);
}

async fn a_dead_entry_is_requeued_once_however_often_it_is_asked(rig: Rig) {
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    let stored = proof(&read).await;
    let buried = rig
        .backbone
        .settle_dead(&rig.partition, &stored, RememberMemory::default());
    buried.await.unwrap();
    assert_eq!(rig.open().await, 0);
    let dead = Requeue {
        id: "1".into(),
        body: "{}".into(),
        body_hash: BodyHash::of(b"{}"),
        attributes: [("key".to_owned(), "shop".to_owned())].into(),
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

async fn an_append_tells_where_in_the_stream_an_entry_is_and_was(rig: Rig) {
    let limits = AppendLimits::of_backlog(10);
    let group = [entry("a", "{}"), entry("b", "{}"), entry("a", "{}")];
    let append = async || {
        let appended = rig.backbone.append(&rig.partition, limits, &group);
        appended.await.unwrap()
    };
    let first = append().await;
    let read = stream_ids(&rig.read("w", 10).await);
    let new = Appended::New;
    let replayed = |stream_id| Appended::Replayed {
        stream_id,
        owner: None,
    };
    assert_eq!(first, [new(read[0]), new(read[1]), replayed(read[0])]);
    let again = append().await;
    assert_eq!(again, [read[0], read[1], read[0]].map(replayed));
}

async fn what_is_known_of_its_request_travels_with_the_entry(rig: Rig) {
    let from = |id: &str, key: Option<&str>, traceparent: Option<&str>| NewEntry {
        origin: Origin {
            request_id: format!("request-of-{id}").into(),
            key: key.map(Arc::from),
            owner: key
                .filter(|key| *key == "shop")
                .map(|_| Arc::from("the-shop")),
            traceparent: traceparent.map(Arc::from),
        },
        ..entry(id, "{}")
    };
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let expect = async |group: &[NewEntry]| {
        assert_eq!(rig.append(group).await, vec![NEW; group.len()]);
        let read = rig.read("w", 10).await;
        let attributes = read.into_iter().map(|delivery| match delivery.payload {
            Payload::Entry(entry) => entry.attributes.to_vec(),
            Payload::Malformed { error, .. } => panic!("{error}"),
        });
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let sent = group.iter();
        let sent: Vec<Vec<_>> = sent
            .map(|entry| entry.origin.attributes().map(owned).collect())
            .collect();
        assert_eq!(attributes.collect::<Vec<_>>(), sent);
    };
    expect(&[from("a", None, None), from("b", None, None)]).await;
    expect(&[from("c", Some("shop"), None)]).await;
    expect(&[from("i", Some("shop"), None), from("j", Some("till"), None)]).await;
    expect(&[from("d", None, Some(traceparent)), from("e", None, None)]).await;
    expect(&[
        from("f", None, None),
        from("g", Some("shop"), Some(traceparent)),
        from("h", Some("shop"), None),
    ])
    .await;
}

async fn an_idempotency_key_stands_for_the_id_of_its_first_time(rig: Rig) {
    let claim = async |key: &str, body: &str, id: &str| {
        let hash = BodyHash::of(body.as_bytes());
        let keep = remember(Duration::from_secs(60));
        let claimed = rig.backbone.claim_key(&rig.partition, key, hash, id, keep);
        claimed.await.unwrap()
    };
    assert_eq!(claim("k", "{}", "1").await.as_deref(), Some("1"));
    assert_eq!(claim("k", "{}", "2").await.as_deref(), Some("1"));
    assert_eq!(claim("k", "[]", "3").await, None, "another body");
    assert_eq!(claim("l", "{}", "4").await.as_deref(), Some("4"));
}

async fn a_bucket_fills_up_evenly_and_not_all_at_once(rig: Rig) {
    let rate = floodgate_flow::Rate {
        tokens: 100,
        per: Duration::from_secs(20),
        of: floodgate_flow::RateOf::Requests,
    };
    let take = async || {
        let flow = FlowName::new("orders");
        let taken =
            rig.backbone
                .take_tokens(&flow, "key/shop", rate, floodgate_backbone::Cost::ONE);
        taken.await.unwrap()
    };
    // Of a slow machine's next call it would have one again.
    let none = loop {
        let taken = take().await;
        if !taken.taken {
            break taken;
        }
    };
    assert_eq!((none.taken, none.left), (false, 0));
    assert!(none.next_after <= Duration::from_millis(200), "{none:?}");
    support::eventually(Duration::from_secs(10), "there is one", async || {
        take().await.taken
    })
    .await;
    assert!(take().await.left < 50, "it did not just expire");
}

async fn a_bucket_goes_into_debt_once_and_is_empty_until_that_is_paid(rig: Rig) {
    let rate = floodgate_flow::Rate {
        tokens: 100,
        per: Duration::from_secs(10),
        of: floodgate_flow::RateOf::Entries,
    };
    let take = async |cost: Cost| {
        let flow = FlowName::new("orders");
        let taken = rig.backbone.take_tokens(&flow, "key/shop", rate, cost);
        taken.await.unwrap()
    };
    assert!(take(Cost::ONE).await.taken);
    // More than it holds: a debt of 51, which takes five seconds to be paid.
    let in_debt = take(Cost::further(150)).await;
    assert_eq!((in_debt.taken, in_debt.left), (true, 0));
    let (least, most) = (Duration::from_secs(10), Duration::from_millis(15_200));
    assert!((least..most).contains(&in_debt.full_after), "{in_debt:?}");
    let refused = take(Cost::further(1)).await;
    assert!(!refused.taken, "somebody else is in debt: {refused:?}");
    let refused = take(Cost::ONE).await;
    assert!(!refused.taken, "{refused:?}");
    assert!(refused.next_after > Duration::ZERO, "{refused:?}");
    support::eventually(Duration::from_secs(30), "the debt is paid", async || {
        take(Cost::ONE).await.taken
    })
    .await;
}

async fn an_id_is_forgotten_when_what_the_flow_remembers_has_passed(rig: Rig) {
    rig.fill(2).await;
    let read = rig.read("w", 2).await;
    rig.settle(&read[..1], Duration::from_millis(1)).await;
    rig.settle(&read[1..], Duration::from_secs(60)).await;
    support::eventually(Duration::from_secs(10), "1 is new again", async || {
        rig.append(&[entry("1", "{}")]).await == [NEW]
    })
    .await;
    assert_eq!(rig.append(&[entry("2", "{}")]).await, [REPLAYED]);
}

async fn the_age_is_that_of_the_oldest_open_entry_read_or_not(rig: Rig) {
    let oldest = async || rig.backbone.depth(&rig.partition).await.unwrap().oldest();
    let hour = Duration::from_secs(3600);
    assert_eq!(oldest().await, None);
    rig.append_an_hour_ago("a").await;
    rig.fill(2).await;
    assert!(oldest().await >= Some(hour));
    let read = rig.read("w", 2).await;
    assert!(oldest().await >= Some(hour));
    rig.settle(&read[..1], Duration::ZERO).await;
    assert!(oldest().await.unwrap() < hour);
    rig.settle(&read[1..], Duration::ZERO).await;
    assert!(oldest().await.is_some(), "one is not read yet");
    let read = rig.read("w", 2).await;
    rig.settle(&read, Duration::ZERO).await;
    assert_eq!(oldest().await, None);
}

async fn another_number_of_partitions_is_an_error(rig: Rig) {
    let orders = FlowName::new("orders");
    rig.backbone.check(&[(orders.clone(), 2)]).await.unwrap();
    rig.backbone.check(&[(orders.clone(), 2)]).await.unwrap();
    let error = rig.backbone.check(&[(orders, 3)]).await.unwrap_err();
    assert!(matches!(error, Error::Unfit { .. }), "{error}");
    assert!(error.to_string().contains("2 partitions"), "{error}");
}
