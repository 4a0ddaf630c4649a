//! floodgate-archive beside `floodgate dev`: started with it, ended with it, and
//! started again where it dies.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::settings::HostSettings;
use floodgate_archive_client::{Archive, SettingsError};
use floodgate_flow::masked;

const NAME: &str = "floodgate-archive";

/// Before it is started again; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long it may take to end; then it is made to.
const PATIENCE: Duration = Duration::from_secs(12);

/// Variables that name the servers of another Floodgate: the child has ledger and
/// cold files in the data directory, and is asked without a token.
const NOT_FOR_IT: [&str; 8] = [
    "FLOODGATE_COLD",
    "FLOODGATE_ARCHIVE_TOKEN_FILE",
    "DATABASE_URL",
    "POSTGRES_HOST",
    "POSTGRES_PORT",
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
    "POSTGRES_DB",
];

/// Who answers statistics, and keeps what leaves the ledger.
pub(super) enum Statistics {
    /// Somebody that was named.
    At(String),
    Child(Child),
    /// There is none to be started.
    Nobody,
}

pub(super) struct Child {
    program: PathBuf,
    data_dir: PathBuf,
    flows: PathBuf,
}

impl Statistics {
    /// Where none is named, the one that lies beside this program or in PATH.
    pub fn find(settings: &HostSettings, data_dir: &Path) -> Self {
        let named = settings.archive.archive_url.as_deref().map(str::trim);
        if let Some(url) = named.filter(|url| !url.is_empty()) {
            return Self::At(url.to_owned());
        }
        match program() {
            None => Self::Nobody,
            Some(program) => Self::Child(Child {
                program,
                data_dir: data_dir.to_owned(),
                flows: settings.flows.flows.clone(),
            }),
        }
    }

    pub fn client(&self, settings: &HostSettings) -> Result<Archive, SettingsError> {
        match self {
            Self::Child(_) => Ok(Archive::starting()),
            Self::At(_) | Self::Nobody => Archive::named(&settings.archive),
        }
    }
}

/// For whoever starts this.
impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Where no scheme is named it is http.
            Self::At(url) if url.contains("://") => write!(f, "{NAME} at {}", masked::url(url)),
            Self::At(url) => write!(f, "{NAME} at {}", masked::url(&format!("http://{url}"))),
            Self::Child(child) => write!(f, "{}, started with this", child.program.display()),
            Self::Nobody => write!(
                f,
                "{NAME} answers them, and is neither beside this program nor in PATH: put it there, and start this again"
            ),
        }
    }
}

fn program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = beside.into_iter().chain(std::env::split_paths(&path));
    places.find_map(|place| {
        let program = place.join(NAME);
        program.is_file().then_some(program)
    })
}

impl Child {
    /// Tells `archive` where it listens, each time that it does.
    pub async fn keep_running(&self, archive: Arc<Archive>, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let began = Instant::now();
            let ended = self.run(&archive, &stop).await;
            archive.is_starting();
            if stop.is_cancelled() {
                return;
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            let how = match ended {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            warn!(program = %self.program.display(), how, again_in = ?pause, "floodgate-archive ended, it is started again");
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Until it ends, of itself or because of `stop`.
    async fn run(&self, archive: &Archive, stop: &CancellationToken) -> io::Result<ExitStatus> {
        let mut child = self.command().spawn()?;
        let tether = child.stdin.take();
        let stdout = child.stdout.take();
        let listen = async {
            let mut lines = BufReader::new(stdout?).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(url) = line.strip_prefix("listening on ") {
                    info!(url, "floodgate-archive listens");
                    archive.is_at(url.trim());
                }
            }
            // It closed its output, and goes on.
            std::future::pending::<Option<()>>().await
        };
        tokio::select! {
            status = child.wait() => return status,
            _ = listen => {}
            () = stop.cancelled() => {}
        }
        drop(tether);
        match tokio::time::timeout(PATIENCE, child.wait()).await {
            Ok(status) => status,
            Err(_) => Err(io::Error::other("it does not end")),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", include_str!("tether.sh"), "tether"])
            .arg(&self.program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&self.data_dir)
            .arg("--flows")
            .arg(&self.flows)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal reaches this process only.
            .process_group(0);
        for name in NOT_FOR_IT {
            command.env_remove(name);
        }
        command
    }
}
