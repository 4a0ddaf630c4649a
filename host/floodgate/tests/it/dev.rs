//! `floodgate dev`, as whoever starts it on a laptop sees it. That the flows
//! work on it as on servers is said by `contracts`, `way_of_an_entry` and
//! `faults_of_entries`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::downstream::{self, Downstream, posting_on, unreliable};
use crate::host::{DEADLINE, Ground, Host, MEMPOOL_RISK, Site, UNIFORM_RISK, transaction};
use crate::services::Service;
use crate::support::{self, Floodgate, eventually};

async fn site() -> Site {
    Site::on(Ground::embedded().await)
}

/// Posts until it is told to stop, and notes what was accepted.
async fn post(url: &str, first: u64, accepted: &Mutex<BTreeSet<String>>, stop: &AtomicBool) {
    for number in (first..).step_by(4) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let body = transaction(number, "0x", 30);
        // Nobody may be there any more.
        let json = [("content-type", "application/json")];
        let answer = support::try_request("POST", url, &json, body.to_string()).await;
        if answer.is_ok_and(|(status, ..)| status == StatusCode::ACCEPTED) {
            let id = body["tx_hash"].as_str().unwrap().to_owned();
            accepted.lock().unwrap().insert(id);
        }
    }
}

#[tokio::test]
async fn killed_in_mid_load_it_loses_nothing_and_decides_nothing_twice() {
    let site = site().await.with_oracle(UNIFORM_RISK);
    let site = site.with_flow("when = \"high\"", "when = \"always\"");
    let accepted = Mutex::new(BTreeSet::new());
    for round in 0..4_u64 {
        let mut floodgate = site.serve("all");
        let url = format!("{}/transactions", floodgate.url().await);
        let stop = AtomicBool::new(false);
        let before = accepted.lock().unwrap().len();
        let kill = async {
            eventually(DEADLINE, "some hundred are accepted", async || {
                accepted.lock().unwrap().len() > before + 300
            })
            .await;
            floodgate.kill();
            stop.store(true, Ordering::Relaxed);
        };
        let first = |client| round * 1_000_000 + client;
        tokio::join!(
            post(&url, first(0), &accepted, &stop),
            post(&url, first(1), &accepted, &stop),
            post(&url, first(2), &accepted, &stop),
            post(&url, first(3), &accepted, &stop),
            kill
        );
        floodgate.wait_exit().await;
    }
    let host = Host::start_on(site).await;
    host.settled().await;
    let kept = host.site.query("SELECT id FROM decisions").await;
    let kept: Vec<String> = kept.into_iter().map(|mut row| row.remove(0)).collect();
    let ids: BTreeSet<String> = kept.iter().cloned().collect();
    assert_eq!(ids.len(), kept.len(), "none is there twice");
    let accepted = accepted.into_inner().unwrap();
    let lost: Vec<_> = accepted.difference(&ids).collect();
    assert!(lost.is_empty(), "of {}: {lost:?}", accepted.len());
    assert_eq!(host.get("/dead").await, json!([]));
}

#[tokio::test]
async fn killed_in_mid_delivery_it_delivers_each_once() {
    let downstream = Downstream::start(unreliable()).await;
    let site = posting_on(Ground::embedded().await, &downstream.url, 100);
    let mut service = Service::start_on(site).await;
    for number in 0..60 {
        downstream::post(&service, number).await;
    }
    for part in [15, 30] {
        eventually(DEADLINE, "a part is there", async || {
            downstream.stats().await["accepted"].as_u64() > Some(part)
        })
        .await;
        service.floodgate.kill();
        service.floodgate.wait_exit().await;
        service = Service::start_on(service.site).await;
    }
    eventually(Duration::from_secs(90), "all are completed", async || {
        let (_, page) = service.get("/api/health").await;
        page["processed_count"] == 60 && page["queue_depth"] == 0
    })
    .await;
    let stats = downstream.stats().await;
    assert_eq!(
        (&stats["accepted"], &stats["duplicates"]),
        (&json!(60), &json!(0)),
        "{stats}"
    );
}

/// How it ends and what it says, with these arguments and this directory.
async fn refused(dir: &Path, args: &[&str]) -> String {
    let repository = crate::host::repository();
    let flows = repository.join("flows");
    let env = [
        ("FLOODGATE_DATA_DIR", dir.to_str().unwrap()),
        ("FLOODGATE_FLOWS", flows.to_str().unwrap()),
    ];
    let mut floodgate = Floodgate::start("dev", &env, args);
    assert_eq!(floodgate.wait_exit().await, 1);
    floodgate.stderr()
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_start_is_named_with_its_remedy() {
    let site = site().await;
    let mut first = site.serve("all");
    let url = first.url().await;
    let Ground::Embedded(dir) = &site.ground else {
        panic!("it is embedded");
    };
    let said = refused(dir.path(), &[]).await;
    assert!(
        said.contains("in use by process") && said.contains("--data-dir"),
        "{said}"
    );
    let other = tempfile::tempdir().unwrap();
    let taken = url.strip_prefix("http://").unwrap();
    let said = refused(other.path(), &["--listen", taken]).await;
    assert!(said.contains(taken) && said.contains("--listen"), "{said}");
    std::fs::write(other.path().join("floodgate.db"), [b'x'; 10_000]).unwrap();
    let said = refused(other.path(), &[]).await;
    assert!(
        said.contains("not a database of Floodgate") && said.contains("--data-dir"),
        "{said}"
    );
    let file = other.path().join("floodgate.db");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(other.path().join("api-key"), "").unwrap();
    let said = refused(other.path(), &[]).await;
    assert!(said.contains("holds no API key"), "{said}");
    std::fs::write(&file, "").unwrap();
    let said = refused(&file.join("data"), &[]).await;
    assert!(said.contains("cannot be used"), "{said}");
}

#[tokio::test]
async fn it_says_what_runs_and_what_to_try_and_that_works() {
    let flows = ["events", "transactions"];
    let site = Service::site_on(Ground::embedded().await, &flows);
    let service = Service::start_on(site).await;
    let out = support::eventually_some(DEADLINE, "it says what to try", async || {
        let out = service.floodgate.stdout();
        out.contains("dashboard").then_some(out)
    })
    .await;
    assert!(!out.contains('\u{1b}'), "no colours in a file: {out}");
    let digest = support::eventually_some(DEADLINE, "its oracle is loaded", async || {
        let oracles = crate::host::get(&service.admin, "/oracles").await;
        oracles[0]["digest"].as_str().map(str::to_owned)
    })
    .await;
    // `dev` waits for the compiler only for a while. On a busy machine the component
    // may still be compiling after that.
    let states = [
        format!("mempool-risk {}", &digest[..12]),
        "mempool-risk.wasm is being compiled".to_owned(),
    ];
    assert!(states.iter().any(|state| out.contains(state)), "{out}");
    assert!(out.contains(&format!("\nopen {} ", service.admin)), "{out}");
    let mut curls = out.lines().filter(|line| line.starts_with("curl "));
    let curl = async |command: &str| -> Value {
        let command = command.replacen("curl", "curl -s", 1);
        let output = tokio::process::Command::new("sh")
            .args(["-c", &command])
            .output();
        serde_json::from_slice(&output.await.unwrap().stdout).unwrap_or_default()
    };
    assert_eq!(curl(curls.next().unwrap()).await["status"], "accepted");
    let why = curls.next().unwrap();
    eventually(DEADLINE, "it is decided", async || {
        curl(why).await["state"] == "decided"
    })
    .await;
    assert_eq!(curl(curls.next().unwrap()).await[0]["label"], "HIGH");
    let key = out
        .lines()
        .find_map(|line| line.strip_prefix("key of events: "));
    let key = [("x-api-key", key.unwrap())];
    let event = json!([{
        "event_id": "00000000-0000-4000-8000-000000000001", "occurred_at": "2026-01-02T03:04:05",
        "user_id": "u", "event_type": "login", "properties": {},
    }]);
    let (status, _, answer) = service.post_with("/events", &key, &event).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn an_ephemeral_one_leaves_nothing_behind() {
    let oracles = tempfile::tempdir().unwrap();
    let flows = crate::host::repository().join("flows");
    let env = [
        ("FLOODGATE_FLOWS", flows.to_str().unwrap()),
        ("FLOODGATE_ORACLES", oracles.path().to_str().unwrap()),
    ];
    let mut floodgate = Floodgate::start("dev", &env, &["--ephemeral"]);
    let dir = support::eventually_some(DEADLINE, "it says where its data is", async || {
        let out = floodgate.stdout();
        let dir = out.lines().find_map(|line| line.strip_prefix("data in "));
        dir.and_then(|dir| dir.strip_suffix(", removed at the end").map(str::to_owned))
    })
    .await;
    assert!(Path::new(&dir).join("floodgate.db").exists());
    floodgate.sigterm();
    assert_eq!(floodgate.wait_exit().await, 0);
    assert!(!Path::new(&dir).exists());
}

#[tokio::test]
async fn what_was_kept_before_a_restart_is_there_and_known_after_it() {
    let mut host = Host::start_on(site().await.with_oracle(MEMPOOL_RISK)).await;
    let body = crate::host::drainer(7);
    host.accepted(&body).await;
    host.until_kept(1).await;
    host.settled().await;
    host.floodgate.sigterm();
    assert_eq!(host.floodgate.wait_exit().await, 0);
    let host = Host::start_on(host.site).await;
    let (status, answer) = host.post(&body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(host.kept().await, 1);
    let flows = host.get("/flows").await;
    assert_eq!(flows[0]["open"], 0, "it was replayed");
}
