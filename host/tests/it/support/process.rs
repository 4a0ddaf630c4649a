use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A process that dies with this one, however this one dies: statics are not
/// dropped, and a killed test process drops nothing at all.
pub struct Supervised {
    supervisor: Child,
    pid: Pid,
}

/// Starts with what runs a command under supervision; the command itself, its
/// environment and its output are up to the caller.
pub fn supervised(user: &User, directory: &Path, last_signal: &str) -> Command {
    let mut command = user.command("sh");
    command
        .args(["-c", include_str!("supervise.sh"), "supervise"])
        .arg(directory)
        .arg(last_signal);
    command
}

impl Supervised {
    /// `directory` is the one that `command` was made with.
    pub fn spawn(mut command: Command, directory: &Path) -> Self {
        let mut supervisor = command
            .stdin(Stdio::piped())
            // Ctrl-C in a terminal reaches this process only.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let pid_file = directory.join(".pid");
        let end = Instant::now() + Duration::from_secs(10);
        let pid = loop {
            match fs::read_to_string(&pid_file) {
                Ok(pid) => break pid.trim().parse().unwrap(),
                // What ended at once says why on its output.
                Err(_) if supervisor.try_wait().unwrap().is_some() => break i32::MAX,
                Err(error) if Instant::now() > end => panic!("{command:?}: no pid: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        Self {
            supervisor,
            pid: Pid::from_raw(pid).unwrap(),
        }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.supervisor
    }

    /// Its exit status as a shell tells it: 128 + the signal that killed it.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.supervisor.try_wait().unwrap()
    }

    pub fn signal(&mut self, signal: Signal) {
        if self.exited().is_none() {
            // Gone in this moment is as good.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Signals the process and its children, such as a server per connection.
    pub fn signal_family(&mut self, signal: Signal) {
        self.signal(signal);
        let pid = self.pid.as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        for child in children.unwrap_or_default().split_whitespace() {
            let child = Pid::from_raw(child.parse().unwrap()).unwrap();
            let _ = kill_process(child, signal);
        }
    }

    /// Sends `signal` and waits for the end; the directory stays.
    pub fn end(mut self, signal: Signal) {
        self.signal(signal);
        // Not Child::wait, which closes stdin first: that means to clean up.
        let end = Instant::now() + Duration::from_secs(20);
        while self.exited().is_none() {
            assert!(
                Instant::now() < end,
                "{signal:?} did not end {:?}",
                self.pid
            );
            std::thread::sleep(Duration::from_millis(2));
        }
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
    pub fn not_root() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Current;
        }
        let id = |flag| {
            let output = Command::new("id").args([flag, "postgres"]).output();
            let text = String::from_utf8(output.unwrap().stdout).unwrap();
            text.trim().parse().ok()
        };
        match (id("-u"), id("-g")) {
            (Some(uid), Some(gid)) => Self::Postgres { uid, gid },
            _ => panic!("there is no user postgres: apt-get install postgresql"),
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

    /// An empty directory of this user's.
    pub fn directory(&self) -> TempDir {
        let directory = tempfile::Builder::new()
            .prefix("floodgate-test-")
            .tempdir()
            .unwrap();
        if let Self::Postgres { uid, gid } = self {
            chown(directory.path(), Some(*uid), Some(*gid)).unwrap();
        }
        directory
    }
}

/// Finds a server's program on PATH or in one of `directories`.
pub fn program(name: &str, package: &str, directories: impl Iterator<Item = PathBuf>) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(directories)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{name} is needed: apt-get install {package}"))
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

#[track_caller]
pub fn assert_success(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
