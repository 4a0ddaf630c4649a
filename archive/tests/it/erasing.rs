use std::time::Duration;

use datafusion::arrow::array::Array;
use floodgate_archive::cold;
use floodgate_archive::moving::Error;

use crate::on_each_ledger;
use crate::support::{Entry, Rig};

on_each_ledger! {
    an_erased_entry_leaves_its_hash_and_nothing_that_it_said
    an_entry_that_was_erased_in_the_ledger_is_moved_without_a_body
    erasing_waits_for_a_pass
}

const PATIENCE: Duration = Duration::from_secs(10);

async fn move_all(rig: &Rig) {
    let now = "2026-01-10T12:00:00Z".parse().unwrap();
    let report = rig.mover().run(&[Rig::flow()], now).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

async fn an_erased_entry_leaves_its_hash_and_nothing_that_it_said(rig: Rig) {
    let entries = Entry::of_day("2026-01-02", 20);
    rig.insert(&entries).await;
    move_all(&rig).await;
    let before = rig.objects();
    let columns = Rig::flow().columns;
    let mover = rig.mover();
    let id = "2026-01-02-7";

    let erased = mover.erase("events", &columns, id, PATIENCE).await.unwrap();

    let after = rig.objects();
    assert_eq!(after.keys().cloned().collect::<Vec<_>>(), erased);
    assert!(before.keys().all(|path| !after.contains_key(path)));
    let mut expected: Vec<_> = entries.iter().map(Entry::kept).collect();
    expected
        .iter_mut()
        .find(|(known, ..)| known == id)
        .unwrap()
        .2 = None;
    expected.sort();
    assert_eq!(rig.books().await, expected);
    let files = rig.ledger().files(None).await.unwrap();
    let row = cold::find(&rig.store(), &files[0], id)
        .await
        .unwrap()
        .unwrap();
    assert!(row["erased_at"].is_valid(0) && row["at"].is_valid(0));
    for gone in ["body", "output", "attributes", "user", "n"] {
        assert!(row[gone].is_null(0), "{gone}");
    }
    let other = cold::find(&rig.store(), &files[0], "2026-01-02-8")
        .await
        .unwrap()
        .unwrap();
    assert!(other["erased_at"].is_null(0) && other["user"].is_valid(0));
    assert!(other["attributes"].is_valid(0));
    assert_eq!(
        rig.ledger().moved("events", id).await.unwrap(),
        Some(files[0].number)
    );

    // Again, and what was never moved.
    for id in [id, "unknown"] {
        let erased = mover.erase("events", &columns, id, PATIENCE).await.unwrap();
        assert_eq!(erased, Vec::<String>::new());
    }
    assert_eq!(rig.objects(), after);
}

async fn an_entry_that_was_erased_in_the_ledger_is_moved_without_a_body(rig: Rig) {
    let entries = Entry::of_day("2026-01-02", 2);
    rig.insert(&entries).await;
    let now = match rig.kind {
        crate::support::Kind::Postgres => "now()",
        crate::support::Kind::Embedded => "1767571200000",
    };
    let erase = format!(
        "UPDATE decisions SET body = 'null', attributes = NULL, erased_at = {now}
         WHERE id = '2026-01-02-0'"
    );
    rig.execute(&erase).await;
    let books = rig.books().await;
    assert_eq!(books[0].2, None);
    move_all(&rig).await;
    assert_eq!(rig.books().await, books);
}

async fn erasing_waits_for_a_pass(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 2)).await;
    move_all(&rig).await;
    // The server may not have noticed yet that the last pass has ended.
    let owned = rig.ledger().own(PATIENCE).await.unwrap().unwrap();
    let mover = rig.mover();
    let refused = mover
        .erase("events", &[], "2026-01-02-0", Duration::ZERO)
        .await;
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    let waiting =
        tokio::spawn(async move { mover.erase("events", &[], "2026-01-02-0", PATIENCE).await });
    tokio::task::yield_now().await;
    drop(owned);
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1);
}
