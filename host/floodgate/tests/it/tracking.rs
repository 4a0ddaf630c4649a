//! What became of an entry, and health pages, over HTTP.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::host::{DEADLINE, MISBEHAVING, Site, drainer, told_to, transaction};
use crate::services::Service;
use crate::support;

/// The flow `transactions`, tracked, and kept as `keep` says.
async fn tracked(keep: &str) -> Site {
    let site = Service::site(&["transactions"]).await;
    site.rewrite_flow("transactions", |text| {
        let track = r#"
[track]
path = "/transactions/{id}"
keep = "2s"
reply = { id = "{id}", state = "{state}", label = "{label}", score = "{score}", reasons = "{reasons}", error = "{error}" }
"#;
        let kept = format!("when = \"{keep}\"");
        let text = text.replace("when = \"high\"", &kept);
        let text = text.replace("remember = \"10m\"", "remember = \"0s\"");
        text.replace("first = \"1s\"", "first = \"50ms\"") + track
    });
    site
}

fn path_of(body: &Value) -> String {
    format!("/transactions/{}", body["tx_hash"].as_str().unwrap())
}

#[tokio::test]
async fn a_task_is_pending_until_a_worker_comes_and_then_done() {
    let front = Service::front_end(&["tasks"]).await;
    front.post("/tasks", &json!({"payload": "text"})).await;
    let (status, pending) = front.get("/tasks/1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&pending["id"], &pending["status"]),
        (&json!(1), &json!("pending"))
    );
    assert_eq!(
        (&pending["payload"], &pending["result"]),
        (&json!("text"), &Value::Null)
    );
    let _worker = front.site.serve("worker");
    let done = front.until("/tasks/1", "status", "done").await;
    assert_eq!(done["result"], "Processed: TEXT");
    assert_eq!(done["created_at"], pending["created_at"]);
    let time =
        |member: &str| -> jiff::Timestamp { done[member].as_str().unwrap().parse().unwrap() };
    assert!(time("updated_at") >= time("created_at"));
}

#[tokio::test]
async fn a_ticket_is_pending_then_decided_by_both_rules_with_their_reasons() {
    let front = Service::front_end(&["credit"]).await;
    let mut tickets = Vec::new();
    for (age, value) in [(20, 100_000), (20, 99_999), (18, 1)] {
        let (_, _, answer) = front
            .post("/credit-request", &json!({"age": age, "value": value}))
            .await;
        let ticket = answer["ticket"].as_str().unwrap().to_owned();
        tickets.push(format!("/credit-validation?ticket={ticket}"));
    }
    let (_, pending) = front.get(&tickets[0]).await;
    assert_eq!(
        (&pending["status"], &pending["rules"]),
        (&json!("PENDING"), &Value::Null)
    );
    let _worker = front.site.serve("worker");
    let denied = front.until(&tickets[0], "status", "NOT approved").await;
    let rules = json!([
        {"name": "age-rule", "score": 0.0, "label": "APPROVED", "reasons": ["age-above-limit"]},
        {"name": "value-rule", "score": 1.0, "label": "NOT approved", "reasons": ["value-not-below-limit"]},
    ]);
    assert_eq!(denied["rules"], rules);
    front.until(&tickets[1], "status", "APPROVED").await;
    front.until(&tickets[2], "status", "NOT approved").await;
    let (status, problem) = front.get("/credit-validation?ticket=nobody").await;
    assert_eq!(
        (status, &problem["detail"]),
        (StatusCode::NOT_FOUND, &json!("Ticket not found"))
    );
    assert_eq!(
        front.get("/credit-validation").await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn what_no_ledger_keeps_is_known_for_as_long_as_the_flow_says() {
    let service = Service::start_on(tracked("high").await).await;
    let (low, high) = (transaction(1, "0x", 30), drainer(2));
    for body in [&low, &high] {
        assert_eq!(
            service.post("/transactions", body).await.0,
            StatusCode::ACCEPTED
        );
    }
    let known = service.until(&path_of(&low), "state", "completed").await;
    assert_eq!(known["label"], "LOW");
    service.until(&path_of(&high), "label", "HIGH").await;
    support::eventually(DEADLINE, "the LOW one is forgotten", async || {
        service.get(&path_of(&low)).await.0 == StatusCode::NOT_FOUND
    })
    .await;
    let (_, known) = service.get(&path_of(&high)).await;
    assert_eq!(
        (&known["state"], &known["label"]),
        (&json!("completed"), &json!("HIGH"))
    );
}

#[tokio::test]
async fn an_id_is_found_however_it_is_written() {
    let service = Service::start_on(tracked("always").await).await;
    let body = drainer(0xab);
    service.post("/transactions", &body).await;
    let path = path_of(&body);
    service.until(&path, "state", "completed").await;
    let upper = format!("/transactions/0x{}/", path[16..].to_uppercase());
    let escaped = path.replace("/0x", "/%30x");
    for path in [upper, escaped] {
        assert_eq!(service.get(&path).await.0, StatusCode::OK, "{path}");
    }
    for path in ["/transactions/%ff", "/transactions/a/b", "/transactions/x"] {
        assert_eq!(service.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, headers, _) = service.request("PUT", &path, &[], String::new()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers["allow"], "GET, HEAD, OPTIONS");
    let (status, _, _) = service.request("HEAD", &path, &[], String::new()).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_dead_entry_has_failed_until_it_is_requeued() {
    let site = tracked("high").await;
    site.drop(MISBEHAVING);
    let service = Service::start_on(site).await;
    let body = told_to(1, "trap");
    service.post("/transactions", &body).await;
    let failed = service.until(&path_of(&body), "state", "failed").await;
    assert!(
        failed["error"].as_str().unwrap().contains("trap"),
        "{failed}"
    );
    assert_eq!(failed["label"], Value::Null);
    service.site.drop(crate::host::MEMPOOL_RISK);
    support::eventually(DEADLINE, "it is judged by another oracle", async || {
        let requeue = json!({"flow": "transactions"}).to_string();
        let url = format!("{}/dead/requeue", service.admin);
        let json = [("content-type", "application/json")];
        support::request("POST", &url, &json, requeue).await;
        service.get(&path_of(&body)).await.1["state"] == "completed"
    })
    .await;
}

#[tokio::test]
async fn a_kept_decision_is_known_after_redis_lost_it() {
    let service = Service::start(&["tasks"]).await;
    service.post("/tasks", &json!({"payload": "text"})).await;
    service.until("/tasks/1", "status", "done").await;
    let client = redis::Client::open(service.site.redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("FLUSHDB")
        .query_async(&mut connection)
        .await
        .unwrap();
    service.until("/tasks/1", "status", "done").await;
}

#[tokio::test]
async fn a_health_page_counts_what_was_decided_and_what_died() {
    let site = tracked("high").await;
    site.rewrite_flow("transactions", |text| {
        text + r#"
[[health]]
path = "/api/health"
reply = { status = "{health}", open = "{open}", rate = "{error_rate}", uptime = "{uptime}", decided = "{decided}", dead = "{dead}" }
[[health]]
path = "/"
reply = { status = "{health}" }
"#
    });
    site.drop(MISBEHAVING);
    let service = Service::start_on(site).await;
    for number in 1..=3 {
        service
            .post("/transactions", &told_to(number, "high"))
            .await;
    }
    service.post("/transactions", &told_to(4, "trap")).await;
    let page = support::eventually_some(DEADLINE, "one is dead", async || {
        let (_, page) = service.get("/api/health").await;
        (page["dead"] == 1).then_some(page)
    })
    .await;
    assert_eq!(
        (&page["status"], &page["decided"]),
        (&json!("healthy"), &json!(3))
    );
    assert_eq!((&page["open"], &page["rate"]), (&json!(0), &json!(0.25)));
    assert!(page["uptime"].as_f64().unwrap() > 0.0);
    let (status, root) = service.get("/").await;
    assert_eq!(
        (status, root),
        (StatusCode::OK, json!({"status": "healthy"}))
    );
}
