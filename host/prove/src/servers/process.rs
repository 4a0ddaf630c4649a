use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A process that dies with this one, however this one dies: a process that
/// is killed drops nothing.
pub struct Supervised {
    supervisor: Child,
    /// `None` where it ended before it could be asked.
    pid: Option<Pid>,
}

/// Starts with what runs a command under supervision; the command itself, its
/// environment and its output are up to the caller.
///
/// When this process ends or drops the [`Supervised`], the command gets
/// `last_signal` (a name such as `KILL`) and `directory` is removed.
pub fn supervised(user: &User, directory: &Path, last_signal: &str) -> Command {
    let mut command = user.command("sh");
    command
        .args(["-c", include_str!("supervise.sh"), "supervise"])
        .arg(directory)
        .arg(last_signal);
    command
}

impl Supervised {
    /// `directory` is the one that `command` was made with. Blocks for the
    /// few milliseconds that a process needs to start.
    pub fn spawn(mut command: Command, directory: &Path) -> anyhow::Result<Self> {
        let mut supervisor = command
            .stdin(Stdio::piped())
            // Ctrl-C in a terminal reaches this process only.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        let pid_file = directory.join(".pid");
        let end = Instant::now() + Duration::from_secs(10);
        let pid = loop {
            match fs::read_to_string(&pid_file) {
                Ok(pid) => break Some(pid.trim().parse().context("read a process id")?),
                // What ended at once says why on its output.
                Err(_) if supervisor.try_wait()?.is_some() => break None,
                Err(error) if Instant::now() > end => {
                    bail!(
                        "{} tells no process id: {error}",
                        command.get_program().display()
                    )
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        Ok(Self {
            supervisor,
            pid: pid.and_then(Pid::from_raw),
        })
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.supervisor
    }

    /// Its exit status as a shell tells it: 128 + the signal that killed it.
    pub fn exited(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.supervisor.try_wait()
    }

    pub fn signal(&mut self, signal: Signal) {
        if let (Some(pid), Ok(None)) = (self.pid, self.exited()) {
            // Gone in this moment is as good.
            let _ = kill_process(pid, signal);
        }
    }

    /// Signals the process and its children, such as a server per connection.
    pub fn signal_family(&mut self, signal: Signal) {
        // What stands still makes no more children while they are counted.
        self.signal(Signal::STOP);
        let pid = Pid::as_raw(self.pid);
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        for child in children.unwrap_or_default().split_whitespace() {
            if let Some(child) = child.parse().ok().and_then(Pid::from_raw) {
                let _ = kill_process(child, signal);
            }
        }
        self.signal(signal);
    }

    /// Waits for the end after a signal; the directory stays.
    ///
    /// # Errors
    /// Where it still runs after 20 seconds.
    pub fn ended(mut self) -> anyhow::Result<()> {
        // Not Child::wait, which closes stdin first: that means to clean up.
        let end = Instant::now() + Duration::from_secs(20);
        while self.exited()?.is_none() {
            if Instant::now() > end {
                bail!("process {:?} does not end", self.pid);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // Closes stdin; the supervisor does the rest.
        let _ = self.supervisor.wait();
    }
}

/// Whom a server runs as. Postgres refuses to run as root.
pub enum User {
    Current,
    Postgres { uid: u32, gid: u32 },
}

impl User {
    pub fn not_root() -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Current);
        }
        let id = |flag| {
            let output = Command::new("id").args([flag, "postgres"]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        match (id("-u"), id("-g")) {
            (Some(uid), Some(gid)) => Ok(Self::Postgres { uid, gid }),
            _ => bail!("there is no user postgres: apt-get install postgresql"),
        }
    }

    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self {
            Self::Current => Command::new(program),
            Self::Postgres { uid, gid } => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"))
                    .args(["--init-groups", "--"])
                    .arg(program);
                command
            }
        }
    }

    /// An empty directory of this user's, in `parent`.
    pub fn directory(&self, parent: &Path) -> anyhow::Result<TempDir> {
        let directory = tempfile::Builder::new()
            .prefix("floodgate-")
            .tempdir_in(parent)
            .with_context(|| format!("make a directory in {}", parent.display()))?;
        if let Self::Postgres { uid, gid } = self {
            chown(directory.path(), Some(*uid), Some(*gid))?;
        }
        Ok(directory)
    }
}

/// Finds a server's program on PATH or in one of `directories`.
pub(super) fn program(
    name: &str,
    package: &str,
    directories: impl Iterator<Item = PathBuf>,
) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(directories)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{name} is needed: apt-get install {package}"))
}

/// A port nobody listens on, below the range that outgoing connections are
/// given: it is still free when a stopped server starts again.
pub fn free_port() -> u16 {
    loop {
        let port = 12_000 + (uuid::Uuid::new_v4().as_u128() % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
