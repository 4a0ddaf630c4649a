use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::out::{JsonOption, note};
use super::table::{lined, or_dash};
use floodgate_prove::{Fault, Options, Reconciliation, Report, prove};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How long faults are injected, and until each came once; all that was accepted is waited for after that
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    lasts: Duration,
    /// Makes the same schedule again; without it a new one, which is told
    #[arg(long)]
    seed: Option<u64>,
    /// Faults to inject, separated by commas; without it all of them
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// Only what clients and people do, or only what happens to processes and servers
    #[arg(long, value_enum, conflicts_with = "faults")]
    only: Option<Only>,
    /// How long there is no fault at first
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    calm: Duration,
    /// Entries posted per second
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Worker processes
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// Keep the logs also when all went well
    #[arg(long)]
    keep_logs: bool,
    #[command(flatten)]
    json: JsonOption,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Only {
    /// A hostile client, and mistakes in files
    Hostile,
    /// Processes and servers that end, stop or are cut off
    Servers,
}

impl Arguments {
    fn faults(&self) -> Vec<Fault> {
        if !self.faults.is_empty() {
            return self.faults.clone();
        }
        let wanted = |fault: &Fault| match self.only {
            None => true,
            Some(Only::Hostile) => fault.is_hostile(),
            Some(Only::Servers) => !fault.is_hostile(),
        };
        let all = Fault::value_variants().iter().copied();
        all.filter(wanted).collect()
    }
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let options = Options {
        lasts: arguments.lasts,
        seed,
        faults: arguments.faults(),
        calm: arguments.calm,
        rate: arguments.rate,
        workers: arguments.workers,
    };
    note(format_args!("seed {seed}"));
    // Before anything is made that has to be taken away again.
    let interrupt = cancelled_at_signal()?;
    let logs = tempfile::Builder::new()
        .prefix("floodgate-prove-")
        .tempdir()
        .context("make a directory for logs")?;
    let report = prove(options, logs.path(), interrupt.clone()).await;
    if interrupt.is_cancelled() {
        bail!("interrupted, nothing is proven");
    }
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let logs = logs.keep();
            return Err(error.context(format!("nothing is proven; logs: {}", logs.display())));
        }
    };
    arguments.json.say(&report, || in_words(&report))?;
    if !report.is_proven() {
        let logs = logs.keep();
        let missing = report.missing();
        ensure!(
            missing.is_empty(),
            "nothing is proven: of the faults these never came: {}; seed {seed}, logs: {}",
            missing.join(", "),
            logs.display()
        );
        bail!(
            "the promise is broken; seed {seed}, logs: {}",
            logs.display()
        );
    }
    if arguments.keep_logs {
        note(format_args!("logs: {}", logs.keep().display()));
    }
    Ok(())
}

fn cancelled_at_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}

fn in_words(report: &Report) -> String {
    let faults = report.faults.iter().map(|row| {
        let worst = row.worst_recovery_ms;
        [
            row.fault.name(),
            row.injected.to_string(),
            or_dash(worst.map(|ms| in_seconds(ms as f64))),
            row.refused.to_string(),
            row.unanswered.to_string(),
            row.not_recovered.to_string(),
            format!("{:.0} ms", row.p99_ms),
            in_seconds(row.longest_wait_ms),
        ]
    });
    let header = [
        "fault",
        "times",
        "worst recovery",
        "refused",
        "unanswered",
        "not recovered",
        "p99 of others",
        "longest",
    ];
    let faults = lined(&header, faults);
    let flows = report.flows.iter().map(|flow| {
        [
            flow.flow.name().to_owned(),
            format!("{} of {}", flow.accepted, flow.sent),
            flow.decided.to_string(),
            flow.dead.to_string(),
            flow.not_kept.to_string(),
            mistakes(flow),
        ]
    });
    let header = ["flow", "accepted", "decided", "dead", "not kept", "wrong"];
    let flows = lined(&header, flows);
    let verdict = match (report.is_proven(), report.missing().is_empty()) {
        (true, _) => "nothing lost, nothing twice, nothing left, nobody held up by others",
        (false, true) => "BROKEN",
        (false, false) => "NOT PROVEN",
    };
    format!(
        "{faults}\n\n{flows}\n\nbefore any fault the p99 was {:.0} ms\n{verdict}: {:.0} s with seed {}; at most {} decisions were made again and not stored again",
        report.calm.p99_ms, report.seconds, report.seed, report.repeats
    )
}

fn in_seconds(ms: f64) -> String {
    format!("{:.1} s", ms / 1000.0)
}

/// `-`, or each kind of mistake with its count and an id.
fn mistakes(flow: &Reconciliation) -> String {
    let said: Vec<String> = flow
        .mistakes
        .iter()
        .map(|(mistake, cases)| {
            let example = cases.examples.first().map(|id| format!(" ({id})"));
            format!("{mistake}: {}{}", cases.count, example.unwrap_or_default())
        })
        .collect();
    or_dash((!said.is_empty()).then(|| said.join("\n")))
}
