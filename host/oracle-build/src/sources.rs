//! What a crate is built from, and whether it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use walkdir::{DirEntry, WalkDir};

use super::BuildError;
use super::cargo::Package;
use floodgate_process::watch::{SETTLE, Stamp, stirs_in};

/// How often the files are looked at even if nothing is heard of them.
const POLL: Duration = Duration::from_secs(1);

/// The files of a crate, and of the crates that it names by path.
pub struct Sources {
    roots: Vec<PathBuf>,
    left_out: Vec<PathBuf>,
}

/// What the sources were at one moment.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    stamps: BTreeMap<PathBuf, Stamp>,
    dirs: BTreeSet<PathBuf>,
}

impl Sources {
    /// # Errors
    /// Where there is no crate of an oracle.
    pub async fn find(crate_dir: &Path) -> Result<Self, BuildError> {
        let package = Package::find(crate_dir).await?;
        let mut roots = vec![package.dir];
        roots.extend(package.path_dependencies);
        // The profile is there, and what it says for all its members.
        roots.push(package.workspace.join("Cargo.toml"));
        Ok(Self {
            roots,
            left_out: vec![package.target_dir],
        })
    }

    /// Looks at this, too.
    pub fn add(&mut self, path: &Path) {
        self.roots.push(path.to_owned());
    }

    /// Looks at a directory no more, which may be one of the crate's.
    pub fn leave_out(&mut self, dir: &Path) {
        self.left_out.extend(dir.canonicalize());
    }

    pub fn look(&self) -> Found {
        let mut found = Found {
            stamps: BTreeMap::new(),
            dirs: BTreeSet::new(),
        };
        for root in &self.roots {
            let walk = WalkDir::new(root).into_iter();
            for file in walk.filter_entry(|file| self.counts(file)).flatten() {
                match file.metadata() {
                    Ok(what) if what.is_file() => {
                        found.stamps.insert(file.into_path(), Stamp::of(&what));
                    }
                    Ok(what) if what.is_dir() => {
                        found.dirs.insert(file.into_path());
                    }
                    // Gone meanwhile, or nothing that is built from.
                    _ => {}
                }
            }
        }
        found
    }

    /// Not those that editors, git and cargo write for themselves.
    fn counts(&self, file: &DirEntry) -> bool {
        let name = file.file_name().to_string_lossy();
        let theirs = name.starts_with('.') || name.ends_with('~') || name == "Cargo.lock";
        let is_root = file.depth() == 0;
        (is_root || !theirs) && !self.left_out.iter().any(|path| path == file.path())
    }

    /// Waits until they are other than `before`, and nobody writes any more.
    pub async fn changed(&self, before: &Found) {
        let mut polls = tokio::time::interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (_watcher, mut stirred) = stirs_in(before.dirs.iter().map(PathBuf::as_path));
        loop {
            let found = self.look();
            if found != *before {
                tokio::time::sleep(SETTLE).await;
                if self.look() == found {
                    return;
                }
                continue;
            }
            tokio::select! {
                _ = polls.tick() => {}
                Ok(()) = stirred.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sources(dir: &Path) -> Sources {
        Sources {
            roots: vec![dir.to_owned()],
            left_out: vec![dir.join("target")],
        }
    }

    #[tokio::test]
    async fn a_save_counts_wherever_it_is_made_and_however() {
        let dir = tempfile::tempdir().unwrap();
        let sources = sources(dir.path());
        let mut before = sources.look();
        let lib = dir.path().join("src/lib.rs");
        let changes: [&dyn Fn(); 4] = [
            &|| fs::create_dir(dir.path().join("src")).unwrap(),
            &|| fs::write(&lib, "one").unwrap(),
            &|| {
                let aside = dir.path().join(".lib.rs.swp");
                fs::write(&aside, "two").unwrap();
                fs::rename(aside, &lib).unwrap();
            },
            &|| fs::remove_file(&lib).unwrap(),
        ];
        for change in changes {
            let waiting = tokio::time::timeout(Duration::from_secs(10), async {
                let changed = sources.changed(&before);
                tokio::pin!(changed);
                assert!(futures_util::poll!(changed.as_mut()).is_pending());
                change();
                changed.await;
            });
            waiting.await.unwrap();
            before = sources.look();
        }
    }

    #[test]
    fn what_cargo_and_editors_write_for_themselves_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let sources = sources(dir.path());
        fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        let before = sources.look();
        fs::create_dir(dir.path().join("target")).unwrap();
        for file in ["target/a.rs", "Cargo.lock", ".lib.rs.swp", "lib.rs~"] {
            fs::write(dir.path().join(file), "").unwrap();
            assert!(sources.look() == before, "{file}");
        }
        fs::write(dir.path().join("Cargo.toml"), "more").unwrap();
        assert!(sources.look() != before);
    }
}
