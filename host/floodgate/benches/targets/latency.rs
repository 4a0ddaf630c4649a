//! P6: how long a request takes at half of what P1 reaches, when requests
//! arrive at a constant rate whatever became of those before: each is measured
//! from when it was to be sent, so none is left out because another was late.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use floodgate_prove::servers::look_into;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::judging::transaction;
use super::plot;
use super::report::{Figure, Target};
use super::site::{Floodgate, Site};
use super::wrk::load;

/// So many that a free one is there when a request is due, up to a latency of
/// some 50 ms: with too few of them this would measure its own queue.
const CONNECTIONS: u32 = 1024;

/// What is not measured: the first requests find nothing in its caches.
const WARM_UP: Duration = Duration::from_secs(1);

/// What is sent: the n-th transaction at `begun` + n / `rate`.
struct Schedule {
    per_second: f64,
    begun: Instant,
    /// The same moment, by the clock that Postgres goes by.
    begun_at: Duration,
    /// The first that is measured.
    first: u32,
    count: u32,
}

impl Schedule {
    fn at(&self, number: u32) -> Instant {
        self.begun + Duration::from_secs_f64(f64::from(number) / self.per_second)
    }
}

/// Microseconds.
pub struct Latency {
    pub accepted: Histogram<u64>,
    pub stored: Histogram<u64>,
}

pub async fn measure(
    duration: Duration,
    rate: Option<f64>,
    plot: Option<&Path>,
) -> anyhow::Result<Vec<Figure>> {
    let mut site = Site::start("transactions", "uniform-risk", &[]).await?;
    note_commits(&mut site).await?;
    let rate = match rate {
        Some(rate) => rate,
        None => half_of_p1(&site, duration).await?,
    };
    let host = site.serve("all")?;
    host.until_ready("/transactions").await?;
    site.until_empty().await?;
    let latency = constant_rate(&host, rate, duration, &site).await?;
    if let Some(path) = plot {
        plot::draw(&latency, rate, path)?;
    }
    let (fast, slow) = (Target::AtMost(10.0), Target::AtMost(50.0));
    let Latency { accepted, stored } = &latency;
    Ok(vec![
        Figure::told("P6", "arriving at a constant rate", rate, "/s"),
        Figure::told("P6", "answered, p50", ms(accepted, 0.5), "ms"),
        Figure::of("P6", "answered, p99", ms(accepted, 0.99), "ms", fast),
        Figure::told("P6", "answered, p99.9", ms(accepted, 0.999), "ms"),
        Figure::told("P6", "decision stored, p50", ms(stored, 0.5), "ms"),
        Figure::of("P6", "decision stored, p99", ms(stored, 0.99), "ms", slow),
        Figure::told("P6", "decision stored, p99.9", ms(stored, 0.999), "ms"),
    ])
}

pub fn ms(of: &Histogram<u64>, quantile: f64) -> f64 {
    of.value_at_quantile(quantile) as f64 / 1000.0
}

/// From then on Postgres knows when a row was committed, and not only when its
/// transaction began.
pub async fn note_commits(site: &mut Site) -> anyhow::Result<()> {
    let client = look_into(&site.postgres.url()).await?;
    client
        .batch_execute("ALTER SYSTEM SET track_commit_timestamp = on")
        .await?;
    drop(client);
    site.postgres.restart().await
}

pub async fn half_of_p1(site: &Site, duration: Duration) -> anyhow::Result<f64> {
    let api = site.serve("api")?;
    api.until_ready("/transactions").await?;
    let url = format!("{}/transactions", api.url);
    let p1 = load(&url, "transactions.lua", 256, duration).await?;
    Ok(p1.per_second / 2.0)
}

pub async fn constant_rate(
    host: &Floodgate,
    per_second: f64,
    duration: Duration,
    site: &Site,
) -> anyhow::Result<Latency> {
    let address = host.url.strip_prefix("http://").context("its address")?;
    let address = address.to_owned();
    // On a thread of its own: what the load costs is paid from the same cores
    // as what it measures, and a task that changes threads costs more.
    let load = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(arrive(&address, per_second, duration))
    });
    let (schedule, accepted) = load.await??;
    site.until_empty().await?;
    Ok(Latency {
        accepted,
        stored: stored(site, &schedule).await?,
    })
}

async fn arrive(
    address: &str,
    per_second: f64,
    duration: Duration,
) -> anyhow::Result<(Arc<Schedule>, Histogram<u64>)> {
    // Connected before anything is due: a thousand at once are more than a
    // listener takes without asking some to come back a second later.
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let schedule = Arc::new(Schedule {
        per_second,
        begun: Instant::now(),
        begun_at: SystemTime::now().duration_since(UNIX_EPOCH)?,
        first: (per_second * WARM_UP.as_secs_f64()) as u32,
        count: (per_second * (WARM_UP + duration).as_secs_f64()) as u32,
    });
    let mut connections = JoinSet::new();
    for (first, stream) in (0..).zip(streams) {
        let request = Request::to(address)?;
        connections.spawn(send(schedule.clone(), stream, request, first));
    }
    let mut accepted = Histogram::new(3)?;
    while let Some(seen) = connections.join_next().await {
        accepted.add(seen??)?;
    }
    Ok((schedule, accepted))
}

/// Every so many-th of the schedule, on one connection, in turn.
async fn send(
    schedule: Arc<Schedule>,
    mut stream: TcpStream,
    mut request: Request,
    first: u32,
) -> anyhow::Result<Histogram<u64>> {
    let mut latency = Histogram::new(3)?;
    let mut answer = vec![0; 4096];
    for number in (first..schedule.count).step_by(CONNECTIONS as usize) {
        let at = schedule.at(number);
        sleep_until(at).await;
        stream.write_all(request.of(number)).await?;
        read_answer(&mut stream, &mut answer).await?;
        if number >= schedule.first {
            latency.record(at.elapsed().as_micros() as u64)?;
        }
    }
    Ok(latency)
}

/// As it is written; of two only the end of the hash is different, as in
/// `scripts/lib/transactions.lua`.
struct Request {
    bytes: Vec<u8>,
    number: Range<usize>,
}

impl Request {
    fn to(host: &str) -> anyhow::Result<Self> {
        let first = transaction(0);
        let body = std::str::from_utf8(&first.body)?;
        let length = body.len();
        let request = format!(
            "POST /transactions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let hash = request.find(&*first.id).context("its hash")?;
        let end = hash + first.id.len();
        Ok(Self {
            bytes: request.into_bytes(),
            number: end - 8..end,
        })
    }

    fn of(&mut self, number: u32) -> &[u8] {
        let digits = format!("{number:08x}");
        self.bytes[self.number.clone()].copy_from_slice(digits.as_bytes());
        &self.bytes
    }
}

/// Answers are short; the next one is asked for when this one is whole.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the connection was closed");
        filled += read;
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut answer = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = answer.parse(&buffer[..filled])? else {
            continue;
        };
        ensure!(answer.code == Some(202), "answered {:?}", answer.code);
        let mut headers = answer.headers.iter();
        let length = headers.find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length: usize =
            std::str::from_utf8(length.context("content-length")?.value)?.parse()?;
        if filled >= head + length {
            return Ok(());
        }
    }
}

/// From when each was to be sent until its decision was committed.
async fn stored(site: &Site, schedule: &Schedule) -> anyhow::Result<Histogram<u64>> {
    let client = look_into(&site.postgres.url()).await?;
    let of_this_load = "SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8
        FROM decisions WHERE id LIKE '0x0000000000000000000000000000%'";
    let mut latency = Histogram::new(3)?;
    for row in client.query(of_this_load, &[]).await? {
        let (id, committed): (&str, f64) = (row.get(0), row.get(1));
        let number = u32::from_str_radix(&id[id.len() - 8..], 16)?;
        if number < schedule.first {
            continue;
        }
        let sent = schedule.begun_at.as_secs_f64() + f64::from(number) / schedule.per_second;
        latency.record(((committed - sent).max(0.0) * 1e6) as u64)?;
    }
    ensure!(!latency.is_empty(), "nothing was kept");
    Ok(latency)
}
