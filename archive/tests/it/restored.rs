//! A ledger is put back as it was: what was written since stays as it is.

use std::collections::BTreeMap;
use std::fs;

use floodgate_archive::moving::{Hook, Report, Step};

use crate::on_each_ledger;
use crate::support::{Entry, Kind, Rig};

on_each_ledger! {
    numbers_that_come_again_overwrite_nothing
    what_somebody_else_writes_meanwhile_stays
}

async fn run(rig: &Rig, hook: Hook) -> Report {
    let now = "2026-01-10T12:00:00Z".parse().unwrap();
    let mut mover = rig.mover();
    mover.limits.rows = 2;
    mover.limits.several = usize::MAX;
    mover.hook = hook;
    mover.run(&[Rig::flow()], now).await.unwrap()
}

fn contents(rig: &Rig) -> BTreeMap<String, Vec<u8>> {
    let read = |path: String| {
        let bytes = fs::read(rig.path("cold").join(&path)).unwrap();
        (path, bytes)
    };
    rig.objects().into_keys().map(read).collect()
}

/// What it was before anything was moved.
async fn put_back(rig: &Rig) {
    for table in ["moved", "cold_files"] {
        rig.execute(&format!("DELETE FROM {table}")).await;
    }
    rig.execute(match rig.kind {
        Kind::Postgres => "ALTER TABLE cold_files ALTER COLUMN number RESTART WITH 1",
        Kind::Embedded => "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'cold_files'",
    })
    .await;
}

async fn numbers_that_come_again_overwrite_nothing(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 5)).await;
    run(&rig, Hook::default()).await;
    let before = contents(&rig);
    assert_eq!(before.len(), 3);
    put_back(&rig).await;
    let later = [Entry::new("later", "2026-01-02T12:00:00Z")];
    rig.insert(&later).await;

    let report = run(&rig, Hook::default()).await;

    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.moved[0].file, 4);
    let mut after = contents(&rig);
    assert!(after.remove("events/day=2026-01-02/4.parquet").is_some());
    assert_eq!(after, before);
    assert_eq!(rig.books().await, later.map(|entry| entry.kept()));
}

async fn what_somebody_else_writes_meanwhile_stays(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 2)).await;
    let theirs = rig.path("cold").join("events/day=2026-01-02/1.parquet");
    let path = theirs.clone();
    let report = run(
        &rig,
        Hook::new(move |step| {
            if step == Step::Begun {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, "theirs").unwrap();
            }
        }),
    );
    let report = report.await;
    assert!(report.problems[0].contains("there already"), "{report:?}");
    assert_eq!(rig.hot_ids().await.len(), 2);
    let report = run(&rig, Hook::default()).await;
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.moved[0].file, report.moved[0].rows), (2, 2));
    assert_eq!(rig.objects().len(), 2);
    assert_eq!(fs::read(theirs).unwrap(), b"theirs");
}
