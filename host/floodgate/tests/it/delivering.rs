//! Decisions on their way to a slow, unreliable service.

use std::time::Duration;

use floodgate_prove::stand_in::Options;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::downstream::{Downstream, Scripted, id, post, posting, posting_on, tls, unreliable};
use crate::host::{DEADLINE, Ground};
use crate::metrics::told::{Told, until_told};
use crate::services::Service;
use crate::support::{self, eventually};

fn path(number: usize) -> String {
    format!("/api/transactions/{}", id(number))
}

#[tokio::test]
async fn each_arrives_exactly_once_while_the_service_fails_and_workers_are_killed() {
    const COUNT: usize = 150;
    let downstream = Downstream::start(unreliable()).await;
    let front = Service::front_end_on(posting(&downstream.url, 100).await).await;
    let mut worker = front.site.serve("worker");
    for number in 0..COUNT {
        post(&front, number).await;
    }
    for share in [3, 2] {
        eventually(DEADLINE, "a part is there", async || {
            downstream.stats().await["accepted"].as_u64().unwrap() as usize > COUNT / share
        })
        .await;
        // What it was posting when it died is taken up when its lease has run out.
        worker.kill();
        worker.wait_exit().await;
        worker = front.site.serve("worker");
    }
    eventually(Duration::from_secs(90), "all are completed", async || {
        let url = format!("{}/api/health", front.url);
        let (_, _, page) = support::request("GET", &url, &[], String::new()).await;
        let page: Value = serde_json::from_slice(&page).unwrap_or_default();
        page["processed_count"] == COUNT && page["queue_depth"] == 0
    })
    .await;
    let stats = downstream.stats().await;
    assert_eq!(
        (&stats["accepted"], &stats["duplicates"]),
        (&json!(COUNT), &json!(0)),
        "{stats}"
    );
    assert!(stats["failed_before"].as_u64() > Some(0) && stats["failed_after"].as_u64() > Some(0));
    let (_, page) = front.get(&path(7)).await;
    assert_eq!(
        (&page["status"], &page["error"]),
        (&json!("completed"), &Value::Null)
    );
    assert!(page["completedAt"].is_string() && page["submittedAt"].is_string());
}

#[tokio::test]
async fn a_service_that_is_away_uses_up_no_attempt_and_is_delivered_to_when_it_is_back() {
    let downstream = Downstream::start(Options::default()).await;
    let address = downstream.url.trim_start_matches("http://").to_owned();
    drop(downstream);
    let service = Service::start_on(posting(&format!("http://{address}"), 1).await).await;
    post(&service, 1).await;
    until_told(&service.admin, &[(BREAKER, 1.0)]).await;
    assert_eq!(service.get(&path(1)).await.1["status"], "pending");
    let downstream = Downstream::at(&address, Options::default()).await;
    service.until(&path(1), "status", "completed").await;
    assert_eq!(downstream.stats().await["accepted"], 1);
}

#[tokio::test]
async fn what_is_given_up_is_a_dead_letter_that_can_be_requeued() {
    let failing = Options {
        fail_before: 1.0,
        ..Options::default()
    };
    let downstream = Downstream::start(failing).await;
    let address = downstream.url.trim_start_matches("http://").to_owned();
    let service = Service::start_on(posting(&downstream.url, 2).await).await;
    post(&service, 1).await;
    let failed = service.until(&path(1), "status", "failed").await;
    assert!(
        failed["error"].as_str().unwrap().contains("answered 500"),
        "{failed}"
    );
    assert_eq!(downstream.stats().await["posts"], 2);
    let dead = crate::host::get(&service.admin, "/dead").await;
    assert_eq!(
        (&dead[0]["fault"], &dead[0]["id"]),
        (&json!("delivery"), &json!(id(1)))
    );
    let (_, page) = service.get("/api/health").await;
    assert_eq!(
        (&page["failed_count"], &page["error_rate"]),
        (&json!(1), &json!(1.0)),
        "{page}"
    );
    drop(downstream);
    let downstream = Downstream::eventually_at(&address).await;
    let url = format!("{}/dead/requeue", service.admin);
    let which = json!({"fault": "delivery"}).to_string();
    let json = [("content-type", "application/json")];
    support::request("POST", &url, &json, which).await;
    service.until(&path(1), "status", "completed").await;
    assert_eq!(downstream.stats().await["accepted"], 1);
    assert_eq!(
        crate::host::get(&service.admin, "/dead").await,
        serde_json::json!([])
    );
}

#[tokio::test]
async fn posting_is_answered_at_once_and_other_flows_go_on_while_the_service_is_slow() {
    let downstream = Downstream::start(Options {
        delay: Duration::from_millis(400),
        ..Options::default()
    })
    .await;
    let site = posting(&downstream.url, 10).await;
    site.rewrite_flow("posting", |text| {
        text.replace("concurrency = 16", "concurrency = 3")
    });
    site.ship("tasks");
    let service = Service::start_on(site).await;
    for number in 0..12 {
        post(&service, number).await;
    }
    service.post("/tasks", &json!({"payload": "text"})).await;
    service.until("/tasks/1", "status", "done").await;
    let (_, last) = service.get(&path(11)).await;
    let open = ["pending", "processing"].map(|state| last["status"] == state);
    assert!(open.contains(&true), "{last}");
    service.until(&path(11), "status", "completed").await;
    eventually(DEADLINE, "all are there", async || {
        downstream.stats().await["accepted"] == 12
    })
    .await;
    let stats = downstream.stats().await;
    assert_eq!(
        (&stats["most_at_once"], &stats["duplicates"]),
        (&json!(3), &json!(0))
    );
}

const NOT_THERE: Option<&str> = Some("404 Not Found");
const DONE: Option<&str> = Some("200 OK");

/// Of a service that has nothing yet and takes everything.
fn takes(method: &str, _: &str) -> Option<&'static str> {
    match method {
        "GET" => NOT_THERE,
        _ => DONE,
    }
}

/// `posting` before a service at `url`, in one process on a file.
async fn posting_to(url: &str, attempts: u32) -> Service {
    Service::start_on(posting_on(Ground::embedded().await, url, attempts)).await
}

async fn attempts(service: &Service) -> String {
    let attempts = "SELECT max(attempts) FROM deliveries";
    service.site.query(attempts).await[0][0].clone()
}

const BREAKER: &str = "floodgate_breaker_open{downstream=\"downstream\"}";

#[tokio::test]
async fn a_question_that_is_not_answered_uses_up_nothing_and_nothing_is_posted() {
    for (answer, told) in [
        (Some("500 Internal Server Error"), "answered 500"),
        (Some("503 Service Unavailable"), "answered 503"),
        (
            Some("302 Found\r\nlocation: http://127.0.0.1:1/elsewhere"),
            "redirects are not followed",
        ),
        (None, "no answer within"),
    ] {
        let downstream = Scripted::start(move |_, _| answer).await;
        let service = posting_to(&downstream.url, 2).await;
        post(&service, 1).await;
        eventually(DEADLINE, "it is asked again and again", async || {
            downstream.count("GET") > 4
        })
        .await;
        assert_eq!(downstream.count("POST"), 0, "{told}");
        assert_eq!(attempts(&service).await, "0", "{told}");
        let error = &service.site.query("SELECT error FROM deliveries").await[0][0];
        assert!(error.contains(told), "{error}");
        downstream.script(takes);
        service.until(&path(1), "status", "completed").await;
        assert_eq!(downstream.count("POST"), 1, "{told}");
    }
}

#[tokio::test]
async fn while_a_gateway_stands_before_nobody_nothing_is_used_up_and_one_at_a_time_is_tried() {
    const COUNT: usize = 12;
    let away = |method: &str, _: &str| match method {
        "GET" => NOT_THERE,
        _ => Some("503 Service Unavailable"),
    };
    let downstream = Scripted::start(away).await;
    let service = posting_to(&downstream.url, 2).await;
    for number in 0..COUNT {
        post(&service, number).await;
    }
    until_told(&service.admin, &[(BREAKER, 1.0)]).await;
    let most = downstream.most_at_once(async {
        let before = downstream.count("POST");
        eventually(DEADLINE, "it is tried again", async || {
            downstream.count("POST") >= before + 3
        })
        .await;
    });
    assert_eq!(most.await, 1);
    let used_up: u32 = attempts(&service).await.parse().unwrap();
    assert!(used_up < 2, "{used_up}");
    assert_eq!(crate::host::get(&service.admin, "/dead").await, json!([]));
    downstream.script(takes);
    for number in 0..COUNT {
        service.until(&path(number), "status", "completed").await;
    }
    until_told(&service.admin, &[(BREAKER, 0.0)]).await;
}

#[tokio::test]
async fn one_entry_that_a_service_chokes_on_keeps_no_other_from_it() {
    let chokes = |method: &str, path: &str| match path.ends_with(&id(0)) {
        true => Some("503 Service Unavailable"),
        false => takes(method, path),
    };
    let downstream = Scripted::start(chokes).await;
    let service = posting_to(&downstream.url, 100).await;
    post(&service, 0).await;
    eventually(DEADLINE, "it fails many times", async || {
        downstream.count("GET") > 6
    })
    .await;
    let told = Told::by(&service.admin).await;
    assert_eq!(told.value(BREAKER), Some(0.0));
    post(&service, 1).await;
    service.until(&path(1), "status", "completed").await;
    assert_eq!(Told::by(&service.admin).await.value(BREAKER), Some(0.0));
}

/// A URL with `/..` at its end is the one without its last segment.
#[tokio::test]
async fn an_id_that_means_another_place_is_refused_and_an_older_one_is_a_dead_letter() {
    let downstream = Scripted::start(|_, _| None).await;
    let site = posting(&downstream.url, 2).await;
    site.rewrite_flow("posting", |text| {
        text.replace("errors = { \"/id\" = 400 }", "errors = {}")
    });
    let schema = site.flows.path().join("posting.schema.json");
    let free = std::fs::read_to_string(&schema).unwrap();
    let free = free.replace(
        "{ \"type\": \"string\", \"format\": \"uuid\" }",
        "{ \"type\": \"string\" }",
    );
    std::fs::write(&schema, free).unwrap();
    let service = Service::start_on(site).await;
    let body = |id: &str| {
        json!({
            "id": id, "amount": 100.5, "currency": "usd", "description": "rent",
            "timestamp": "2026-01-02T03:04:05Z",
        })
    };
    for bad in [".", "..", "%2e%2E", "a/../b", "a//b"] {
        let (status, _, problem) = service.post("/api/transactions", &body(bad)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], "/id", "{problem}");
    }
    let (status, _, _) = service.post("/api/transactions", &body("a.b")).await;
    assert_eq!(status, StatusCode::OK);
    eventually(DEADLINE, "it is decided", async || {
        service.site.kept().await == 1
    })
    .await;
    let renamed = "WITH one AS (UPDATE decisions SET id = '..' RETURNING id)
        UPDATE deliveries SET id = '..', leased_by = NULL, leased_until = NULL";
    service.site.query(renamed).await;
    let dead = support::eventually_some(DEADLINE, "it is a dead letter", async || {
        let dead = crate::host::get(&service.admin, "/dead").await;
        dead[0].is_object().then_some(dead)
    })
    .await;
    assert_eq!(
        (&dead[0]["fault"], &dead[0]["id"]),
        (&json!("delivery"), &json!(".."))
    );
    assert_eq!(downstream.count("POST"), 0);
}

#[tokio::test]
async fn a_service_with_a_certificate_of_an_authority_of_its_own_is_delivered_to() {
    let downstream = Scripted::over_tls(takes).await;
    let site = posting_on(Ground::embedded().await, &downstream.url, 2);
    let mut service = Service::start_on(site).await;
    post(&service, 1).await;
    let distrusted = async || {
        let errors = service.site.query("SELECT error FROM deliveries").await;
        errors.iter().any(|row| row[0].contains("certificate"))
    };
    eventually(DEADLINE, "it is not trusted", distrusted).await;
    assert_eq!(attempts(&service).await, "0");
    assert_eq!(downstream.count(""), 0);
    // Beside the flow file, which the flow file names.
    let file = service.site.flows.path().join("own.pem");
    std::fs::copy(tls("ca.pem"), file).unwrap();
    service.site.rewrite_flow("posting", |text| {
        text.replace("concurrency = 16", "concurrency = 16\nca = \"own.pem\"")
    });
    service.until(&path(1), "status", "completed").await;
    // Or one that the whole process trusts.
    service
        .site
        .rewrite_flow("posting", |text| text.replace("ca = \"own.pem\"", ""));
    service.floodgate.sigterm();
    assert_eq!(service.floodgate.wait_exit().await, 0);
    let trusted = tls("ca.pem");
    let env = [("SSL_CERT_FILE", trusted.to_str().unwrap())];
    service.floodgate = service.site.serve_in("all", &[], &env);
    service.url = service.floodgate.url().await;
    post(&service, 2).await;
    service.until(&path(2), "status", "completed").await;
    assert_eq!(downstream.count("POST"), 2);
}

#[tokio::test]
async fn deliveries_go_on_behind_a_pooler() {
    const COUNT: usize = 40;
    let downstream = Downstream::start(Options::default()).await;
    let postgres = support::postgres().await;
    let pooled = support::through_pgbouncer(&postgres).await;
    let ground = Ground::of(support::redis().await, pooled);
    let site = posting_on(ground, &downstream.url, 10);
    let direct = [("DATABASE_DIRECT_URL", &*postgres)];
    let mut front = site.serve_in("all", &[], &direct);
    let (url, admin) = (front.url().await, front.admin_url().await);
    let service = Service {
        site,
        floodgate: front,
        url,
        admin,
    };
    for number in 0..COUNT {
        post(&service, number).await;
    }
    for number in 0..COUNT {
        service.until(&path(number), "status", "completed").await;
    }
    let stats = downstream.stats().await;
    assert_eq!(
        (&stats["accepted"], &stats["duplicates"]),
        (&json!(COUNT), &json!(0)),
        "{stats}"
    );
}
