//! P6 while floodgate-archive moves old decisions out of the same Postgres and
//! answers a query after the other, and P6 without it: the same load on the
//! same rows, each with servers of its own.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use floodgate_prove::servers::look_into;
use serde_json::json;
use tempfile::TempDir;

use tokio_util::task::AbortOnDropHandle;

use super::latency::{constant_rate, half_of_p1, ms, note_commits};
use super::report::Figure;
use super::site::{Floodgate, Site};
use super::wrk::{client, post};

/// More than are moved while the load lasts.
const OLD: i32 = 3_000_000;

/// Over 30 days that ended ten days ago.
const FILL: &str = "
    INSERT INTO decisions (flow, id, body, body_hash, score, label, label_name, reasons, oracles,
        flow_digest, threshold, inference_us, stream_id, received_at, at)
    SELECT 'transactions', 'old-' || n,
        json_build_object('tx_hash', 'old-' || n, 'from_address', 'sender-' || n % 10000,
            'to_address', 'somebody', 'value_eth', n % 90, 'gas_price_gwei', n % 200,
            'input_data', repeat('ab', 100), 'timestamp', 1766700000),
        substring(sha256(n::text::bytea) FOR 16), 0.9, 'high', 'HIGH', '{large-value}', '[]',
        repeat('0', 64), 0.8, 1.5, n || '-0', at, at
    FROM (SELECT n, now() - interval '40 days' + n * (interval '30 days' / $1::int) AS at
        FROM generate_series(0, $1::int - 1) AS n) AS made";

/// Of three days, which are in the ledger first and in files later.
const SQL: &str = "SELECT date_trunc('hour', at) AS hour, label_name, count(*) AS decisions
    FROM transactions
    WHERE day BETWEEN CAST(now() - interval '40 days' AS DATE)
        AND CAST(now() - interval '38 days' AS DATE)
    GROUP BY ALL ORDER BY hour";

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_secs(1);

pub async fn measure(
    duration: Duration,
    archive: &Path,
    rate: Option<f64>,
) -> anyhow::Result<Vec<Figure>> {
    let site = start().await?;
    let rate = match rate {
        Some(rate) => rate,
        None => half_of_p1(&site, duration).await?,
    };
    let host = site.serve("all")?;
    host.until_ready("/transactions").await?;
    site.until_empty().await?;
    let alone = constant_rate(&host, rate, duration, &site).await?;
    drop((host, site));

    let site = start().await?;
    let host = site.serve("all")?;
    host.until_ready("/transactions").await?;
    let archive = Archive::start(&site, archive).await?;
    let beside = constant_rate(&host, rate, duration, &site).await?;
    let (moved, answers) = archive.done().await?;
    Ok(vec![
        told("arriving at a constant rate", rate, "/s"),
        told("alone: answered, p99", ms(&alone.accepted, 0.99), "ms"),
        told("alone: decision stored, p99", ms(&alone.stored, 0.99), "ms"),
        told(
            "beside the archive: answered, p99",
            ms(&beside.accepted, 0.99),
            "ms",
        ),
        told(
            "beside the archive: decision stored, p99",
            ms(&beside.stored, 0.99),
            "ms",
        ),
        told("meanwhile moved", moved, "rows/s"),
        told("meanwhile answered", answers, "queries/s"),
    ])
}

fn told(what: &'static str, value: f64, unit: &'static str) -> Figure {
    Figure::told("cold", what, value, unit)
}

/// With old rows.
async fn start() -> anyhow::Result<Site> {
    let hot = [("# hot = \"7d\"  ", "hot = \"7d\"  ")];
    let mut site = Site::start("transactions", "uniform-risk", &hot).await?;
    note_commits(&mut site).await?;
    // The host makes the tables.
    let api = site.serve("api")?;
    api.until_ready("/transactions").await?;
    let client = look_into(&site.postgres.url()).await?;
    client.execute(FILL, &[&OLD]).await?;
    client.batch_execute("VACUUM ANALYZE decisions").await?;
    client.batch_execute("CHECKPOINT").await?;
    Ok(site)
}

/// At work until it is dropped.
struct Archive {
    _cold: TempDir,
    _service: Floodgate,
    moving: AbortOnDropHandle<anyhow::Result<u16>>,
    _asking: AbortOnDropHandle<anyhow::Result<()>>,
    answers: Arc<AtomicU32>,
    began: Instant,
    postgres: String,
}

impl Archive {
    async fn start(site: &Site, program: &Path) -> anyhow::Result<Self> {
        let cold = tempfile::tempdir()?;
        let command = |what: &[&str]| {
            let mut command = Command::new(program);
            command
                .args(what)
                .env("DATABASE_URL", site.postgres.url())
                .env("FLOODGATE_FLOWS", site.flows())
                .env("FLOODGATE_COLD", cold.path())
                .env("RUST_LOG", "error");
            command
        };
        let listen = ["serve", "--listen", "127.0.0.1:0"];
        let service = Floodgate::start(command(&listen), "listening on")?;
        // As a worker does on its schedule.
        let run = format!("{}/run", service.url);
        let moving = async move { post(&client(), &run, "{}".into()).await };
        let answers = Arc::new(AtomicU32::new(0));
        let asking = ask(format!("{}/query", service.url), answers.clone());
        Ok(Self {
            _asking: AbortOnDropHandle::new(tokio::spawn(asking)),
            _service: service,
            _cold: cold,
            moving: AbortOnDropHandle::new(tokio::spawn(moving)),
            answers,
            began: Instant::now(),
            postgres: site.postgres.url(),
        })
    }

    /// Rows that left the ledger and queries that were answered, per second.
    async fn done(self) -> anyhow::Result<(f64, f64)> {
        let seconds = self.began.elapsed().as_secs_f64();
        let answers = f64::from(self.answers.load(Ordering::Relaxed));
        ensure!(!self.moving.is_finished(), "it was done before the load");
        let client = look_into(&self.postgres).await?;
        let left = "SELECT count(*) FROM decisions WHERE id LIKE 'old-%'";
        let left: i64 = client.query_one(left, &[]).await?.get(0);
        Ok(((i64::from(OLD) - left) as f64 / seconds, answers / seconds))
    }
}

async fn ask(url: String, answers: Arc<AtomicU32>) -> anyhow::Result<()> {
    let http = client();
    let asked = json!({
        "flow": "transactions", "sql": SQL, "parameters": {}, "timeout_ms": 10_000, "cache_ms": 0,
    });
    loop {
        let status = post(&http, &url, asked.to_string().into()).await?;
        ensure!(status == 200, "the archive answered {status}");
        answers.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
}
