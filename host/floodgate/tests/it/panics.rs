//! A worker that panics: a fault of Floodgate itself, which is had on purpose.

use serde_json::json;

use crate::host::{Ground, Ground as Rig, Host, MISBEHAVING, Site, told_to};
use crate::metrics::told::{Told, until_told};
use crate::support;

contract!([servers, embedded] {
    an_entry_that_a_worker_panics_over_dies_alone_and_stops_nobody,
});

async fn an_entry_that_a_worker_panics_over_dies_alone_and_stops_nobody(ground: Ground) {
    let site = Site::on(ground).with_oracle(MISBEHAVING).impatient();
    let bad = told_to(2, "high");
    let panic_on = [("FLOODGATE_PANIC_ON", bad["tx_hash"].as_str().unwrap())];
    let host = Host::start_in(site, &panic_on).await;
    host.accepted(&told_to(1, "high")).await;
    host.until_kept(1).await;
    let together: Vec<_> = (2..=40).map(|number| told_to(number, "high")).collect();
    futures_util::future::join_all(together.iter().map(|body| host.accepted(body))).await;
    host.until_kept(39).await;
    let buried = "floodgate_dead_letters_buried_total{flow=\"transactions\",fault=\"crash\"}";
    until_told(&host.admin, &[(buried, 1.0)]).await;
    let dead = host.get("/dead").await;
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    let letter = (&dead[0]["id"], &dead[0]["fault"], &dead[0]["attempts"]);
    assert_eq!(letter, (&bad["tx_hash"], &json!("crash"), &json!(2)));
    host.settled().await;
    let told = Told::by(&host.admin).await;
    // Its batch, and then it alone until its attempts were used up: nobody
    // else used up any.
    let panics = told.value("floodgate_task_panics_total{task=\"lane\"}");
    assert_eq!(panics, Some(3.0));
    let faults = "floodgate_entry_faults_total{flow=\"transactions\",fault=\"crash\"}";
    assert_eq!(told.value(faults), Some(2.0));
    // More than there are lanes, and none of them is gone.
    for number in 41..=50 {
        host.accepted(&told_to(number, "high")).await;
        host.until_kept(number as i64 - 1).await;
    }
    let log = host.floodgate.stderr();
    assert!(log.contains("\"place\":\""), "of each panic: {log}");
    let of_a_body = told_to(41, "")["from_address"].to_string();
    assert!(of_a_body.len() > 2 && !log.contains(&of_a_body), "{log}");
    support::eventually(crate::host::DEADLINE, "it is ready", async || {
        host.try_cli(&["health", "--ready"]).status.success()
    })
    .await;
}

/// What a task left behind is taken up by the one that is started in its place.
#[tokio::test]
async fn a_task_that_panics_is_started_again_and_its_work_goes_on() {
    for task in ["reader", "reclaimer", "rounds", "partition", "waiting"] {
        let site = Site::on(Ground::embedded().await).with_oracle(MISBEHAVING);
        let panic_on = [("FLOODGATE_PANIC_ON", &*format!("task:{task}"))];
        let host = Host::start_in(site, &panic_on).await;
        host.accepted(&told_to(1, "high")).await;
        host.until_kept(1).await;
        let panics = format!("floodgate_task_panics_total{{task=\"{task}\"}}");
        until_told(&host.admin, &[(&panics, 1.0)]).await;
        host.settled().await;
    }
}

/// Without the thread that counts their time, none of them would ever end.
#[tokio::test]
async fn an_oracle_is_cut_off_though_the_clock_of_all_oracles_panicked() {
    let site = Site::on(Ground::embedded().await).with_oracle(MISBEHAVING);
    let site = site.with_flow("attempts = 5", "attempts = 1");
    let panic_on = [("FLOODGATE_PANIC_ON", "task:oracle-epoch")];
    let host = Host::start_in(site, &panic_on).await;
    let panics = "floodgate_task_panics_total{task=\"oracle-epoch\"}";
    until_told(&host.admin, &[(panics, 1.0)]).await;
    host.accepted(&told_to(1, "loop")).await;
    let timed_out = "floodgate_dead_letters_buried_total{flow=\"transactions\",fault=\"timeout\"}";
    until_told(&host.admin, &[(timed_out, 1.0)]).await;
}

#[tokio::test]
async fn a_process_ends_with_a_task_without_which_it_is_of_no_use() {
    for task in ["worker", "front-end", "admin", "ledger-writer"] {
        let site = Site::on(Ground::embedded().await).with_oracle(MISBEHAVING);
        let panic_on = [("FLOODGATE_PANIC_ON", &*format!("task:{task}"))];
        let mut floodgate = site.serve_in("all", &[], &panic_on);
        assert_eq!(floodgate.wait_exit().await, 1, "{task}");
        support::eventually(crate::host::DEADLINE, "it names the task", async || {
            floodgate
                .stderr()
                .contains(&format!("the task {task} panicked"))
        })
        .await;
    }
}
