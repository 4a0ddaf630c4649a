//! The load: wrk, which costs little of the cores that it shares with what it
//! measures.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/lib");

/// What a load did.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub requests: f64,
    pub per_second: f64,
}

/// Posts what a script of `scripts/lib` makes, on keep-alive connections.
///
/// # Errors
/// Where a single request was refused or failed: then it measured something else.
pub async fn load(
    url: &str,
    script: &str,
    connections: u32,
    duration: Duration,
) -> anyhow::Result<Load> {
    load_of(url, script, connections, duration, None).await
}

/// As [`load`], with bodies of so many bytes.
pub async fn load_of(
    url: &str,
    script: &str,
    connections: u32,
    duration: Duration,
    body: Option<usize>,
) -> anyhow::Result<Load> {
    let output = tokio::process::Command::new("wrk")
        .envs(body.map(|bytes| ("BODY_BYTES", bytes.to_string())))
        .args(["-t1", "-c", &connections.to_string()])
        .args(["-d", &format!("{}s", duration.as_secs().max(1))])
        .args(["-s", &format!("{SCRIPTS}/{script}"), url])
        .output()
        .await
        .context("run wrk: is it installed?")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "wrk failed: {said}");
    for bad in ["Non-2xx", "Socket errors"] {
        ensure!(!said.contains(bad), "requests failed at {url}: {said}");
    }
    let figure = |of: &str| -> anyhow::Result<f64> {
        let found = said.lines().find(|line| line.contains(of));
        let words = found.context("a figure of wrk")?.split_whitespace();
        let mut numbers = words.filter_map(|word| word.parse().ok());
        numbers.next().context("a number of wrk")
    };
    Ok(Load {
        requests: figure("requests in")?,
        per_second: figure("Requests/sec")?,
    })
}

pub type Http = Client<HttpConnector, Full<Bytes>>;

pub fn client() -> Http {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// The status of the answer.
pub async fn post(http: &Http, url: &str, body: Bytes) -> anyhow::Result<u16> {
    let request = Request::post(url)
        .header("content-type", "application/json")
        .body(Full::new(body))?;
    let answer = http.request(request).await?;
    let status = answer.status().as_u16();
    answer.into_body().collect().await?;
    Ok(status)
}

pub async fn get(http: &Http, url: &str) -> anyhow::Result<serde_json::Value> {
    let answer = http.get(url.parse()?).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}
