use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::settings::KeySettings;
use floodgate_ingest::keys::{is_key, line_of, new_key};
use floodgate_process::whole_file;

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
            let (key, _) = new_key("dev", None, &[]);
            let written = whole_file::write(&path, 0o600, format!("{key}\n").as_bytes());
            written.with_context(|| format!("write {}", path.display()))?;
            key
        }
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    ensure!(
        is_key(&key),
        "{} holds no API key: remove it, and another one is made",
        path.display()
    );
    settings.keys = Some(line_of("dev", &key));
    Ok(Some(key))
}
