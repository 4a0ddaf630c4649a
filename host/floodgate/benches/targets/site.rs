//! Servers of its own, and a Floodgate on them, as it is shipped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use floodgate_backbone::{self as backbone, Backbone, Depth};
use floodgate_flow::{FlowName, Partition};
use floodgate_prove::servers::{Postgres, Redis};
use tempfile::TempDir;

/// Of the repository.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// New ones for each measurement: none finds what another left.
pub struct Site {
    pub redis: Redis,
    pub postgres: Postgres,
    directory: TempDir,
    flow: &'static str,
}

impl Site {
    /// With one of the shipped flows, changed, and one of the shipped oracles
    /// in the place of the one that `transactions` uses.
    pub async fn start(
        flow: &'static str,
        oracle: &str,
        changes: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let (flows, oracles) = (
            directory.path().join("flows"),
            directory.path().join("oracles"),
        );
        std::fs::create_dir(&flows)?;
        std::fs::create_dir(&oracles)?;
        let mut text = std::fs::read_to_string(format!("{ROOT}/flows/{flow}.toml"))?;
        for (from, to) in changes {
            ensure!(text.contains(from), "flows/{flow}.toml says {from:?}");
            text = text.replace(from, to);
        }
        std::fs::write(flows.join(format!("{flow}.toml")), text)?;
        copy_queries(&flows.join("stats"))?;
        let schema = format!("{flow}.schema.json");
        std::fs::copy(format!("{ROOT}/flows/{schema}"), flows.join(schema))?;
        let site = Self {
            redis: Redis::start(&std::env::temp_dir(), None).await?,
            postgres: Postgres::start(&std::env::temp_dir(), None, true).await?,
            directory,
            flow,
        };
        site.drop(oracle)?;
        Ok(site)
    }

    /// Puts a shipped oracle in the place of `mempool-risk`, whole at once.
    pub fn drop(&self, oracle: &str) -> anyhow::Result<()> {
        let oracles = self.directory.path().join("oracles");
        let aside = oracles.join(".dropped");
        std::fs::copy(format!("{ROOT}/plugins/dist/{oracle}.wasm"), &aside)?;
        std::fs::rename(aside, oracles.join("mempool-risk.wasm"))?;
        Ok(())
    }

    pub fn flows(&self) -> PathBuf {
        self.directory.path().join("flows")
    }

    pub fn serve(&self, role: &str) -> anyhow::Result<Floodgate> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floodgate"));
        command
            .args(["serve", "--role", role])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .env("REDIS_URL", self.redis.url())
            .env("DATABASE_URL", self.postgres.url())
            .env("FLOODGATE_FLOWS", self.flows())
            .env("FLOODGATE_ORACLES", self.directory.path().join("oracles"))
            .env("RUST_LOG", "off");
        Floodgate::start(command, "admin on")
    }

    pub async fn depth(&self) -> anyhow::Result<Depth> {
        Ok(self.backbone()?.depth(&self.partition()).await?)
    }

    pub fn backbone(&self) -> anyhow::Result<backbone::Redis> {
        Ok(backbone::Redis::new(&self.redis.url())?)
    }

    pub fn partition(&self) -> Partition {
        Partition {
            flow: FlowName::new(self.flow),
            index: 0,
        }
    }

    /// Until nothing is open; when that was.
    pub async fn until_empty(&self) -> anyhow::Result<Instant> {
        while self.depth().await?.open > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Instant::now())
    }
}

/// A process that says `listening on`; ends with this value.
pub struct Floodgate {
    child: Child,
    pub url: String,
    pub admin: String,
}

impl Floodgate {
    /// Until it has said a line that begins like `last`.
    pub fn start(mut command: Command, last: &str) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("its output")?;
        let mut floodgate = Self {
            child,
            url: String::new(),
            admin: String::new(),
        };
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("listening on ") {
                floodgate.url = url.to_owned();
            }
            if let Some(admin) = line.strip_prefix("admin on ") {
                floodgate.admin = admin.to_owned();
            }
            if line.starts_with(last) {
                return Ok(floodgate);
            }
        }
        anyhow::bail!("it ended at start")
    }

    /// Waits until it answers 422 to what satisfies no schema: its oracles are there.
    pub async fn until_ready(&self, path: &str) -> anyhow::Result<()> {
        let http = super::wrk::client();
        let end = Instant::now() + Duration::from_secs(30);
        let url = format!("{}{path}", self.url);
        while super::wrk::post(&http, &url, "7".into()).await? != 422 {
            ensure!(Instant::now() < end, "{path} is not ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let status = Path::new("/proc").join(self.child.id().to_string());
        let status = std::fs::read_to_string(status.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().split(' ').next());
        Ok(kib.context("VmRSS")?.parse::<u64>()? * 1024)
    }
}

impl Drop for Floodgate {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// The flow files name them.
fn copy_queries(to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(to)?;
    for file in std::fs::read_dir(format!("{ROOT}/flows/stats"))? {
        let file = file?;
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}
