//! Who is guilty: the entry, the settings, or the oracle. What a stranger sends
//! never stops anybody else, and nothing needs a restart.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::host::{
    DEADLINE, Ground, Host, MEMPOOL_RISK, MISBEHAVING, Site, drainer, post, told_to,
};
use crate::support;

/// A host of these flows as they are shipped, with their oracles.
async fn host_of(flows: &[&str], oracles: &[(&str, &str)]) -> Host {
    let site = Site::of_flows(Ground::servers().await, flows);
    for (name, component) in oracles {
        site.drop_as(name, component);
    }
    Host::start_on(site).await
}

async fn state_of(host: &Host, flow: &str) -> Value {
    let flows = host.get("/flows").await;
    let mut flows = flows.as_array().unwrap().iter();
    let found = flows.find(|found| found["name"] == flow);
    found.unwrap()["state"].clone()
}

/// Workers report once a second.
async fn until_running(host: &Host, flow: &str) {
    let what = format!("{flow} is running");
    support::eventually(DEADLINE, &what, async || {
        state_of(host, flow).await == "running"
    })
    .await;
}

/// The value of a counter, summed over its series with these labels.
async fn counted(host: &Host, metric: &str, labels: &[&str]) -> f64 {
    let url = format!("{}/metrics", host.admin);
    let (_, _, page) = support::request("GET", &url, &[], String::new()).await;
    let page = String::from_utf8(page.to_vec()).unwrap();
    let of_metric = page.lines().filter(|line| line.starts_with(metric));
    let series = of_metric.filter(|line| labels.iter().all(|label| line.contains(label)));
    let values = series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    let values: Vec<f64> = values.collect();
    assert!(!values.is_empty(), "there is a {metric} with {labels:?}");
    values.iter().sum()
}

async fn until_dead(host: &Host, count: usize) -> Vec<Value> {
    let what = format!("{count} are dead");
    support::eventually_some(DEADLINE, &what, async || {
        let dead = host
            .get("/dead?limit=1000")
            .await
            .as_array()
            .unwrap()
            .clone();
        (dead.len() == count).then_some(dead)
    })
    .await
}

/// `ΐ` in upper case is three characters: the output is larger than one may be.
#[tokio::test]
async fn a_burst_of_entries_that_are_refused_holds_up_nobody() {
    let site = Site::of_flows(Ground::servers().await, &["tasks"]);
    site.drop_as("task-echo", "plugins/dist/task-echo.wasm");
    site.rewrite_flow("tasks", |text| {
        text + "\n[retry]\nattempts = 2\nbackoff = { first = \"10ms\" }\n"
    });
    let host = Host::start_on(site).await;
    let tasks = host.url.replace("/transactions", "/tasks");
    let poison = json!({ "payload": "ΐ".repeat(12_000) });
    support::eventually(DEADLINE, "it admits", async || {
        post(&tasks, &poison).await.0 == StatusCode::CREATED
    })
    .await;
    let burst = (1..64).map(|_| post(&tasks, &poison));
    for (status, _) in futures_util::future::join_all(burst).await {
        assert_eq!(status, StatusCode::CREATED);
    }
    let (status, answer) = post(&tasks, &json!({ "payload": "text" })).await;
    assert_eq!(status, StatusCode::CREATED);
    support::eventually(DEADLINE, "the good one is done", async || {
        let task = crate::host::get(&tasks, &format!("/{}", answer["task_id"])).await;
        task["result"] == "Processed: TEXT"
    })
    .await;
    let dead = until_dead(&host, 64).await;
    assert!(dead.iter().all(|letter| letter["fault"] == "refused"));
    assert_eq!(state_of(&host, "tasks").await, "running");
    let oracle = &host.get("/oracles").await[0];
    assert_eq!(oracle.get("rolled_back"), Some(&Value::Null));
    let refused = counted(&host, "floodgate_oracle_refusals_total", &["refused"]).await;
    assert_eq!(refused, 128.0, "each attempt is counted");
    assert_eq!(counted(&host, "floodgate_flow_held", &[]).await, 0.0);
}

#[tokio::test]
async fn two_entries_that_break_a_new_oracle_do_not_undo_the_swap() {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK).impatient();
    let host = Host::start_on(site).await;
    let before = host.digest().await;
    host.accepted(&drainer(1)).await;
    host.drop(MISBEHAVING);
    host.until_digest_is_not(&before).await;
    for (number, what) in [(2, "trap"), (3, "loop"), (4, "memory"), (5, "error")] {
        host.accepted(&told_to(number, what)).await;
    }
    until_dead(&host, 4).await;
    host.accepted(&told_to(6, "high")).await;
    host.until_kept(2).await;
    assert_ne!(host.digest().await, before);
    assert_eq!(
        host.site.query("SELECT count(*) FROM oracle_choices").await[0][0],
        "0"
    );
    let cleared = counted(&host, "floodgate_oracle_trials_total", &["\"cleared\""]).await;
    assert!(cleared >= 1.0, "{cleared}");
}

/// A rule that says `Err` for many is a rule of somebody's, however many.
#[tokio::test]
async fn a_rule_that_judged_thirty_and_refuses_two_hundred_stays_in_force() {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK).impatient();
    let host = Host::start_on(site).await;
    let before = host.digest().await;
    host.drop(MISBEHAVING);
    host.until_digest_is_not(&before).await;
    for number in 1..=30 {
        host.accepted(&told_to(number, "high")).await;
    }
    host.until_kept(30).await;
    let bodies: Vec<Value> = (31..=230).map(|number| told_to(number, "error")).collect();
    futures_util::future::join_all(bodies.iter().map(|body| host.accepted(body))).await;
    until_dead(&host, 200).await;
    assert_ne!(host.digest().await, before);
    assert_eq!(state_of(&host, "transactions").await, "running");
    assert_eq!(host.kept().await, 30, "no other rule decided them");
}

/// With this setting the component refuses everything, as a rule does that
/// cannot read its limit.
#[tokio::test]
async fn a_typo_in_the_settings_of_one_flow_is_refused_and_touches_no_other() {
    let host = host_of(
        &["transactions", "credit"],
        &[
            ("mempool-risk", MISBEHAVING),
            ("age-rule", MISBEHAVING),
            ("value-rule", MISBEHAVING),
        ],
    )
    .await;
    host.accepted(&told_to(1, "high")).await;
    host.until_kept(1).await;
    let shared = |text: String| text.replace("\"age-rule\"", "\"mempool-risk\"");
    host.site.rewrite_flow("credit", shared);
    support::eventually(DEADLINE, "both use the same component", async || {
        host.get("/flows").await[0]["oracles"][0] == "mempool-risk"
    })
    .await;
    let typo = |text: String| text.replace("min_age = 18", "fail = \"always\"");
    host.site.rewrite_flow("credit", typo);
    let refused = support::eventually_some(DEADLINE, "it is refused", async || {
        let rows = host.get("/audit?max=50").await;
        let mut rows = rows.as_array().unwrap().clone().into_iter();
        rows.find(|row| row["action"] == "flow" && row["outcome"]["error"].is_string())
    })
    .await;
    let error = refused["outcome"]["error"].as_str().unwrap();
    for part in ["credit.toml", "mempool-risk", "settings.fail = \"always\""] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(refused["who"], "file");
    assert_eq!(
        counted(&host, "floodgate_flow_files_refused", &[]).await,
        1.0
    );
    for flow in ["transactions", "credit"] {
        assert_eq!(state_of(&host, flow).await, "running");
    }
    host.accepted(&told_to(2, "high")).await;
    host.until_kept(2).await;
    let corrected = |text: String| text.replace("fail = \"always\"", "fail = \"never\"");
    host.site.rewrite_flow("credit", corrected);
    support::eventually(DEADLINE, "the correction is taken", async || {
        counted(&host, "floodgate_flow_files_refused", &[]).await == 0.0
    })
    .await;
}

/// At a start there is no definition before: the flow is held, and goes on when
/// the file is corrected.
#[tokio::test]
async fn a_typo_that_is_there_at_the_start_holds_its_flow_until_it_is_corrected() {
    let site = Site::of_flows(Ground::servers().await, &["transactions", "tasks"]);
    site.drop_as("mempool-risk", MISBEHAVING);
    site.drop_as("task-echo", MISBEHAVING);
    site.rewrite_flow("tasks", |text| {
        text.replace(
            "component = \"task-echo\"",
            "component = \"mempool-risk\"\nmemory = \"1MiB\"",
        )
    });
    let host = Host::start_on(site).await;
    let reason = host.until_held("tasks").await;
    assert!(
        reason.contains("memory") && reason.contains("1 of 1 controls"),
        "{reason}"
    );
    host.accepted(&told_to(1, "high")).await;
    host.until_kept(1).await;
    let tasks = host.url.replace("/transactions", "/tasks");
    let (status, problem) = post(&tasks, &json!({ "payload": "text" })).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem["type"], "urn:floodgate:problem:held");
    assert!(host.cli(&["flows"]).contains("held: mempool-risk"));
    assert!(host.cli(&["oracles"]).contains("holds tasks"));
    assert_eq!(counted(&host, "floodgate_flow_held", &["tasks"]).await, 1.0);
    let ready = host.get("/readyz").await;
    assert_eq!(ready, json!({ "status": "ready", "held": ["tasks"] }));
    host.site
        .rewrite_flow("tasks", |text| text.replace("1MiB", "64MiB"));
    support::eventually(DEADLINE, "it admits again", async || {
        post(&tasks, &json!({ "payload": "text" })).await.0 == StatusCode::CREATED
    })
    .await;
    until_running(&host, "tasks").await;
    let rows = host.get("/audit?max=50").await;
    let rows = rows.as_array().unwrap().iter().rev();
    let of_host: Vec<&Value> = rows.filter(|row| row["who"] == "host").collect();
    let actions: Vec<&Value> = of_host.iter().map(|row| &row["action"]).collect();
    assert_eq!(actions, ["hold", "release"]);
    assert!(of_host.iter().all(|row| row["target"]["flow"] == "tasks"));
}

/// A front end has no oracles: it takes what workers took, and hears what is held.
#[tokio::test]
async fn a_front_end_of_its_own_follows_the_workers() {
    let site = Site::new().await.with_oracle(MISBEHAVING);
    let always = "settings = { fail = \"always\" }";
    let site = site.with_flow("# settings = { some_limit = 12.5 }", always);
    let mut api = site.serve("api");
    let url = format!("{}/transactions", api.url().await);
    let admin = api.admin_url().await;
    let _worker = site.serve("worker");
    let held =
        async || post(&url, &told_to(1, "high")).await.1["type"] == "urn:floodgate:problem:held";
    support::eventually(DEADLINE, "it is held", held).await;
    let corrected = |text: String| text.replace("\"always\"", "\"never\"");
    site.rewrite_flow("transactions", corrected);
    let admits = async |url: &str, number| {
        post(url, &told_to(number, "high")).await.0 == StatusCode::ACCEPTED
    };
    support::eventually(DEADLINE, "it admits", async || admits(&url, 2).await).await;
    // Of a file with a typo nothing is taken, by whichever process.
    site.rewrite_flow("transactions", |text| {
        let text = text.replace("\"never\"", "\"always\"");
        text.replace("path = \"/transactions\"", "path = \"/elsewhere\"")
    });
    support::eventually(DEADLINE, "it is refused", async || {
        let page = format!("{admin}/metrics");
        let (_, _, page) = support::request("GET", &page, &[], String::new()).await;
        let page = String::from_utf8(page.to_vec()).unwrap();
        page.contains("floodgate_flow_files_refused 1")
    })
    .await;
    assert!(admits(&url, 3).await);
    site.rewrite_flow("transactions", corrected);
    let elsewhere = url.replace("/transactions", "/elsewhere");
    support::eventually(DEADLINE, "it is there", async || {
        admits(&elsewhere, 4).await
    })
    .await;
}

/// The controls change, and what is in force is broken by the new ones: an
/// earlier version judges, in the dry run as well.
#[tokio::test]
async fn a_dry_run_asks_the_version_that_judges_in_the_flow() {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK).impatient();
    site.examples(&[told_to(1, "high")]);
    let host = Host::start_on(site).await;
    let before = host.digest().await;
    host.drop(MISBEHAVING);
    host.until_digest_is_not(&before).await;
    host.accepted(&told_to(2, "trap")).await;
    until_dead(&host, 1).await;
    host.site.examples(&[told_to(1, "trap")]);
    support::eventually(DEADLINE, "an earlier version judges", async || {
        let oracle = host.get("/oracles").await[0].clone();
        oracle["in_flows"][0]["standing"] == "passed-over"
    })
    .await;
    assert_ne!(host.digest().await, before, "it is in force still");
    let said = host.cli(&["dead", "requeue", "--since", "1h", "--dry-run", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(said[0]["score"].is_number(), "{said}");
}
