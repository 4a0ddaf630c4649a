//! What cargo is asked, and what it is told.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use super::command::{CommandError, run};
use super::target::Toolchain;
use super::{BuildError, TARGET};

/// The crate to build, as cargo sees it.
pub(super) struct Package {
    pub name: String,
    pub dir: PathBuf,
    /// Of the crates that it names by path.
    pub path_dependencies: Vec<PathBuf>,
    pub target_dir: PathBuf,
    pub workspace: PathBuf,
    manifest: PathBuf,
}

/// `cargo metadata`, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

impl Target {
    fn is_cdylib(&self) -> bool {
        self.crate_types.iter().any(|kind| kind == "cdylib")
    }
}

impl Package {
    pub async fn find(crate_dir: &Path) -> Result<Self, BuildError> {
        let no_crate = || BuildError::NoCrate(crate_dir.to_owned());
        // Cargo's answers have no symbolic links either, and are compared with it.
        let dir = crate_dir.canonicalize().map_err(|_| no_crate())?;
        let manifest = dir.join("Cargo.toml");
        if !manifest.is_file() {
            return Err(no_crate());
        }
        let mut metadata = Command::new("cargo");
        metadata
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .arg("--manifest-path")
            .arg(&manifest)
            .current_dir(&dir);
        let metadata: Metadata =
            serde_json::from_str(&run(&mut metadata).await?).map_err(|_| no_crate())?;
        let package = metadata
            .packages
            .into_iter()
            .find(|package| package.manifest_path == manifest)
            .ok_or_else(no_crate)?;
        if !package.targets.iter().any(Target::is_cdylib) {
            return Err(BuildError::NoCdylib(dir));
        }
        let paths = package.dependencies.into_iter();
        Ok(Self {
            name: package.name,
            dir,
            path_dependencies: paths.filter_map(|dependency| dependency.path).collect(),
            manifest,
            workspace: metadata.workspace_root,
            target_dir: metadata.target_directory,
        })
    }

    /// Paths of this machine and what stands in their place, so that the same
    /// source makes the same component everywhere. Of two that fit, rustc
    /// takes the later one.
    fn remapped(&self) -> Vec<(PathBuf, &'static str)> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let cargo = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| home.as_ref().map(|home| home.join(".cargo")));
        // One directory per registry, with a hash of its address in the name.
        let registries = cargo
            .iter()
            .filter_map(|cargo| cargo.join("registry/src").read_dir().ok())
            .flatten()
            .filter_map(|registry| Some((registry.ok()?.path(), "/registry")));
        let mut paths: Vec<_> = home.map(|home| (home, "/home")).into_iter().collect();
        paths.extend(cargo.clone().map(|cargo| (cargo, "/cargo")));
        paths.extend(registries);
        paths.push((self.workspace.clone(), "/workspace"));
        paths.push((self.target_dir.clone(), "/target"));
        paths
    }
}

/// The core module that cargo makes of the package.
pub(super) async fn compile(
    package: &Package,
    toolchain: &Toolchain,
    progress: &impl Fn(&str),
) -> Result<PathBuf, BuildError> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--lib", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(&package.manifest)
        .current_dir(&package.dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&package.remapped()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    toolchain.apply(&mut cargo, &package.target_dir);

    let mut child = cargo.spawn().map_err(CommandError::not_started(&cargo))?;
    let mut module = None;
    let mut said = String::new();
    let messages = each_line(child.stdout.take(), |line| {
        module = artefact(line, &package.manifest).or(module.take());
    });
    let diagnostics = each_line(child.stderr.take(), |line| {
        // The state of the build for whoever waits; the rest is for whoever
        // has to mend it.
        match line.trim_start() {
            state if state.starts_with("Compiling ") => progress(state),
            _ => said.extend([line, "\n"]),
        }
    });
    let (status, (), ()) = tokio::join!(child.wait(), messages, diagnostics);
    let status = status.map_err(CommandError::not_started(&cargo))?;
    if !status.success() {
        return Err(CommandError::failed(&cargo, status, &said).into());
    }
    module.ok_or_else(|| BuildError::NoArtefact(package.dir.clone()))
}

/// Separated by 0x1f, so that paths may have spaces.
fn rustflags(remapped: &[(PathBuf, &str)]) -> OsString {
    let mut flags = OsString::new();
    for (from, to) in remapped {
        if !flags.is_empty() {
            flags.push("\x1f");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

async fn each_line(output: Option<impl AsyncRead + Unpin>, mut f: impl FnMut(&str)) {
    let Some(output) = output else { return };
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        f(&line);
    }
}

/// A line of `--message-format=json`, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: PathBuf,
    target: Target,
    filenames: Vec<PathBuf>,
}

fn artefact(line: &str, manifest: &Path) -> Option<PathBuf> {
    let message: Message = serde_json::from_str(line).ok()?;
    let ours = message.reason == "compiler-artifact"
        && message.manifest_path == manifest
        && message.target.is_cdylib();
    let mut files = message.filenames.into_iter().filter(|_| ours);
    files.find(|file| {
        file.extension()
            .is_some_and(|extension| extension == "wasm")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_artefact_is_the_module_of_the_crate_itself() {
        let line = |manifest: &str, kind: &str| {
            serde_json::json!({
                "reason": "compiler-artifact",
                "manifest_path": manifest,
                "target": {"crate_types": [kind, "rlib"], "name": "my_oracle"},
                "filenames": ["/t/libmy_oracle.rlib", "/t/my_oracle.wasm"],
            })
            .to_string()
        };
        let manifest = Path::new("/o/Cargo.toml");
        let module = Some(PathBuf::from("/t/my_oracle.wasm"));
        assert_eq!(artefact(&line("/o/Cargo.toml", "cdylib"), manifest), module);
        assert_eq!(artefact(&line("/dep/Cargo.toml", "cdylib"), manifest), None);
        assert_eq!(artefact(&line("/o/Cargo.toml", "lib"), manifest), None);
        let finished = r#"{"reason": "build-finished", "success": true}"#;
        assert_eq!(artefact(finished, manifest), None);
    }

    #[test]
    fn paths_with_spaces_stay_one_flag() {
        let flags = rustflags(&[("/my home".into(), "/home"), ("/src".into(), "/workspace")]);
        assert_eq!(
            flags.to_string_lossy().split('\x1f').collect::<Vec<_>>(),
            [
                "--remap-path-prefix=/my home=/home",
                "--remap-path-prefix=/src=/workspace"
            ]
        );
    }
}
