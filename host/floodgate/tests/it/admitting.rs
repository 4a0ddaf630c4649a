//! What becomes of a request: batches, generated ids, sending again.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::host::{DEADLINE, Ground, Site};
use crate::services::Service;
use crate::support;

async fn event_site() -> Site {
    let (redis, postgres) = (support::redis().await, support::postgres().await);
    let site = Site::of_flows(Ground::of(redis, postgres), &["events"]);
    site.rewrite_flow("events", |text| {
        text.replace("keys = true", "keys = false")
            .replace("rate = \"1000/s\"", "rate = \"none\"")
    });
    site
}

fn event(number: usize, kind: &str) -> Value {
    json!({
        "event_id": format!("00000000-0000-4000-8000-{number:012}"),
        "occurred_at": "2026-01-02T03:04:05",
        "user_id": "u1",
        "event_type": kind,
        "properties": {},
    })
}

fn batch(numbers: std::ops::Range<usize>) -> Value {
    numbers.map(|number| event(number, "login")).collect()
}

/// Nobody guesses it.
const MINE: &str = "6f1d2c3b4a59687786959493a2b1c0df";

#[tokio::test]
async fn a_batch_is_appended_whole_and_sending_it_again_adds_nothing() {
    let front = Service::front_end_on(event_site().await).await;
    let (status, headers, answer) = front.post("/events", &batch(0..1000)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer, json!({"ok": true, "queued": 1000}));
    assert!(!headers.contains_key("idempotent-replayed"));
    assert_eq!(front.open("events").await, 1000);
    let (_, headers, answer) = front.post("/events", &batch(0..1000)).await;
    assert_eq!(answer["queued"], 1000);
    assert_eq!(headers["idempotent-replayed"], "true");
    let (_, headers, _) = front.post("/events", &batch(999..1001)).await;
    assert!(!headers.contains_key("idempotent-replayed"), "one is new");
    assert_eq!(front.open("events").await, 1001);
}

#[tokio::test]
async fn overlapping_batches_at_once_append_each_entry_once() {
    let front = Service::front_end_on(event_site().await).await;
    let batches: Vec<Value> = (0..8).map(|n| batch(n * 100..n * 100 + 300)).collect();
    let posts = batches.iter().map(|batch| front.post("/events", batch));
    for (status, _, answer) in futures_util::future::join_all(posts).await {
        assert_eq!((status, &answer["queued"]), (StatusCode::OK, &json!(300)));
    }
    assert_eq!(front.open("events").await, 1000);
}

#[tokio::test]
async fn one_bad_item_refuses_the_batch_by_its_index() {
    let front = Service::front_end_on(event_site().await).await;
    let mut items = batch(0..3);
    items[1]["occurred_at"] = json!("yesterday");
    let (status, _, problem) = front.post("/events", &items).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let error = &problem["errors"][0];
    assert_eq!(
        (&error["index"], &error["pointer"]),
        (&json!(1), &json!("/occurred_at"))
    );
    let (status, _, _) = front.post("/events", &event(1, "login")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "no array");
    assert_eq!(front.open("events").await, 0);
}

#[tokio::test]
async fn a_conflict_within_a_batch_is_told_by_index_and_the_others_stand() {
    let front = Service::front_end_on(event_site().await).await;
    front.post("/events", &batch(1..2)).await;
    let items = json!([event(0, "login"), event(1, "logout"), event(2, "login")]);
    let (status, _, problem) = front.post("/events", &items).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let indices: Vec<_> = problem["errors"].as_array().unwrap().iter().collect();
    assert_eq!(indices.len(), 1, "{problem}");
    assert_eq!(indices[0]["index"], 1);
    assert_eq!(front.open("events").await, 3);
}

#[tokio::test]
async fn a_batch_beyond_the_backlog_is_told_which_items_to_send_again() {
    let site = event_site().await;
    let limit = "\n[stream]\nmax_backlog = 2\n";
    site.rewrite_flow("events", |text| text + limit);
    let front = Service::front_end_on(site).await;
    let (status, headers, problem) = front.post("/events", &batch(0..4)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains_key("retry-after"));
    let errors = problem["errors"].as_array().unwrap();
    let indices: Vec<_> = errors.iter().map(|error| error["index"].clone()).collect();
    assert_eq!(indices, [json!(2), json!(3)]);
}

#[tokio::test]
async fn ids_that_count_up_never_repeat_in_any_process() {
    let first = Service::front_end(&["tasks"]).await;
    let (redis, postgres) = (
        first.site.redis().to_owned(),
        first.site.postgres().to_owned(),
    );
    let second =
        Service::front_end_on(Site::of_flows(Ground::of(redis, postgres), &["tasks"])).await;
    let payload = json!({"payload": "text"});
    let (status, _, answer) = first.post("/tasks", &payload).await;
    assert_eq!(
        (status, answer),
        (StatusCode::CREATED, json!({"task_id": 1}))
    );
    let mut ids = vec![1];
    let mut last = [1, 0];
    for _ in 0..40 {
        for (at, front) in [&first, &second].into_iter().enumerate() {
            let (_, _, answer) = front.post("/tasks", &payload).await;
            let id = answer["task_id"].as_u64().unwrap();
            assert!(id > last[at], "it counts up");
            last[at] = id;
            ids.push(id);
        }
    }
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_is_answered_as_the_first_time() {
    let front = Service::front_end(&["tasks", "credit"]).await;
    let key = [("idempotency-key", MINE)];
    for (path, body) in [
        ("/tasks", json!({"payload": "text"})),
        ("/credit-request", json!({"age": 20, "value": 1})),
    ] {
        let (status, headers, first) = front.post_with(path, &key, &body).await;
        assert!(status.is_success(), "{first}");
        assert!(!headers.contains_key("idempotent-replayed"));
        let (again, headers, second) = front.post_with(path, &key, &body).await;
        assert_eq!((again, &second), (status, &first), "{path}");
        assert_eq!(headers["idempotent-replayed"], "true");
        let (_, _, another) = front.post(path, &body).await;
        assert_ne!(another, first, "without the header it is a new one");
    }
    let other = json!({"payload": "other"});
    let (status, _, _) = front.post_with("/tasks", &key, &other).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let long = "k".repeat(257);
    let (status, _, _) = front
        .post_with("/tasks", &[("idempotency-key", &long)], &other)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(front.open("tasks").await, 2);
}

#[tokio::test]
async fn a_key_that_was_claimed_before_a_crash_still_makes_one_entry() {
    let front = Service::front_end(&["tasks"]).await;
    let (key, body) = ([("idempotency-key", MINE)], json!({"payload": "text"}));
    front.post_with("/tasks", &key, &body).await;
    // As if the front end had ended between the claim and the append.
    let client = redis::Client::open(front.site.redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let forget = "for _, key in ipairs(redis.call('KEYS', '*:id:*')) do redis.call('DEL', key) end
        redis.call('DEL', ARGV[1]) redis.call('SET', ARGV[2], 0)";
    let _: () = redis::Script::new(forget)
        .arg("floodgate:{tasks:0}:stream")
        .arg("floodgate:{tasks:0}:open")
        .invoke_async(&mut connection)
        .await
        .unwrap();
    let (status, headers, answer) = front.post_with("/tasks", &key, &body).await;
    assert_eq!(
        (status, answer),
        (StatusCode::CREATED, json!({"task_id": 1}))
    );
    assert!(
        !headers.contains_key("idempotent-replayed"),
        "it is appended now"
    );
    assert_eq!(front.open("tasks").await, 1);
}

#[tokio::test]
async fn a_reply_that_tells_the_time_of_receipt_tells_the_same_when_sent_again() {
    let front = Service::front_end(&["posting"]).await;
    let body = json!({
        "id": "8d3e1ee0-5a0e-4b5a-9f0e-0123456789AB", "amount": 100.5, "currency": "usd",
        "description": "rent", "timestamp": "2026-01-02T03:04:05Z", "metadata": {},
    });
    let (status, _, first) = front.post("/api/transactions", &body).await;
    assert_eq!(status, StatusCode::OK, "{first}");
    assert_eq!(first["status"], "pending");
    assert_eq!(
        first["transactionId"],
        "8d3e1ee0-5a0e-4b5a-9f0e-0123456789ab"
    );
    let submitted = first["submittedAt"].as_str().unwrap();
    let parsed: jiff::Timestamp = submitted.parse().unwrap();
    assert!((jiff::Timestamp::now() - parsed).get_hours() < 1);
    assert_eq!(
        (&first["completedAt"], &first["error"]),
        (&Value::Null, &Value::Null)
    );
    let (_, _, second) = front.post("/api/transactions", &body).await;
    assert_eq!(second, first);
    let mut bad = body.clone();
    bad["id"] = json!("not-a-uuid");
    assert_eq!(
        front.post("/api/transactions", &bad).await.0,
        StatusCode::BAD_REQUEST
    );
    let mut bad = body;
    bad["amount"] = json!(0);
    let (status, _, _) = front.post("/api/transactions", &bad).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn without_a_ledger_there_are_no_ids_that_count_up() {
    let redis = support::redis().await;
    let nowhere = "postgres://nobody@127.0.0.1:1/none".to_owned();
    let front = Service::front_end_on(Site::of_flows(Ground::of(redis, nowhere), &["tasks"])).await;
    support::eventually(DEADLINE, "it says so", async || {
        let (status, headers, problem) = front.post("/tasks", &json!({"payload": "x"})).await;
        status == StatusCode::SERVICE_UNAVAILABLE
            && headers.contains_key("retry-after")
            && problem["type"] == "urn:floodgate:problem:ledger-away"
    })
    .await;
}
