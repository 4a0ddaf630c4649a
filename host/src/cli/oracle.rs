use std::path::PathBuf;

use clap::Subcommand;

use super::{oracle_check, oracle_new, oracle_watch};
use crate::oracle::build::build;

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
    },
    /// Build, check and drop a crate's component on every save, and show what it changes
    Watch(oracle_watch::Arguments),
    /// Say whether a component fits, what it costs, and what it says of a sample
    Check {
        file: PathBuf,
        /// Entries to judge, one JSON body per line
        #[arg(long)]
        sample: Option<PathBuf>,
        /// A setting of [oracle.settings]
        #[arg(long = "setting", value_name = "KEY=VALUE", value_parser = super::oracle_sample::setting)]
        settings: Vec<(String, String)>,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::New(arguments) => oracle_new::run(&arguments),
        Command::Watch(arguments) => oracle_watch::run(arguments).await,
        Command::Build { crate_dir, out } => {
            let built = build(&crate_dir, &out, |line| eprintln!("{line}")).await?;
            println!(
                "{} {} ({})",
                built.digest,
                built.path.display(),
                bytesize::ByteSize(built.size)
            );
            Ok(())
        }
        Command::Check {
            file,
            sample,
            settings,
        } => {
            let check = move || oracle_check::run(&file, sample.as_deref(), &settings);
            tokio::task::spawn_blocking(check).await?
        }
    }
}
