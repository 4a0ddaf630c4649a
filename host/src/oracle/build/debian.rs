//! std for wasm32 from Debian's own packages of Rust. They conflict with
//! rustup's toolchain when installed, so they are only unpacked, into the
//! user's cache.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::BuildError;
use super::target::{linker, run};
use crate::settings::user_cache;

/// Debian's compiler and sources of std, unpacked.
pub(super) struct Rust {
    root: PathBuf,
    linker: PathBuf,
}

impl Rust {
    /// For one call of cargo only: the library path must not reach other programs.
    pub fn apply(&self, cargo: &mut Command) {
        let linker_variable = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";
        cargo
            .env("RUSTC", self.root.join("usr/bin/rustc"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("LD_LIBRARY_PATH", library_dir(&self.root))
            .env(linker_variable, &self.linker)
            .arg("-Zbuild-std=std,panic_abort")
            // Its artefacts are of another compiler than those next to them.
            .arg("--target-dir")
            .arg(user_cache("debian-rust-target"));
    }
}

fn library_dir(root: &Path) -> PathBuf {
    root.join("usr/lib")
        .join(format!("{}-linux-gnu", std::env::consts::ARCH))
}

pub(super) async fn set_up(sysroot: &Path, progress: &impl Fn(&str)) -> Result<Rust, BuildError> {
    let root = user_cache("debian-rust");
    let rust = Rust {
        linker: linker(sysroot),
        root: root.clone(),
    };
    if !rust.linker.is_file() {
        return Err(BuildError::NoTarget(format!(
            "{} is missing; rustup's toolchain has it",
            rust.linker.display()
        )));
    }
    if root.join("complete").is_file() {
        return Ok(rust);
    }
    let packages = match packages().await? {
        Some(packages) => packages,
        None => {
            progress("apt-get update");
            let mut update = Command::new("apt-get");
            update.arg("update");
            run(update).await?;
            packages().await?.ok_or_else(|| {
                BuildError::NoTarget("apt knows no package libstd-rust-web-<version>".to_owned())
            })?
        }
    };
    unpack(&root, &packages, progress).await?;
    Ok(rust)
}

/// What to unpack: the compiler, its libraries, std for build scripts, which
/// run on this machine, and std's sources.
async fn packages() -> Result<Option<Vec<String>>, BuildError> {
    let names = |output: Vec<u8>| -> Vec<String> {
        String::from_utf8_lossy(&output)
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    let mut search = Command::new("apt-cache");
    search.args(["pkgnames", "libstd-rust-web-"]);
    let libraries = names(run(search).await?.stdout);
    // The packages of one version each; the newest has the largest minor number.
    let minor = |name: &str| name.rsplit('.').next().and_then(|minor| minor.parse().ok());
    let Some(library) = libraries.into_iter().max_by_key(|name| minor(name).unwrap_or(0_u32))
    else {
        return Ok(None);
    };
    let mut depends = Command::new("apt-cache");
    depends.args(["depends", &library]);
    let depends = names(run(depends).await?.stdout);
    let llvm = depends.into_iter().find(|name| name.starts_with("libllvm"));
    let mut packages = ["rustc-web", "rust-web-src", "libstd-rust-web-dev"]
        .map(str::to_owned)
        .to_vec();
    packages.push(library);
    packages.extend(llvm);
    Ok(Some(packages))
}

async fn unpack(
    root: &Path,
    packages: &[String],
    progress: &impl Fn(&str),
) -> Result<(), BuildError> {
    let not_written = |source| BuildError::NotWritten {
        path: root.to_owned(),
        source,
    };
    // Left over from a set-up that was interrupted.
    if root.exists() {
        std::fs::remove_dir_all(root).map_err(not_written)?;
    }
    let downloads = root.join("downloads");
    std::fs::create_dir_all(&downloads).map_err(not_written)?;
    progress(&format!("downloading {} from Debian", packages.join(", ")));
    let mut download = Command::new("apt-get");
    download.arg("download").args(packages).current_dir(&downloads);
    run(download).await?;
    for file in std::fs::read_dir(&downloads).map_err(not_written)? {
        let file = file.map_err(not_written)?.path();
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("-x").arg(&file).arg(root);
        run(dpkg).await?;
    }
    std::fs::remove_dir_all(&downloads).map_err(not_written)?;
    std::fs::write(root.join("complete"), "").map_err(not_written)
}
