//! Whoever lost the archive to somebody else, and has not heard of it yet, does
//! nothing more. An embedded ledger is lost with its process only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use floodgate_archive::ledger::Ledger;
use floodgate_archive::moving::{Hook, Report, Step};
use jiff::Timestamp;

use crate::support::{Entry, Kind, Rig};

const PATIENCE: Duration = Duration::from_secs(30);

/// Ends the session of whoever owns the archive.
const END: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 1668246628
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

fn now() -> Timestamp {
    "2026-01-10T12:00:00Z".parse().unwrap()
}

fn once(step: Step, act: impl Fn() + Send + Sync + 'static) -> Hook {
    let done = AtomicBool::new(false);
    Hook::new(move |now| {
        if now == step && !done.swap(true, Ordering::SeqCst) {
            act();
        }
    })
}

/// A pass that waits after one of its steps.
struct Waiting {
    reached: Receiver<()>,
    go_on: Sender<()>,
    pass: JoinHandle<Report>,
    /// Its own.
    ledger: Arc<dyn Ledger>,
}

impl Waiting {
    /// In a thread and a runtime of its own.
    fn after(step: Step, rig: &Rig) -> Self {
        let (at, reached) = channel();
        let (go_on, told) = channel();
        let told = Mutex::new(told);
        let mut mover = rig.mover();
        let ledger = mover.ledger.clone();
        mover.hook = once(step, move || {
            at.send(()).unwrap();
            told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        });
        let pass = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let flows = [Rig::flow()];
            runtime.block_on(async { mover.run(&flows, now()).await.unwrap() })
        });
        Self {
            reached,
            go_on,
            pass,
            ledger,
        }
    }

    fn end(self) -> Report {
        self.go_on.send(()).unwrap();
        self.pass.join().unwrap()
    }
}

#[tokio::test]
async fn whoever_lost_the_archive_neither_begins_nor_seals_a_file() {
    for step in [Step::Owned, Step::Verified] {
        let rig = Rig::new(Kind::Postgres).await;
        rig.insert(&Entry::of_day("2026-01-02", 3)).await;
        let pass = Waiting::after(step, &rig);
        pass.reached.recv_timeout(PATIENCE).unwrap();
        assert_eq!(rig.number(END).await, 1);
        let ledger = rig.ledger();
        let owned = ledger.own(PATIENCE).await.unwrap().unwrap();
        let report = pass.end();
        drop(owned);
        assert_eq!(report.moved, [], "{step:?}");
        assert_eq!(report.problems.len(), 1, "{step:?}: {report:?}");
        assert_eq!(ledger.files(None).await.unwrap(), [], "{step:?}");
        assert_eq!(rig.hot_ids().await.len(), 3, "{step:?}");
    }
}

/// An erasure that comes meanwhile would lend it a lock that it has lost.
#[tokio::test]
async fn nobody_owns_the_archive_beside_a_pass_of_the_same_process() {
    let rig = Rig::new(Kind::Postgres).await;
    rig.insert(&Entry::of_day("2026-01-02", 3)).await;
    let pass = Waiting::after(Step::Owned, &rig);
    pass.reached.recv_timeout(PATIENCE).unwrap();
    assert_eq!(rig.number(END).await, 1);
    let ledger = pass.ledger.clone();
    // Once somebody else had it the lock is free.
    drop(rig.ledger().own(PATIENCE).await.unwrap().unwrap());
    assert!(ledger.own(Duration::ZERO).await.unwrap().is_none());
    let report = pass.end();
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert!(ledger.own(PATIENCE).await.unwrap().is_some());
}

/// The other one has sealed what the first would read next, and removed
/// nothing of it yet.
#[tokio::test]
async fn two_that_believe_to_own_the_archive_move_each_row_once() {
    let rig = Rig::new(Kind::Postgres).await;
    let mut entries = Entry::of_day("2026-01-02", 3);
    entries.extend(Entry::of_day("2026-01-03", 3));
    rig.insert(&entries).await;
    let kept = rig.books().await;
    let first = Waiting::after(Step::Sealed, &rig);
    first.reached.recv_timeout(PATIENCE).unwrap();
    assert_eq!(rig.number(END).await, 1);
    drop(rig.ledger().own(PATIENCE).await.unwrap().unwrap());

    let first = Mutex::new(Some(first));
    let (ended, of_first) = channel();
    let mut other = rig.mover();
    other.hook = once(Step::Sealed, move || {
        let first = first.lock().unwrap().take().unwrap();
        ended.send(first.end()).unwrap();
    });
    let report = loop {
        match other.run(&[Rig::flow()], now()).await {
            Err(floodgate_archive::moving::Error::Busy) => tokio::task::yield_now().await,
            done => break done.unwrap(),
        }
    };

    let of_first = of_first.recv_timeout(PATIENCE).unwrap();
    assert!(!of_first.problems.is_empty(), "{of_first:?}");
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(rig.books().await, kept);
    assert_eq!(rig.hot_ids().await, Vec::<String>::new());
}
