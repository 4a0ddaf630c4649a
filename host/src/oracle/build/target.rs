//! A Rust toolchain that builds for wasm32, in the order of what costs least.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::{BuildError, TARGET, debian};
use crate::settings::user_cache;

/// On a machine that cannot reach rustup's server it hangs.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// For so long a failed `rustup target add` is not tried again.
const RUSTUP_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// What cargo has to be told to build for wasm32.
pub(super) enum Toolchain {
    /// The target is installed: nothing.
    Installed,
    /// std is built from Debian's sources, by Debian's compiler.
    Debian(debian::Rust),
}

impl Toolchain {
    pub fn apply(&self, cargo: &mut Command) {
        match self {
            Self::Installed => {}
            Self::Debian(rust) => rust.apply(cargo),
        }
    }
}

pub(super) async fn set_up(progress: &impl Fn(&str)) -> Result<Toolchain, BuildError> {
    let sysroot = sysroot().await?;
    let installed = || sysroot.join("lib/rustlib").join(TARGET).is_dir();
    if installed() {
        return Ok(Toolchain::Installed);
    }
    if rustup_may_help() {
        progress(&format!("rustup target add {TARGET}"));
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", TARGET]);
        let added = tokio::time::timeout(RUSTUP_LIMIT, run(rustup)).await;
        if matches!(added, Ok(Ok(_))) && installed() {
            return Ok(Toolchain::Installed);
        }
        remember_rustup_failed();
    }
    match debian::set_up(&sysroot, progress).await {
        Ok(rust) => Ok(Toolchain::Debian(rust)),
        Err(error) => Err(BuildError::NoTarget(format!(
            "the Rust target {TARGET} is missing. Run `rustup target add {TARGET}` on a machine \
             that reaches rustup's server, or use Debian or a derivative of it, whose packages of \
             Rust can stand in. The latter did not work here: {error}"
        ))),
    }
}

async fn sysroot() -> Result<PathBuf, BuildError> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "sysroot"]);
    let output = run(rustc).await?;
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim(),
    ))
}

fn rustup_failed_mark() -> PathBuf {
    user_cache("rustup-target-add-failed")
}

fn rustup_may_help() -> bool {
    let failed = std::fs::metadata(rustup_failed_mark()).and_then(|mark| mark.modified());
    !failed.is_ok_and(|at| at.elapsed().is_ok_and(|ago| ago < RUSTUP_PAUSE))
}

/// Best effort: without the mark the next build waits once more.
fn remember_rustup_failed() {
    let mark = rustup_failed_mark();
    let _created = mark.parent().map(std::fs::create_dir_all);
    let _written = std::fs::write(mark, "");
}

/// Runs a program to its end.
///
/// # Errors
/// That it could not be started, or what it said when it failed.
pub(super) async fn run(mut command: Command) -> Result<Output, BuildError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| BuildError::NotStarted {
            program: program.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(BuildError::Failed {
        what: described(&command, &program),
        output: said.trim().to_owned(),
    })
}

fn described(command: &Command, program: &str) -> String {
    let arguments = command.as_std().get_args().map(|a| a.to_string_lossy());
    let mut text = program.to_owned();
    for argument in arguments {
        text.push(' ');
        text.push_str(&argument);
    }
    text
}

/// The linker that rustup ships for the host's own target.
pub(super) fn linker(sysroot: &Path) -> PathBuf {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    sysroot.join("lib/rustlib").join(host).join("bin/rust-lld")
}
