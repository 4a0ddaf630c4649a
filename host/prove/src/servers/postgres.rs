use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

use super::Starting;
use super::process::{Supervised, User, free_port, program, supervised};

/// A Postgres with one superuser, `postgres`, who needs no password. Ends with
/// this value or with the process.
pub struct Postgres {
    server: Option<Supervised>,
    user: User,
    port: u16,
    fsync: bool,
    log: PathBuf,
    directory: TempDir,
}

impl Postgres {
    /// Its data lies in a new directory in `parent`, and so does its log if
    /// it has no other place.
    /// Without `fsync` it is quicker and forgets what a power failure takes.
    pub async fn start(parent: &Path, log: Option<PathBuf>, fsync: bool) -> anyhow::Result<Self> {
        let user = User::not_root()?;
        let directory = user.directory(parent)?;
        let initialised = user
            .command(installed("initdb")?)
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--no-instructions", "--pgdata"])
            .arg(directory.path().join("data"))
            .current_dir("/")
            .output()
            .context("run initdb")?;
        ensure!(
            initialised.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&initialised.stderr)
        );
        let mut postgres = Self {
            server: None,
            user,
            port: free_port(),
            fsync,
            log: log.unwrap_or_else(|| directory.path().join("log")),
            directory,
        };
        postgres.restart().await?;
        Ok(postgres)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Of the database that is always there.
    pub fn url(&self) -> String {
        self.database("postgres")
    }

    pub fn database(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// Signals it and waits for its end.
    pub fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        server.signal(signal);
        server.ended().context("end postgres")
    }

    /// SIGKILL to the server and to each of its sessions at once; a session
    /// that is left would keep a new server from starting.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        server.signal_family(Signal::KILL);
        server.ended().context("end postgres")
    }

    /// The process, while it runs.
    pub fn process(&mut self) -> Option<&mut Supervised> {
        self.server.as_mut()
    }

    /// Starts it with the data and the port it had, and stops it first if it runs.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.end(Signal::INT)?;
        let directory = self.directory.path();
        let data = directory.join("data");
        let log = File::options().create(true).append(true).open(&self.log)?;
        let fsync = if self.fsync { "fsync=on" } else { "fsync=off" };
        let mut command = supervised(&self.user, directory, "QUIT");
        command
            .arg(installed("postgres")?)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(directory)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-c", "max_connections=300", "-c", "shared_buffers=64MB"])
            .args(["-c", fsync])
            .current_dir("/")
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log));
        let url = self.url();
        let server = self.server.insert(Supervised::spawn(command, directory)?);
        let starting = Starting::new("postgres", &self.log);
        while !answers(&url, &data).await {
            starting.wait(server).await?;
        }
        Ok(())
    }
}

/// Whether the one that answers is the one that works in `directory`.
async fn answers(url: &str, directory: &Path) -> bool {
    let Ok(client) = look_into(url).await else {
        return false;
    };
    let asked = client.query_one("SHOW data_directory", &[]).await;
    asked.is_ok_and(|row| Path::new(row.get::<_, &str>(0)) == directory)
}

/// Connects as a person does who looks at the tables of Floodgate, in a schema of
/// their own or, in an older database, in `public`.
///
/// # Errors
/// Those of connecting; later ones come back from the query that they hit.
pub async fn look_into(url: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config: Config = url.parse()?;
    config.options("-c search_path=floodgate,public");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Debian keeps the server's programs off the PATH.
fn installed(name: &str) -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let directories = versions.flatten().map(|version| version.path().join("bin"));
    program(name, "postgresql", directories)
}
