mod run;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::moving::Mover;
use crate::query::{Engine, Limits, STACK};
use crate::server::{Metrics, Server, Service, Token};
use crate::settings::PlaceSettings;

/// Keeps what left the ledger of a Floodgate, and answers SQL over all of it.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer queries over HTTP, and move old entries when told to
    Serve(Box<Serve>),
    /// Move what is older than `[keep] hot` of each flow out of the ledger
    Run(Box<run::Run>),
}

#[derive(Args, Debug)]
struct Serve {
    #[command(flatten)]
    places: PlaceSettings,
    /// Address to listen on; one that others reach needs --token-file
    #[arg(
        long,
        env = "FLOODGATE_ARCHIVE_LISTEN",
        default_value = "127.0.0.1:9191"
    )]
    listen: SocketAddr,
    /// File with the token that callers must show: Authorization: Bearer <token>
    #[arg(long, env = "FLOODGATE_ARCHIVE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitSettings,
}

#[derive(Args, Debug)]
struct LimitSettings {
    /// MiB that all queries share for their groups, joins and sorts
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..))]
    memory: u32,
    /// Directory for what does not fit into memory; the system's by default
    #[arg(long)]
    spill: Option<PathBuf>,
    /// MiB there at most
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    spill_most: u32,
    /// Queries at work at once; others wait
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=8))]
    queries: u8,
}

impl LimitSettings {
    fn limits(&self) -> Limits {
        Limits {
            memory: usize::try_from(u64::from(self.memory) << 20).unwrap_or(usize::MAX),
            spill: self.spill.clone().unwrap_or_else(std::env::temp_dir),
            spill_most: u64::from(self.spill_most) << 20,
            cores: cores(),
            at_once: usize::from(self.queries),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What `main` does.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("floodgate-archive: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // A plan may compute on every core; whoever asks for health or metrics
        // meanwhile is answered all the same.
        .worker_threads(cores() + 2)
        .thread_stack_size(STACK)
        .enable_all()
        .build()?;
    match cli.command {
        Command::Serve(serve) => runtime.block_on(serve.run()).map(|()| ExitCode::SUCCESS),
        Command::Run(run) => runtime.block_on(run.run()),
    }
}

impl Serve {
    async fn run(self) -> anyhow::Result<()> {
        let token = self.token_file.as_deref().map(Token::read).transpose()?;
        let (ledger, cold) = (self.places.ledger()?, self.places.store()?);
        let flows = self.places.flows.clone();
        let engine = Engine::new(
            ledger.clone(),
            cold.clone(),
            flows.clone(),
            &self.limits.limits(),
        );
        let engine = engine.context("make room for queries; --spill names another directory")?;
        let metrics = Metrics::install()?;
        let mover = Mover::new(ledger.clone(), cold.clone());
        let service = Service {
            engine,
            ledger,
            cold,
            mover,
            flows,
            metrics,
        };
        let server = Server::bind(self.listen, token, service).await?;
        let stop = CancellationToken::new();
        tokio::spawn(stopped(stop.clone()));
        println!("listening on http://{}", server.local_addr());
        server.run(stop).await;
        info!("stopped");
        Ok(())
    }
}

async fn stopped(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}
