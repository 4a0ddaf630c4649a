//! Looking at files that others write.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use super::component::MAX_COMPONENT;
use floodgate_flow::Digest;
use floodgate_process::watch::{SETTLE, Stamp};

/// What was found under a name.
pub(super) enum Look {
    /// Nothing changed since the last look.
    Same,
    Gone,
    TooLarge(u64),
    Unreadable(io::Error),
    /// New content, and nobody is writing to it any more.
    Settled(Dropped),
}

/// A file that was put into the directory.
pub(super) struct Dropped {
    pub digest: Digest,
    pub bytes: Bytes,
    /// When that was.
    pub at: SystemTime,
}

/// Looks at a file until it stands still. `seen` is what the last look found.
pub(super) async fn look(path: &Path, seen: &mut Option<Stamp>) -> Look {
    match settled(path, seen).await {
        Ok(look) => look,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            *seen = None;
            Look::Gone
        }
        Err(error) => Look::Unreadable(error),
    }
}

async fn settled(path: &Path, seen: &mut Option<Stamp>) -> io::Result<Look> {
    let mut stamp = stamp(path).await?;
    if *seen == Some(stamp) {
        return Ok(Look::Same);
    }
    loop {
        if stamp.len > MAX_COMPONENT {
            *seen = Some(stamp);
            return Ok(Look::TooLarge(stamp.len));
        }
        let (digest, _) = read(path.to_owned()).await?;
        tokio::time::sleep(SETTLE).await;
        let (again, bytes) = read(path.to_owned()).await?;
        let now = self::stamp(path).await?;
        if now == stamp && again == digest {
            *seen = Some(stamp);
            return Ok(Look::Settled(Dropped {
                digest,
                bytes,
                at: stamp.written(),
            }));
        }
        stamp = now;
    }
}

async fn stamp(path: &Path) -> io::Result<Stamp> {
    let found = tokio::fs::metadata(path).await?;
    if !found.is_file() {
        // Opening a pipe would wait for a writer.
        return Err(io::Error::other("not a regular file"));
    }
    Ok(Stamp::of(&found))
}

/// Reads at most one byte more than a component may have, off the runtime:
/// hashing 64 MiB takes a while.
async fn read(path: PathBuf) -> io::Result<(Digest, Bytes)> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_COMPONENT + 1)
            .read_to_end(&mut bytes)?;
        Ok((Digest::of(&bytes), Bytes::from(bytes)))
    });
    read.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_still_being_written_is_not_taken_before_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        let mut file = File::create(&path).unwrap();
        let writer = tokio::spawn(async move {
            for _ in 0..40 {
                file.write_all(b"more ").unwrap();
                tokio::time::sleep(SETTLE / 10).await;
            }
        });
        let mut seen = None;
        let Look::Settled(dropped) = look(&path, &mut seen).await else {
            panic!("it was not taken");
        };
        writer.await.unwrap();
        assert_eq!(dropped.digest, Digest::of(&b"more ".repeat(40)));
        assert_eq!(dropped.digest, Digest::of(&dropped.bytes));
        assert!(matches!(look(&path, &mut seen).await, Look::Same));
    }

    #[tokio::test]
    async fn another_content_of_the_same_size_and_time_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        let mut seen = None;
        std::fs::write(&path, b"one").unwrap();
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert!(matches!(look(&path, &mut seen).await, Look::Settled(..)));
        std::fs::write(&path, b"two").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
        let Look::Settled(dropped) = look(&path, &mut seen).await else {
            panic!("it was not noticed");
        };
        assert_eq!(dropped.digest, Digest::of(b"two"));
    }

    #[tokio::test]
    async fn what_is_no_file_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            look(dir.path(), &mut None).await,
            Look::Unreadable(_)
        ));
    }
}
