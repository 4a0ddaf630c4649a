//! std for wasm32 from Debian's own packages of Rust. They conflict with
//! rustup's toolchain when installed, so they are only unpacked, into the
//! user's cache.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::BuildError;
use super::command::{CommandError, run};
use floodgate_process::cache_dir::user_cache;

/// The libraries of one version of the compiler, such as `libstd-rust-web-1.96`.
const LIBRARIES: &str = "libstd-rust-web-";

#[derive(Debug, thiserror::Error)]
pub(super) enum DebianError {
    #[error("{0} is missing; rustup's toolchain has it")]
    NoLinker(PathBuf),
    #[error("apt knows no package {LIBRARIES}<version>, not even after apt-get update")]
    NoPackages,
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Unpack(#[from] BuildError),
}

/// Debian's compiler and sources of std, unpacked.
pub(super) struct Rust {
    root: PathBuf,
    linker: PathBuf,
}

impl Rust {
    /// For one call of cargo only: the library path must not reach other programs.
    pub fn apply(&self, cargo: &mut Command, target_dir: &Path) {
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        cargo
            .env("RUSTC", self.root.join("usr/bin/rustc"))
            // -Zbuild-std is not stable.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("LD_LIBRARY_PATH", self.root.join(libraries))
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.linker)
            .arg("-Zbuild-std=std,panic_abort")
            // Its artefacts are of another compiler than those next to them.
            .arg("--target-dir")
            .arg(target_dir.join("debian-rust"));
    }
}

/// `sysroot` is that of rustup's toolchain, which has the linker.
pub(super) async fn set_up(sysroot: &Path, progress: &impl Fn(&str)) -> Result<Rust, DebianError> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let linker = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    if !linker.is_file() {
        return Err(DebianError::NoLinker(linker));
    }
    let root = user_cache("debian-rust");
    // Only a whole one ever gets this name.
    if !root.is_dir() {
        unpack(&packages(progress).await?, &root, progress).await?;
    }
    Ok(Rust { root, linker })
}

/// What to unpack: the compiler, the libraries it needs, std for build scripts,
/// which run on this machine, and std's sources.
async fn packages(progress: &impl Fn(&str)) -> Result<Vec<String>, DebianError> {
    let libraries = match newest_libraries().await? {
        Some(libraries) => libraries,
        None => {
            progress("apt-get update");
            run(Command::new("apt-get").arg("update")).await?;
            newest_libraries().await?.ok_or(DebianError::NoPackages)?
        }
    };
    let depends = run(Command::new("apt-cache").args(["depends", &libraries])).await?;
    let llvm = dependency(&depends, "libllvm");
    let mut packages = ["rustc-web", "rust-web-src", "libstd-rust-web-dev"]
        .map(str::to_owned)
        .to_vec();
    packages.push(libraries);
    packages.extend(llvm);
    Ok(packages)
}

async fn newest_libraries() -> Result<Option<String>, CommandError> {
    let known = run(Command::new("apt-cache").args(["pkgnames", LIBRARIES])).await?;
    Ok(newest(&known))
}

/// The one of the highest version among the names that apt-cache lists.
fn newest(names: &str) -> Option<String> {
    names
        .lines()
        .filter_map(|name| {
            let (major, minor) = name.strip_prefix(LIBRARIES)?.split_once('.')?;
            let version: (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
            Some((version, name))
        })
        .max()
        .map(|(_, name)| name.to_owned())
}

/// The first dependency with that prefix in what `apt-cache depends` says.
fn dependency(depends: &str, prefix: &str) -> Option<String> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with(prefix))
        .map(str::to_owned)
}

async fn unpack(
    packages: &[String],
    root: &Path,
    progress: &impl Fn(&str),
) -> Result<(), DebianError> {
    let cache = root.parent().unwrap_or(root);
    std::fs::create_dir_all(cache).map_err(BuildError::io("create", cache))?;
    // Aside, so that neither an interruption nor a second build at the same
    // time leaves half a compiler behind.
    let aside = tempfile::Builder::new()
        .prefix(".debian-rust-")
        .tempdir_in(cache)
        .map_err(BuildError::io("create a directory in", cache))?;
    let (archives, unpacked) = (aside.path().join("archives"), aside.path().join("root"));
    std::fs::create_dir(&archives).map_err(BuildError::io("create", &archives))?;
    progress(&format!(
        "downloading {} from Debian, 100 MB",
        packages.join(", ")
    ));
    let mut download = Command::new("apt-get");
    download
        .arg("download")
        .args(packages)
        .current_dir(&archives);
    run(&mut download).await?;
    for archive in archives
        .read_dir()
        .map_err(BuildError::io("read", &archives))?
    {
        let archive = archive.map_err(BuildError::io("read", &archives))?.path();
        run(Command::new("dpkg").arg("-x").arg(&archive).arg(&unpacked)).await?;
    }
    match std::fs::rename(&unpacked, root) {
        // Another build was faster.
        Err(_) if root.is_dir() => Ok(()),
        renamed => Ok(renamed.map_err(BuildError::io("create", root))?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_libraries_are_those_of_the_highest_version() {
        let known = "libstd-rust-web-1.85\nlibstd-rust-web-dev\nlibstd-rust-web-1.100\nlibstd-rust-web-1.96\n";
        assert_eq!(newest(known).as_deref(), Some("libstd-rust-web-1.100"));
        assert_eq!(
            newest("libstd-rust-web-dev\nlibstd-rust-web-dev-bpf\n"),
            None
        );
        assert_eq!(newest(""), None);
    }

    #[test]
    fn llvm_is_the_one_that_the_compiler_depends_on() {
        let depends = "libstd-rust-web-1.96\n  Depends: libc6\n  Depends: libllvm22\n  Conflicts: libllvm19\n";
        assert_eq!(dependency(depends, "libllvm").as_deref(), Some("libllvm22"));
        assert_eq!(
            dependency("libstd\n  Conflicts: libllvm19\n", "libllvm"),
            None
        );
    }
}
