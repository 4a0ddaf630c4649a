//! Five flows in one process: what one suffers, the others do not feel.
//! How little they feel of it is measured by `cargo bench --bench neighbours`.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::host::{DEADLINE, MISBEHAVING, told_to};
use crate::services::Service;
use crate::support;

fn events(from: usize) -> Value {
    (from..from + 1000)
        .map(|number| {
            json!({
                "event_id": format!("00000000-0000-4000-8000-{number:012}"),
                "occurred_at": "2026-01-02T03:04:05", "user_id": "u1", "event_type": "login",
            })
        })
        .collect()
}

#[tokio::test]
async fn poison_a_backlog_and_a_downstream_that_is_away_hold_up_no_other_flow() {
    let site = Service::site(&["credit", "events", "posting", "tasks", "transactions"]).await;
    site.drop(MISBEHAVING);
    site.rewrite_flow("transactions", |text| {
        text.replace("first = \"1s\"", "first = \"10ms\"")
    });
    site.rewrite_flow("events", |text| text.replace("keys = true", "keys = false"));
    site.rewrite_flow("posting", |text| {
        text.replace("localhost:8080", "127.0.0.1:1")
    });
    let service = Service::start_on(site).await;
    for path in ["/transactions", "/credit-request", "/tasks"] {
        support::eventually(DEADLINE, "its oracles are there", async || {
            service.post(path, &json!({})).await.0 == StatusCode::UNPROCESSABLE_ENTITY
        })
        .await;
    }
    // Each of these keeps a core busy until its deadline, again and again.
    for number in 1..=20 {
        let (status, _, _) = service
            .post("/transactions", &told_to(number, "loop"))
            .await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    for batch in 0..5 {
        let (status, _, _) = service.post("/events", &events(batch * 1000)).await;
        assert_eq!(status, StatusCode::OK);
    }
    let posted = json!({
        "id": "8d3e1ee0-5a0e-4b5a-9f0e-0123456789ab", "amount": 1, "currency": "usd",
        "description": "rent", "timestamp": "2026-01-02T03:04:05Z",
    });
    assert_eq!(
        service.post("/api/transactions", &posted).await.0,
        StatusCode::OK
    );
    for number in 1..=10 {
        service.post("/tasks", &json!({"payload": "text"})).await;
        let path = format!("/tasks/{number}");
        service.until(&path, "status", "done").await;
        let (_, _, ticket) = service
            .post("/credit-request", &json!({"age": 20, "value": 1}))
            .await;
        let path = format!(
            "/credit-validation?ticket={}",
            ticket["ticket"].as_str().unwrap()
        );
        service.until(&path, "status", "APPROVED").await;
    }
    assert!(
        service.open("transactions").await > 0,
        "the poison is still at work"
    );
    support::eventually(DEADLINE, "the backlog is worked off", async || {
        service.open("events").await == 0
    })
    .await;
}
