//! The contracts of the five services, row by row, with all five flows in one
//! Floodgate as it is shipped. What needs more than a request and its answer
//! has files of its own: `tracking`, `delivering`, `gate`, `admitting`.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::host::{DEADLINE, Ground, Ground as Rig, drainer, transaction};
use crate::services::Service;
use crate::support;

const ALL: [&str; 5] = ["credit", "events", "posting", "tasks", "transactions"];

contract!([servers, embedded] {
    transactions,
    credit,
    posting,
    events,
    tasks,
});

async fn all_five(ground: Ground) -> (Service, String) {
    let site = Service::site_on(ground, &ALL);
    let file = site.flows.path().join("keys");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["keys", "new", "shop", "--file", file.to_str().unwrap()])
        .output()
        .unwrap();
    let key = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let mut floodgate = site.serve_with("all", &["--keys-file", file.to_str().unwrap()]);
    let service = Service {
        url: floodgate.url().await,
        admin: floodgate.admin_url().await,
        site,
        floodgate,
    };
    // A flow answers 503 until its oracles are compiled.
    for path in ["/transactions", "/credit-request", "/tasks"] {
        support::eventually(DEADLINE, "its oracles are there", async || {
            service.post(path, &json!({})).await.0 == StatusCode::UNPROCESSABLE_ENTITY
        })
        .await;
    }
    (service, key)
}

/// Each of these bodies is refused with this status, and nothing is queued.
async fn refused(service: &Service, path: &str, status: u16, bodies: &[Value]) {
    for body in bodies {
        let (refused, headers, problem) = service.post(path, body).await;
        assert_eq!(refused.as_u16(), status, "{path} {body}: {problem}");
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(problem["status"], status);
    }
}

fn changed(body: &Value, member: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[member] = value;
    body
}

fn without(body: &Value, member: &str) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().remove(member);
    body
}

async fn transactions(ground: Ground) {
    let (service, _) = all_five(ground).await;
    let body = drainer(0xab);
    for path in ["/transactions", "/transactions/"] {
        let (status, _, answer) = service.post(path, &body).await;
        let expected = json!({
            "status": "accepted", "tx_hash": body["tx_hash"],
            "message": "Transaction queued for processing",
        });
        assert_eq!((status, answer), (StatusCode::ACCEPTED, expected));
    }
    let upper = body["tx_hash"]
        .as_str()
        .unwrap()
        .to_uppercase()
        .replace("0X", "0x");
    let (status, headers, _) = service
        .post("/transactions", &changed(&body, "tx_hash", json!(upper)))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(
        headers["idempotent-replayed"], "true",
        "0xAB and 0xab are one"
    );
    let low = transaction(2, "0x", 30);
    let members = low.as_object().unwrap().keys();
    let mut bad: Vec<Value> = members.map(|member| without(&low, member)).collect();
    for (member, value) in [
        ("tx_hash", json!("0x12")),
        ("from_address", json!("0x12")),
        ("to_address", json!(format!("0x{}g", "0".repeat(39)))),
        ("value_eth", json!(-1)),
        ("value_eth", json!("1")),
        ("gas_price_gwei", json!(0)),
        ("gas_price_gwei", json!(1.5)),
        ("timestamp", json!(1.5)),
    ] {
        bad.push(changed(&low, member, value));
    }
    refused(&service, "/transactions", 422, &bad).await;
    service.post("/transactions", &low).await;
    support::eventually(DEADLINE, "the HIGH one is kept, and no other", async || {
        service.open("transactions").await == 0
    })
    .await;
    let query = "SELECT tx_hash, priority, risk_score FROM transactions";
    let rows = service.site.query(query).await;
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((json!(row[0]), &*row[1]), (body["tx_hash"].clone(), "HIGH"));
    assert!(row[2].parse::<f64>().unwrap() > 0.8);
    let (status, health) = service.get("/healthz").await;
    let ok = json!({"status": "ok", "redis": "ok", "postgres": "ok"});
    assert_eq!((status, health), (StatusCode::OK, ok));
}

async fn credit(ground: Ground) {
    let (service, _) = all_five(ground).await;
    for (age, value, verdict) in [
        (json!(20), json!(100_000), "NOT approved"),
        (json!(20), json!(99_999), "APPROVED"),
        (json!(18), json!(1), "NOT approved"),
        (json!(18.5), json!(99_999.5), "APPROVED"),
    ] {
        let (status, _, answer) = service
            .post("/credit-request", &json!({"age": age, "value": value}))
            .await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["status"], "Your request is now being processed");
        let ticket = answer["ticket"].as_str().unwrap();
        assert!(uuid::Uuid::parse_str(ticket).is_ok());
        let path = format!("/credit-validation?ticket={ticket}");
        let answer = service.until(&path, "status", verdict).await;
        assert_eq!(answer["ticket"], ticket);
        assert_eq!(answer["rules"].as_array().unwrap().len(), 2);
    }
    let good = json!({"age": 20, "value": 1});
    let mut bad = vec![json!([]), without(&good, "age"), without(&good, "value")];
    for value in [json!("20"), json!(null), json!(-1)] {
        bad.push(changed(&good, "age", value.clone()));
        bad.push(changed(&good, "value", value));
    }
    refused(&service, "/credit-request", 422, &bad).await;
    assert_eq!(service.open("credit").await, 0);
    let (status, problem) = service.get("/credit-validation?ticket=unknown").await;
    assert_eq!(
        (status, &problem["status"]),
        (StatusCode::NOT_FOUND, &json!(404))
    );
}

async fn posting(ground: Ground) {
    let (service, _) = all_five(ground).await;
    let id = "8d3e1ee0-5a0e-4b5a-9f0e-0123456789ab";
    let good = json!({
        "id": id, "amount": 100.5, "currency": "usd", "description": "rent",
        "timestamp": "2026-01-02T03:04:05Z", "metadata": {},
    });
    let (status, _, answer) = service.post("/api/transactions", &good).await;
    assert_eq!(status, StatusCode::OK);
    let shape = |answer: &Value| {
        let members = answer.as_object().unwrap().keys().cloned();
        members.collect::<Vec<_>>()
    };
    let members = [
        "completedAt",
        "error",
        "status",
        "submittedAt",
        "transactionId",
    ];
    assert_eq!(shape(&answer), members);
    assert_eq!(
        (&answer["transactionId"], &answer["status"]),
        (&json!(id), &json!("pending"))
    );
    let path = format!("/api/transactions/{id}");
    let (status, known) = service.get(&path).await;
    assert_eq!(
        (status, shape(&known)),
        (StatusCode::OK, members.map(str::to_owned).to_vec())
    );
    assert_eq!(known["submittedAt"], answer["submittedAt"]);
    let (status, _) = service
        .get("/api/transactions/8d3e1ee0-5a0e-4b5a-9f0e-000000000000")
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let without_metadata = changed(
        &without(&good, "metadata"),
        "id",
        json!(uuid::Uuid::new_v4().to_string()),
    );
    assert_eq!(
        service.post("/api/transactions", &without_metadata).await.0,
        StatusCode::OK
    );
    refused(
        &service,
        "/api/transactions",
        400,
        &[changed(&good, "id", json!("7"))],
    )
    .await;
    let bad = [
        changed(&good, "amount", json!(0)),
        changed(&good, "amount", json!(-1)),
        changed(&good, "currency", json!("us")),
        changed(&good, "timestamp", json!("yesterday")),
        without(&good, "currency"),
    ];
    refused(&service, "/api/transactions", 422, &bad).await;
    let conflict = changed(&good, "amount", json!(7));
    assert_eq!(
        service.post("/api/transactions", &conflict).await.0,
        StatusCode::CONFLICT
    );
    let (status, page) = service.get("/api/health").await;
    assert_eq!(status, StatusCode::OK);
    let members = [
        "error_rate",
        "failed_count",
        "processed_count",
        "queue_depth",
        "status",
        "uptime",
    ];
    assert_eq!(
        (&page["status"], shape(&page)),
        (&json!("healthy"), members.map(str::to_owned).to_vec())
    );
    let query = "SELECT body ->> 'currency' FROM decisions WHERE flow = 'posting'";
    support::eventually(
        DEADLINE,
        "the currency is stored in upper case",
        async || {
            let found = service.site.query(query).await;
            found.iter().any(|row| row[0] == "USD")
        },
    )
    .await;
}

fn event(number: u32) -> Value {
    json!({
        "event_id": format!("00000000-0000-4000-8000-{number:012}"),
        "occurred_at": "2026-01-02T03:04:05", "user_id": "u1", "event_type": "login", "properties": {},
    })
}

async fn events(ground: Ground) {
    let (service, key) = all_five(ground).await;
    // What a database refuses for good.
    let refuse = match service.site.ground {
        Ground::Servers { .. } => {
            "ALTER TABLE decisions ADD CHECK (body ->> 'event_type' <> 'poison')"
        }
        Ground::Embedded(_) => {
            "CREATE TRIGGER refuse BEFORE INSERT ON decisions
             WHEN NEW.body ->> '$.event_type' = 'poison'
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        }
    };
    service.site.query(refuse).await;
    let with_key = [("X-API-KEY", key.as_str())];
    let post = async |body: Value| service.post_with("/events", &with_key, &body).await;
    assert_eq!(
        service.post("/events", &json!([event(1)])).await.0,
        StatusCode::UNAUTHORIZED
    );
    let wrong = [("x-api-key", "wrong")];
    let (status, _, _) = service
        .post_with("/events", &wrong, &json!([event(1)]))
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _, answer) = post(json!([event(1), event(2)])).await;
    assert_eq!(
        (status, answer),
        (StatusCode::OK, json!({"ok": true, "queued": 2}))
    );
    assert_eq!(post(json!([event(2), event(3)])).await.0, StatusCode::OK);
    for (member, value) in [
        ("event_id", json!("7")),
        ("occurred_at", json!("2026-13-01T00:00:00")),
        ("user_id", json!("")),
        ("event_type", json!(null)),
        ("properties", json!([])),
    ] {
        let bad = json!([event(4), changed(&event(5), member, value)]);
        let (status, _, problem) = post(bad).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem["errors"][0]["index"], 1, "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{member}"));
    }
    post(json!([changed(&event(6), "event_type", json!("poison"))])).await;
    let count = async || -> i64 {
        let count = service.site.query("SELECT count(*) FROM events").await;
        count[0][0].parse().unwrap()
    };
    support::eventually(DEADLINE, "each is kept once", async || count().await == 3).await;
    let dead = support::eventually_some(DEADLINE, "the refused one is dead", async || {
        let dead = crate::host::get(&service.admin, "/dead").await;
        dead[0].is_object().then_some(dead)
    })
    .await;
    assert_eq!(
        (&dead[0]["fault"], &dead[0]["attempts"]),
        (&json!("ledger"), &json!(3))
    );
    assert_eq!(count().await, 3);
}

async fn tasks(ground: Ground) {
    let (service, _) = all_five(ground).await;
    let (status, _, answer) = service.post("/tasks", &json!({"payload": "text"})).await;
    assert_eq!(
        (status, answer),
        (StatusCode::CREATED, json!({"task_id": 1}))
    );
    let task = service.until("/tasks/1", "status", "done").await;
    assert_eq!((&task["id"], &task["payload"]), (&json!(1), &json!("text")));
    assert_eq!(task["result"], "Processed: TEXT");
    for member in ["created_at", "updated_at"] {
        let time: Result<jiff::Timestamp, _> = task[member].as_str().unwrap().parse();
        assert!(time.is_ok(), "{task}");
    }
    let (_, _, answer) = service.post("/tasks", &json!({"payload": "x"})).await;
    assert!(answer["task_id"].as_u64() > Some(1));
    let (status, problem) = service.get("/tasks/99999").await;
    assert_eq!(
        (status, &problem["detail"]),
        (StatusCode::NOT_FOUND, &json!("Task not found"))
    );
    let bad = [json!({"payload": ""}), json!({}), json!({"payload": 7})];
    refused(&service, "/tasks", 422, &bad).await;
    let (status, health) = service.get("/health").await;
    assert_eq!(
        (status, health),
        (StatusCode::OK, json!({"status": "healthy"}))
    );
}

#[tokio::test]
async fn what_a_killed_worker_held_becomes_a_done_task_all_the_same() {
    let front = Service::front_end(&["tasks"]).await;
    let mut worker = front.site.serve("worker");
    front.post("/tasks", &json!({"payload": "warm"})).await;
    front.until("/tasks/1", "status", "done").await;
    worker.sigstop();
    let (_, _, answer) = front.post("/tasks", &json!({"payload": "held"})).await;
    let path = format!("/tasks/{}", answer["task_id"]);
    worker.kill();
    let client = redis::Client::open(front.site.redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    // As if its lease had run out by now.
    let age = "local held = redis.call('XPENDING', KEYS[1], 'workers', '-', '+', 1)
        for _, one in ipairs(held) do
            redis.call('XCLAIM', KEYS[1], 'workers', one[2], 0, one[1], 'IDLE', 31000, 'JUSTID')
        end
        return #held";
    let age = redis::Script::new(age);
    let age = age.key("floodgate:{tasks:0}:stream");
    let aged: u64 = age.invoke_async(&mut connection).await.unwrap();
    assert_eq!(aged, 1, "the killed worker holds it");
    let _another = front.site.serve("worker");
    let task = front.until(&path, "status", "done").await;
    assert_eq!(task["result"], "Processed: HELD");
}
