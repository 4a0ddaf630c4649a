use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use floodgate_prove::servers::{Supervised, User, supervised};
use rustix::process::Signal;
use tempfile::{NamedTempFile, TempDir};

use super::eventually_some;

/// `floodgate serve` or `dev` as it is shipped, on ports of its own choice.
pub struct Floodgate {
    process: Supervised,
    /// The process writes into files, because a test can read a file at once. If the
    /// process wrote into a pipe, a test would have to wait for the thread that reads
    /// the pipe.
    stdout: NamedTempFile,
    stderr: NamedTempFile,
    /// Removed with this value.
    _directory: TempDir,
}

/// The path of the program. The program is linked into a directory of its own, because
/// `floodgate dev` starts a floodgate-archive that lies beside the program, and only
/// some tests want that.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alone");
    std::fs::create_dir_all(&directory).unwrap();
    let program = directory.join("floodgate");
    let new = directory.join(format!("floodgate-{}", std::process::id()));
    std::fs::hard_link(env!("CARGO_BIN_EXE_floodgate"), &new).unwrap();
    std::fs::rename(&new, &program).unwrap();
    // rename(2) removes nothing where both names are of the same file.
    let _ = std::fs::remove_file(new);
    program
});

impl Floodgate {
    pub fn serve(env: &[(&str, &str)], args: &[&str]) -> Self {
        Self::start("serve", env, args)
    }

    /// Starts a subcommand with `args` and, besides PATH, HOME and TMPDIR,
    /// nothing but `env`. It may end at once: see [`Self::wait_exit`].
    pub fn start(subcommand: &str, env: &[(&str, &str)], args: &[&str]) -> Self {
        let directory = User::Current.directory(&std::env::temp_dir()).unwrap();
        let mut command = supervised(&User::Current, directory.path(), "KILL");
        command.arg(&*PROGRAM).arg(subcommand).args(args);
        only(&mut command, env);
        let ports = ["FLOODGATE_LISTEN", "FLOODGATE_ADMIN_LISTEN"];
        command.envs(ports.map(|name| (name, "127.0.0.1:0")));
        let [stdout, stderr] = [(); 2].map(|()| NamedTempFile::new().unwrap());
        command.stdout(stdout.reopen().unwrap());
        command.stderr(stderr.reopen().unwrap());
        Self {
            process: Supervised::spawn(command, directory.path()).unwrap(),
            stdout,
            stderr,
            _directory: directory,
        }
    }

    /// Where it takes entries, such as `http://127.0.0.1:41234`.
    pub async fn url(&mut self) -> String {
        self.printed("listening on ").await
    }

    /// Where its admin API answers.
    pub async fn admin_url(&mut self) -> String {
        self.printed("admin on ").await
    }

    async fn printed(&mut self, prefix: &str) -> String {
        let what = format!("floodgate prints {prefix:?}");
        eventually_some(Duration::from_secs(30), &what, async || {
            let ended = self.process.exited().unwrap();
            let printed = self.stdout();
            let mut lines = printed.lines();
            let found = lines.find_map(|line| line.strip_prefix(prefix));
            if let (None, Some(status)) = (found, ended) {
                panic!("floodgate ended, {status}: {}", self.stderr());
            }
            found.map(|address| address.trim().to_owned())
        })
        .await
    }

    /// What it logged so far.
    pub fn stderr(&self) -> String {
        whole_lines(&self.stderr)
    }

    /// What it printed so far.
    pub fn stdout(&self) -> String {
        whole_lines(&self.stdout)
    }

    pub fn sigterm(&mut self) {
        self.process.signal(Signal::TERM);
    }

    pub fn kill(&mut self) {
        self.process.signal(Signal::KILL);
    }

    pub fn sigstop(&mut self) {
        self.process.signal(Signal::STOP);
    }

    pub fn sigcont(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Waits until the process has ended, and returns its exit code. If a signal
    /// killed the process, the code is 128 + the signal.
    pub async fn wait_exit(&mut self) -> i32 {
        let what = format!("floodgate ends: {}", self.stderr());
        eventually_some(Duration::from_secs(60), &what, async || {
            self.process.exited().unwrap()
        })
        .await
        .code()
        .unwrap()
    }
}

fn only(command: &mut Command, env: &[(&str, &str)]) {
    let kept = ["PATH", "HOME", "TMPDIR"];
    let kept = kept.map(|name| (name, std::env::var_os(name)));
    command.env_clear();
    for (name, value) in kept {
        command.envs(value.map(|value| (name, value)));
    }
    command.envs(env.iter().copied());
}

/// Returns the lines of a file that end with a line break. A last line without one is
/// still being written, and is left out.
fn whole_lines(file: &NamedTempFile) -> String {
    let written = std::fs::read(file.path()).unwrap();
    let written = String::from_utf8_lossy(&written);
    let whole = written.rsplit_once('\n').map(|(whole, _)| whole);
    whole.unwrap_or_default().to_owned()
}
