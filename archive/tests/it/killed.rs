//! The real program is killed after each of its steps, and run again: what was
//! ever kept is there once, before and after.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;

use floodgate_archive::cold::State;

use crate::on_each_ledger;
use crate::support::{Entry, Rig};

on_each_ledger! {
    killed_after_any_step_it_loses_nothing_and_doubles_nothing
}

/// Of one pass over three days: in two of them it makes one file of an earlier
/// one and its own, in the third it makes two.
const STEPS: usize = 50;

const SMALL: [&str; 6] = ["--rows", "8", "--removed", "3", "--several", "2"];

/// SIGABRT, at which nothing of the program runs any more.
const ABORTED: i32 = 6;

async fn killed_after_any_step_it_loses_nothing_and_doubles_nothing(rig: Rig) {
    let mut entries = Entry::of_day("2026-01-02", 6);
    entries.extend(Entry::of_day("2026-01-05", 6));
    let (early, mut late): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|entry| entry.id.ends_with(['0', '2', '4']));
    late.extend(Entry::of_day("2026-01-06", 9));
    // It is not ten years old before the test is.
    late.push(Entry::new("young", "2999-01-01T00:00:00Z"));
    let mut kept: Vec<_> = early.iter().chain(&late).map(Entry::kept).collect();
    kept.sort();
    let mut steps = BTreeSet::new();
    for step in 1.. {
        rig.empty().await;
        rig.insert(&early).await;
        assert!(rig.archiver(&SMALL).status.success());
        rig.insert(&late).await;
        rig.deliver("2026-01-02-1", "delivered").await;
        let last = step.to_string();
        let output = rig.archiver(&[&SMALL[..], &["--abort-after", &last]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            assert!(step > STEPS, "only {step} steps");
            break;
        }
        assert_eq!(output.status.signal(), Some(ABORTED), "{said}");
        steps.insert(said.trim().to_owned());
        assert_eq!(rig.books().await, kept, "killed at {step}: {said}");

        // Once for what was left, and once for what that replaced.
        for _ in 0..2 {
            let output = rig.archiver(&SMALL);
            assert!(
                output.status.success(),
                "killed at {step}: {said}: {output:?}"
            );
            assert_eq!(rig.books().await, kept, "killed at {step}: {said}");
        }
        assert_eq!(rig.hot_ids().await, ["young"]);
        assert_eq!(rig.number("SELECT count(*) FROM deliveries").await, 0);
        let files = rig.ledger().files(None).await.unwrap();
        assert!(
            files.iter().all(|file| file.state == State::Cold),
            "{files:?}"
        );
        let paths: Vec<_> = files.into_iter().map(|file| file.path).collect();
        assert!(
            rig.objects().into_keys().eq(paths),
            "killed at {step}: {said}"
        );
        let stray = "SELECT count(*) FROM moved WHERE file NOT IN (SELECT number FROM cold_files)";
        assert_eq!(rig.number(stray).await, 0, "killed at {step}: {said}");
        assert_eq!(rig.number("SELECT count(*) FROM moved").await, 21);
    }
    let expected = [
        "Begun",
        "Owned",
        "Read",
        "Remembered",
        "Removed",
        "Sealed",
        "Settled",
        "Verified",
        "Written",
    ];
    let expected = expected.map(|step| format!("aborted after {step}"));
    assert!(steps.is_superset(&BTreeSet::from(expected)), "{steps:?}");
}
