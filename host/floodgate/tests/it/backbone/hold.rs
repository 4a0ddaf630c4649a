use super::*;
use floodgate_backbone::Recorded;

contract!([redis, embedded] {
    a_faulty_entry_comes_again_after_its_backoff_with_its_attempt,
    what_is_due_comes_in_the_order_in_which_it_became_due,
    a_long_backoff_is_waited_for,
    the_last_attempt_leaves_the_entry_with_its_worker_to_be_buried,
    a_fault_of_an_entry_that_another_worker_holds_is_not_recorded,
    what_is_handed_back_comes_at_once_and_without_a_fault,
    a_held_entry_is_taken_over_only_when_its_lease_has_run_out,
    many_that_wait_for_their_backoff_do_not_hide_a_forgotten_entry,
    suspicion_counts_until_it_is_acquitted,
    a_note_that_is_taken_back_leaves_those_before_it,
    whoever_leaves_hands_back_all_that_it_holds,
    a_reader_that_waits_is_told_of_an_append,
    workers_that_read_at_once_never_get_the_same_entry,
});

impl Rig {
    /// Unix milliseconds, of the entry that waits for it.
    async fn next_attempt(&self) -> u64 {
        let waiting = self.backbone.pending(&self.partition, 1).await.unwrap();
        waiting[0].next_attempt.unwrap()
    }

    pub async fn record(&self, worker: &str, delivery: &Delivery, retry: &Retry) -> Recorded {
        let faults = [failed(delivery)];
        let recorded = self
            .backbone
            .record_faults(&self.partition, worker, retry, &faults);
        recorded.await.unwrap()[0]
    }
}

async fn a_faulty_entry_comes_again_after_its_backoff_with_its_attempt(rig: Rig) {
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

async fn what_is_due_comes_in_the_order_in_which_it_became_due(rig: Rig) {
    rig.fill(3).await;
    let read = rig.read("w", 3).await;
    for (delivery, backoff) in read.iter().zip([40, 0, 20]) {
        let first = Duration::from_millis(backoff);
        rig.record("w", delivery, &Retry { first, ..RETRY }).await;
    }
    let waiting = rig.backbone.pending(&rig.partition, 10).await.unwrap();
    let last = waiting.iter().map(|pending| pending.next_attempt).max();
    // A slow machine records the last one when the first is due already.
    let mut in_order = waiting;
    in_order.sort_by_key(|pending| pending.next_attempt);
    let in_order: Vec<_> = in_order
        .into_iter()
        .filter_map(|pending| pending.id)
        .collect();
    support::eventually(Duration::from_secs(10), "all are due", async || {
        Some(now()) >= last.unwrap()
    })
    .await;
    assert_eq!(ids(&rig.claim("v").await), in_order);
}

async fn a_long_backoff_is_waited_for(rig: Rig) {
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    let retry = Retry {
        first: Duration::from_secs(3600),
        max: Duration::from_secs(3600),
        ..RETRY
    };
    rig.record("w", &read[0], &retry).await;
    assert!(rig.claim("w").await.is_empty());
    let due = rig.next_attempt().await;
    let wait = due - read[0].stream_id.ms;
    assert!((3_600_000..3_660_000).contains(&wait), "{wait}");
}

async fn the_last_attempt_leaves_the_entry_with_its_worker_to_be_buried(rig: Rig) {
    rig.fill(1).await;
    let mut held = rig.read("w", 1).await;
    for attempts in 1..RETRY.attempts {
        let recorded = rig.record("w", &held[0], &RETRY).await;
        assert_eq!(recorded, Recorded::Retried { attempts });
        held = rig.claim_some("w").await;
        assert_eq!(held[0].deliveries, attempts + 1);
    }
    let recorded = rig.record("w", &held[0], &RETRY).await;
    assert!(matches!(recorded, Recorded::Exhausted { attempts: 3, .. }));
    assert!(rig.claim("v").await.is_empty(), "w still holds it");
}

async fn a_fault_of_an_entry_that_another_worker_holds_is_not_recorded(rig: Rig) {
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    assert_eq!(rig.record("v", &read[0], &RETRY).await, Recorded::NotHeld);
    rig.forget(&read[0], "w").await;
    assert_eq!(rig.claim("v").await[0].attempts, 0);
}

async fn what_is_handed_back_comes_at_once_and_without_a_fault(rig: Rig) {
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

async fn a_held_entry_is_taken_over_only_when_its_lease_has_run_out(rig: Rig) {
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

async fn many_that_wait_for_their_backoff_do_not_hide_a_forgotten_entry(rig: Rig) {
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

async fn suspicion_counts_until_it_is_acquitted(rig: Rig) {
    rig.fill(1).await;
    let one = rig.read("w", 1).await[0].stream_id;
    let suspect = async || rig.backbone.suspect(&rig.partition, one).await.unwrap();
    assert_eq!((suspect().await, suspect().await), (1, 2));
    rig.backbone.acquit(&rig.partition, one).await.unwrap();
    assert_eq!(suspect().await, 1);
}

async fn a_note_that_is_taken_back_leaves_those_before_it(rig: Rig) {
    rig.fill(1).await;
    let one = rig.read("w", 1).await[0].stream_id;
    let suspect = async || rig.backbone.suspect(&rig.partition, one).await.unwrap();
    let withdraw = async || rig.backbone.withdraw(&rig.partition, one).await.unwrap();
    assert_eq!((suspect().await, suspect().await), (1, 2));
    withdraw().await;
    assert_eq!(suspect().await, 2);
    // Once more than it was noted, as after somebody else acquitted it.
    for _ in 0..3 {
        withdraw().await;
    }
    assert_eq!(suspect().await, 1);
}

async fn whoever_leaves_hands_back_all_that_it_holds(rig: Rig) {
    rig.fill(5).await;
    rig.read("w", 4).await;
    rig.read("v", 1).await;
    rig.backbone.leave(&rig.partition, "w").await.unwrap();
    assert_eq!(ids(&rig.claim_some("v").await), ["1", "2", "3", "4"]);
}

async fn a_reader_that_waits_is_told_of_an_append(rig: Rig) {
    let mut reader = rig.backbone.reader(&rig.partition, "w").await.unwrap();
    let (read, _) = tokio::join!(reader.read(10), rig.fill(1));
    let mut read = read.unwrap();
    if read.is_empty() {
        read = reader.read(10).await.unwrap();
    }
    assert_eq!(ids(&read), ["1"]);
}

async fn workers_that_read_at_once_never_get_the_same_entry(rig: Rig) {
    rig.fill(300).await;
    let read = async |worker| {
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.extend(stream_ids(&rig.read(worker, 10).await));
        }
        ids
    };
    let (a, b, c) = tokio::join!(read("a"), read("b"), read("c"));
    let mut all = [a, b, c].concat();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), rig.pending().await), (300, 300));
}

/// Unix milliseconds.
fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_millis() as u64
}

#[test]
fn the_backoff_grows_by_its_factor_up_to_its_longest_on_redis() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    backoffs(&runtime, runtime.block_on(Rig::redis()));
}

#[test]
fn the_backoff_grows_by_its_factor_up_to_its_longest_embedded() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    backoffs(&runtime, runtime.block_on(Rig::embedded()));
}

fn backoffs(runtime: &tokio::runtime::Runtime, rig: Rig) {
    use proptest::prelude::*;
    runtime.block_on(rig.fill(1));
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
                let before = now();
                rig.record("w", &held[0], &retry).await;
                let due = rig.next_attempt().await;
                rig.put_back(&held[0], "w").await;
                (before as f64, due as f64)
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
