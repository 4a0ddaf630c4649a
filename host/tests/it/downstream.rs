//! A slow, unreliable service, and the shipped flow that delivers to it.

use std::time::Duration;

use floodgate::stand_in::{Options, StandIn};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::host::{DEADLINE, Ground, Site};
use crate::services::Service;
use crate::support;

/// Answers late, or with an error, before it wrote and after.
pub fn unreliable() -> Options {
    Options {
        slow: 0.3,
        slow_for: Duration::from_millis(600),
        fail_before: 0.2,
        fail_after: 0.2,
        write_late: true,
        ..Options::default()
    }
}

/// A stand-in of this process.
pub struct Downstream {
    pub url: String,
    serving: JoinHandle<()>,
}

impl Drop for Downstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Downstream {
    pub async fn start(options: Options) -> Self {
        Self::at("127.0.0.1:0", options).await
    }

    pub async fn at(address: &str, options: Options) -> Self {
        let stand_in = StandIn::bind(address.parse().unwrap(), options).await;
        Self::serve(stand_in.unwrap())
    }

    /// The port may be in use for a moment longer.
    pub async fn eventually_at(address: &str) -> Self {
        support::eventually_some(DEADLINE, "the port is free", async || {
            let stand_in = StandIn::bind(address.parse().unwrap(), Options::default()).await;
            stand_in.ok().map(Self::serve)
        })
        .await
    }

    fn serve(stand_in: StandIn) -> Self {
        Self {
            url: format!("http://{}", stand_in.local_addr().unwrap()),
            serving: tokio::spawn(stand_in.run()),
        }
    }

    pub async fn stats(&self) -> Value {
        let url = format!("{}/stats", self.url);
        let (_, _, answer) = support::request("GET", &url, &[], String::new()).await;
        serde_json::from_slice(&answer).unwrap()
    }
}

/// The flow `posting` with short times, before a downstream at `url`.
pub async fn posting(url: &str, attempts: u32) -> Site {
    posting_on(Ground::servers().await, url, attempts)
}

pub fn posting_on(ground: Ground, url: &str, attempts: u32) -> Site {
    let site = Service::site_on(ground, &["posting"]);
    site.rewrite_flow("posting", |text| {
        text.replace("http://localhost:8080", url)
            .replace("timeout = \"30s\"", "timeout = \"500ms\"")
            .replace("quiet = \"60s\"", "quiet = \"700ms\"")
            .replace("first = \"1s\"", "first = \"50ms\"")
            .replace("attempts = 10", &format!("attempts = {attempts}"))
    });
    site
}

pub fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Posts one to the flow `posting`.
pub async fn post(service: &Service, number: usize) {
    let body = json!({
        "id": id(number), "amount": 100.5, "currency": "usd", "description": "rent",
        "timestamp": "2026-01-02T03:04:05Z", "metadata": {},
    });
    let (status, _, answer) = service.post("/api/transactions", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["status"], "pending");
}
