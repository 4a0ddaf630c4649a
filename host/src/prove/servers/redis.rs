use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use rustix::process::Signal;
use tempfile::TempDir;

use super::Starting;
use super::process::{Supervised, User, free_port, program, supervised};

/// A Redis as Floodgate wants it: appended and synced before it answers,
/// nothing evicted. Ends with this value or with the process.
pub struct Redis {
    server: Option<Supervised>,
    port: u16,
    log: PathBuf,
    directory: TempDir,
}

impl Redis {
    /// Its data lies in a new directory in `parent`, and so does its log if
    /// it has no other place.
    pub async fn start(parent: &Path, log: Option<PathBuf>) -> anyhow::Result<Self> {
        let directory = User::Current.directory(parent)?;
        let mut redis = Self {
            server: None,
            port: free_port(),
            log: log.unwrap_or_else(|| directory.path().join("log")),
            directory,
        };
        redis.restart().await?;
        Ok(redis)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Without a database number.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Signals it and waits for its end.
    pub fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        server.signal(signal);
        server.ended().context("end redis-server")
    }

    /// The process, while it runs.
    pub fn process(&mut self) -> Option<&mut Supervised> {
        self.server.as_mut()
    }

    /// Starts it with the data and the port it had, and stops it first if it runs.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.end(Signal::TERM)?;
        let directory = self.directory.path();
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = supervised(&User::Current, directory, "KILL");
        command
            .arg(program("redis-server", "redis-server", std::iter::empty())?)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--databases", "2048", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .args(["--auto-aof-rewrite-min-size", "1gb"])
            .args(["--maxmemory-policy", "noeviction", "--dir"])
            .arg(directory)
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log));
        let server = self.server.insert(Supervised::spawn(command, directory)?);
        let client = ::redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let starting = Starting::new("redis-server", &self.log);
        while !answers(&client, directory).await {
            starting.wait(server).await?;
        }
        Ok(())
    }
}

/// Whether the one that answers is the one that works in `directory`, and has
/// loaded its data: DBSIZE is refused before.
async fn answers(client: &::redis::Client, directory: &Path) -> bool {
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else {
        return false;
    };
    let asked: Result<((String, String), u64), _> = ::redis::pipe()
        .cmd("CONFIG")
        .arg("GET")
        .arg("dir")
        .cmd("DBSIZE")
        .query_async(&mut connection)
        .await;
    asked.is_ok_and(|((_, answered), _)| Path::new(&answered) == directory)
}
