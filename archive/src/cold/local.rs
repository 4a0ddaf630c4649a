//! Files in a directory that are there whole or not at all, when the machine
//! crashes, too: object_store waits for no disk.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// A file that is being written, under another name.
pub(super) struct Aside {
    file: File,
    aside: PathBuf,
    path: PathBuf,
}

impl Aside {
    /// Makes directories below `root`, not `root` itself: where that is missing,
    /// a disk is not mounted.
    pub fn create(root: &Path, path: &Path) -> io::Result<Self> {
        make_directories(root, path)?;
        let aside = aside(path);
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)?;
        Ok(Self {
            file,
            aside,
            path: path.to_owned(),
        })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// `false` where something has its name; then nothing is left of it.
    pub fn finish(self) -> io::Result<bool> {
        self.file.sync_all()?;
        match rename_to_nothing(&self.aside, &self.path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&self.aside)?;
                Ok(false)
            }
            renamed => {
                renamed?;
                sync(parent(&self.path))?;
                Ok(true)
            }
        }
    }
}

/// With a dot, so that whoever reads a directory of files leaves it out.
fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    path.with_file_name(name)
}

/// Replaces nothing.
fn rename_to_nothing(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows how to: NFS does not.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

/// Nothing under either name afterwards, and no empty directory; it may have
/// been so before.
pub(super) fn remove(root: &Path, path: &Path) -> io::Result<()> {
    for file in [path, aside(path).as_path()] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if !root.is_dir() {
        let what = format!("{} is not there", root.display());
        return Err(io::Error::new(ErrorKind::NotFound, what));
    }
    // Whoever removes something wants it gone after a crash, too.
    let mut directory = parent(path);
    while directory != root && directory.starts_with(root) {
        if directory.is_dir() {
            sync(directory)?;
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
        directory = parent(directory);
    }
    Ok(())
}

fn make_directories(root: &Path, path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut directory = parent(path);
    while directory != root && !directory.is_dir() {
        missing.push(directory);
        directory = parent(directory);
    }
    for directory in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => sync(parent(directory))?,
        }
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// The names in it.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("events/day=2026-01-02/1.parquet");
        let mut aside = Aside::create(root.path(), &path).unwrap();
        aside.write(b"whole").unwrap();
        let names = fs::read_dir(path.parent().unwrap()).unwrap();
        let names: Vec<_> = names.map(|found| found.unwrap().file_name()).collect();
        assert_eq!(names, [".1.parquet.part"]);
        assert!(aside.finish().unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn what_has_the_name_already_stays() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("1.parquet");
        fs::write(&path, b"first").unwrap();
        let mut aside = Aside::create(root.path(), &path).unwrap();
        aside.write(b"second").unwrap();
        assert!(!aside.finish().unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_removed_leaves_nothing_and_may_be_removed_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("events/day=2026-01-02/1.parquet");
        let other = root.path().join("events/day=2026-01-02/2.parquet");
        Aside::create(root.path(), &path).unwrap().finish().unwrap();
        drop(Aside::create(root.path(), &other).unwrap());
        remove(root.path(), &path).unwrap();
        assert!(!path.exists() && path.parent().unwrap().exists());
        for _ in 0..2 {
            remove(root.path(), &other).unwrap();
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_root_that_is_not_there_is_not_made() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("mounted");
        let path = missing.join("events/1.parquet");
        assert!(Aside::create(&missing, &path).is_err());
        assert!(remove(&missing, &path).is_err());
        assert!(!missing.exists());
    }
}
