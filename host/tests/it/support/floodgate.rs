use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floodgate::prove::servers::{Supervised, User, supervised};
use rustix::process::Signal;
use tempfile::TempDir;

use super::eventually_some;

/// `floodgate serve` or `dev` as it is shipped, on ports of its own choice.
pub struct Floodgate {
    process: Supervised,
    stdout: Lines,
    stderr: Lines,
    /// Removed with this value.
    _directory: TempDir,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Floodgate {
    pub fn serve(env: &[(&str, &str)], args: &[&str]) -> Self {
        Self::start("serve", env, args)
    }

    /// Starts a subcommand with `args` and, besides PATH, HOME and TMPDIR,
    /// nothing but `env`. It may end at once: see [`Self::wait_exit`].
    pub fn start(subcommand: &str, env: &[(&str, &str)], args: &[&str]) -> Self {
        let directory = User::Current.directory(&std::env::temp_dir()).unwrap();
        let mut command = supervised(&User::Current, directory.path(), "KILL");
        command
            .args([env!("CARGO_BIN_EXE_floodgate"), subcommand])
            .args(args);
        only(&mut command, env);
        let ports = ["FLOODGATE_LISTEN", "FLOODGATE_ADMIN_LISTEN"];
        command.envs(ports.map(|name| (name, "127.0.0.1:0")));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Supervised::spawn(command, directory.path()).unwrap();
        let child = process.child();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Self {
            process,
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
            let lines = self.stdout.lock().unwrap().clone();
            let found = lines.iter().find_map(|line| line.strip_prefix(prefix));
            if let (None, Some(status)) = (found, ended) {
                panic!("floodgate ended, {status}: {}", self.stderr());
            }
            found.map(|address| address.trim().to_owned())
        })
        .await
    }

    /// What it logged so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().join("\n")
    }

    /// What it printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().join("\n")
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

    /// Its exit code; 128 + the signal if one killed it.
    pub async fn wait_exit(&mut self) -> i32 {
        let what = format!("floodgate ends: {}", self.stderr());
        let process = &mut self.process;
        eventually_some(Duration::from_secs(60), &what, async || {
            process.exited().unwrap()
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

/// Reads on a thread of its own, so that the pipe is never full.
fn collect(from: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let collected = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            collected.lock().unwrap().push(line);
        }
    });
    lines
}
