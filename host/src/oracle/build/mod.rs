//! From an oracle's crate to a component: set up the target, build, encode.

mod debian;
mod target;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use wit_component::ComponentEncoder;

use crate::flow::Digest;

use self::target::Toolchain;

const TARGET: &str = "wasm32-unknown-unknown";

/// A component that was built.
#[derive(Debug)]
pub struct Built {
    /// `<out>/<package>.wasm`
    pub path: PathBuf,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{0} is no crate: it has no Cargo.toml; name the directory of the oracle's crate")]
    NoCrate(PathBuf),
    #[error("start {program}: {source}; is it installed?")]
    NotStarted {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{what} failed:\n{output}")]
    Failed { what: String, output: String },
    #[error("{0}")]
    NoTarget(String),
    #[error(
        "the crate {0} makes no cdylib; its Cargo.toml needs [lib] crate-type = [\"cdylib\", \"rlib\"]"
    )]
    NoCdylib(PathBuf),
    #[error("make a component of {path}: {error}; does the crate use floodgate-oracle's oracle! macro?")]
    NotEncoded { path: PathBuf, error: String },
    #[error("write {path}: {source}")]
    NotWritten {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Builds the crate in `crate_dir` and puts the component into `out_dir`, at
/// once and whole, so that a watcher never sees half a file.
pub async fn build(
    crate_dir: &Path,
    out_dir: &Path,
    progress: impl Fn(&str),
) -> Result<Built, BuildError> {
    let crate_dir = crate_dir
        .canonicalize()
        .ok()
        .filter(|dir| dir.join("Cargo.toml").is_file())
        .ok_or_else(|| BuildError::NoCrate(crate_dir.to_owned()))?;
    let toolchain = target::set_up(&progress).await?;
    let core = compile(&toolchain, &crate_dir, &progress).await?;
    let module = read(&core.path)?;
    let component = encode(&module).map_err(|error| BuildError::NotEncoded {
        path: core.path.clone(),
        error: format!("{error:#}"),
    })?;
    let path = out_dir.join(format!("{}.wasm", core.package));
    write_whole(&path, &component).map_err(|source| BuildError::NotWritten {
        path: path.clone(),
        source,
    })?;
    Ok(Built {
        path,
        digest: Digest::of(&component),
        size: component.len() as u64,
    })
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)?
        .encode()
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut file = tempfile::Builder::new().prefix(".building-").tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    // Temporary files are private; a component is to be read by the host's user.
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|source| BuildError::Failed {
        what: format!("read {}", path.display()),
        output: source.to_string(),
    })
}

/// The core module that cargo made.
struct Core {
    package: String,
    path: PathBuf,
}

/// A line of `cargo build --message-format=json`, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<MessageTarget>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct MessageTarget {
    crate_types: Vec<String>,
}

async fn compile(
    toolchain: &Toolchain,
    crate_dir: &Path,
    progress: &impl Fn(&str),
) -> Result<Core, BuildError> {
    let manifest = crate_dir.join("Cargo.toml");
    progress(&format!("building {}", crate_dir.display()));
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(&manifest)
        .current_dir(crate_dir)
        .stdout(Stdio::piped())
        .env("RUSTFLAGS", remapped(crate_dir));
    toolchain.apply(&mut cargo);
    let mut child = cargo.spawn().map_err(|source| BuildError::NotStarted {
        program: "cargo".to_owned(),
        source,
    })?;
    let mut core = None;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            core = core_of(&line, &manifest).or(core);
        }
    }
    let status = child.wait().await;
    if !status.is_ok_and(|status| status.success()) {
        return Err(BuildError::Failed {
            what: format!("cargo build of {}", crate_dir.display()),
            output: "see cargo's messages above".to_owned(),
        });
    }
    core.ok_or_else(|| BuildError::NoCdylib(crate_dir.to_owned()))
}

fn core_of(line: &str, manifest: &Path) -> Option<Core> {
    let message: Message = serde_json::from_str(line).ok()?;
    let cdylib = message.target?.crate_types.iter().any(|t| t == "cdylib");
    if message.reason != "compiler-artifact"
        || message.manifest_path.as_deref() != Some(manifest)
        || !cdylib
    {
        return None;
    }
    let mut files = message.filenames.into_iter();
    let path = files.find(|file| file.extension().is_some_and(|e| e == "wasm"))?;
    Some(Core {
        package: package_name(manifest)?,
        path,
    })
}

fn package_name(manifest: &Path) -> Option<String> {
    let manifest: toml::Table = std::fs::read_to_string(manifest).ok()?.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

/// Paths of this machine leave no trace, so that the same source makes the
/// same component everywhere.
fn remapped(crate_dir: &Path) -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    let cargo_home = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    let workspace = crate_dir.parent().unwrap_or(crate_dir).display();
    let mut flags = String::new();
    // Later ones take precedence: the longest prefix stands last.
    for (from, to) in [
        (home.as_str(), "/home"),
        (cargo_home.as_str(), "/cargo"),
        (&workspace.to_string(), "/plugins"),
    ] {
        if !from.is_empty() && !from.contains(' ') {
            flags.push_str(&format!("--remap-path-prefix={from}={to} "));
        }
    }
    flags.trim_end().to_owned()
}
