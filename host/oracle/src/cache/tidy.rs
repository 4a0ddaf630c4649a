//! Removes from the compile cache what nobody used for long, so that its
//! directory has an end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::{debug, warn};

use super::Kind;

/// What the directory may hold besides what is in use.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Since it was used last.
    age: Duration,
    bytes: u64,
    files: usize,
}

/// A Python component takes some 70 MB, one in Rust less than one.
pub(super) const BOUNDS: Bounds = Bounds {
    age: Duration::from_secs(30 * 24 * 3600),
    bytes: 1 << 30,
    files: 1000,
};

/// Whoever writes a file aside has renamed it by then, or ended.
const WRITTEN: Duration = Duration::from_secs(3600);

/// Keeps a file in the cache for as long as this value lives: a lock, which
/// ends with the process, however that ends. Other processes see it.
pub(crate) struct InUse(#[expect(dead_code, reason = "it holds the lock")] File);

impl InUse {
    /// `None` where it cannot be locked; it may go away then.
    pub fn of(file: File) -> Option<Self> {
        // It is used now: see `Found::used`. A file that is of no age costs
        // nothing but a compilation too many.
        file.set_modified(SystemTime::now()).ok();
        file.try_lock_shared().ok()?;
        Some(Self(file))
    }
}

struct Found {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// Removes what has not been used for too long, and then what has been used
/// the longest time ago until the rest is within `bounds`. Files that somebody
/// uses stay, and so does everything that is not of a cache.
pub(super) fn tidy(dir: &Path, bounds: Bounds) {
    let mut found = match files(dir) {
        Ok(found) => found,
        Err(error) => {
            warn!(dir = %dir.display(), %error, "compile cache not tidied");
            return;
        }
    };
    found.sort_by_key(|found| found.used);
    let mut bytes: u64 = found.iter().map(|found| found.bytes).sum();
    let mut files = found.len();
    let now = SystemTime::now();
    for found in found {
        let age = now.duration_since(found.used).unwrap_or_default();
        if age <= bounds.age && bytes <= bounds.bytes && files <= bounds.files {
            // All that follow were used later.
            break;
        }
        if remove(&found) {
            bytes -= found.bytes;
            files -= 1;
        }
    }
}

/// The files of this cache, of whatever version. Removes at once what was
/// written aside and never renamed.
fn files(dir: &Path) -> io::Result<Vec<Found>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_aside = name.starts_with(".writing-");
        if !is_aside && !is_named_as_ours(name) {
            continue;
        }
        // Another process may have removed it meanwhile.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let Ok(used) = metadata.modified() else {
            continue;
        };
        if !metadata.is_file() {
            continue;
        }
        let found = Found {
            path: entry.path(),
            bytes: metadata.len(),
            used,
        };
        if !is_aside {
            files.push(found);
        } else if used.elapsed().is_ok_and(|age| age > WRITTEN) {
            remove(&found);
        }
    }
    Ok(files)
}

/// As [`super::Cache::path`] names them.
fn is_named_as_ours(name: &str) -> bool {
    let Some((stem, kind)) = name.rsplit_once('.') else {
        return false;
    };
    let is_hex = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
    let parts = stem.split_once('-');
    let of_digest = parts.is_some_and(|(digest, engine)| is_hex(digest, 64) && is_hex(engine, 16));
    of_digest
        && [Kind::Code, Kind::Failed]
            .map(Kind::extension)
            .contains(&kind)
}

/// Whether it is gone: not where somebody uses it, or it cannot be removed.
fn remove(found: &Found) -> bool {
    let Ok(file) = File::open(&found.path) else {
        return true;
    };
    if file.try_lock().is_err() {
        return false;
    }
    match std::fs::remove_file(&found.path) {
        Ok(()) => debug!(path = %found.path.display(), "removed from the cache"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            warn!(path = %found.path.display(), %error, "not removed from the cache");
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const ROOMY: Bounds = Bounds {
        age: Duration::from_secs(3600),
        bytes: 1 << 20,
        files: 100,
    };

    fn name(number: u8, kind: Kind) -> String {
        format!("{:064x}-{:016x}.{}", number, 7, kind.extension())
    }

    /// A file of a thousand bytes that was used so many minutes ago.
    fn put(dir: &Path, name: &str, minutes: u64) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, [0; 1000]).unwrap();
        let used = SystemTime::now() - Duration::from_secs(60 * minutes);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(used).unwrap();
        path
    }

    /// Those of ten files, used one minute after another, that are left.
    fn left(bounds: Bounds, in_use: &[u8]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..10)
            .map(|number| {
                put(
                    dir.path(),
                    &name(number, Kind::Code),
                    10 - u64::from(number),
                )
            })
            .collect();
        let used = in_use.iter().map(|number| {
            let file = File::open(&paths[usize::from(*number)]).unwrap();
            file.try_lock_shared().unwrap();
            file
        });
        let _used: Vec<_> = used.collect();
        tidy(dir.path(), bounds);
        let is_left = |number: &u8| paths[usize::from(*number)].exists();
        (0..10).filter(is_left).collect()
    }

    #[test]
    fn what_was_used_the_longest_time_ago_goes_first() {
        assert_eq!(left(ROOMY, &[]), Vec::from_iter(0..10));
        let few = Bounds { files: 3, ..ROOMY };
        assert_eq!(left(few, &[]), [7, 8, 9]);
        let small = Bounds {
            bytes: 4_999,
            ..ROOMY
        };
        assert_eq!(left(small, &[]), [6, 7, 8, 9]);
        let young = Bounds {
            age: Duration::from_secs(150),
            ..ROOMY
        };
        assert_eq!(left(young, &[]), [8, 9]);
    }

    #[test]
    fn what_is_in_use_stays_whatever_its_age() {
        let few = Bounds { files: 3, ..ROOMY };
        assert_eq!(left(few, &[0, 4]), [0, 4, 9]);
        let none = Bounds {
            age: Duration::ZERO,
            ..ROOMY
        };
        assert_eq!(left(none, &[2]), [2]);
    }

    #[test]
    fn whoever_takes_a_file_uses_it_now_until_that_value_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = put(dir.path(), &name(1, Kind::Code), 1_000_000);
        let in_use = InUse::of(File::open(&path).unwrap()).unwrap();
        let again = InUse::of(File::open(&path).unwrap()).unwrap();
        let none = Bounds { files: 0, ..ROOMY };
        tidy(dir.path(), none);
        drop(in_use);
        tidy(dir.path(), none);
        assert!(path.exists(), "by one of two");
        drop(again);
        tidy(dir.path(), ROOMY);
        assert!(path.exists(), "it was used just now");
        tidy(dir.path(), none);
        assert!(!path.exists());
    }

    #[test]
    fn what_another_process_uses_stays_until_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = put(dir.path(), &name(1, Kind::Code), 1);
        let held = File::open(&path).unwrap();
        held.try_lock_shared().unwrap();
        // The lock belongs to the open file, which the other process inherits.
        let mut other = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(held))
            .spawn()
            .unwrap();
        let none = Bounds { files: 0, ..ROOMY };
        tidy(dir.path(), none);
        assert!(path.exists());
        other.kill().unwrap();
        other.wait().unwrap();
        tidy(dir.path(), none);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_of_no_cache_stays_and_what_was_never_renamed_goes() {
        let dir = tempfile::tempdir().unwrap();
        let none = Bounds { files: 0, ..ROOMY };
        let strange = ["key", "notes.cwasm", "README.md", &"a".repeat(64)];
        let strange = strange.map(|name| put(dir.path(), name, 1_000_000));
        let (failed, of_now, of_once) = (
            put(dir.path(), &name(1, Kind::Failed), 0),
            put(dir.path(), ".writing-a", 5),
            put(dir.path(), ".writing-b", 61),
        );
        tidy(dir.path(), none);
        assert!(strange.iter().all(|path| path.exists()));
        assert!(of_now.exists() && !of_once.exists() && !failed.exists());
    }
}
