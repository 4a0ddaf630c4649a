use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use super::Starting;
use super::process::{Supervised, User, free_port, program, supervised};

/// A PgBouncer in transaction mode in front of a Postgres of ours. Ends with this
/// value or with the process.
pub struct PgBouncer {
    _server: Supervised,
    port: u16,
    _directory: TempDir,
}

impl PgBouncer {
    /// Every database of the Postgres on `port` is reached through it. Its
    /// connections take turns, so that two transactions of a client rarely are on
    /// the same one.
    pub async fn start(parent: &Path, postgres: u16) -> anyhow::Result<Self> {
        let user = User::not_root()?;
        let directory = user.directory(parent)?;
        let port = free_port();
        let settings = directory.path().join("pgbouncer.ini");
        fs::write(
            &settings,
            format!(
                "[databases]\n\
                 * = host=127.0.0.1 port={postgres} user=postgres\n\
                 [pgbouncer]\n\
                 listen_addr = 127.0.0.1\n\
                 listen_port = {port}\n\
                 unix_socket_dir =\n\
                 auth_type = any\n\
                 pool_mode = transaction\n\
                 server_round_robin = 1\n\
                 default_pool_size = 3\n\
                 min_pool_size = 3\n\
                 max_client_conn = 1000\n\
                 server_idle_timeout = 5\n"
            ),
        )?;
        if let User::Postgres { uid, gid } = user {
            chown(&settings, Some(uid), Some(gid))?;
        }
        let log_path = directory.path().join("log");
        let log = File::options().create(true).append(true).open(&log_path)?;
        let mut command = supervised(&user, directory.path(), "KILL");
        command
            .arg(program(
                "pgbouncer",
                "pgbouncer",
                ["/usr/sbin".into()].into_iter(),
            )?)
            .arg(&settings)
            .current_dir("/")
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log));
        let mut server = Supervised::spawn(command, directory.path())?;
        let starting = Starting::new("pgbouncer", &log_path);
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        while tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .is_err()
        {
            starting.wait(&mut server).await?;
        }
        Ok(Self {
            _server: server,
            port,
            _directory: directory,
        })
    }

    /// The URL of a database, through it.
    pub fn database(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}
