//! A Rust toolchain that builds for wasm32, in the order of what costs least.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::command::{run, run_within};
use super::{BuildError, TARGET, debian};
use floodgate_process::cache_dir::user_cache;

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
    /// `target_dir` is the one that cargo would use for this package.
    pub fn apply(&self, cargo: &mut Command, target_dir: &Path) {
        match self {
            Self::Installed => {}
            Self::Debian(rust) => rust.apply(cargo, target_dir),
        }
    }
}

/// A way to the target that led nowhere.
#[derive(Debug)]
pub struct Attempt {
    pub way: &'static str,
    pub error: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.way, self.error)
    }
}

/// `dir` decides which of rustup's toolchains counts.
pub(super) async fn set_up(dir: &Path, progress: &impl Fn(&str)) -> Result<Toolchain, BuildError> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "sysroot"]).current_dir(dir);
    let sysroot = PathBuf::from(run(&mut rustc).await?.trim_end());
    let installed = || sysroot.join("lib/rustlib").join(TARGET).is_dir();
    if installed() {
        return Ok(Toolchain::Installed);
    }
    let mut attempts = Vec::new();
    match add_by_rustup(dir, progress).await {
        Ok(()) if installed() => return Ok(Toolchain::Installed),
        Ok(()) => attempts.push(Attempt {
            way: "rustup",
            error: format!(
                "added the target to another toolchain than {}",
                sysroot.display()
            ),
        }),
        Err(error) => attempts.push(Attempt {
            way: "rustup",
            error,
        }),
    }
    match debian::set_up(&sysroot, progress).await {
        Ok(rust) => return Ok(Toolchain::Debian(rust)),
        Err(error) => attempts.push(Attempt {
            way: "Debian's packages",
            error: error.to_string(),
        }),
    }
    Err(BuildError::NoTarget(attempts))
}

async fn add_by_rustup(dir: &Path, progress: &impl Fn(&str)) -> Result<(), String> {
    let mark = user_cache("rustup-target-add-failed");
    if is_recent(&mark) {
        return Err(format!(
            "failed less than a day ago; remove {} to try again",
            mark.display()
        ));
    }
    progress(&format!("rustup target add {TARGET}"));
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(dir);
    match run_within(RUSTUP_LIMIT, &mut rustup).await {
        Ok(_) => Ok(()),
        Err(error) => {
            // At best: without the mark the next build waits once more.
            let _ = mark.parent().map(std::fs::create_dir_all);
            let _ = std::fs::write(&mark, "");
            Err(error.to_string())
        }
    }
}

fn is_recent(mark: &Path) -> bool {
    let at = std::fs::metadata(mark).and_then(|mark| mark.modified());
    at.is_ok_and(|at| at.elapsed().is_ok_and(|ago| ago < RUSTUP_PAUSE))
}
