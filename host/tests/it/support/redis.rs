use std::fs::{self, File};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::eventually;
use super::process::{Supervised, User, free_port, program, supervised};

/// A Redis as Floodgate wants it: appended and synced before it answers,
/// nothing evicted. Ends with this value or with the process.
pub struct PrivateRedis {
    server: Option<Supervised>,
    port: u16,
    directory: TempDir,
}

impl PrivateRedis {
    pub async fn start() -> Self {
        let mut redis = Self {
            server: None,
            port: free_port(),
            directory: User::Current.directory(),
        };
        redis.restart().await;
        redis
    }

    /// Without a database number.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// As an administrator would.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// As the kernel would.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(server) = self.server.take() {
            server.end(signal);
        }
    }

    /// Takes connections and answers nothing until [`Self::resume`].
    pub fn pause(&mut self) {
        self.server.as_mut().unwrap().signal(Signal::STOP);
    }

    pub fn resume(&mut self) {
        self.server.as_mut().unwrap().signal(Signal::CONT);
    }

    /// Starts it with the data and the port it had, and stops it first if it runs.
    pub async fn restart(&mut self) {
        self.stop();
        let directory = self.directory.path();
        let log = directory.join("log");
        let mut command = supervised(&User::Current, directory, "KILL");
        command
            .arg(program("redis-server", "redis-server", std::iter::empty()))
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--databases", "2048", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .args(["--maxmemory-policy", "noeviction", "--dir"])
            .arg(directory)
            .stdout(File::create(&log).unwrap())
            .stderr(File::options().append(true).open(&log).unwrap());
        let server = self.server.insert(Supervised::spawn(command, directory));
        let client = ::redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        eventually(
            Duration::from_secs(20),
            "redis-server answers",
            async || {
                assert!(
                    server.exited().is_none(),
                    "redis-server ended: {}",
                    fs::read_to_string(&log).unwrap()
                );
                answers(&client, directory.to_str().unwrap()).await
            },
        )
        .await;
    }
}

/// Whether the one that answers is the one that works in `directory`.
async fn answers(client: &::redis::Client, directory: &str) -> bool {
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else {
        return false;
    };
    let asked: Result<(String, String), _> = ::redis::cmd("CONFIG")
        .arg("GET")
        .arg("dir")
        .query_async(&mut connection)
        .await;
    asked.is_ok_and(|(_, answered)| answered == directory)
}
