//! Compiled components on disk, so that a restart does not compile again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::flow::Digest;
use crate::whole_file;

/// A directory that belongs to this user alone. Compiled code is run as it
/// is, so whoever can write here can run code as this process.
pub(super) struct Cache {
    dir: PathBuf,
    /// Of the compiler's version and settings and this machine's features.
    engine: u64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("others could write to it: it must belong to this user, with mode 0700")]
    NotOurs,
}

/// SHA-256 of the compiled code, behind it in the file.
const SEAL: usize = 64;

impl Cache {
    pub(super) fn open(dir: &Path, engine: &Engine) -> Result<Self, CacheError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        let found = std::fs::symlink_metadata(dir)?;
        let ours = tempfile::tempfile_in(dir)?.metadata()?.uid();
        if !found.is_dir() || found.uid() != ours || found.mode() & 0o022 != 0 {
            return Err(CacheError::NotOurs);
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            dir: dir.to_owned(),
            engine: hasher.finish(),
        })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir
            .join(format!("{digest}-{:016x}.cwasm", self.engine))
    }

    /// `None` where it is not there, damaged or not ours: it is compiled then.
    pub(super) fn get(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let path = self.path(digest);
        let file = std::fs::read(&path).ok()?;
        let Some(code) = unsealed(&file) else {
            warn!(path = %path.display(), "compiled component damaged, compiling it again");
            return None;
        };
        #[allow(
            unsafe_code,
            reason = "deserialize runs what it is given; the code was written by put(), into a directory \
                      that only this user can write to, and its seal proves that nothing happened to it since"
        )]
        let component = unsafe { Component::deserialize(engine, code) };
        component
            .inspect_err(|error| {
                warn!(path = %path.display(), error = format!("{error:#}"), "compiled component not usable, compiling it again");
            })
            .ok()
    }

    /// A cache that cannot be written to costs time, nothing else.
    pub(super) fn put(&self, digest: Digest, component: &Component) {
        let path = self.path(digest);
        match write(&path, component) {
            Ok(()) => debug!(path = %path.display(), "component compiled and cached"),
            Err(error) => {
                warn!(path = %path.display(), error = format!("{error:#}"), "compiled component not cached");
            }
        }
    }
}

fn write(path: &Path, component: &Component) -> wasmtime::Result<()> {
    let mut file = component.serialize()?;
    let seal = Digest::of(&file).to_string();
    file.extend_from_slice(seal.as_bytes());
    // The seal tells if the disk did not get all of it.
    whole_file::write_unsynced(path, 0o600, &file)?;
    Ok(())
}

fn unsealed(file: &[u8]) -> Option<&[u8]> {
    let (code, seal) = file.split_at_checked(file.len().checked_sub(SEAL)?)?;
    (Digest::of(code).to_string().as_bytes() == seal).then_some(code)
}
