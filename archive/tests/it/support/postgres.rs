use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, NoTls};

const SUPERVISE: &str = include_str!("../../../../host/prove/src/servers/supervise.sh");

/// A Postgres that is reached by a socket in its directory, and ends with this
/// process however that ends.
struct Server {
    /// Its stdin is held: when that closes, the server is ended.
    _supervisor: Child,
    directory: TempDir,
}

impl Server {
    async fn start() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("floodgate-")
            .tempdir()
            .unwrap();
        let user = not_root();
        if let Some((uid, gid)) = user {
            chown(directory.path(), Some(uid), Some(gid)).unwrap();
        }
        let initialised = command(user, installed("initdb"))
            .args([
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--no-instructions", "--pgdata"])
            .arg(directory.path().join("data"))
            .current_dir("/")
            .output()
            .unwrap();
        assert!(initialised.status.success(), "{initialised:?}");
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let supervisor = command(user, "sh")
            .args(["-c", SUPERVISE, "supervise"])
            .arg(directory.path())
            .arg("QUIT")
            .arg(installed("postgres"))
            .arg("-D")
            .arg(directory.path().join("data"))
            .arg("-k")
            .arg(directory.path())
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "max_connections=200",
            ])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self {
            _supervisor: supervisor,
            directory,
        };
        let end = Instant::now() + Duration::from_secs(30);
        while connect(&server.url("postgres")).await.is_err() {
            let log = fs::read_to_string(server.directory.path().join("log"));
            assert!(Instant::now() < end, "postgres does not answer: {log:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server
    }

    fn url(&self, database: &str) -> String {
        let socket = self.directory.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{socket}/{database}")
    }
}

/// URL of a database with the tables of the ledger that nobody else uses.
pub async fn database() -> String {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(Server::start).await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let client = connect(&server.url("postgres")).await.unwrap();
    client
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let url = server.url(&name);
    let client = connect(&url).await.unwrap();
    client
        .batch_execute("CREATE SCHEMA floodgate")
        .await
        .unwrap();
    for migration in super::migrations("postgres") {
        client.batch_execute(&migration).await.unwrap();
    }
    url
}

/// As a person does who looks at the tables of the ledger.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config: Config = url.parse()?;
    config.options("-c search_path=floodgate,public");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Postgres refuses to run as root.
fn not_root() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let root = id(&["-u"]) == Some(0);
    root.then(|| {
        (
            id(&["-u", "postgres"]).unwrap(),
            id(&["-g", "postgres"]).unwrap(),
        )
    })
}

fn command(user: Option<(u32, u32)>, program: impl AsRef<Path>) -> Command {
    let Some((uid, gid)) = user else {
        return Command::new(program.as_ref());
    };
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={gid}"));
    command.args(["--init-groups", "--"]).arg(program.as_ref());
    command
}

/// Debian keeps the server's programs off the PATH.
fn installed(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let directories = versions.map(|version| version.path().join("bin"));
    let mut found = std::env::split_paths(&path)
        .chain(directories)
        .map(|dir| dir.join(name));
    found
        .find(|program| program.is_file())
        .expect("apt-get install postgresql")
}
