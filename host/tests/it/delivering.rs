//! Decisions on their way to a slow, unreliable service.

use std::time::Duration;

use floodgate::stand_in::Options;
use serde_json::{Value, json};

use crate::downstream::{Downstream, id, post, posting, unreliable};
use crate::host::DEADLINE;
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
    eventually(DEADLINE, "the circuit opens", async || {
        service.floodgate.stderr().contains("downstream away")
    })
    .await;
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
    assert_ne!(service.get(&path(11)).await.1["status"], "completed");
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

/// Answers every request with this status, and counts POSTs.
async fn answering(head: &'static str) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let posts = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = posts.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            if request[..read].starts_with(b"POST") {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let answer =
                format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, posts)
}

#[tokio::test]
async fn only_a_404_means_that_it_is_not_there_and_no_redirect_is_followed() {
    for (head, told) in [
        ("500 Internal Server Error", "answered 500"),
        (
            "302 Found\r\nlocation: http://127.0.0.1:1/elsewhere",
            "redirects are not followed",
        ),
    ] {
        let (url, posts) = answering(head).await;
        let service = Service::start_on(posting(&url, 2).await).await;
        post(&service, 1).await;
        let failed = service.until(&path(1), "status", "failed").await;
        assert!(failed["error"].as_str().unwrap().contains(told), "{failed}");
        assert_eq!(posts.load(std::sync::atomic::Ordering::SeqCst), 0, "{head}");
    }
}
