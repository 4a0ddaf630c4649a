//! Posts transactions as fast as a number of connections can, measures, and
//! watches the queue drain.

mod client;
mod drain;
mod report;
mod transaction;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use self::client::Connection;
use self::report::Report;
use self::transaction::Transactions;
use super::CallOptions;
use super::out::print;
use floodgate_flow::masked;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where transactions are posted
    #[arg(
        long,
        env = "FLOODGATE_URL",
        default_value = "http://127.0.0.1:8000/transactions"
    )]
    url: hyper::Uri,
    /// Transactions in all
    #[arg(short = 'n', long, default_value_t = 1000)]
    requests: u64,
    /// Connections, each with one request at a time
    #[arg(short, long, default_value_t = 20)]
    concurrency: usize,
    /// Makes the same transactions again; without it they are new ones
    #[arg(long)]
    seed: Option<u64>,
    /// The flow whose queue is watched
    #[arg(long, default_value = "transactions")]
    flow: String,
    /// Do not wait until the queue is empty
    #[arg(long)]
    no_drain: bool,
    /// Give up waiting for the queue after this long
    #[arg(long, default_value = "120s", value_parser = humantime::parse_duration)]
    drain_timeout: Duration,
    #[command(flatten)]
    call: CallOptions,
}

/// What a connection saw.
struct Seen {
    /// Microseconds from the first byte sent to the last byte of the answer.
    latency: Histogram<u64>,
    accepted: u64,
    replayed: u64,
    /// Refused or failed, by what was said.
    others: std::collections::BTreeMap<String, u64>,
}

impl Seen {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            latency: Histogram::new(3)?,
            accepted: 0,
            replayed: 0,
            others: std::collections::BTreeMap::new(),
        })
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.latency.add(other.latency)?;
        self.accepted += other.accepted;
        self.replayed += other.replayed;
        for (what, count) in other.others {
            *self.others.entry(what).or_default() += count;
        }
        Ok(())
    }
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let transactions = Arc::new(Transactions::new(arguments.seed));
    let next = Arc::new(AtomicU64::new(0));
    let bar = progress(arguments.requests)?;
    let began = jiff::Timestamp::now();
    let started = Instant::now();
    let mut connections = JoinSet::new();
    for _ in 0..arguments.concurrency.max(1) {
        let (transactions, next, bar) = (transactions.clone(), next.clone(), bar.clone());
        let (target, requests) = (arguments.url.clone(), arguments.requests);
        connections.spawn(async move {
            let mut connection = Connection::new(target);
            let mut seen = Seen::new()?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return anyhow::Ok(seen);
                }
                post(&mut connection, &transactions, number, &mut seen).await;
                bar.inc(1);
            }
        });
    }
    let mut all = Seen::new()?;
    while let Some(seen) = connections.join_next().await {
        all.add(seen??)?;
    }
    let took = started.elapsed();
    bar.finish_and_clear();
    let json = arguments.call.json;
    let mut report = Report::new(&arguments, all, took);
    if !json.json {
        print(report.in_words())?;
    }
    if report.answered_202() == 0 {
        json.say_in_json(&report)?;
        bail!(
            "nothing was accepted at {}",
            masked::url(&arguments.url.to_string())
        );
    }
    if !arguments.no_drain {
        let watch = drain::Watch {
            admin: &arguments.call.admin,
            flow: &arguments.flow,
            began,
            timeout: arguments.drain_timeout,
        };
        let drained = watch.until_empty().await?;
        if !json.json {
            print(drained.in_words(report.accepted))?;
        }
        report.queue = Some(drained);
    }
    json.say_in_json(&report)?;
    match report.not_accepted() {
        0 => Ok(()),
        others => bail!("{others} of {} were not accepted", report.requests),
    }
}

async fn post(
    connection: &mut Connection,
    transactions: &Transactions,
    number: u64,
    seen: &mut Seen,
) {
    let body = transactions.body(number);
    let sent = Instant::now();
    match connection.post(body).await {
        Ok(answer) => {
            let micros = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
            // The histogram grows by itself; `saturating_record` would not.
            if let Err(error) = seen.latency.record(micros) {
                *seen.others.entry(error.to_string()).or_default() += 1;
            }
            match (answer.status.as_u16(), answer.replayed) {
                (202, true) => seen.replayed += 1,
                (202, false) => seen.accepted += 1,
                (status, _) => *seen.others.entry(format!("HTTP {status}")).or_default() += 1,
            }
        }
        Err(error) => *seen.others.entry(error.to_string()).or_default() += 1,
    }
}

fn progress(requests: u64) -> anyhow::Result<ProgressBar> {
    let style = "{bar:40} {pos}/{len} {per_sec} eta {eta}";
    let bar = ProgressBar::new(requests);
    bar.set_style(ProgressStyle::with_template(style)?);
    Ok(bar)
}
