//! Files of entries, posted by `floodgate import`.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::host::Site;
use crate::services::Service;

async fn import(service: &Service, flow: &str, file: &Path, more: &[&str]) -> Output {
    let flows = service.site.flows.path();
    tokio::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["import", flow, file.to_str().unwrap()])
        .args(["--flows", flows.to_str().unwrap()])
        .args(more)
        .env("FLOODGATE_URL", &service.url)
        .env_remove("FLOODGATE_KEY")
        .output()
        .await
        .unwrap()
}

fn told(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{}{stderr}", String::from_utf8_lossy(&output.stdout))
}

async fn events(rate: &str) -> Site {
    let site = Service::site(&["events"]).await;
    site.rewrite_flow("events", |text| {
        text.replace("keys = true", "keys = false")
            .replace("1000/s", rate)
    });
    site
}

fn csv(count: usize) -> String {
    let mut csv = "event_id,occurred_at,user_id,event_type,properties_json\n".to_owned();
    for number in 0..count {
        csv += &format!(
            "00000000-0000-4000-8000-{number:012},2026-01-02T03:04:05,u{number},login,\"{{\"\"n\"\":{number}}}\"\n"
        );
    }
    csv
}

fn bad_lines(file: &Path) -> Vec<Value> {
    let path = format!("{}.bad", file.display());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn importing_a_file_twice_adds_nothing() {
    let front = Service::front_end_on(events("none").await).await;
    let file = front.site.oracles.path().join("events.csv");
    std::fs::write(&file, csv(2500)).unwrap();
    let first = import(&front, "events", &file, &[]).await;
    assert!(first.status.success(), "{}", told(&first));
    assert!(
        told(&first).contains("2500 lines taken, 0 of them there already; 0 bad"),
        "{}",
        told(&first)
    );
    assert_eq!(front.open("events").await, 2500);
    let second = import(&front, "events", &file, &["--batch", "100"]).await;
    assert!(
        told(&second).contains("2500 lines taken, 2500 of them there already"),
        "{}",
        told(&second)
    );
    assert_eq!(front.open("events").await, 2500);
}

#[tokio::test]
async fn bad_lines_are_written_beside_the_file_and_stop_nothing() {
    let front = Service::front_end_on(events("none").await).await;
    let file = front.site.oracles.path().join("events.csv");
    let mut text = csv(20);
    text += "not-a-uuid,2026-01-02T03:04:05,u,login,{}\n";
    text += "00000000-0000-4000-8000-000000000777,2026-01-02T03:04:05,u,login,{broken\n";
    // The same id as line 3, with another body: only the front end knows.
    text += "00000000-0000-4000-8000-000000000001,2026-01-02T03:04:05,u1,logout,{}\n";
    std::fs::write(&file, text).unwrap();
    let output = import(&front, "events", &file, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("20 lines taken"),
        "{}",
        told(&output)
    );
    assert!(told(&output).contains("3 bad"), "{}", told(&output));
    let bad = bad_lines(&file);
    let mut lines: Vec<_> = bad
        .iter()
        .map(|bad| bad["line"].as_u64().unwrap())
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, [22, 23, 24]);
    let reason = bad.iter().find(|bad| bad["line"] == 22).unwrap()["reason"].to_string();
    assert!(reason.contains("/event_id"), "{reason}");
    assert_eq!(front.open("events").await, 20);
}

#[tokio::test]
async fn lines_without_an_id_of_their_own_are_added_once_too() {
    let front = Service::front_end(&["tasks"]).await;
    let file = front.site.oracles.path().join("tasks.ndjson");
    let line = json!({"payload": "same"}).to_string();
    std::fs::write(&file, format!("{line}\n{line}\n{{\"payload\":\"\"}}\n")).unwrap();
    for _ in 0..2 {
        let output = import(&front, "tasks", &file, &[]).await;
        assert!(told(&output).contains("2 lines taken"), "{}", told(&output));
    }
    assert_eq!(front.open("tasks").await, 2);
    assert_eq!(bad_lines(&file).len(), 1);
    let another = front.site.oracles.path().join("more.ndjson");
    std::fs::write(&another, format!("{line}\n")).unwrap();
    import(&front, "tasks", &another, &[]).await;
    assert_eq!(
        front.open("tasks").await,
        3,
        "the same line of another file is another task"
    );
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let front = Service::front_end_on(events("2/s").await).await;
    let file = front.site.oracles.path().join("events.csv");
    std::fs::write(&file, csv(40)).unwrap();
    let output = import(&front, "events", &file, &["--batch", "10"]).await;
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(front.open("events").await, 40);
}

#[tokio::test]
async fn whoever_may_not_post_or_finds_nobody_is_told_what_to_do() {
    let site = Service::site(&["events"]).await;
    let front = Service::front_end_on(site).await;
    let file = front.site.oracles.path().join("events.csv");
    std::fs::write(&file, csv(1)).unwrap();
    let output = import(&front, "events", &file, &[]).await;
    assert!(told(&output).contains("--key"), "{}", told(&output));
    let output = import(&front, "events", &file, &["--url", "http://127.0.0.1:1"]).await;
    assert!(
        told(&output).contains("no Floodgate answers"),
        "{}",
        told(&output)
    );
    let output = import(&front, "nothing", &file, &[]).await;
    assert!(
        told(&output).contains("there are: events"),
        "{}",
        told(&output)
    );
}
