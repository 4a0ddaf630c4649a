use std::path::PathBuf;

use clap::Subcommand;

use super::out::{JsonOption, note};
use super::{OneEntry, oracle_check, oracle_new, oracle_verify, oracle_watch};
use floodgate_oracle_build::build;
use floodgate_oracle_host::CompileLimits;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a small crate that builds and passes its own tests at once
    New(oracle_new::Arguments),
    /// Build a crate into a component, setting up the wasm target if need be
    Build {
        /// Directory of the oracle's crate
        #[arg(name = "crate")]
        crate_dir: PathBuf,
        /// Directory for <package>.wasm; the file appears at once and whole
        #[arg(short, long, default_value = "plugins/dist")]
        out: PathBuf,
        #[command(flatten)]
        json: JsonOption,
    },
    /// Build, check and drop a crate's component on every save, and show what it changes
    Watch(oracle_watch::Arguments),
    /// Say whether a component fits, what it costs, and what it says of a sample
    Check(oracle_check::Arguments),
    /// Make a stored decision again, with the components and settings of then
    Verify(OneEntry),
}

impl Command {
    pub(super) fn compile_limits(&self) -> CompileLimits {
        match self {
            Self::Check(arguments) => arguments.compile_limits(),
            _ => CompileLimits::default(),
        }
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::New(arguments) => oracle_new::run(&arguments),
        Command::Watch(arguments) => oracle_watch::run(arguments).await,
        Command::Build {
            crate_dir,
            out,
            json,
        } => {
            let built = build(&crate_dir, &out, |line| note(line)).await?;
            json.say(&built, || {
                let size = bytesize::ByteSize(built.size);
                format!("{} {} ({size})", built.digest, built.path.display())
            })
        }
        Command::Check(arguments) => {
            tokio::task::spawn_blocking(move || oracle_check::run(&arguments)).await?
        }
        Command::Verify(entry) => oracle_verify::run(entry).await,
    }
}
