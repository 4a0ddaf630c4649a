//! What a request is called: on its answer, on its entries, and on what
//! becomes of them.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::host::{
    DEADLINE, Ground, Ground as Rig, Host, MISBEHAVING, Site, drainer, told_to, transaction,
};
use crate::services::Service;
use crate::support::{self, request};

contract!([servers, embedded] {
    an_entry_keeps_the_id_of_its_request_to_the_end,
    all_entries_of_a_batch_have_the_id_of_their_request,
    a_post_from_the_page_has_one_id_in_the_audit_log_and_on_its_entry,
});

async fn post(url: &str, id: &str, body: &Value) -> (StatusCode, String) {
    let headers = [("x-request-id", id)];
    let (status, headers, _) = request("POST", url, &headers, body.to_string()).await;
    (status, headers["x-request-id"].to_str().unwrap().to_owned())
}

async fn an_entry_keeps_the_id_of_its_request_to_the_end(ground: Ground) {
    let site = Site::on(ground)
        .with_oracle(MISBEHAVING)
        .with_flow("attempts = 5", "attempts = 1");
    let host = Host::start_on(site).await;
    let kept = told_to(1, "high");
    host.accepted(&told_to(0, "high")).await;
    let posted = post(&host.url, "order-1:a", &kept).await;
    assert_eq!(posted, (StatusCode::ACCEPTED, "order-1:a".to_owned()));
    host.until_kept(2).await;
    let again = post(&host.url, "order-1:b", &kept).await;
    assert_eq!(again, (StatusCode::ACCEPTED, "order-1:b".to_owned()));
    let decisions: Value = serde_json::from_str(&host.cli(&["decisions", "--json"])).unwrap();
    let id = |body: &Value| body["tx_hash"].as_str().unwrap().to_owned();
    let rows = decisions.as_array().unwrap();
    let row = rows.iter().find(|row| row["id"] == id(&kept)).unwrap();
    assert_eq!(row["request_id"], "order-1:a");
    let why = host.cli(&["why", "transactions", &id(&kept)]);
    assert!(why.contains("request: order-1:a"), "{why}");

    let dies = told_to(2, "trap");
    post(&host.url, "order-2", &dies).await;
    let dead = support::eventually_some(DEADLINE, "it is dead", async || {
        let shown = host.try_cli(&["dead", "show", "transactions", &id(&dies), "--json"]);
        serde_json::from_slice::<Value>(&shown.stdout).ok()
    })
    .await;
    assert_eq!(dead["request_id"], "order-2");
    let why = host.cli(&["why", "transactions", &id(&dies)]);
    assert!(why.contains("request: order-2"), "{why}");
}

async fn all_entries_of_a_batch_have_the_id_of_their_request(ground: Ground) {
    let site = Service::site_on(ground, &["events"]);
    site.rewrite_flow("events", |text| text.replace("keys = true", "keys = false"));
    let service = Service::start_on(site).await;
    let event = |number: usize| {
        json!({
            "event_id": format!("00000000-0000-4000-8000-{number:012}"),
            "occurred_at": "2026-01-02T03:04:05Z", "user_id": "u", "event_type": "login",
        })
    };
    let batch = json!([event(1), event(2), event(3)]);
    let url = format!("{}/events", service.url);
    assert_eq!(post(&url, "batch-7", &batch).await.1, "batch-7");
    support::eventually(DEADLINE, "all have it", async || {
        let sql = "SELECT CAST(attributes AS TEXT) FROM decisions";
        let expected = vec![vec![r#"[["request-id","batch-7"]]"#.to_owned()]; 3];
        service.site.query(sql).await == expected
    })
    .await;
}

async fn a_post_from_the_page_has_one_id_in_the_audit_log_and_on_its_entry(ground: Ground) {
    let host = Host::start_with(ground, MISBEHAVING).await;
    host.accepted(&told_to(0, "high")).await;
    let url = format!("{}/flows/transactions/post", host.admin);
    let json = ("content-type", "application/json");
    for (number, given) in [(1, Some("page-1")), (2, None), (3, Some("not one"))] {
        let body = told_to(number, "high");
        let mut headers = vec![json];
        headers.extend(given.map(|id| ("x-request-id", id)));
        let (_, headers, _) = request("POST", &url, &headers, body.to_string()).await;
        let told = headers["x-request-id"].to_str().unwrap();
        match given {
            Some("page-1") => assert_eq!(told, "page-1"),
            _ => assert_eq!(told.len(), 16, "{told}"),
        }
        assert_eq!(host.get("/audit?max=1").await[0]["request_id"], told);
        let id = body["tx_hash"].as_str().unwrap();
        support::eventually(DEADLINE, "its decision has the id too", async || {
            let why = host.get(&format!("/why/transactions/{id}")).await;
            why["state"] == "decided" && why["request_id"] == told
        })
        .await;
    }
}

#[tokio::test]
async fn every_answer_of_the_admin_address_says_which_call_it_answers() {
    let host = Host::start_with(Ground::embedded().await, MISBEHAVING).await;
    let json = ("content-type", "application/json");
    let foreign = ("host", "evil.example");
    for (method, path, header, status) in [
        ("GET", "/flows", json, StatusCode::OK),
        ("GET", "/", json, StatusCode::OK),
        ("GET", "/nothing", json, StatusCode::NOT_FOUND),
        ("POST", "/dead/purge", json, StatusCode::BAD_REQUEST),
        ("GET", "/flows", foreign, StatusCode::MISDIRECTED_REQUEST),
    ] {
        for (given, is_taken) in [("mine", true), ("not one", false)] {
            let url = format!("{}{path}", host.admin);
            let headers = [header, ("x-request-id", given)];
            let (answered, headers, _) = request(method, &url, &headers, "{}").await;
            assert_eq!(answered, status, "{method} {path}");
            let told = headers["x-request-id"].to_str().unwrap();
            assert_eq!(told == given, is_taken, "{method} {path}: {told}");
            assert!(is_taken || told.len() == 16, "{method} {path}: {told}");
        }
    }
}

#[tokio::test]
async fn every_answer_of_the_front_end_says_which_request_it_answers() {
    let site = Service::site(&["transactions", "tasks"]).await;
    let front = Service::front_end_on(site).await;
    let good = drainer(1).to_string();
    let bad = transaction(2, "not hex", 1).to_string();
    for (method, path, body, status) in [
        ("POST", "/transactions", &*good, None),
        ("POST", "/transactions", "{", None),
        ("POST", "/transactions", &bad, None),
        ("POST", "/nowhere", "{}", Some(StatusCode::NOT_FOUND)),
        ("DELETE", "/tasks", "", Some(StatusCode::METHOD_NOT_ALLOWED)),
        ("OPTIONS", "/tasks", "", Some(StatusCode::NO_CONTENT)),
        ("GET", "/tasks/7", "", Some(StatusCode::NOT_FOUND)),
        ("GET", "/healthz", "", Some(StatusCode::OK)),
    ] {
        for (given, expected) in [("mine", Some("mine")), ("not one", None)] {
            let headers = [("x-request-id", given)];
            let (answered, headers, _) =
                front.request(method, path, &headers, body.to_owned()).await;
            assert!(status.is_none_or(|status| status == answered), "{answered}");
            let told = headers["x-request-id"].to_str().unwrap();
            match expected {
                Some(expected) => assert_eq!(told, expected, "{method} {path}"),
                None => assert_eq!(told.len(), 16, "{method} {path}: {told}"),
            }
        }
    }
}
