use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// Why another program did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("start {program}: {source}; is it installed and in PATH?")]
    NotStarted {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{command}: {status}\n{said}")]
    Failed {
        command: String,
        status: ExitStatus,
        /// What it wrote to standard error.
        said: String,
    },
    #[error("{command}: no end after {limit:?}")]
    TookTooLong { command: String, limit: Duration },
}

impl CommandError {
    pub(super) fn not_started(command: &Command) -> impl FnOnce(std::io::Error) -> Self {
        let program = command.as_std().get_program().to_string_lossy().into();
        |source| Self::NotStarted { program, source }
    }

    pub(super) fn failed(command: &Command, status: ExitStatus, said: &str) -> Self {
        Self::Failed {
            command: described(command),
            status,
            said: said.trim_end().to_owned(),
        }
    }
}

/// Runs a program to its end; what it wrote to standard output.
pub(super) async fn run(command: &mut Command) -> Result<String, CommandError> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(CommandError::not_started(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(CommandError::failed(command, output.status, &said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As [`run`], but the program is killed after `limit`.
pub(super) async fn run_within(
    limit: Duration,
    command: &mut Command,
) -> Result<String, CommandError> {
    match tokio::time::timeout(limit, run(command)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(CommandError::TookTooLong {
            command: described(command),
            limit,
        }),
    }
}

fn described(command: &Command) -> String {
    let command = command.as_std();
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
