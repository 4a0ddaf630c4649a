//! Entries that their oracle cannot judge, and what becomes of them.

use std::time::Duration;

use floodgate_flow::StreamSettings;
use hyper::StatusCode;
use serde_json::Value;

use crate::host::{DEADLINE, Ground, Ground as Rig, Host, MISBEHAVING, Site, told_to};
use crate::support;

contract!([servers, embedded] {
    an_entry_that_traps_dies_alone,
    a_faulty_entry_is_listed_as_pending_with_its_next_attempt,
    a_dead_letter_is_shown_requeued_and_judged_by_the_oracle_of_now,
    a_purged_dead_letter_is_gone_and_nothing_is_purged_by_a_slip,
});

async fn impatient_site() -> Site {
    impatient_site_on(Ground::servers().await)
}

fn impatient_site_on(ground: Ground) -> Site {
    Site::on(ground).with_oracle(MISBEHAVING).impatient()
}

async fn impatient_on(ground: Ground) -> Host {
    Host::start_on(impatient_site_on(ground)).await
}

async fn until_dead(host: &Host, count: usize) -> Vec<Value> {
    let what = format!("{count} are dead");
    support::eventually_some(DEADLINE, &what, async || {
        let dead = host.get("/dead").await.as_array().unwrap().clone();
        (dead.len() == count).then_some(dead)
    })
    .await
}

async fn dies_alone(what: &str, fault: &str) {
    dies_alone_on(impatient_site().await, what, fault).await;
}

/// A good entry first, so that the oracle is known to work.
async fn dies_alone_on(site: Site, what: &str, fault: &str) {
    let host = Host::start_on(site).await;
    host.post(&told_to(1, "high")).await;
    host.until_kept(1).await;
    host.post(&told_to(2, what)).await;
    for number in 3..=9 {
        host.post(&told_to(number, "high")).await;
    }
    host.until_kept(8).await;
    let dead = until_dead(&host, 1).await;
    assert_eq!(dead[0]["fault"], fault, "{dead:?}");
    assert_eq!(dead[0]["attempts"], 2);
    assert_eq!(dead[0]["id"], told_to(2, "")["tx_hash"]);
    host.settled().await;
    assert_eq!(host.kept().await, 8);
}

async fn an_entry_that_traps_dies_alone(ground: Ground) {
    dies_alone_on(impatient_site_on(ground), "trap", "trap").await;
}

#[tokio::test]
async fn an_entry_that_loops_for_ever_dies_alone() {
    dies_alone("loop", "timeout").await;
}

#[tokio::test]
async fn an_entry_that_eats_memory_dies_alone() {
    // On a busy machine the default deadline may come before the limit.
    let site = impatient_site().await;
    let patient = site.with_flow("# timeout = \"100ms\"", "timeout = \"10s\"");
    dies_alone_on(patient, "memory", "memory").await;
}

#[tokio::test]
async fn an_entry_with_a_score_that_is_no_number_dies_alone() {
    dies_alone("nan", "bad-score").await;
}

#[tokio::test]
async fn an_entry_with_a_score_of_seven_dies_alone() {
    dies_alone("seven", "bad-score").await;
}

#[tokio::test]
async fn an_entry_that_is_answered_with_an_error_dies_alone() {
    dies_alone("error", "refused").await;
}

/// They are read together, so they come due together: a batch that fails as a
/// whole, though every entry of it is known to be bad.
#[tokio::test]
async fn a_crowd_of_entries_that_trap_again_does_not_condemn_their_oracle() {
    let site = Site::new().await.with_oracle(MISBEHAVING);
    let site = site.with_flow("first = \"1s\"", "first = \"10ms\"");
    let mut worker = site.serve("worker");
    let mut floodgate = site.serve("api");
    let host = Host {
        url: format!("{}/transactions", floodgate.url().await),
        admin: floodgate.admin_url().await,
        site,
        floodgate,
    };
    let first = told_to(0, "high");
    support::eventually(DEADLINE, "the api knows of the oracle", async || {
        host.post(&first).await.0.is_success()
    })
    .await;
    host.until_kept(1).await;
    worker.sigstop();
    let bodies: Vec<Value> = (1..=200)
        .map(|number| told_to(number, if number % 4 == 0 { "trap" } else { "high" }))
        .collect();
    futures_util::future::join_all(bodies.iter().map(|body| host.accepted(body))).await;
    worker.sigcont();
    until_dead(&host, 50).await;
    host.until_kept(151).await;
    host.settled().await;
    assert_eq!(host.get("/flows").await[0]["state"], "running");
}

#[tokio::test]
async fn an_oracle_that_returns_too_few_results_decides_nothing() {
    let site = Site::new().await.with_oracle(MISBEHAVING).with_flow(
        "# settings = { some_limit = 12.5 }",
        "settings = { drop = \"1\" }",
    );
    let host = Host::start_on(site).await;
    let reason = host.until_held("transactions").await;
    assert!(reason.contains("wrong-count"), "{reason}");
    let (status, _) = host.post(&told_to(1, "high")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        host.get("/readyz").await["held"],
        serde_json::json!(["transactions"])
    );
    let corrected = |text: String| text.replace("drop = \"1\"", "drop = \"0\"");
    host.site.rewrite_flow("transactions", corrected);
    host.accepted(&told_to(1, "high")).await;
    host.until_kept(1).await;
}

async fn a_faulty_entry_is_listed_as_pending_with_its_next_attempt(ground: Ground) {
    let host = Host::start_with(ground, MISBEHAVING).await;
    host.post(&told_to(1, "high")).await;
    host.until_kept(1).await;
    host.post(&told_to(2, "trap")).await;
    let rows = support::eventually_some(DEADLINE, "the fault is listed", async || {
        let rows: Value = serde_json::from_str(&host.cli(&["pending", "--json"])).unwrap();
        (rows[0]["fault"] == "trap").then_some(rows)
    })
    .await;
    assert_eq!(rows[0]["owner"], "retry");
    assert_eq!(rows[0]["id"], told_to(2, "")["tx_hash"]);
    assert!(rows[0]["next_attempt"].is_string(), "{rows}");
    assert!(rows[0]["last_error"].as_str().is_some());
    let table = host.cli(&["pending", "transactions"]);
    assert!(table.contains("retry") && table.contains("trap"), "{table}");
}

async fn a_dead_letter_is_shown_requeued_and_judged_by_the_oracle_of_now(ground: Ground) {
    let host = impatient_on(ground).await;
    host.post(&told_to(1, "high")).await;
    host.until_kept(1).await;
    host.post(&told_to(2, "trap")).await;
    until_dead(&host, 1).await;
    let id = told_to(2, "")["tx_hash"].as_str().unwrap().to_owned();
    assert!(host.cli(&["dead", "list"]).contains("trap"));
    let shown = host.cli(&["dead", "show", "transactions", &id, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(shown["body"].as_str().unwrap()).unwrap(),
        told_to(2, "trap")
    );
    let rehearse = || -> Value {
        let dry = ["dead", "requeue", "--since", "1h", "--dry-run", "--json"];
        serde_json::from_str(&host.cli(&dry)).unwrap()
    };
    assert_eq!(
        rehearse()[0]["fault"],
        "trap",
        "the oracle of now is as bad"
    );
    let before = host.digest().await;
    host.drop(crate::host::UNIFORM_RISK);
    host.until_digest_is_not(&before).await;
    support::eventually(DEADLINE, "the oracle of now would pass it", async || {
        rehearse()[0]["score"].is_number()
    })
    .await;
    until_dead(&host, 1).await;
    let elsewhere = ["dead", "requeue", "--digest", "0000"];
    assert!(host.cli(&elsewhere).starts_with("0 requeued"));
    let said = host.cli(&["dead", "requeue", "--digest", &before[..12]]);
    assert!(said.starts_with("1 requeued"), "{said}");
    host.settled().await;
    until_dead(&host, 0).await;
    let said = host.cli(&["dead", "requeue", "--flow", "transactions"]);
    assert!(said.starts_with("0 requeued"), "{said}");
}

async fn a_purged_dead_letter_is_gone_and_nothing_is_purged_by_a_slip(ground: Ground) {
    let host = impatient_on(ground).await;
    host.post(&told_to(1, "high")).await;
    host.until_kept(1).await;
    host.post(&told_to(2, "trap")).await;
    until_dead(&host, 1).await;
    assert!(!host.try_cli(&["dead", "purge"]).status.success());
    let said = host.cli(&["dead", "purge", "--fault", "trap"]);
    assert!(said.starts_with("1 purged"), "{said}");
    until_dead(&host, 0).await;
}

#[tokio::test]
async fn an_entry_that_ended_three_processes_dies_and_its_neighbour_is_decided() {
    let site = Site::new().await.with_oracle(MISBEHAVING);
    let mut api = site.serve("api");
    let url = format!("{}/transactions", api.url().await);
    let admin = api.admin_url().await;
    for number in 1..=2 {
        crate::host::post(&url, &told_to(number, "high")).await;
    }
    let client = redis::Client::open(site.redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    // What is left of a worker that ended while it judged both, many times
    // over; the first of them alone.
    let script = "
        local stream, suspects = KEYS[1], KEYS[2]
        redis.pcall('XGROUP', 'CREATE', stream, 'workers', '0')
        redis.call('XREADGROUP', 'GROUP', 'workers', 'ended', 'STREAMS', stream, '>')
        for i, held in ipairs(redis.call('XPENDING', stream, 'workers', '-', '+', 2)) do
          redis.call('XCLAIM', stream, 'workers', 'ended', 0, held[1], 'IDLE', 31000, 'RETRYCOUNT', 20)
          if i == 1 then redis.call('HSET', suspects, held[1], 3) end
        end";
    let _done: redis::Value = redis::Script::new(script)
        .key("floodgate:{transactions:0}:stream")
        .key("floodgate:{transactions:0}:suspects")
        .invoke_async(&mut connection)
        .await
        .unwrap();
    let _worker = site.serve("worker");
    let dead = support::eventually_some(DEADLINE, "it is dead", async || {
        let dead = crate::host::get(&admin, "/dead").await;
        dead[0]["id"].is_string().then_some(dead)
    })
    .await;
    assert_eq!(dead[0]["fault"], "crash");
    assert_eq!(dead[0]["id"], told_to(1, "")["tx_hash"]);
    support::eventually(DEADLINE, "the other is kept", async || {
        site.kept().await == 1
    })
    .await;
}

/// Both are under suspicion. A process ends over one of them, and that says
/// nothing of the other one, which waits for its turn in another partition.
#[tokio::test]
async fn the_end_of_a_process_counts_against_one_suspect_only() {
    let site = Site::new().await.with_oracle(MISBEHAVING);
    let site = site.with_flow("# partitions = 1", "partitions = 2");
    let site = site.with_flow("# timeout = \"100ms\"", "timeout = \"60s\"");
    let stream = StreamSettings {
        partitions: 2,
        max_backlog: 1,
        retain: Duration::ZERO,
    };
    let of_partition = |partition: u16| {
        let mut bodies = (1..).map(|number| told_to(number, "loop"));
        let is_there = |body: &Value| {
            let id = body["tx_hash"].as_str().unwrap();
            stream.partition_of(id) == partition
        };
        bodies.find(is_there).unwrap()
    };
    let mut api = site.serve("api");
    let url = format!("{}/transactions", api.url().await);
    for partition in [0, 1] {
        let (status, _) = crate::host::post(&url, &of_partition(partition)).await;
        assert!(status.is_success());
    }
    let client = redis::Client::open(site.redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let key = |partition: u16, of: &str| format!("floodgate:{{transactions:{partition}}}:{of}");
    // What is left of a worker that ended while it judged them.
    let script = redis::Script::new(
        "redis.pcall('XGROUP', 'CREATE', KEYS[1], 'workers', '0')
        redis.call('XREADGROUP', 'GROUP', 'workers', 'ended', 'STREAMS', KEYS[1], '>')
        for _, held in ipairs(redis.call('XPENDING', KEYS[1], 'workers', '-', '+', 1)) do
          redis.call('XCLAIM', KEYS[1], 'workers', 'ended', 0, held[1],
            'IDLE', 31000, 'RETRYCOUNT', 20)
        end",
    );
    for times in 1..=3 {
        for partition in [0, 1] {
            let _done: redis::Value = script
                .key(key(partition, "stream"))
                .invoke_async(&mut connection)
                .await
                .unwrap();
        }
        let mut worker = site.serve("worker");
        let noted = async |mut connection: redis::aio::MultiplexedConnection| {
            let mut noted = 0;
            for partition in [0, 1] {
                let mut command = redis::cmd("HVALS");
                command.arg(key(partition, "suspects"));
                let counts: Vec<u32> = command.query_async(&mut connection).await.unwrap();
                noted += counts.iter().sum::<u32>();
            }
            noted
        };
        let taken_over = async |mut connection: redis::aio::MultiplexedConnection| {
            for partition in [0, 1] {
                let mut command = redis::cmd("XPENDING");
                command.arg(&[&key(partition, "stream"), "workers", "-", "+", "1", "ended"]);
                let left: Vec<redis::Value> = command.query_async(&mut connection).await.unwrap();
                if !left.is_empty() {
                    return false;
                }
            }
            true
        };
        support::eventually(DEADLINE, "both are taken over and one judged", async || {
            taken_over(connection.clone()).await && noted(connection.clone()).await >= times
        })
        .await;
        worker.kill();
        worker.wait_exit().await;
        assert_eq!(noted(connection.clone()).await, times);
    }
}

#[tokio::test]
async fn a_flow_may_have_what_no_oracle_can_judge_count_as_high() {
    let site = impatient_site().await;
    let site = site.with_flow("# unjudged = \"dead-letter\"", "unjudged = \"high\"");
    let host = Host::start_on(site).await;
    host.post(&told_to(1, "high")).await;
    host.until_kept(1).await;
    host.post(&told_to(2, "trap")).await;
    host.until_kept(2).await;
    host.settled().await;
    assert_eq!(host.get("/dead").await.as_array().unwrap().len(), 0);
    let latest = host.get("/decisions?max=1").await;
    assert_eq!(latest[0]["id"], told_to(2, "")["tx_hash"]);
    assert_eq!(latest[0]["score"], 1.0);
    assert_eq!(latest[0]["reasons"], serde_json::json!(["unjudged"]));
}

#[tokio::test]
async fn what_somebody_else_wrote_to_the_stream_dies_and_stops_nobody() {
    let site = impatient_site()
        .await
        .with_oracle(crate::host::UNIFORM_RISK);
    let host = Host::start_on(site).await;
    host.accepted(&told_to(1, "")).await;
    host.settled().await;
    let client = redis::Client::open(host.site.redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    for (id, body) in [("deep", deep.as_bytes()), ("no-text", b"\"\xff\"")] {
        let _id: String = redis::cmd("XADD")
            .arg("floodgate:{transactions:0}:stream")
            .arg(&["*", "id", id, "body"])
            .arg(body)
            .query_async(&mut connection)
            .await
            .unwrap();
    }
    for number in 2..=20 {
        host.accepted(&told_to(number, "")).await;
    }
    let dead = until_dead(&host, 2).await;
    assert!(dead.iter().all(|dead| dead["fault"] == "malformed"));
    host.settled().await;
}
