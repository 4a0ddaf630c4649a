//! What one flow feels of another that suffers, in one process on one machine:
//! the flow `tasks` alone, and beside poison, a backlog and a slow downstream.
//!
//! The time until a POST is answered, and until its task is done; both wait
//! for an fsync of Redis, and the second for one of Postgres.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use floodgate_prove::servers::{Postgres, Redis};
use floodgate_prove::stand_in::{Options, StandIn};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const PROBES: usize = 500;
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

struct Bench {
    http: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

/// Microseconds.
struct Times {
    answered: Histogram<u64>,
    done: Histogram<u64>,
}

/// Path, body and pause of the n-th POST.
type Neighbour = fn(u64) -> (&'static str, Value, Duration);

/// Ends with this value.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let redis = Redis::start(&std::env::temp_dir(), None).await?;
    let postgres = Postgres::start(&std::env::temp_dir(), None, true).await?;
    let slow = Options {
        delay: Duration::from_secs(2),
        ..Options::default()
    };
    let stand_in = StandIn::bind("127.0.0.1:0".parse()?, slow).await?;
    let downstream = format!("http://{}", stand_in.local_addr()?);
    tokio::spawn(stand_in.run());
    prepare(directory.path(), &downstream)?;
    let (_serving, url) = serve(directory.path(), &redis.url(), &postgres.url())?;
    let http = Client::builder(TokioExecutor::new()).build_http();
    let bench = Arc::new(Bench { http, url });
    bench.until_ready().await?;
    bench.probe(100).await?;

    let alone = bench.probe(PROBES).await?;
    println!(
        "{:<24}{:>34}{:>34}",
        "tasks", "answered p50 p99 ms", "done p50 p99 ms"
    );
    report("alone", &alone, &alone);
    // Poison is the last: nobody takes it back.
    let neighbours: [(&str, Neighbour); 3] = [
        ("beside a backlog", events),
        ("beside a slow downstream", posting),
        ("beside poison", poison),
    ];
    for (name, neighbour) in neighbours {
        let neighbour = bench.clone().beside(neighbour);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let times = bench.probe(PROBES).await?;
        neighbour.abort();
        report(name, &times, &alone);
    }
    Ok(())
}

fn report(name: &str, times: &Times, alone: &Times) {
    let column = |times: &Histogram<u64>, alone: &Histogram<u64>| {
        let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        let ratio = ms(0.99) * 1000.0 / alone.value_at_quantile(0.99) as f64;
        format!("{:.2} {:.2} ({ratio:.2} times)", ms(0.5), ms(0.99))
    };
    let answered = column(&times.answered, &alone.answered);
    let done = column(&times.done, &alone.done);
    println!("{name:<24}{answered:>34}{done:>34}");
}

/// The shipped flows, open to this client, and an oracle that does as it is told.
fn prepare(directory: &Path, downstream: &str) -> anyhow::Result<()> {
    let (flows, oracles) = (directory.join("flows"), directory.join("oracles"));
    std::fs::create_dir_all(&flows)?;
    std::fs::create_dir_all(&oracles)?;
    for file in std::fs::read_dir(format!("{ROOT}/flows"))? {
        let file = file?;
        let text = std::fs::read_to_string(file.path())?
            .replace("keys = true", "keys = false")
            .replace("http://localhost:8080", downstream)
            .replace("first = \"1s\"", "first = \"20ms\"");
        std::fs::write(flows.join(file.file_name()), text)?;
    }
    for name in ["age-rule", "value-rule", "task-echo"] {
        let from = format!("{ROOT}/plugins/dist/{name}.wasm");
        std::fs::copy(from, oracles.join(format!("{name}.wasm")))?;
    }
    let misbehaving = format!("{ROOT}/host/floodgate/tests/components/misbehaving.wasm");
    std::fs::copy(misbehaving, oracles.join("mempool-risk.wasm"))?;
    Ok(())
}

fn serve(directory: &Path, redis: &str, postgres: &str) -> anyhow::Result<(Serving, String)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .env("REDIS_URL", redis)
        .env("DATABASE_URL", postgres)
        .env("FLOODGATE_FLOWS", directory.join("flows"))
        .env("FLOODGATE_ORACLES", directory.join("oracles"))
        .env("RUST_LOG", "off")
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("its output")?;
    let serving = Serving(child);
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let url = lines.find_map(|line| Some(line.strip_prefix("listening on ")?.to_owned()));
    Ok((serving, url.context("floodgate serve ended at start")?))
}

impl Bench {
    async fn call(
        &self,
        method: &str,
        path: &str,
        body: String,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(Full::from(body))?;
        let (parts, body) = self.http.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok((
            parts.status,
            serde_json::from_slice(&body).unwrap_or_default(),
        ))
    }

    async fn until_ready(&self) -> anyhow::Result<()> {
        for path in ["/tasks", "/transactions"] {
            while self.call("POST", path, "{}".to_owned()).await?.0
                != StatusCode::UNPROCESSABLE_ENTITY
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// One task after the other, with a pause between.
    async fn probe(&self, count: usize) -> anyhow::Result<Times> {
        let mut times = Times {
            answered: Histogram::new(3)?,
            done: Histogram::new(3)?,
        };
        for _ in 0..count {
            let started = Instant::now();
            let (status, answer) = self
                .call("POST", "/tasks", json!({"payload": "x"}).to_string())
                .await?;
            ensure!(status == StatusCode::CREATED, "{answer}");
            times
                .answered
                .record(started.elapsed().as_micros() as u64)?;
            let path = format!("/tasks/{}", answer["task_id"]);
            while self.call("GET", &path, String::new()).await?.1["status"] != "done" {
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            times.done.record(started.elapsed().as_micros() as u64)?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(times)
    }

    /// Posts what `make` makes to its path until it is aborted.
    fn beside(self: Arc<Self>, make: Neighbour) -> JoinHandle<()> {
        tokio::spawn(async move {
            for number in 0.. {
                let (path, body, pause) = make(number);
                if let Err(error) = self.call("POST", path, body.to_string()).await {
                    eprintln!("{path}: {error}");
                }
                tokio::time::sleep(pause).await;
            }
        })
    }
}

/// Every other entry keeps its oracle busy until the deadline, each time it is
/// tried; if all did, the oracle would be to blame, and held.
fn poison(number: u64) -> (&'static str, Value, Duration) {
    let what = if number.is_multiple_of(2) {
        "loop"
    } else {
        "high"
    };
    let body = json!({
        "tx_hash": format!("0x{number:064x}"),
        "from_address": "0x52908400098527886e0f7030069857d2e4169ee7",
        "to_address": "0x8617e340b3d01fa5f11f306f4090fd50e238070d",
        "value_eth": 1.0, "gas_price_gwei": 30, "input_data": "0x",
        "timestamp": 1_766_700_000, "do": what,
    });
    ("/transactions", body, Duration::from_millis(50))
}

fn events(number: u64) -> (&'static str, Value, Duration) {
    let batch = (0..1000).map(|item| {
        json!({
            "event_id": format!("00000000-0000-4000-8000-{:012}", number * 1000 + item),
            "occurred_at": "2026-01-02T03:04:05", "user_id": "u", "event_type": "login",
        })
    });
    ("/events", batch.collect(), Duration::from_millis(100))
}

fn posting(number: u64) -> (&'static str, Value, Duration) {
    let body = json!({
        "id": format!("00000000-0000-4000-8000-{number:012}"), "amount": 1, "currency": "usd",
        "description": "rent", "timestamp": "2026-01-02T03:04:05Z",
    });
    ("/api/transactions", body, Duration::from_millis(5))
}
