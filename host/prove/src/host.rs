use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use rustix::process::Signal;
use tempfile::TempDir;

use super::servers::{Supervised, User, supervised};

/// One `floodgate serve`: a process of this program's own executable. Ends
/// with this value or with this process.
pub(super) struct Host {
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    process: Option<Supervised>,
    directory: TempDir,
}

impl Host {
    /// With nothing in its environment but PATH, HOME, TMPDIR and `environment`.
    pub fn start(
        parent: &Path,
        log: PathBuf,
        arguments: Vec<String>,
        environment: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Self> {
        let mut host = Self {
            arguments,
            environment,
            log,
            process: None,
            directory: User::Current.directory(parent)?,
        };
        host.restart()?;
        Ok(host)
    }

    pub fn restart(&mut self) -> anyhow::Result<()> {
        let executable = std::env::current_exe().context("find this executable")?;
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = supervised(&User::Current, self.directory.path(), "KILL");
        command.arg(executable).arg("serve").args(&self.arguments);
        command.env_clear();
        for name in ["PATH", "HOME", "TMPDIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log));
        self.process = Some(Supervised::spawn(command, self.directory.path())?);
        Ok(())
    }

    pub fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process.signal(Signal::KILL);
        process.ended().context("end floodgate serve")
    }

    pub fn signal(&mut self, signal: Signal) {
        if let Some(process) = &mut self.process {
            process.signal(signal);
        }
    }

    /// Whether it ended though nobody ended it.
    pub fn died(&mut self) -> bool {
        let ended = self.process.as_mut().map(Supervised::exited);
        matches!(ended, Some(Ok(Some(_))))
    }
}
