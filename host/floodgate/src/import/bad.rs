use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use serde::Serialize;

/// The lines that were not taken, in a file beside the one they come from,
/// which is made with the first of them.
pub(super) struct BadLines {
    path: PathBuf,
    file: Mutex<Option<BufWriter<File>>>,
}

#[derive(Serialize)]
struct Bad<'a> {
    line: u64,
    reason: &'a str,
    text: &'a str,
}

impl BadLines {
    /// Forgets those of an earlier run.
    pub fn beside(file: &Path) -> anyhow::Result<Self> {
        let mut path = file.as_os_str().to_owned();
        path.push(".bad");
        let path = PathBuf::from(path);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
        Ok(Self {
            path,
            file: Mutex::new(None),
        })
    }

    /// # Errors
    /// Where some of them are not in the file.
    pub fn finish(&self) -> anyhow::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = file.as_mut().map_or(Ok(()), Write::flush);
        flushed.with_context(|| format!("write {}", self.path.display()))
    }

    pub fn write(&self, line: u64, reason: &str, text: &str) -> anyhow::Result<()> {
        let told = serde_json::to_string(&Bad { line, reason, text })?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = || format!("write {}", self.path.display());
        let file = match &mut *file {
            Some(file) => file,
            none => none.insert(BufWriter::new(
                File::create(&self.path).with_context(writing)?,
            )),
        };
        writeln!(file, "{told}").with_context(writing)
    }
}
