//! What goes wrong is named, and nothing that is in no file leaves the ledger.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use floodgate_archive::cold::{State, Store};
use floodgate_archive::ledger::{self, Ledger, Postgres};
use floodgate_archive::moving::{Error, Hook, Mover, Report, Step};

use crate::on_each_ledger;
use crate::support::{Entry, Rig};

on_each_ledger! {
    a_cold_tier_that_is_away_is_named_and_nothing_removed
    a_full_disk_is_named_and_nothing_removed
    a_file_that_reads_otherwise_than_it_was_written_never_counts
    a_sealed_file_that_is_cut_short_keeps_its_rows_in_the_ledger
    whoever_was_taken_for_dead_does_not_seal
    a_file_of_nobody_is_no_reason_to_stop
    a_broken_flow_file_is_a_problem_and_stops_no_other_flow
}

async fn run(mover: &Mover) -> Report {
    let now = "2026-01-10T12:00:00Z".parse().unwrap();
    loop {
        // The server may not have noticed yet that the last owner is gone.
        match mover.run(&[Rig::flow()], now).await {
            Err(Error::Busy) => tokio::task::yield_now().await,
            done => break done.unwrap(),
        }
    }
}

/// Once, after `step`.
fn once(step: Step, act: impl Fn() + Send + Sync + 'static) -> Hook {
    let done = AtomicBool::new(false);
    Hook::new(move |now| {
        if now == step && !done.swap(true, Ordering::SeqCst) {
            act();
        }
    })
}

fn only_object(directory: &Path) -> PathBuf {
    let mut path = directory.to_owned();
    while path.is_dir() {
        path = fs::read_dir(&path).unwrap().next().unwrap().unwrap().path();
    }
    path
}

async fn assert_moved_after_all(rig: &Rig, rows: u64) {
    let books = rig.books().await;
    assert_eq!(books.len() as u64, rows);
    let report = run(&rig.mover()).await;
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(rig.hot_ids().await, Vec::<String>::new());
    assert_eq!(rig.books().await, books);
    assert_eq!(rig.objects().len(), 1);
}

async fn a_cold_tier_that_is_away_is_named_and_nothing_removed(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 3)).await;
    let mover = rig.mover();
    fs::rename(rig.path("cold"), rig.path("away")).unwrap();
    assert!(mover.store.ping().await.is_err());
    let report = run(&mover).await;
    assert_eq!(report.moved, []);
    let [problem] = &report.problems[..] else {
        panic!("{report:?}");
    };
    assert!(
        problem.contains("events") && problem.contains("/cold/"),
        "{problem}"
    );
    assert_eq!(rig.hot_ids().await.len(), 3);
    assert!(!rig.path("cold").exists());
    fs::rename(rig.path("away"), rig.path("cold")).unwrap();
    assert_moved_after_all(&rig, 3).await;
}

/// A small disk, where this user may mount one.
struct Disk(PathBuf);

impl Disk {
    fn mount(directory: PathBuf) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(&directory);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(directory))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

async fn a_full_disk_is_named_and_nothing_removed(rig: Rig) {
    let mut entries = Entry::of_day("2026-01-02", 100);
    for (n, entry) in entries.iter_mut().enumerate() {
        // What zstd makes no smaller than the disk is.
        let noise: String = (0..400)
            .map(|m| format!("{:x}", hash(n * 400 + m)))
            .collect();
        entry.body = format!(r#"{{"noise":"{noise}"}}"#);
    }
    rig.insert(&entries).await;
    let Some(disk) = Disk::mount(rig.path("cold")) else {
        eprintln!("not tried: this user may mount nothing");
        return;
    };
    let report = run(&rig.mover()).await;
    assert_eq!(report.moved, []);
    assert!(report.problems[0].contains("No space left"), "{report:?}");
    assert_eq!(rig.hot_ids().await.len(), 100);
    // The disk is as empty as it was before.
    assert_eq!(rig.objects().len(), 0);
    drop(disk);
    assert_moved_after_all(&rig, 100).await;
}

fn hash(n: usize) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default().hash_one(n)
}

async fn a_file_that_reads_otherwise_than_it_was_written_never_counts(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 50)).await;
    let mut mover = rig.mover();
    let cold = rig.path("cold");
    mover.hook = once(Step::Written, move || {
        let path = only_object(&cold);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        let mut bytes = [0; 64];
        file.seek(SeekFrom::Start(100)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        file.seek(SeekFrom::Start(100)).unwrap();
        file.write_all(&bytes.map(|byte| !byte)).unwrap();
    });
    let report = run(&mover).await;
    assert!(report.problems[0].contains("damaged"), "{report:?}");
    assert_eq!((report.moved, rig.hot_ids().await.len()), (Vec::new(), 50));
    assert_eq!(rig.objects().len(), 0);
    assert_moved_after_all(&rig, 50).await;
}

async fn a_sealed_file_that_is_cut_short_keeps_its_rows_in_the_ledger(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 50)).await;
    rig.insert(&Entry::of_day("2026-01-03", 50)).await;
    let mut mover = rig.mover();
    let cold = rig.path("cold");
    mover.hook = once(Step::Sealed, move || {
        let file = OpenOptions::new()
            .write(true)
            .open(only_object(&cold))
            .unwrap();
        file.set_len(200).unwrap();
    });
    let report = run(&mover).await;
    assert!(report.problems[0].contains("damaged"), "{report:?}");
    assert!(report.problems[0].contains("200 bytes"), "{report:?}");
    // What is in it may not be moved again, so nothing of the flow is.
    rig.insert(&Entry::of_day("2026-01-04", 1)).await;
    let report = run(&rig.mover()).await;
    assert!(report.problems[0].contains("damaged"), "{report:?}");
    let hot = rig.hot_ids().await;
    assert_eq!(
        hot.iter().filter(|id| id.starts_with("2026-01-02")).count(),
        50
    );
    assert!(hot.contains(&"2026-01-04-0".to_owned()));
}

async fn whoever_was_taken_for_dead_does_not_seal(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 5)).await;
    let mut mover = rig.mover();
    let (sent, told) = std::sync::mpsc::channel();
    let (ledger, runtime) = (rig.ledger(), tokio::runtime::Handle::current());
    let other = std::thread::spawn(move || {
        told.recv().unwrap();
        runtime.block_on(async {
            let files = ledger.files(None).await.unwrap();
            ledger.discard(&files[0]).await.unwrap();
        });
    });
    let other = std::sync::Mutex::new(Some(other));
    mover.hook = once(Step::Verified, move || {
        sent.send(()).unwrap();
        other.lock().unwrap().take().unwrap().join().unwrap();
    });
    // The thread needs a runtime that goes on meanwhile.
    let report = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { run(&mover).await })
    });
    let report = report.await.unwrap();
    assert!(
        report.problems[0].contains("no longer writing"),
        "{report:?}"
    );
    assert_eq!(rig.hot_ids().await.len(), 5);
    assert_moved_after_all(&rig, 5).await;
}

async fn a_file_of_nobody_is_no_reason_to_stop(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 5)).await;
    let draft = floodgate_archive::cold::Draft {
        number: rig.ledger().number().await.unwrap(),
        flow: "gone".to_owned(),
        day: jiff::civil::date(2026, 1, 1),
        columns: Vec::new(),
    };
    let ledger = rig.ledger();
    let owned = ledger.own(Duration::ZERO).await.unwrap().unwrap();
    let file = ledger.begin(&draft).await.unwrap();
    drop(owned);
    assert_eq!(
        (file.state, file.path),
        (State::Writing, "gone/day=2026-01-01/1.parquet".into())
    );
    assert_moved_after_all(&rig, 5).await;
    assert_eq!(rig.ledger().files(Some("gone")).await.unwrap(), []);
}

#[tokio::test]
async fn a_ledger_that_is_away_says_so() {
    let config = "postgres://postgres@127.0.0.1:1/none".parse().unwrap();
    let ledger = Postgres::connect(config).unwrap();
    assert!(matches!(ledger.ping().await, Err(ledger::Error::Away(_))));
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().to_str().unwrap(), []).unwrap();
    let mover = Mover::new(std::sync::Arc::new(ledger), store);
    let refused = mover.run(&[Rig::flow()], jiff::Timestamp::now()).await;
    assert!(
        matches!(refused, Err(Error::Ledger(ledger::Error::Away(_)))),
        "{refused:?}"
    );
    let nothing = ledger::Embedded::new(directory.path());
    assert!(matches!(nothing.ping().await, Err(ledger::Error::Away(_))));
}

async fn a_broken_flow_file_is_a_problem_and_stops_no_other_flow(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 3)).await;
    fs::write(rig.path("flows").join("broken.toml"), "[keep").unwrap();
    let output = rig.archiver(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["moved"][0]["rows"], 3, "{report}");
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.contains("broken.toml"), "{problem}");
    assert_eq!(rig.hot_ids().await, Vec::<String>::new());
}
