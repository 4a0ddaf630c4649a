//! `/metrics`, against the table that it is made of.

pub mod told;

use std::collections::BTreeSet;

use floodgate_process::metrics::table::TABLE;
use floodgate_prove::stand_in::Options;
use hyper::StatusCode;
use serde_json::json;

use self::told::{Told, until_told};
use crate::downstream::{self, Downstream};
use crate::host::{
    DEADLINE, Ground, Ground as Rig, Host, MEMPOOL_RISK, MISBEHAVING, Site, UNIFORM_RISK, drainer,
    repository, told_to,
};
use crate::services::Service;
use crate::support::{self, eventually};

contract!([servers, embedded] {
    every_metric_of_the_table_is_told_and_counts_what_happened,
});

/// The flow `transactions`, impatient and with a query, beside a `posting` that
/// delivers to `url`.
fn site(ground: Ground, url: &str) -> Site {
    let site = downstream::posting_on(ground, url, 2);
    site.ship("transactions");
    std::fs::write(site.flows.path().join("n.sql"), "SELECT 1").unwrap();
    let query = "\n[[query]]\npath = \"/stats/n\"\nsql = \"n.sql\"\n";
    site.rewrite_flow("transactions", |text| text + query);
    site.with_oracle(MISBEHAVING).impatient()
}

async fn every_metric_of_the_table_is_told_and_counts_what_happened(ground: Ground) {
    let downstream = Downstream::start(Options::default()).await;
    let service = Service::start_on(site(ground, &downstream.url)).await;
    let post = async |number, what| {
        service
            .post("/transactions", &told_to(number, what))
            .await
            .0
    };
    let decided = async |count: f64| {
        let series = "floodgate_decided_after_seconds_count{flow=\"transactions\"}";
        until_told(&service.admin, &[(series, count)]).await;
    };
    let digest = async || {
        let oracles = crate::host::get(&service.admin, "/oracles").await;
        oracles[0]["digest"].as_str().unwrap().to_owned()
    };

    assert_eq!(post(1, "high").await, StatusCode::ACCEPTED);
    decided(1.0).await;
    assert_eq!(post(1, "high").await, StatusCode::ACCEPTED);
    let (refused, ..) = service.post("/transactions", &json!({})).await;
    assert_eq!(refused, StatusCode::UNPROCESSABLE_ENTITY);
    let (refused, _) = service.get("/stats/n?unheard=of").await;
    assert_eq!(refused, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post(2, "trap").await, StatusCode::ACCEPTED);
    let buried = "floodgate_dead_letters_buried_total{flow=\"transactions\",fault=\"trap\"}";
    until_told(&service.admin, &[(buried, 1.0)]).await;
    assert_eq!(post(3, "").await, StatusCode::ACCEPTED);
    decided(2.0).await;
    let first = digest().await;
    service.site.drop(UNIFORM_RISK);
    eventually(DEADLINE, "another oracle is in force", async || {
        digest().await != first
    })
    .await;
    let second = digest().await;
    // Whose score is a hash of the id: this one's is HIGH.
    assert_eq!(post(4, "").await, StatusCode::ACCEPTED);
    decided(3.0).await;
    let file = service.site.oracles.path().join("mempool-risk.wasm");
    std::fs::write(file, "no component").unwrap();
    downstream::post(&service, 1).await;

    let expected = format!(
        r#"
        entries_accepted_total{{flow="transactions"}} 4
        entries_accepted_total{{flow="posting"}} 1
        entries_replayed_total{{flow="transactions"}} 1
        requests_refused_total{{flow="transactions",reason="invalid"}} 1
        queries_total{{flow="transactions",path="/stats/n",outcome="invalid-parameter"}} 1
        query_duration_seconds_count{{flow="transactions",path="/stats/n"}} 1
        archive_passes_total{{outcome="problems"}} 0
        request_duration_seconds_count{{flow="transactions"}} 6
        append_group_entries_count{{flow="transactions"}} 5
        append_group_entries_sum{{flow="transactions"}} 5
        append_duration_seconds_count{{flow="transactions"}} 5
        read_batch_entries_sum{{flow="transactions"}} 5
        entries_judged_total{{flow="transactions",oracle="mempool-risk",digest="{first:.12}"}} 2
        entries_judged_total{{flow="transactions",oracle="mempool-risk",digest="{second:.12}"}} 1
        judge_duration_seconds_count{{flow="transactions",oracle="mempool-risk",digest="{first:.12}"}} 4
        oracle_faults_total{{flow="transactions",oracle="mempool-risk",digest="{first:.12}",fault="trap"}} 2
        oracle_faults_total{{flow="transactions",oracle="mempool-risk",digest="{second:.12}",fault="trap"}} 0
        entry_faults_total{{flow="transactions",fault="trap"}} 2
        dead_letters_buried_total{{flow="transactions",fault="trap"}} 1
        dead_letters_buried_total{{flow="transactions",fault="timeout"}} 0
        decisions_total{{flow="transactions",label="high"}} 2
        decisions_total{{flow="transactions",label="low"}} 1
        decisions_total{{flow="posting",label="none"}} 1
        decided_after_seconds_count{{flow="posting"}} 1
        ledger_faults_total{{call="keep"}} 0
        deliveries_total{{flow="posting",downstream="downstream"}} 1
        delivery_duration_seconds_count{{flow="posting",downstream="downstream"}} 1
        delivery_faults_total{{flow="posting",downstream="downstream",fault="refused"}} 0
        ledger_breaker_open 0
        breaker_open{{downstream="downstream"}} 0
        oracle_swaps_total{{oracle="mempool-risk"}} 1
        oracle_swaps_refused_total{{oracle="mempool-risk"}} 1
        entries_lost_total{{flow="transactions"}} 0
        partition_stuck{{flow="transactions",partition="0"}} 0
        remembered_limit_bytes{{flow="transactions"}} 0
        entries_open{{flow="transactions"}} 0
        entries_waiting{{flow="transactions"}} 0
        entries_pending{{flow="transactions"}} 0
        entries_retrying{{flow="transactions"}} 0
        pending_by_deliveries{{flow="transactions",deliveries="5+"}} 0
        oldest_waiting_age_seconds{{flow="transactions"}} 0
        oldest_pending_age_seconds{{flow="transactions"}} 0
        dead_letters{{flow="transactions"}} 1
        backbone_memory_limit_bytes 0
        part_up{{part="redis"}} 1
        part_up{{part="postgres"}} 1
        backlog_known{{flow="transactions"}} 1
        backlog_known{{flow="posting"}} 1
        build_info{{version="{version}"}} 1
        "#,
        version = env!("CARGO_PKG_VERSION"),
    );
    let expected: Vec<(String, f64)> = expected
        .lines()
        .filter_map(|line| line.trim().rsplit_once(' '))
        .map(|(series, value)| (format!("floodgate_{series}"), value.parse().unwrap()))
        .collect();
    let expected: Vec<(&str, f64)> = expected.iter().map(|(s, v)| (&**s, *v)).collect();
    until_told(&service.admin, &expected).await;

    let told = Told::by(&service.admin).await;
    assert!(told.value("floodgate_backbone_memory_used_bytes") > Some(0.0));
    assert!(told.value("floodgate_ledger_duration_seconds_count{call=\"keep\"}") >= Some(4.0));
    let last_bucket =
        "floodgate_request_duration_seconds_bucket{flow=\"transactions\",le=\"+Inf\"}";
    assert_eq!(told.value(last_bucket), Some(6.0));
    assert_as_in_the_table(&told);
}

/// Both ways: nothing is told that is not in the table, and nothing stands there
/// that is not told.
fn assert_as_in_the_table(told: &Told) {
    let table: BTreeSet<&str> = TABLE.iter().map(|metric| metric.name).collect();
    assert_eq!(told.names(), table);
    for metric in TABLE {
        assert_eq!(
            told.kinds[metric.name],
            metric.kind.as_str(),
            "{}",
            metric.name
        );
        assert_eq!(told.helps[metric.name], metric.help, "{}", metric.name);
        let found = told.labels_of(metric);
        assert!(!found.is_empty(), "{} has no sample", metric.name);
        for labels in found {
            assert_eq!(labels, metric.labels, "{}", metric.name);
        }
    }
}

#[tokio::test]
async fn what_the_rate_limit_refuses_is_counted_with_the_others() {
    let site = Site::new().await.with_oracle(MEMPOOL_RISK);
    let host = Host::start_on(site.with_flow("# rate = \"none\"", "rate = \"1/min\"")).await;
    host.accepted(&drainer(1)).await;
    let (status, _) = host.post(&drainer(2)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let told = |what: &str| format!("floodgate_{what}");
    let refused = told("requests_refused_total{flow=\"transactions\",reason=\"rate-limited\"}");
    let answered = told("request_duration_seconds_count{flow=\"transactions\"}");
    until_told(&host.admin, &[(&refused, 1.0), (&answered, 2.0)]).await;
}

#[tokio::test]
async fn what_no_worker_has_read_is_waiting_and_grows_old() {
    let site = Site::new().await;
    let (_api, admin) = site.with_three_unread().await;
    let told = |what: &str| format!("floodgate_{what}{{flow=\"transactions\"}}");
    let (open, waiting) = (told("entries_open"), told("entries_waiting"));
    until_told(
        &admin,
        &[
            (&open, 3.0),
            (&waiting, 3.0),
            (&told("entries_pending"), 0.0),
        ],
    )
    .await;
    eventually(DEADLINE, "it is a second old", async || {
        Told::by(&admin)
            .await
            .value(&told("oldest_waiting_age_seconds"))
            > Some(1.0)
    })
    .await;
}

#[tokio::test]
async fn what_somebody_else_trimmed_is_counted_as_lost() {
    let site = Site::new().await;
    let (_api, _) = site.with_three_unread().await;
    // It has no oracle, so it reads nothing.
    let mut worker = site.serve("worker");
    let admin = worker.admin_url().await;
    let lost = "floodgate_entries_lost_total{flow=\"transactions\"}";
    until_told(&admin, &[(lost, 0.0)]).await;
    let client = redis::Client::open(site.redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut trim = redis::cmd("XTRIM");
    trim.arg("floodgate:{transactions:0}:stream")
        .arg("MAXLEN")
        .arg(0);
    let trimmed: u64 = trim.query_async(&mut connection).await.unwrap();
    assert_eq!(trimmed, 3);
    until_told(&admin, &[(lost, 3.0)]).await;
}

#[tokio::test]
async fn a_flow_that_cannot_be_read_hides_no_other() {
    let site = Site::of_flows(Ground::servers().await, &["tasks", "transactions"]);
    let (_api, admin) = site.with_three_unread().await;
    let of_tasks = |what: &str| format!("floodgate_{what}{{flow=\"tasks\"}}");
    let (known, open) = (of_tasks("backlog_known"), of_tasks("entries_open"));
    let others = [
        ("floodgate_backlog_known{flow=\"transactions\"}", 1.0),
        ("floodgate_entries_open{flow=\"transactions\"}", 3.0),
    ];
    until_told(&admin, &[(&known, 1.0), (&open, 0.0)]).await;
    // A list, where a number belongs.
    let key = "floodgate:{tasks:0}:open";
    support::tell_redis(site.redis(), &["DEL", key]).await;
    support::tell_redis(site.redis(), &["LPUSH", key, "1"]).await;
    until_told(&admin, &[(&known, 0.0), others[0], others[1]]).await;
    assert_eq!(Told::by(&admin).await.value(&open), None);
    support::tell_redis(site.redis(), &["DEL", key]).await;
    until_told(&admin, &[(&known, 1.0), (&open, 0.0)]).await;
}

#[tokio::test]
async fn without_redis_everything_else_is_told() {
    let (host, mut redis) = Host::on_private_redis().await;
    let up = [("redis", 1.0), ("postgres", 1.0)];
    let up = up.map(|(part, up)| (format!("floodgate_part_up{{part=\"{part}\"}}"), up));
    until_told(&host.admin, &[(&up[0].0, 1.0), (&up[1].0, 1.0)]).await;
    redis.kill();
    until_told(&host.admin, &[(&up[0].0, 0.0), (&up[1].0, 1.0)]).await;
    let told = Told::by(&host.admin).await;
    assert_eq!(
        told.value("floodgate_entries_open{flow=\"transactions\"}"),
        None
    );
    assert_eq!(told.value("floodgate_backbone_memory_used_bytes"), None);
    let accepted = "floodgate_entries_accepted_total{flow=\"transactions\"}";
    assert_eq!(told.value(accepted), Some(1.0));
    redis.restart().await;
    until_told(&host.admin, &[(&up[0].0, 1.0)]).await;
    assert!(
        Told::by(&host.admin)
            .await
            .names()
            .contains("floodgate_entries_open")
    );
}

#[tokio::test]
async fn without_postgres_the_breaker_is_open_and_the_backbone_is_told() {
    let (host, mut postgres) = Host::on_private_postgres().await;
    postgres.kill();
    host.accepted(&drainer(2)).await;
    let (up, breaker) = (
        "floodgate_part_up{part=\"postgres\"}",
        "floodgate_ledger_breaker_open",
    );
    let open = "floodgate_entries_open{flow=\"transactions\"}";
    until_told(&host.admin, &[(up, 0.0), (breaker, 1.0), (open, 1.0)]).await;
    let told = Told::by(&host.admin).await;
    assert!(told.value("floodgate_ledger_faults_total{call=\"keep\"}") > Some(0.0));
    postgres.restart().await;
    until_told(&host.admin, &[(up, 1.0), (breaker, 0.0), (open, 0.0)]).await;
}

#[tokio::test]
async fn a_downstream_that_is_away_is_told_until_it_is_back() {
    let downstream = Downstream::start(Options::default()).await;
    let address = downstream.url.trim_start_matches("http://").to_owned();
    drop(downstream);
    let site = downstream::posting(&format!("http://{address}"), 1).await;
    let service = Service::start_on(site).await;
    downstream::post(&service, 1).await;
    let open = "floodgate_breaker_open{downstream=\"downstream\"}";
    until_told(&service.admin, &[(open, 1.0)]).await;
    let failed = "floodgate_delivery_faults_total{flow=\"posting\",downstream=\"downstream\",fault=\"not-connected\"}";
    assert!(Told::by(&service.admin).await.value(failed) >= Some(5.0));
    let _back = Downstream::eventually_at(&address).await;
    until_told(&service.admin, &[(open, 0.0)]).await;
}

#[test]
fn the_page_is_that_of_the_table() {
    let file = repository().join("docs/METRICS.md");
    let page = floodgate_process::metrics::page();
    support::holds(&file, &page, "metrics::the_page");
}
