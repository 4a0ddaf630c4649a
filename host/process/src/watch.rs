//! Noticing that somebody else writes to a directory.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;
use tracing::warn;

/// Between the two looks at a file that must find the same. Longer than the
/// pauses of a copy, short against the second within which a drop counts.
pub const SETTLE: Duration = Duration::from_millis(120);

/// Everything that changes when a file is written or replaced, even by a copy
/// that sets size and time to what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub len: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub fn of(found: &Metadata) -> Self {
        Self {
            len: found.len(),
            inode: found.ino(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// When it was written or put there, whatever time a copy gave it.
    pub fn written(&self) -> SystemTime {
        let (seconds, nanoseconds) = self.changed;
        let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let rest = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default());
        SystemTime::UNIX_EPOCH + seconds + rest
    }
}

/// Tells of changes in a directory, for as long as the watcher lives. `None`
/// where the system cannot: then polling has to do.
pub fn stirs(dir: &Path) -> (Option<RecommendedWatcher>, watch::Receiver<()>) {
    stirs_in([dir])
}

/// Tells of changes in several directories.
pub fn stirs_in<'d>(
    dirs: impl IntoIterator<Item = &'d Path>,
) -> (Option<RecommendedWatcher>, watch::Receiver<()>) {
    let dirs: Vec<&Path> = dirs.into_iter().collect();
    let (sender, receiver) = watch::channel(());
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Our own reading is an event, too.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            sender.send_replace(());
        }
    })
    .and_then(|mut watcher| {
        for dir in &dirs {
            watcher.watch(dir, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    match watcher {
        Ok(watcher) => (Some(watcher), receiver),
        Err(error) => {
            warn!(?dirs, %error, "no change notifications, they are only polled");
            (None, receiver)
        }
    }
}
