use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Supervised, User, free_port, program, supervised};
use super::{START, Starting};

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

    /// Makes `replica` a replica of this one and then hands over to it: writes
    /// wait meanwhile, and none that was acknowledged is lost. This one is its
    /// replica from then on, and keeps its connections.
    pub async fn hand_over_to(&self, replica: &Self) -> anyhow::Result<()> {
        let this = ::redis::Client::open(self.url())?;
        let mut this = this.get_multiplexed_async_connection().await?;
        let next = ::redis::Client::open(replica.url())?;
        let mut next = next.get_multiplexed_async_connection().await?;
        let () = ::redis::cmd("REPLICAOF")
            .arg("127.0.0.1")
            .arg(self.port)
            .query_async(&mut next)
            .await?;
        let starting = Instant::now();
        while role(&mut next).await? != Role::InSync {
            ensure!(starting.elapsed() < START, "the replica does not follow");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // A replica is taken for one only once it has told how far it is.
        loop {
            let asked: Result<(), _> = ::redis::cmd("FAILOVER").query_async(&mut this).await;
            match asked {
                Ok(()) => break,
                Err(_) if starting.elapsed() < START => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error).context("fail over to the replica"),
            }
        }
        while role(&mut next).await? != Role::Primary || role(&mut this).await? == Role::Primary {
            ensure!(starting.elapsed() < START, "the failover does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Primary,
    InSync,
    NotInSync,
}

async fn role(connection: &mut ::redis::aio::MultiplexedConnection) -> anyhow::Result<Role> {
    let answer: Vec<::redis::Value> = ::redis::cmd("ROLE").query_async(connection).await?;
    let text = |at: usize| match answer.get(at) {
        Some(::redis::Value::BulkString(text)) => text.as_slice(),
        _ => b"",
    };
    Ok(match (text(0), text(3)) {
        (b"master", _) => Role::Primary,
        (_, b"connected") => Role::InSync,
        _ => Role::NotInSync,
    })
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
