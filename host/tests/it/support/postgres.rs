use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::eventually;
use super::process::{Supervised, User, assert_success, free_port, program, supervised};

/// A Postgres with one superuser, `postgres`, who needs no password. Ends with
/// this value or with the process.
pub struct PrivatePostgres {
    server: Option<Supervised>,
    user: User,
    port: u16,
    fsync: &'static str,
    directory: TempDir,
}

impl PrivatePostgres {
    pub async fn start() -> Self {
        Self::start_with("on").await
    }

    pub(super) async fn start_without_fsync() -> Self {
        Self::start_with("off").await
    }

    async fn start_with(fsync: &'static str) -> Self {
        let user = User::not_root();
        let directory = user.directory();
        let initialised = user
            .command(installed("initdb"))
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--no-instructions", "--pgdata"])
            .arg(directory.path().join("data"))
            .current_dir("/")
            .output()
            .unwrap();
        assert_success("initdb", &initialised);
        let mut postgres = Self {
            server: None,
            user,
            port: free_port(),
            fsync,
            directory,
        };
        postgres.restart().await;
        postgres
    }

    /// Of the database that is always there.
    pub fn url(&self) -> String {
        self.database("postgres")
    }

    fn database(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    pub async fn create_database(&self, name: &str) -> String {
        let client = connect(&self.url()).await.unwrap();
        client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        self.database(name)
    }

    /// As an administrator would who waits for nobody.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// An immediate shutdown: sessions are cut, nothing is written, and the
    /// next start recovers as from a crash. SIGKILL would leave sessions that
    /// keep a new server from starting.
    pub fn kill(&mut self) {
        self.end(Signal::QUIT);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(server) = self.server.take() {
            server.end(signal);
        }
    }

    /// Takes connections and answers nothing until [`Self::resume`].
    pub fn pause(&mut self) {
        self.server.as_mut().unwrap().signal_family(Signal::STOP);
    }

    pub fn resume(&mut self) {
        self.server.as_mut().unwrap().signal_family(Signal::CONT);
    }

    /// Starts it with the data and the port it had, and stops it first if it runs.
    pub async fn restart(&mut self) {
        self.stop();
        let directory = self.directory.path();
        let data = directory.join("data");
        let log = directory.join("log");
        let mut command = supervised(&self.user, directory, "QUIT");
        command
            .arg(installed("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(directory)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-c", "max_connections=300", "-c", "shared_buffers=64MB"])
            .args(["-c", &format!("fsync={}", self.fsync)])
            .current_dir("/")
            .stdout(File::create(&log).unwrap())
            .stderr(File::options().append(true).open(&log).unwrap());
        let url = self.url();
        let server = self.server.insert(Supervised::spawn(command, directory));
        eventually(Duration::from_secs(20), "postgres answers", async || {
            assert!(
                server.exited().is_none(),
                "postgres ended: {}",
                fs::read_to_string(&log).unwrap()
            );
            answers(&url, &data).await
        })
        .await;
    }
}

/// Whether the one that answers is the one that works in `directory`.
async fn answers(url: &str, directory: &Path) -> bool {
    let Ok(client) = connect(url).await else {
        return false;
    };
    let asked = client.query_one("SHOW data_directory", &[]).await;
    asked.is_ok_and(|row| row.get::<_, &str>(0) == directory.to_str().unwrap())
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Debian keeps the server's programs off the PATH.
fn installed(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let directories = versions.flatten().map(|version| version.path().join("bin"));
    program(name, "postgresql", directories)
}
