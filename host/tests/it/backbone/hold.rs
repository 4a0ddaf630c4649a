use super::*;
use floodgate::backbone::Recorded;

impl Rig {
    async fn record(&self, worker: &str, delivery: &Delivery, retry: &Retry) -> Recorded {
        let faults = [failed(delivery)];
        let recorded = self
            .backbone
            .record_faults(&self.partition, worker, retry, &faults);
        recorded.await.unwrap()[0]
    }
}

#[tokio::test]
async fn a_faulty_entry_comes_again_after_its_backoff_with_its_attempt() {
    let rig = Rig::new().await;
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    assert!(!read[0].redelivered);
    let recorded = rig.record("w", &read[0], &RETRY).await;
    assert_eq!(recorded, Recorded::Retried { attempts: 1 });
    let waiting = rig.backbone.pending(&rig.partition, 10).await.unwrap();
    assert_eq!(waiting[0].owner, "retry");
    assert!(waiting[0].next_attempt.is_some());
    let faults = waiting[0].faults.as_ref().unwrap();
    assert_eq!(faults.last, failed(&read[0]).fault);
    let again = rig.claim_some("v").await;
    assert_eq!(ids(&again), ["1"]);
    assert!(again[0].redelivered);
    assert_eq!((again[0].attempts, again[0].deliveries), (1, 2));
}

#[tokio::test]
async fn what_is_due_comes_in_the_order_in_which_it_became_due() {
    let rig = Rig::new().await;
    rig.fill(3).await;
    let read = rig.read("w", 3).await;
    for (delivery, backoff) in read.iter().zip([40, 0, 20]) {
        let first = Duration::from_millis(backoff);
        rig.record("w", delivery, &Retry { first, ..RETRY }).await;
    }
    let (_, last): (String, f64) = rig
        .raw("ZRANGE floodgate:{orders:0}:due -1 -1 WITHSCORES")
        .await;
    support::eventually(Duration::from_secs(10), "all are due", async || {
        let (seconds, micros): (u64, u64) = rig.raw("TIME").await;
        (seconds * 1000 + micros / 1000) as f64 >= last
    })
    .await;
    assert_eq!(ids(&rig.claim("v").await), ["2", "3", "1"]);
}

#[tokio::test]
async fn a_long_backoff_is_waited_for() {
    let rig = Rig::new().await;
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    let retry = Retry {
        first: Duration::from_secs(3600),
        max: Duration::from_secs(3600),
        ..RETRY
    };
    rig.record("w", &read[0], &retry).await;
    assert!(rig.claim("w").await.is_empty());
    let due: f64 = rig
        .raw(&format!(
            "ZSCORE floodgate:{{orders:0}}:due {}",
            read[0].stream_id
        ))
        .await;
    let wait = due - read[0].stream_id.ms as f64;
    assert!((3_600_000.0..3_660_000.0).contains(&wait), "{wait}");
}

#[tokio::test]
async fn the_last_attempt_leaves_the_entry_with_its_worker_to_be_buried() {
    let rig = Rig::new().await;
    rig.fill(1).await;
    let mut held = rig.read("w", 1).await;
    for attempts in 1..RETRY.attempts {
        let recorded = rig.record("w", &held[0], &RETRY).await;
        assert_eq!(recorded, Recorded::Retried { attempts });
        held = rig.claim_some("w").await;
    }
    let recorded = rig.record("w", &held[0], &RETRY).await;
    assert!(matches!(recorded, Recorded::Exhausted { attempts: 3, .. }));
    assert!(rig.claim("v").await.is_empty(), "w still holds it");
}

#[tokio::test]
async fn a_fault_of_an_entry_that_another_worker_holds_is_not_recorded() {
    let rig = Rig::new().await;
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    assert_eq!(rig.record("v", &read[0], &RETRY).await, Recorded::NotHeld);
    rig.forget(&read[0], "w").await;
    assert_eq!(rig.claim("v").await[0].attempts, 0);
}

#[tokio::test]
async fn what_is_handed_back_comes_at_once_and_without_a_fault() {
    let rig = Rig::new().await;
    rig.fill(2).await;
    let read = rig.read("w", 2).await;
    let back = [read[0].stream_id];
    let handed = rig.backbone.hand_back(&rig.partition, "w", &back);
    handed.await.unwrap();
    let claimed = rig.claim_some("v").await;
    assert_eq!((ids(&claimed), claimed[0].attempts), (vec!["1".into()], 0));
    let foreign = stream_ids(&read[1..]);
    let handed = rig.backbone.hand_back(&rig.partition, "v", &foreign);
    handed.await.unwrap();
    assert!(rig.claim("v").await.is_empty(), "w still holds the other");
}

#[tokio::test]
async fn a_held_entry_is_taken_over_only_when_its_lease_has_run_out() {
    let rig = Rig::new().await;
    rig.fill(2).await;
    let read = rig.read("w", 2).await;
    assert!(rig.claim("v").await.is_empty());
    rig.forget(&read[0], "w").await;
    rig.forget(&read[1], "w").await;
    let held = stream_ids(&read[1..]);
    let renewed = rig.backbone.renew(&rig.partition, "w", &held);
    assert_eq!(renewed.await.unwrap(), held);
    assert_eq!(ids(&rig.claim("v").await), ["1"]);
    let both = stream_ids(&read);
    let renewed = rig.backbone.renew(&rig.partition, "w", &both);
    assert_eq!(renewed.await.unwrap(), held, "the other is v's by now");
}

#[tokio::test]
async fn many_that_wait_for_their_backoff_do_not_hide_a_forgotten_entry() {
    let rig = Rig::new().await;
    rig.fill(301).await;
    let read = rig.read("w", 301).await;
    let slow = Retry {
        first: Duration::from_secs(3600),
        max: Duration::from_secs(3600),
        ..RETRY
    };
    let faults: Vec<_> = read[..300].iter().map(failed).collect();
    let recorded = rig
        .backbone
        .record_faults(&rig.partition, "w", &slow, &faults);
    recorded.await.unwrap();
    rig.forget(&read[300], "w").await;
    assert_eq!(ids(&rig.claim("v").await), ["301"]);
}

#[tokio::test]
async fn an_entry_that_was_trimmed_while_pending_is_counted_as_lost() {
    let rig = Rig::new().await;
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    rig.forget(&read[0], "w").await;
    let _trimmed: u64 = rig.raw(&format!("XTRIM {STREAM} MAXLEN 0")).await;
    assert!(rig.claim("v").await.is_empty());
    let depth = rig.backbone.depth(&rig.partition).await.unwrap();
    assert_eq!((depth.lost, depth.open, depth.pending), (1, 0, 0));
}

#[tokio::test]
async fn nothing_that_a_holder_does_makes_a_trimmed_entry_vanish_uncounted() {
    let rig = Rig::new().await;
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
async fn suspicion_counts_until_it_is_acquitted() {
    let rig = Rig::new().await;
    let one = StreamId { ms: 1, seq: 1 };
    let suspect = async || rig.backbone.suspect(&rig.partition, one).await.unwrap();
    assert_eq!((suspect().await, suspect().await), (1, 2));
    rig.backbone.acquit(&rig.partition, one).await.unwrap();
    assert_eq!(suspect().await, 1);
}

#[test]
fn the_backoff_grows_by_its_factor_up_to_its_longest() {
    use proptest::prelude::*;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rig = runtime.block_on(async {
        let rig = Rig::new().await;
        rig.fill(1).await;
        rig
    });
    let held = runtime.block_on(rig.read("w", 1));
    let config = ProptestConfig::with_cases(64);
    let settings = (0_u64..100_000, 1.0_f64..4.0, 0_u64..1_000_000);
    let attempts = std::cell::Cell::new(0);
    let checked =
        proptest::test_runner::TestRunner::new(config).run(&settings, |(first, factor, max)| {
            attempts.set(attempts.get() + 1);
            let retry = Retry {
                attempts: 1_000_000,
                first: Duration::from_millis(first),
                factor,
                max: Duration::from_millis(max),
            };
            let (before, due) = runtime.block_on(async {
                let (seconds, micros): (u64, u64) = rig.raw("TIME").await;
                rig.record("w", &held[0], &retry).await;
                let id = held[0].stream_id;
                let due: f64 = rig
                    .raw(&format!("ZSCORE floodgate:{{orders:0}}:due {id}"))
                    .await;
                let again = format!("XCLAIM {STREAM} workers w 0 {id} JUSTID");
                let _held: redis::Value = rig.raw(&again).await;
                (seconds as f64 * 1000.0 + micros as f64 / 1000.0, due)
            });
            let backoff = (first as f64 * factor.powi(attempts.get() - 1)).min(max as f64);
            let waited = due - before;
            prop_assert!(
                (backoff - 2.0..backoff + 1000.0).contains(&waited),
                "{waited} for {backoff}"
            );
            Ok(())
        });
    checked.unwrap();
}
