//! Compiled components on disk, so that a restart does not compile again.

mod tidy;

use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

pub(super) use self::tidy::InUse;
use floodgate_flow::Digest;
use floodgate_process::whole_file;

/// A directory that belongs to this user alone. Compiled code is run as it
/// is, so whoever can write here can run code as this process. Each file ends
/// with a seal of a key that never leaves this host: one that came from
/// elsewhere, or stands under another name, is not taken. What nobody used for
/// long is removed; several processes may share a directory.
pub(super) struct Cache {
    dir: PathBuf,
    /// Of the compiler's version and settings and this machine's features.
    engine: u64,
    uid: u32,
    key: [u8; 32],
}

#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("others could write to it: it must belong to this user, with mode 0700")]
    NotOurs,
}

/// What a file of the cache holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Code,
    /// Why it could not be compiled.
    Failed,
}

/// Bytes of the seal, behind the content.
const SEAL: usize = 32;
const KEY_FILE: &str = "key";
/// Bytes of the largest file that is read.
const MAX_FILE: u64 = 4 << 30;

impl Cache {
    pub(super) fn open(dir: &Path, engine: &Engine) -> Result<Self, CacheError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let found = std::fs::symlink_metadata(dir)?;
        let uid = tempfile::tempfile_in(dir)?.metadata()?.uid();
        if !found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0 {
            return Err(CacheError::NotOurs);
        }
        tidy::tidy(dir, tidy::BOUNDS);
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            key: key(dir, uid)?,
            dir: dir.to_owned(),
            engine: hasher.finish(),
            uid,
        })
    }

    fn path(&self, kind: Kind, digest: Digest) -> PathBuf {
        let (engine, kind) = (self.engine, kind.extension());
        self.dir.join(format!("{digest}-{engine:016x}.{kind}"))
    }

    /// Returns what [`Cache::put`] kept; `None` where it is not there, damaged
    /// or not written by this host: it is made again then.
    pub(super) fn get(&self, kind: Kind, digest: Digest) -> Option<Vec<u8>> {
        self.read(kind, digest).map(|(content, _)| content)
    }

    /// Returns code, which stays in the cache for as long as it is in use.
    pub(super) fn get_code(&self, digest: Digest) -> Option<(Vec<u8>, Option<InUse>)> {
        let (code, file) = self.read(Kind::Code, digest)?;
        Some((code, InUse::of(file)))
    }

    fn read(&self, kind: Kind, digest: Digest) -> Option<(Vec<u8>, File)> {
        let path = self.path(kind, digest);
        let (mut file, opened) = ours(&path, self.uid).ok()?;
        let content = file.len().checked_sub(SEAL);
        let whole =
            content.is_some_and(|len| self.seal(kind, digest, &file[..len])[..] == file[len..]);
        if !whole {
            warn!(path = %path.display(), "cached file damaged or not of this host, making it again");
            return None;
        }
        file.truncate(content?);
        Some((file, opened))
    }

    /// Keeps code, and has it stay for as long as it is in use.
    pub(super) fn put_code(&self, digest: Digest, code: &[u8]) -> Option<InUse> {
        self.put(Kind::Code, digest, code);
        let file = File::open(self.path(Kind::Code, digest)).ok();
        let in_use = file.and_then(InUse::of);
        tidy::tidy(&self.dir, tidy::BOUNDS);
        in_use
    }

    /// A cache that cannot be written to costs time, nothing else.
    pub(super) fn put(&self, kind: Kind, digest: Digest, content: &[u8]) {
        let path = self.path(kind, digest);
        let seal = self.seal(kind, digest, content);
        // The seal tells if the disk did not get all of it.
        match whole_file::write_unsynced(&path, 0o600, &[content, &seal].concat()) {
            Ok(()) => debug!(path = %path.display(), "cached"),
            Err(error) => warn!(path = %path.display(), %error, "not cached"),
        }
    }

    /// Hashes the key twice, so that nobody can append to what was sealed.
    fn seal(&self, kind: Kind, digest: Digest, content: &[u8]) -> [u8; SEAL] {
        let inner = Sha256::new()
            .chain_update(self.key)
            .chain_update(kind.extension())
            .chain_update(format!("-{digest}-{:016x}-", self.engine))
            .chain_update(content)
            .finalize();
        let outer = Sha256::new().chain_update(self.key).chain_update(inner);
        outer.finalize().into()
    }
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Self::Code => "cwasm",
            Self::Failed => "failed",
        }
    }
}

/// The key of this directory, made with it. A directory that was copied to
/// another machine has another one there.
fn key(dir: &Path, uid: u32) -> io::Result<[u8; 32]> {
    let path = dir.join(KEY_FILE);
    let known = || {
        let (secret, _) = ours(&path, uid).ok()?;
        Some(secret).filter(|secret| secret.len() == 32)
    };
    let secret = match known() {
        Some(secret) => secret,
        None => {
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            file.write_all(&rand::random::<[u8; 32]>())?;
            // Of two processes that make one at the same time, the first counts.
            file.persist_noclobber(&path).ok();
            known().ok_or_else(|| {
                io::Error::other(format!("{KEY_FILE} in it is not ours: remove it"))
            })?
        }
    };
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    let key = Sha256::new().chain_update(secret).chain_update(machine);
    Ok(key.finalize().into())
}

/// Reads a regular file that belongs to this user and that nobody else may
/// write to.
fn ours(path: &Path, uid: u32) -> io::Result<(Vec<u8>, File)> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.uid() != uid || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("not ours"));
    }
    let mut bytes = Vec::new();
    (&file).take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok((bytes, file))
}

/// Makes a component of code that this program compiled.
pub(super) fn code(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    #[allow(
        unsafe_code,
        reason = "deserialize runs what it is given; the code comes from this program's own compiler, right \
                  now or by way of the cache, whose seal proves that this host wrote it and that nothing \
                  happened to it since"
    )]
    unsafe {
        Component::deserialize(engine, code)
    }
}
