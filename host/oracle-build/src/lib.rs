//! From an oracle's crate to a component: set up the target, build, encode.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cargo;
mod command;
mod debian;
mod sources;
mod target;
pub mod template;

use std::io;
use std::path::{Path, PathBuf};

use wit_component::ComponentEncoder;

use floodgate_flow::Digest;
use floodgate_process::whole_file;

pub use self::command::CommandError;
pub use self::sources::{Found, Sources};
pub use self::target::Attempt;

const TARGET: &str = "wasm32-unknown-unknown";

/// A component that lies where a host looks for it.
#[derive(Debug, serde::Serialize)]
pub struct Built {
    /// `<out>/<package>.wasm`
    pub path: PathBuf,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// A component that was built and lies nowhere yet.
pub struct Component {
    /// The package's.
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Component {
    /// Where it belongs in this directory.
    pub fn path_in(&self, out_dir: &Path) -> PathBuf {
        out_dir.join(format!("{}.wasm", self.name))
    }

    /// At once and whole, so that a watcher never sees half a file.
    ///
    /// # Errors
    /// Nothing was written then.
    pub fn put_into(&self, out_dir: &Path) -> Result<Built, BuildError> {
        let path = self.path_in(out_dir);
        // Whoever runs the host is to read it.
        std::fs::create_dir_all(out_dir)
            .and_then(|()| whole_file::write(&path, 0o644, &self.bytes))
            .map_err(BuildError::io("write", &path))?;
        Ok(Built {
            path,
            digest: Digest::of(&self.bytes),
            size: self.bytes.len() as u64,
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{0} has no package in its Cargo.toml; name the directory of the oracle's crate")]
    NoCrate(PathBuf),
    #[error("{0} makes no cdylib; its Cargo.toml needs [lib] crate-type = [\"cdylib\", \"rlib\"]")]
    NoCdylib(PathBuf),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("{0} built, but cargo named no artefact of it")]
    NoArtefact(PathBuf),
    #[error(
        "the Rust target {TARGET} is missing, and nothing could set it up:{}\n\
         Run `rustup target add {TARGET}` where rustup's server can be reached, or build on Debian \
         or a derivative of it, whose packages of Rust can stand in",
        .0.iter().map(|attempt| format!("\n- {attempt}")).collect::<String>()
    )]
    NoTarget(Vec<Attempt>),
    #[error(
        "make a component of {path}: {error}; does the crate use the macro oracle! of floodgate-oracle?"
    )]
    NotEncoded { path: PathBuf, error: String },
    #[error("{what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl BuildError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// Builds the crate in `crate_dir` and puts the component into `out_dir`, at
/// once and whole.
///
/// `progress` is told, line by line, what takes long.
///
/// # Errors
/// Nothing was written then; the message names the remedy.
pub async fn build(
    crate_dir: &Path,
    out_dir: &Path,
    progress: impl Fn(&str),
) -> Result<Built, BuildError> {
    make(crate_dir, progress).await?.put_into(out_dir)
}

/// Builds the crate in `crate_dir`; where it was built for other components,
/// what did not change is not built again.
///
/// # Errors
/// The message names the remedy.
pub async fn make(crate_dir: &Path, progress: impl Fn(&str)) -> Result<Component, BuildError> {
    let package = cargo::Package::find(crate_dir).await?;
    let toolchain = target::set_up(&package.dir, &progress).await?;
    let module_path = cargo::compile(&package, &toolchain, &progress).await?;
    let module = std::fs::read(&module_path).map_err(BuildError::io("read", &module_path))?;
    let bytes = encode(&module).map_err(|error| BuildError::NotEncoded {
        path: module_path,
        error: format!("{error:#}"),
    })?;
    Ok(Component {
        name: package.name,
        bytes,
    })
}

/// The interface is in a custom section that wit-bindgen left in the module.
fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (_, bindgen) = wit_component::metadata::decode(module)?;
    let world = &bindgen.resolve.worlds[bindgen.world];
    // Encoding goes well all the same: the component would have nothing to call.
    anyhow::ensure!(!world.exports.is_empty(), "it exports nothing");
    ComponentEncoder::default()
        .validate(true)
        .module(module)?
        .encode()
}
