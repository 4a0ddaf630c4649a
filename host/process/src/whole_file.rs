//! Files that are there whole or not at all: written aside, renamed at the end.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// Replaces what was there. Whole even when the machine crashes.
pub fn write(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let file = aside(path, mode, bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// As [`write()`], without waiting for the disk: a crash of the machine may leave
/// it damaged, so it is for what is worth nothing then or can be checked.
pub fn write_unsynced(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    aside(path, mode, bytes)?.persist(path)?;
    Ok(())
}

fn aside(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(".writing-")
        // As with any new file, the umask takes from it.
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    Ok(file)
}
