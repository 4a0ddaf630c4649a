//! Flags and environment, typed, and checked before any port is bound.

mod connections;
mod servers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

pub use self::connections::ConnectionSettings;
pub use self::servers::{BackboneSettings, LedgerSettings, SettingsError};
pub use floodgate_admin::AdminTokenSettings;
pub use floodgate_archive_client::ArchiveSettings;
use floodgate_oracle_host::CompileLimits;
use floodgate_process::cache_dir::user_cache;

/// What this process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Front end and worker.
    All,
    /// The front end: admits and appends.
    Api,
    /// Reads, judges, decides, keeps and settles.
    Worker,
}

impl Role {
    pub fn admits(self) -> bool {
        self != Self::Worker
    }

    pub fn works(self) -> bool {
        self != Self::Api
    }
}

/// `floodgate serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeSettings {
    /// What this process does
    #[arg(long, env = "FLOODGATE_ROLE", value_enum, default_value = "all")]
    pub role: Role,

    #[command(flatten)]
    pub host: HostSettings,

    #[command(flatten)]
    pub backbone: BackboneSettings,

    #[command(flatten)]
    pub ledger: LedgerSettings,
}

/// `floodgate dev`.
#[derive(Clone, Debug, Args)]
pub struct DevSettings {
    /// Directory that holds everything that is accepted, decided and kept; one
    /// process at a time uses it
    #[arg(long, env = "FLOODGATE_DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,

    /// Use a directory of its own instead, which is removed at the end
    #[arg(long)]
    pub ephemeral: bool,

    #[command(flatten)]
    pub host: HostSettings,
}

/// What every host has, wherever its backbone and its ledger are.
#[derive(Clone, Debug, Args)]
pub struct HostSettings {
    /// Address of the front end; port 0 takes a free one
    #[arg(long, env = "FLOODGATE_LISTEN", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,

    /// Address of the admin API; one that is not on loopback needs a token
    #[arg(long, env = "FLOODGATE_ADMIN_LISTEN", default_value = "127.0.0.1:9090")]
    pub admin: SocketAddr,

    #[command(flatten)]
    pub admin_token: AdminTokenSettings,

    #[command(flatten)]
    pub flows: FlowSettings,

    #[command(flatten)]
    pub archive: ArchiveSettings,

    /// Directory that is watched for oracles (<name>.wasm)
    #[arg(long, env = "FLOODGATE_ORACLES", default_value = "plugins/dist")]
    pub oracles: PathBuf,

    /// How often the oracle directory is looked at where the file system tells nothing
    #[arg(long, env = "FLOODGATE_ORACLE_POLL", default_value = "500ms", value_parser = humantime::parse_duration)]
    pub oracle_poll: Duration,

    /// Directory for compiled oracles; nobody else may write to it [default: floodgate in the user's cache directory]
    #[arg(long, env = "FLOODGATE_CACHE")]
    pub cache: Option<PathBuf>,

    #[command(flatten)]
    pub compile: CompileLimits,

    #[command(flatten)]
    pub keys: KeySettings,

    /// Origin of web pages that may use the front end, such as https://example.com, or *;
    /// may be given several times
    #[arg(
        long = "cors-origin",
        env = "FLOODGATE_CORS_ORIGIN",
        value_delimiter = ','
    )]
    pub cors_origins: Vec<String>,

    #[command(flatten)]
    pub connections: ConnectionSettings,

    /// How long a worker's hold on what it read lasts without being renewed: what
    /// a killed worker held comes again after this time; the same for all workers
    #[arg(long, env = "FLOODGATE_LEASE", default_value = "30s", value_parser = lease)]
    pub lease: Duration,

    /// How long a front end that was told to stop goes on taking requests, if anybody
    /// has asked /readyz: load balancers hear 503 there and turn away
    #[arg(long, env = "FLOODGATE_NOTICE", default_value = "5s", value_parser = humantime::parse_duration)]
    pub notice: Duration,

    /// Have the worker panic over entries whose id begins with this, or a task
    /// once (task:<its name>), to see what becomes of the others
    #[arg(long, env = "FLOODGATE_PANIC_ON", hide = true)]
    pub panic_on: Option<String>,

    /// How long a stop waits for requests and batches in flight
    #[arg(long, env = "FLOODGATE_DRAIN", default_value = "20s", value_parser = humantime::parse_duration)]
    pub drain: Duration,
}

/// Who may post to flows that ask for an API key.
#[derive(Clone, Debug, Args)]
pub struct KeySettings {
    /// File of API keys, one in each line as floodgate keys new prints it; read
    /// again when it changes
    #[arg(long, env = "FLOODGATE_KEYS_FILE")]
    pub keys_file: Option<PathBuf>,

    /// More lines of the same kind, separated by newlines or semicolons
    #[arg(long, env = "FLOODGATE_KEYS", hide = true, hide_env_values = true)]
    pub keys: Option<String>,
}

/// Where the flow files are.
#[derive(Clone, Debug, Args)]
pub struct FlowSettings {
    /// Directory of the flow files
    #[arg(long, env = "FLOODGATE_FLOWS", default_value = "flows")]
    pub flows: PathBuf,
}

impl HostSettings {
    /// The directory for compiled oracles.
    pub fn cache_dir(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(|| user_cache("oracles"))
    }
}

/// Shorter, and a worker that is slow for a moment loses what it holds; longer,
/// and what a dead one held waits for hours.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let bounds = Duration::from_secs(1)..=Duration::from_secs(3600);
    match bounds.contains(&lease) {
        true => Ok(lease),
        false => Err("write a time from 1s to 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_a_time_that_a_worker_can_keep_up_with() {
        assert_eq!(lease("2s"), Ok(Duration::from_secs(2)));
        for text in ["0s", "999ms", "2h", "30"] {
            assert!(lease(text).is_err(), "{text}");
        }
    }
}
