use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use floodgate_archive::cold;
use floodgate_archive::moving::{Error, Hook, Mover, Report, Step};
use futures_util::TryStreamExt;

use crate::on_each_ledger;
use crate::support::{Entry, Rig};

on_each_ledger! {
    several_small_files_of_a_day_are_made_one
    a_large_file_is_left_alone
    a_damaged_file_keeps_only_its_own_day_from_being_merged
    what_a_damaged_file_replaced_is_not_removed
    rows_that_were_merged_or_erased_are_not_looked_for_in_the_ledger
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

async fn pass(mover: &Mover) -> Report {
    let report = run(mover).await;
    assert_eq!(report.problems, Vec::<String>::new());
    report
}

async fn several_small_files_of_a_day_are_made_one(rig: Rig) {
    let entries = Entry::of_day("2026-01-02", 30);
    let mut kept: Vec<_> = entries.iter().map(Entry::kept).collect();
    kept.sort();
    let mut mover = rig.mover();
    mover.limits.several = 3;
    mover.limits.removed = 7;
    rig.insert(&Entry::of_day("2026-01-03", 2)).await;
    // Every third row comes with the same pass.
    for late in 0..2 {
        let some: Vec<_> = entries.iter().skip(late).step_by(3).cloned().collect();
        rig.insert(&some).await;
        assert_eq!(pass(&mover).await.merged, []);
    }
    let some: Vec<_> = entries.iter().skip(2).step_by(3).cloned().collect();
    rig.insert(&some).await;

    let report = pass(&mover).await;

    let [merged] = &report.merged[..] else {
        panic!("{report:?}");
    };
    assert_eq!((merged.of.len(), merged.rows), (3, 30));
    let files = rig.ledger().files(Some("events")).await.unwrap();
    let file = files
        .iter()
        .find(|file| file.number == merged.file)
        .unwrap();
    let rows = cold::rows(&rig.store(), file).await.unwrap();
    let rows: Vec<_> = rows.try_collect().await.unwrap();
    let places = rows.iter().flat_map(|batch| {
        let times = batch["at"]
            .as_primitive::<TimestampMicrosecondType>()
            .values();
        let seqs = batch["seq"].as_primitive::<Int64Type>().values();
        times.iter().copied().zip(seqs.iter().copied())
    });
    assert!(places.is_sorted());
    let moved = format!("SELECT count(*) FROM moved WHERE file = {}", merged.file);
    assert_eq!(rig.number(&moved).await, 30);

    // Whoever reads the old files is done by then.
    assert_eq!(rig.objects().len(), 5);
    assert_eq!(pass(&mover).await, Report::default());
    assert_eq!(rig.objects().len(), 2);
    let books = rig.books().await;
    assert_eq!(books.len(), 32);
    assert!(kept.iter().all(|row| books.contains(row)));
}

async fn a_large_file_is_left_alone(rig: Rig) {
    let entries = Entry::of_day("2026-01-02", 6);
    let mut mover = rig.mover();
    mover.limits.several = 2;
    mover.limits.small = 1;
    for part in entries.chunks(2) {
        rig.insert(part).await;
        assert_eq!(pass(&mover).await.merged, []);
    }
    assert_eq!(rig.objects().len(), 3);
}

async fn a_damaged_file_keeps_only_its_own_day_from_being_merged(rig: Rig) {
    let mut mover = rig.mover();
    mover.limits.several = usize::MAX;
    for hour in ["01", "02"] {
        for day in ["2026-01-02", "2026-01-03"] {
            let at = format!("{day}T{hour}:00:00Z");
            rig.insert(&[Entry::new(&at, &at)]).await;
        }
        assert_eq!(pass(&mover).await.merged, []);
    }
    let files = rig.ledger().files(None).await.unwrap();
    let damaged = File::options()
        .write(true)
        .open(rig.path("cold").join(&files[0].path));
    damaged.unwrap().set_len(200).unwrap();
    mover.limits.several = 2;

    let now = "2026-01-10T12:00:00Z".parse().unwrap();
    let report = mover.run(&[Rig::flow()], now).await.unwrap();

    let [problem] = &report.problems[..] else {
        panic!("{report:?}");
    };
    assert!(problem.contains(&files[0].path), "{problem}");
    let days: Vec<_> = report.merged.iter().map(|merged| merged.day).collect();
    assert_eq!(days, [files[2].day]);
    let now_there = rig.ledger().files(None).await.unwrap();
    assert!(files[..2].iter().all(|file| now_there.contains(file)));
}

async fn rows_that_were_merged_or_erased_are_not_looked_for_in_the_ledger(rig: Rig) {
    let entries = Entry::of_day("2026-01-02", 6);
    let mut mover = rig.mover();
    mover.limits.several = 2;
    mover.limits.removed = 1;
    let removals = Arc::new(AtomicUsize::new(0));
    let counted = removals.clone();
    mover.hook = Hook::new(move |step| {
        counted.fetch_add((step == Step::Removed).into(), Ordering::SeqCst);
    });
    rig.insert(&entries[..3]).await;
    assert_eq!(pass(&mover).await.merged, []);
    rig.insert(&entries[3..]).await;
    assert_eq!(pass(&mover).await.merged[0].rows, 6);
    let erased = mover.erase("events", &[], &entries[0].id, Duration::from_secs(10));
    assert_eq!(erased.await.unwrap().len(), 1);
    assert_eq!(removals.load(Ordering::SeqCst), 6);
    assert_eq!(rig.books().await.len(), 6);
    let files = rig.ledger().files(None).await.unwrap();
    assert_eq!(
        files.iter().map(|file| file.replaces).collect::<Vec<_>>(),
        [true]
    );
}

async fn what_a_damaged_file_replaced_is_not_removed(rig: Rig) {
    let mut mover = rig.mover();
    mover.limits.several = 2;
    let mut early = Entry::of_day("2026-01-02", 6);
    let late = early.split_off(3);
    rig.insert(&early).await;
    pass(&mover).await;
    rig.insert(&late).await;
    let merged = rig.path("cold").join("events/day=2026-01-02/3.parquet");
    let sealed = AtomicUsize::new(0);
    mover.hook = Hook::new(move |step| {
        // First those that are late, then what has all of them.
        if step == Step::Sealed && sealed.fetch_add(1, Ordering::SeqCst) == 1 {
            let merged = File::options().write(true).open(&merged).unwrap();
            merged.set_len(10).unwrap();
        }
    });
    for _ in 0..2 {
        let report = run(&mover).await;
        assert_eq!(report.problems.len(), 1, "{report:?}");
        assert_eq!(rig.objects().len(), 3, "{report:?}");
    }
}
