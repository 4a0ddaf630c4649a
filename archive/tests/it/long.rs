use std::fs::File;

use floodgate_archive::cold;
use futures_util::TryStreamExt;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::on_each_ledger;
use crate::support::{Entry, Rig};

on_each_ledger! {
    long_bodies_are_in_memory_a_few_at_a_time_however_short_they_get
}

async fn long_bodies_are_in_memory_a_few_at_a_time_however_short_they_get(rig: Rig) {
    let mut entries = Entry::of_day("2026-01-02", 140);
    let long = "x".repeat(1 << 20);
    for entry in &mut entries {
        entry.body = format!(r#"{{"long":"{long}"}}"#);
    }
    let mut mover = rig.mover();
    mover.limits.several = 2;
    for some in entries.chunks(70) {
        rig.insert(some).await;
        let now = "2026-01-10T12:00:00Z".parse().unwrap();
        let report = mover.run(&[Rig::flow()], now).await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }
    let files = rig.ledger().files(None).await.unwrap();
    let merged = files.iter().find(|file| file.replaces).unwrap();
    for file in &files {
        let rows = cold::rows(&rig.store(), file).await.unwrap();
        let batches: Vec<_> = rows
            .map_ok(|batch| batch.num_rows())
            .try_collect()
            .await
            .unwrap();
        let rows: usize = batches.iter().sum();
        assert_eq!(rows as u64, file.sealed.as_ref().unwrap().rows);
        assert!(batches.iter().all(|rows| *rows <= 8), "{batches:?}");
    }
    let file = File::open(rig.path("cold").join(&merged.path)).unwrap();
    let read = SerializedFileReader::new(file).unwrap();
    let groups = read.metadata().row_groups().iter();
    let rows: Vec<_> = groups.map(|group| group.num_rows()).collect();
    assert_eq!(rows.iter().sum::<i64>(), 140);
    assert!(
        rows.len() > 1 && rows.iter().all(|rows| *rows <= 136),
        "{rows:?}"
    );
}
