//! Cold files that are not as they were, and rows that are no longer.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use floodgate_archive::query::Error;
use serde_json::json;

use super::rig::{Entry, Rig, cells, events};

/// Reads what is far back in a file.
const COUNT: &str = "SELECT day, count(DISTINCT body) FROM events GROUP BY day ORDER BY day";

/// With days 1 to 4 in a file each.
async fn archived() -> Rig {
    let rig = Rig::embedded();
    rig.keep("events", &events()).await;
    rig.archive("2026-01-12T12:00:00Z").await;
    rig
}

async fn file_of(rig: &Rig, day: &str) -> (String, PathBuf) {
    let files = rig.ledger.files(Some("events")).await.unwrap();
    let file = files
        .into_iter()
        .find(|file| file.day.to_string() == day)
        .unwrap();
    let path = rig.dir.path().join("cold").join(&file.path);
    (file.path, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_was_cut_short_is_named_and_left_out_until_it_is_back() {
    let rig = archived().await;
    let (name, path) = file_of(&rig, "2026-01-02").await;
    let whole = fs::read(&path).unwrap();
    // One before anything was read of it, and one whose footer is known.
    for _ in 0..2 {
        fs::write(&path, &whole[..100]).unwrap();
        let answer = rig.ask("events", COUNT, json!({})).await.unwrap();
        let days: Vec<String> = cells(&answer)
            .into_iter()
            .map(|row| row[0].clone())
            .collect();
        assert_eq!(
            days,
            [
                "2026-01-01",
                "2026-01-03",
                "2026-01-04",
                "2026-01-05",
                "2026-01-06"
            ]
        );
        assert_eq!(answer.skipped.len(), 1, "{:?}", answer.skipped);
        assert_eq!(answer.skipped[0].file, name);
        assert!(
            answer.skipped[0].why.contains("cut short"),
            "{:?}",
            answer.skipped
        );
        // Another day needs no file that is damaged.
        let other = "SELECT count(*) FROM events WHERE day = '2026-01-03'";
        let other = rig.ask("events", other, json!({})).await.unwrap();
        assert!(other.skipped.is_empty(), "{:?}", other.skipped);
        fs::write(&path, &whole).unwrap();
        let answer = rig.ask("events", COUNT, json!({})).await.unwrap();
        assert_eq!(cells(&answer).len(), 6);
        assert!(answer.skipped.is_empty(), "{:?}", answer.skipped);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_is_gone_is_named_and_left_out() {
    let rig = archived().await;
    let (name, path) = file_of(&rig, "2026-01-04").await;
    fs::remove_file(path).unwrap();
    let answer = rig.ask("events", COUNT, json!({})).await.unwrap();
    assert_eq!(cells(&answer).len(), 5);
    assert_eq!(answer.skipped[0].file, name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_is_damaged_inside_is_found_while_it_is_read() {
    let rig = archived().await;
    let (name, path) = file_of(&rig, "2026-01-03").await;
    let mut bytes = fs::read(&path).unwrap();
    // The footer at its end stays as it was.
    let inside = bytes.len() / 2;
    bytes[4..inside].fill(0xff);
    fs::write(&path, bytes).unwrap();
    for _ in 0..2 {
        let sql = "SELECT day, count(DISTINCT id || body) FROM events GROUP BY day ORDER BY day";
        let answer = rig.ask("events", sql, json!({})).await.unwrap();
        assert_eq!(cells(&answer).len(), 5);
        assert_eq!(answer.skipped.len(), 1, "{:?}", answer.skipped);
        assert_eq!(answer.skipped[0].file, name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cold_tier_that_is_away_is_no_file_at_fault() {
    let rig = archived().await;
    let cold = rig.dir.path().join("cold");
    fs::rename(&cold, rig.dir.path().join("elsewhere")).unwrap();
    fs::write(&cold, "no directory").unwrap();
    let answer = rig.ask("events", COUNT, json!({})).await;
    assert!(matches!(answer, Err(Error::Away(_))), "{answer:?}");
    // What is only hot is there still.
    let hot = "SELECT count(*) FROM events WHERE day = '2026-01-06'";
    assert_eq!(rig.cells("events", hot).await, [["60"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn columns_are_as_they_are_declared_today_in_files_of_any_age() {
    let keep = "[keep]\nhot = \"7d\"\n[keep.columns]\n";
    let before = format!("{keep}n = {{ field = \"/n\" }}\nuser_id = {{ field = \"/user_id\" }}\n");
    let mut rig = Rig::embedded().with_flow("events", &before);
    let event = |id: &str, at: &str, n: i64| Entry {
        id: id.to_owned(),
        at: at.to_owned(),
        body: json!({"user_id": id, "n": n, "properties": {"country": "UA"}}),
    };
    rig.keep("events", &[event("a", "2026-01-01T00:00:00Z", 9)])
        .await;
    rig.archive("2026-01-09T00:00:00Z").await;
    let after = format!(
        "{keep}n = {{ field = \"/n\", type = \"integer\" }}\nuser_id = {{ field = \"/user_id\" }}\n\
         country = {{ field = \"/properties/country\" }}\n"
    );
    rig = rig.with_flow("events", &after);
    rig.keep("events", &[event("b", "2026-01-02T00:00:00Z", 10)])
        .await;
    rig.archive("2026-01-10T00:00:00Z").await;
    rig.keep("events", &[event("c", "2026-01-03T00:00:00Z", 11)])
        .await;
    // As text 9 would be the largest.
    let sql =
        "SELECT user_id, n + 1, country FROM events WHERE n > 8 AND country = 'UA' ORDER BY n";
    let expected = [["a", "10", "UA"], ["b", "11", "UA"], ["c", "12", "UA"]];
    assert_eq!(rig.cells("events", sql).await, expected);
    assert_eq!(
        rig.cells("events", "SELECT max(n), count(*) FROM events")
            .await,
        [["11", "3"]]
    );
    assert_eq!(
        rig.cells("events", "SELECT id FROM events WHERE n = 9")
            .await,
        [["a"]]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_erased_is_a_fact_without_a_body() {
    let rig = archived().await;
    let id = "e-2-7";
    let user =
        format!("SELECT user_id, json_text(body, 'event_type') FROM events WHERE id = '{id}'");
    assert_ne!(rig.cells("events", &user).await[0][0], "null");
    let columns = rig
        .load()
        .into_iter()
        .find(|flow| flow.name == "events")
        .unwrap()
        .columns;
    let erased = rig
        .mover()
        .erase("events", &columns, id, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(erased.len(), 1);
    assert_eq!(rig.cells("events", &user).await, [["null", "null"]]);
    let fact = format!("SELECT body, erased_at IS NULL, event_type FROM events WHERE id = '{id}'");
    assert_eq!(
        rig.cells("events", &fact).await,
        [["null", "false", "null"]]
    );
    assert_eq!(
        rig.cells("events", "SELECT count(*) FROM events").await,
        [["360"]]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_entry_is_found_by_its_id_wherever_it_was_moved() {
    let rig = archived().await;
    let file = rig.ledger.moved("events", "e-3-10").await.unwrap().unwrap();
    let entry = rig
        .engine
        .entry("events", file, "e-3-10")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(entry["id"], "e-3-10");
    assert_eq!(entry["at"], "2026-01-03T10:10:07.5Z");
    assert_eq!(entry["reasons"], json!(["one", "two"]));
    assert_eq!(entry["oracles"], json!([]));
    assert_eq!(entry["body_hash"], "00112233445566778899aabbccddeeff");
    let body: serde_json::Value = serde_json::from_str(entry["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["event_id"], "e-3-10");
    // Who asks may have heard of a file that was merged since.
    assert!(
        rig.engine
            .entry("events", file + 1000, "e-3-10")
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        rig.engine
            .entry("events", file, "e-9-9")
            .await
            .unwrap()
            .is_none()
    );
}
