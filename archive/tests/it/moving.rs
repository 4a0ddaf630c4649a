use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use floodgate_archive::cold::{self, State};
use floodgate_archive::columns;
use floodgate_archive::ledger::{During, Scan};
use floodgate_archive::moving::{Error, Report};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::on_each_ledger;
use crate::support::{Entry, Kind, Rig, all_hot};

on_each_ledger! {
    days_are_moved_whole_and_the_ledger_is_empty
    ids_stay_known_and_rows_can_be_found_by_them
    what_is_young_stays
    a_row_waits_for_its_deliveries
    late_rows_become_another_file
    a_pass_moves_so_many_days_and_the_next_goes_on
    two_archivers_do_not_work_at_once
    a_file_has_the_declared_columns
    hot_rows_are_those_that_were_asked_for
    a_reader_that_leaves_early_holds_nothing
}

fn now() -> Timestamp {
    "2026-01-10T12:00:00Z".parse().unwrap()
}

async fn run(rig: &Rig) -> Report {
    let mut mover = rig.mover();
    mover.limits.rows = 10;
    mover.limits.removed = 4;
    mover.limits.several = usize::MAX;
    let report = mover.run(&[Rig::flow()], now()).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    report
}

fn sorted(entries: &[Entry]) -> Vec<(String, Vec<u8>, Option<String>)> {
    let mut kept: Vec<_> = entries.iter().map(Entry::kept).collect();
    kept.sort();
    kept
}

async fn days_are_moved_whole_and_the_ledger_is_empty(rig: Rig) {
    let mut entries = Entry::of_day("2026-01-02", 25);
    entries.extend(Entry::of_day("2026-01-05", 10));
    entries.extend(Entry::of_day("1969-12-31", 1));
    rig.insert(&entries).await;
    let day = jiff::civil::date(2026, 1, 2);
    let before = rig.ledger().day("events", day, None, 100).await.unwrap();
    let before: Vec<_> = before.try_collect().await.unwrap();

    let report = run(&rig).await;

    let moved: Vec<_> = report
        .moved
        .iter()
        .map(|m| (m.day.to_string(), m.rows))
        .collect();
    let expected = [
        ("1969-12-31", 1),
        ("2026-01-02", 10),
        ("2026-01-02", 10),
        ("2026-01-02", 5),
        ("2026-01-05", 10),
    ];
    assert_eq!(moved, expected.map(|(day, rows)| (day.to_owned(), rows)));
    assert_eq!(rig.number("SELECT count(*) FROM decisions").await, 0);
    assert_eq!(rig.number("SELECT count(*) FROM moved").await, 36);
    assert_eq!(rig.books().await, sorted(&entries));

    // All that was known of them is in the files, in the same order.
    let mut after = Vec::new();
    let files = rig.ledger().files(Some("events")).await.unwrap();
    for file in files.iter().filter(|file| file.day == day) {
        assert_eq!(file.state, State::Cold);
        let rows = cold::rows(&rig.store(), file).await.unwrap();
        after.extend(rows.try_collect::<Vec<_>>().await.unwrap());
    }
    let whole = |batches: &[_]| concat_batches(&columns::base(), batches).unwrap();
    assert_eq!(whole(&before), whole(&after));
    assert_eq!(
        whole(&after)["at"]
            .as_primitive::<TimestampMicrosecondType>()
            .value(1)
            % 1_000_000,
        125_000
    );
    let paths: BTreeSet<_> = files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(rig.objects().into_keys().collect::<BTreeSet<_>>(), paths);

    assert_eq!(run(&rig).await, Report::default());
}

async fn ids_stay_known_and_rows_can_be_found_by_them(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 15)).await;
    run(&rig).await;
    let ledger = rig.ledger();
    let number = ledger
        .moved("events", "2026-01-02-12")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ledger.moved("events", "2026-01-02-15").await.unwrap(), None);
    assert_eq!(ledger.moved("other", "2026-01-02-12").await.unwrap(), None);
    let files = ledger.files(None).await.unwrap();
    let file = files.iter().find(|file| file.number == number).unwrap();
    let found = cold::find(&rig.store(), file, "2026-01-02-12")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.num_rows(), 1);
    assert_eq!(found["id"].as_string::<i32>().value(0), "2026-01-02-12");
    assert!(
        found["body"]
            .as_string::<i32>()
            .value(0)
            .contains("u-2026-01-02-12")
    );
    assert!(
        cold::find(&rig.store(), file, "2026-01-02-1")
            .await
            .unwrap()
            .is_none()
    );
}

async fn what_is_young_stays(rig: Rig) {
    let mut entries = Entry::of_day("2026-01-08", 2);
    entries.push(Entry::new("last", "2026-01-08T23:59:59.999Z"));
    entries.push(Entry::new("first", "2026-01-09T00:00:00Z"));
    entries.push(Entry::new("future", "2026-02-01T00:00:00Z"));
    let mut other = Entry::new("other", "2020-01-01T00:00:00Z");
    other.flow = "other";
    rig.insert(&entries).await;
    rig.insert(&[other]).await;
    let report = run(&rig).await;
    assert_eq!(
        report
            .moved
            .iter()
            .map(|moved| moved.rows)
            .collect::<Vec<_>>(),
        [3]
    );
    assert_eq!(rig.hot_ids().await, ["first", "future"]);
    assert_eq!(
        rig.number("SELECT count(*) FROM decisions WHERE flow = 'other'")
            .await,
        1
    );
}

async fn a_row_waits_for_its_deliveries(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 4)).await;
    rig.insert(&[Entry::new("alone", "2026-01-03T00:00:00Z")])
        .await;
    rig.deliver("2026-01-02-0", "waiting").await;
    rig.deliver("2026-01-02-1", "given-up").await;
    rig.deliver("2026-01-02-2", "delivered").await;
    rig.deliver("alone", "waiting").await;
    let report = run(&rig).await;
    assert_eq!(
        report
            .moved
            .iter()
            .map(|moved| moved.rows)
            .collect::<Vec<_>>(),
        [2]
    );
    assert_eq!(
        rig.hot_ids().await,
        ["2026-01-02-0", "2026-01-02-1", "alone"]
    );
    assert_eq!(rig.number("SELECT count(*) FROM deliveries").await, 3);

    rig.execute("UPDATE deliveries SET state = 'delivered'")
        .await;
    let report = run(&rig).await;
    assert_eq!(
        report
            .moved
            .iter()
            .map(|moved| moved.rows)
            .collect::<Vec<_>>(),
        [2, 1]
    );
    assert_eq!(rig.number("SELECT count(*) FROM deliveries").await, 0);
    let ledger = rig.ledger();
    let number = ledger.moved("events", "alone").await.unwrap().unwrap();
    let files = ledger.files(None).await.unwrap();
    let file = files.iter().find(|file| file.number == number).unwrap();
    let row = cold::find(&rig.store(), file, "alone")
        .await
        .unwrap()
        .unwrap();
    let deliveries = row["deliveries"].as_string::<i32>().value(0);
    let deliveries: serde_json::Value = serde_json::from_str(deliveries).unwrap();
    let expected = serde_json::json!([{
        "downstream": "posting", "state": "delivered", "attempts": 1, "ended_at": null,
        "error": null,
    }]);
    assert_eq!(deliveries, expected);
}

/// The embedded ledger is one process's, which opens no file of a newer version.
#[tokio::test]
async fn what_an_older_floodgate_keeps_happened_when_it_was_kept() {
    let rig = Rig::new(Kind::Postgres).await;
    rig.execute(
        "INSERT INTO decisions (flow, flow_digest, id, body, body_hash, reasons, oracles,
             threshold, inference_us, stream_id, received_at)
         VALUES ('events', 'abc', 'old', '{}', '\\x00112233445566778899aabbccddeeff', '{}', '[]',
             0.8, 12.5, '1-0', now())",
    )
    .await;
    assert_eq!(rig.hot_ids().await, ["old"]);
    let just_now = "SELECT count(*) FROM decisions
        WHERE at BETWEEN received_at AND received_at + interval '1 minute'";
    assert_eq!(rig.number(just_now).await, 1);
}

async fn late_rows_become_another_file(rig: Rig) {
    let entries = Entry::of_day("2026-01-02", 3);
    rig.insert(&entries[1..]).await;
    run(&rig).await;
    rig.insert(&entries[..1]).await;
    let report = run(&rig).await;
    assert_eq!(
        report
            .moved
            .iter()
            .map(|moved| moved.rows)
            .collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(rig.ledger().files(Some("events")).await.unwrap().len(), 2);
    assert_eq!(rig.books().await, sorted(&entries));
}

async fn a_pass_moves_so_many_days_and_the_next_goes_on(rig: Rig) {
    let days = ["0001-01-01", "1970-01-01", "2026-01-02", "2026-01-03"];
    for day in days {
        rig.insert(&Entry::of_day(day, 1)).await;
    }
    rig.deliver("2026-01-03-0", "waiting").await;
    let mut mover = rig.mover();
    mover.limits.days = 2;
    for expected in [&days[1..3], &days[..1], &[]] {
        let report = mover.run(&[Rig::flow()], now()).await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        let moved: Vec<_> = report.moved.iter().map(|m| m.day.to_string()).collect();
        assert_eq!(moved, expected);
    }
    assert_eq!(rig.hot_ids().await, ["2026-01-03-0"]);
}

async fn two_archivers_do_not_work_at_once(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 3)).await;
    let owned = rig.ledger().own(Duration::ZERO).await.unwrap().unwrap();
    let refused = rig.mover().run(&[Rig::flow()], now()).await;
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    let output = rig.archiver(&[]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("somebody else is at it"), "{said}");
    assert_eq!(rig.hot_ids().await.len(), 3);
    drop(owned);
    let mover = rig.mover();
    loop {
        // The server may not have noticed yet that the connection is gone.
        match mover.run(&[Rig::flow()], now()).await {
            Err(Error::Busy) => tokio::task::yield_now().await,
            done => break assert_eq!(done.unwrap().moved.len(), 1),
        }
    }
}

async fn a_file_has_the_declared_columns(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 2)).await;
    run(&rig).await;
    let files = rig.ledger().files(None).await.unwrap();
    let row = cold::find(&rig.store(), &files[0], "2026-01-02-1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        row.schema().fields(),
        columns::table(&Rig::flow().columns).fields()
    );
    assert_eq!(row["n"].as_primitive::<Int64Type>().value(0), 12);
    assert_eq!(row["user"].as_string::<i32>().value(0), "u-2026-01-02-1");
    assert!(row["erased_at"].is_null(0) && row["output"].is_null(0));
    let reasons = row["reasons"].as_list::<i32>().value(0);
    let reasons: Vec<_> = reasons.as_string::<i32>().iter().flatten().collect();
    assert_eq!(reasons, ["new", "a \"b\""]);
}

async fn hot_rows_are_those_that_were_asked_for(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 9000)).await;
    let ids_of = async |scan: Scan| -> Vec<i64> {
        let batches = rig.hot(scan).await;
        let seqs = batches.iter().flat_map(|batch| {
            assert_eq!(batch.num_columns(), 2);
            batch["seq"].as_primitive::<Int64Type>().values().to_vec()
        });
        let mut seqs: Vec<_> = seqs.collect();
        seqs.sort_unstable();
        seqs
    };
    let columns = columns::base().project(&[3, 0]).unwrap();
    let scan = Scan {
        columns: columns.into(),
        ..all_hot()
    };
    let all = ids_of(scan.clone()).await;
    assert_eq!(all.len(), 9000);
    let at = |time: &str| Some(time.parse().unwrap());
    let some = Scan {
        during: During {
            from: at("2026-01-02T00:00:10.125Z"),
            until: at("2026-01-02T00:00:20.125Z"),
        },
        ..scan.clone()
    };
    assert_eq!(ids_of(some.clone()).await, all[10..20]);
    let some = Scan {
        without: vec![all[12], all[10], all[19], 0],
        limit: Some(5),
        ..some
    };
    let limited = ids_of(some).await;
    assert_eq!(limited.len(), 5);
    assert!(limited.iter().all(|seq| all[10..20].contains(seq)));
    assert!(!limited.contains(&all[10]) && !limited.contains(&all[12]));
    let one = Scan {
        id: Some("2026-01-02-77".to_owned()),
        ..scan.clone()
    };
    assert_eq!(ids_of(one).await, all[77..78]);
    let high = Scan {
        label: Some("high".to_owned()),
        ..scan.clone()
    };
    assert_eq!(ids_of(high).await, Vec::<i64>::new());
    let none = Scan {
        without: all.clone(),
        ..scan.clone()
    };
    assert_eq!(ids_of(none).await, Vec::<i64>::new());
    let count = Scan {
        columns: columns::base().project(&[]).unwrap().into(),
        ..scan
    };
    let counted: usize = rig
        .hot(count)
        .await
        .iter()
        .map(|batch| batch.num_rows())
        .sum();
    assert_eq!(counted, 9000);
}

async fn a_reader_that_leaves_early_holds_nothing(rig: Rig) {
    rig.insert(&Entry::of_day("2026-01-02", 9000)).await;
    let ledger = rig.ledger();
    // More often than there are connections.
    for _ in 0..40 {
        let snapshot = ledger.snapshot().await.unwrap();
        let mut hot = snapshot.hot(all_hot()).await.unwrap();
        assert!(hot.next().await.unwrap().unwrap().num_rows() > 1);
    }
    if rig.kind == Kind::Postgres {
        let at_work = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'floodgate-archive' AND state <> 'idle'";
        let end = Instant::now() + Duration::from_secs(20);
        while rig.number(at_work).await > 0 {
            assert!(Instant::now() < end, "a transaction is still open");
            tokio::task::yield_now().await;
        }
    }
}
