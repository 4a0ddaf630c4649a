use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

use crate::ingest::keys::{line_of, new_key};
use crate::settings::KeySettings;

/// Where nobody named any API key, one is made for the flows that ask for one
/// and kept beside the data, so that it can be shown at each start.
pub(super) fn offer(dir: &Path, settings: &mut KeySettings) -> anyhow::Result<Option<String>> {
    if settings.keys_file.is_some() || settings.keys.is_some() {
        return Ok(None);
    }
    let path = dir.join("api-key");
    let key = match std::fs::read_to_string(&path) {
        Ok(key) => key.trim().to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let (key, _) = new_key("dev", &[]);
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            let written = file.and_then(|mut file| writeln!(file, "{key}"));
            written.with_context(|| format!("write {}", path.display()))?;
            key
        }
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    settings.keys = Some(line_of("dev", &key));
    Ok(Some(key))
}
