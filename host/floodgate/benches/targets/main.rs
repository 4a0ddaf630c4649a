//! P1 to P8 of the design, each against its own limit in the same run: what
//! hyper, a reading loop or the native rule reach on this machine, beside the
//! same load. Rounds are interleaved; the table has medians, least and most.
//!
//! `scripts/bench.sh` runs it. Exit code 1: a target is missed by more than
//! the rounds differ.

mod accept;
mod bare;
mod cold;
mod drain;
mod growth;
mod hostile;
mod judge;
#[path = "../judging/mod.rs"]
mod judging;
mod latency;
mod memory;
mod plot;
mod report;
mod site;
mod swap;
mod wrk;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use self::report::{Figure, Report};
use self::site::ROOT;

/// Measures P1 to P8 of the design.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Of each load
    #[arg(long, default_value = "8s", value_parser = humantime::parse_duration)]
    seconds: Duration,
    /// Only these, such as P1,P6
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the figures are written as JSON
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
    /// Where P6 is drawn
    #[arg(long)]
    plot: Option<PathBuf>,
    /// How long P7 watches the memory grow
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    soak: Duration,
    /// Instead: P6 alone, and while this floodgate-archive moves and answers
    #[arg(long, value_name = "PROGRAM")]
    archive: Option<PathBuf>,
    /// Transactions a second for P6 and --archive; half of P1 by default
    #[arg(long)]
    rate: Option<f64>,
    /// Instead: what an entry costs with more of a backlog, readers, bytes, connections
    #[arg(long)]
    growth: bool,
    /// Instead: what the good client of floodgate prove feels of the hostile one
    #[arg(long)]
    hostile: bool,
    /// Cargo passes it to every bench.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the limit of P1: this program starts itself so.
    #[arg(long, hide = true)]
    bare: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = Arguments::parse();
    // Cargo starts a bench in its package's directory, whoever called it where.
    let root = Path::new(ROOT).canonicalize()?;
    arguments.json = root.join(arguments.json);
    arguments.plot = arguments.plot.map(|plot| root.join(plot));
    if arguments.bare {
        bare::serve().await?;
    }
    if arguments.growth {
        growth::measure().await?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.hostile {
        let mut report = Report::new();
        for seed in 1..=arguments.rounds {
            for figure in hostile::measure(seed)? {
                println!("seed {seed}: {figure}");
                report.add(figure);
            }
        }
        report.print();
        return Ok(match report.is_missed() {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        });
    }
    if let Some(archive) = &arguments.archive {
        let archive = root.join(archive);
        for figure in cold::measure(arguments.seconds, &archive, arguments.rate).await? {
            println!("{figure}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut report = Report::new();
    for round in 1..=arguments.rounds {
        let seconds = arguments.seconds;
        let wanted = |name: &str| {
            let only = &arguments.only;
            only.is_empty() || only.iter().any(|one| one.eq_ignore_ascii_case(name))
        };
        let mut add = |figures: Vec<Figure>| {
            for figure in figures {
                println!("round {round}: {figure}");
                report.add(figure);
            }
        };
        if wanted("P1") || wanted("P2") {
            add(accept::transactions(seconds).await?);
        }
        if wanted("P3") {
            add(drain::measure(seconds).await?);
        }
        if wanted("P4") {
            add(judge::measure()?);
        }
        if wanted("P5") {
            add(accept::events(seconds).await?);
        }
        if wanted("P6") {
            let plot = arguments.plot.as_deref().filter(|_| round == 1);
            add(latency::measure(seconds, arguments.rate, plot).await?);
        }
        if wanted("P7") && round == 1 {
            add(memory::measure(arguments.soak).await?);
        }
        if wanted("P8") {
            add(swap::measure(seconds).await?);
        }
    }
    report.print();
    report.write(&arguments.json)?;
    println!("figures in {}", arguments.json.display());
    Ok(match report.is_missed() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
