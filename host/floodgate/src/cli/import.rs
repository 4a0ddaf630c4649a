use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::flows;
use super::out::JsonOption;
use crate::import::{Import, Progress, Target};
use crate::settings::FlowSettings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Flow that the entries are for
    flow: String,
    /// CSV with a header, or NDJSON. A column x_json holds the JSON of the member x;
    /// the other columns are typed by the flow's schema
    file: PathBuf,
    /// Address of the front end
    #[arg(long, env = "FLOODGATE_URL", default_value = "http://127.0.0.1:8000")]
    url: String,
    /// API key, where the flow asks for one
    #[arg(long, env = "FLOODGATE_KEY", hide_env_values = true)]
    key: Option<String>,
    #[command(flatten)]
    flows: FlowSettings,
    /// Entries of one request, where the flow takes batches
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Requests at a time [default: 4 of batches, else 64]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: Option<u16>,
    #[command(flatten)]
    json: JsonOption,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        flow: name,
        file,
        url,
        key,
        flows,
        batch,
        concurrency,
        json,
    } = arguments;
    let flows = flows::load(&flows.flows)?;
    let known: Vec<_> = flows.iter().map(|flow| flow.name.to_string()).collect();
    let flow = flows.into_iter().find(|flow| flow.name.as_str() == name);
    let flow = flow.with_context(|| format!("no flow {name}; there are: {}", known.join(", ")))?;
    let size = std::fs::metadata(&file)
        .with_context(|| format!("open {}", file.display()))?
        .len();
    let concurrency = concurrency.unwrap_or(if flow.admit.batch { 4 } else { 64 });
    let import = Import {
        flow: Arc::new(flow),
        file: file.clone(),
        target: Target { url, key },
        batch: batch as usize,
        concurrency: usize::from(concurrency),
    };
    let (progress, stop) = (Arc::new(Progress::default()), CancellationToken::new());
    let started = Instant::now();
    let mut running = std::pin::pin!(import.run(Arc::clone(&progress), stop.clone()));
    let bar = bar(size)?;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let done = loop {
        tokio::select! {
            done = &mut running => break done,
            _ = ticks.tick() => show(&bar, &progress),
            interrupt = tokio::signal::ctrl_c() => {
                interrupt.context("listen for SIGINT")?;
                if stop.is_cancelled() {
                    bail!("stopped at once; run it again to go on");
                }
                stop.cancel();
            }
        }
    };
    show(&bar, &progress);
    bar.finish_and_clear();
    let summary = Summary::of(&progress, started.elapsed());
    json.say(&summary, || summary.in_words())?;
    done?;
    if stop.is_cancelled() {
        bail!("stopped; run it again to go on, what is there is not added again");
    }
    match summary.bad {
        0 => Ok(()),
        bad => bail!(
            "{bad} bad lines, with their reasons in {}.bad",
            file.display()
        ),
    }
}

fn bar(size: u64) -> anyhow::Result<ProgressBar> {
    let template = "{bar:40} {bytes}/{total_bytes} {msg} eta {eta}";
    Ok(ProgressBar::new(size).with_style(ProgressStyle::with_template(template)?))
}

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_position(progress.bytes.load(Ordering::Relaxed));
    let taken = progress.taken.load(Ordering::Relaxed);
    let bad = progress.bad.load(Ordering::Relaxed);
    bar.set_message(format!("{taken} taken, {bad} bad,"));
}

/// What came of the lines.
#[derive(Serialize)]
struct Summary {
    taken: u64,
    /// Of those taken.
    already_there: u64,
    bad: u64,
    seconds: f64,
}

impl Summary {
    fn of(progress: &Progress, elapsed: Duration) -> Self {
        Self {
            taken: progress.taken.load(Ordering::Relaxed),
            already_there: progress.already_there.load(Ordering::Relaxed),
            bad: progress.bad.load(Ordering::Relaxed),
            seconds: elapsed.as_secs_f64(),
        }
    }

    fn in_words(&self) -> String {
        let Self {
            taken,
            already_there,
            bad,
            seconds,
        } = self;
        let rate = *taken as f64 / seconds.max(0.001);
        format!(
            "{taken} lines taken, {already_there} of them there already; {bad} bad; {seconds:.1} s, {rate:.0} lines/s"
        )
    }
}
