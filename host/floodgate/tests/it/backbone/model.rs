//! Any order of calls, against a model that fits on a page.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Call {
    Append(usize),
    Read(usize),
    Settle(usize),
    Fail(usize),
    HandBack(usize),
    Claim,
    Trim,
    /// Between two calls the process is killed, and another one starts.
    Crash,
}

fn call(crash: u32) -> impl Strategy<Value = Call> {
    let some = 1_usize..120;
    prop_oneof![
        10 => some.clone().prop_map(Call::Append),
        10 => some.clone().prop_map(Call::Read),
        10 => some.clone().prop_map(Call::Settle),
        10 => (1_usize..10).prop_map(Call::Fail),
        10 => (1_usize..10).prop_map(Call::HandBack),
        10 => Just(Call::Claim),
        10 => Just(Call::Trim),
        crash => Just(Call::Crash),
    ]
}

/// Comes again at once, and as often as need be.
const AT_ONCE: Retry = Retry {
    attempts: 1000,
    first: Duration::ZERO,
    factor: 1.0,
    max: Duration::ZERO,
};

struct Model {
    rig: Rig,
    appended: u64,
    unread: usize,
    retrying: usize,
    held: Vec<Delivery>,
    settled: BTreeSet<String>,
}

impl Model {
    async fn make(&mut self, call: Call) {
        let Self { rig, held, .. } = self;
        let some = |count: usize| count.min(held.len());
        match call {
            Call::Append(count) => {
                let ids = self.appended + 1..=self.appended + count as u64;
                let group: Vec<_> = ids.map(|id| entry(&id.to_string(), "{}")).collect();
                assert!(rig.append(&group).await.iter().all(|a| *a == NEW));
                self.appended += count as u64;
                self.unread += count;
            }
            // A read of nothing would block.
            Call::Read(_) if self.unread == 0 => {}
            Call::Read(count) => {
                let read = rig.read("w", count).await;
                assert_eq!(read.len(), count.min(self.unread));
                self.unread -= read.len();
                self.take(read);
            }
            Call::Settle(count) => {
                let done: Vec<_> = held.drain(..some(count)).collect();
                rig.settle(&done, Duration::from_secs(60)).await;
                self.settled.extend(ids(&done));
            }
            Call::Fail(count) => {
                let faults: Vec<_> = held.drain(..some(count)).map(|d| failed(&d)).collect();
                let call = rig
                    .backbone
                    .record_faults(&rig.partition, "w", &AT_ONCE, &faults);
                call.await.unwrap();
                self.retrying += faults.len();
            }
            Call::HandBack(count) => {
                let back: Vec<_> = held.drain(..some(count)).map(|d| d.stream_id).collect();
                let call = rig.backbone.hand_back(&rig.partition, "w", &back);
                call.await.unwrap();
                self.retrying += back.len();
            }
            Call::Claim => {
                let claimed = rig.claim("w").await;
                self.retrying -= claimed.len();
                self.take(claimed);
            }
            Call::Trim => rig.trim(Duration::ZERO).await,
            Call::Crash => {
                rig.crash().await;
                self.retrying += held.len();
                held.clear();
            }
        }
        self.check().await;
    }

    fn take(&mut self, deliveries: Vec<Delivery>) {
        for id in ids(&deliveries) {
            assert!(
                !self.settled.contains(&id),
                "{id} was settled and comes again"
            );
        }
        self.held.extend(deliveries);
    }

    async fn check(&self) {
        let depth = self.rig.backbone.depth(&self.rig.partition).await.unwrap();
        let pending = self.held.len() + self.retrying;
        assert_eq!(depth.pending, pending as u64);
        assert_eq!(depth.open, (pending + self.unread) as u64);
        assert_eq!((depth.lost, depth.retrying), (0, self.retrying as u64));
    }

    /// Everything that was appended is still there to be decided.
    async fn drain(&mut self) {
        while self.unread > 0 {
            self.make(Call::Read(100)).await;
        }
        while self.retrying > 0 {
            self.make(Call::Claim).await;
        }
        self.make(Call::Settle(usize::MAX)).await;
        assert_eq!(self.settled.len() as u64, self.appended);
        assert_eq!(self.rig.open().await, 0);
    }
}

#[test]
fn in_any_order_of_calls_redis_counts_every_entry_and_loses_none_to_the_trimmer() {
    any_order(0, Rig::redis);
}

#[test]
fn in_any_order_of_calls_and_crashes_the_file_counts_every_entry_and_loses_none() {
    any_order(5, Rig::embedded);
}

fn any_order<F: Future<Output = Rig>>(crash: u32, rig: impl Fn() -> F) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 16;
    }
    let calls = proptest::collection::vec(call(crash), 1..40);
    let checked = TestRunner::new(config).run(&calls, |calls| {
        runtime.block_on(async {
            let mut model = Model {
                rig: rig().await,
                appended: 0,
                unread: 0,
                retrying: 0,
                held: Vec::new(),
                settled: BTreeSet::new(),
            };
            for call in calls {
                model.make(call).await;
            }
            model.drain().await;
        });
        Ok(())
    });
    checked.unwrap();
}
