//! What the archive needs of the flow files. The host checks them; here they
//! are taken as they are, so that a file the host refuses stops nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One flow, as far as the archive knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    pub name: String,
    /// What is older leaves the ledger; `None`: nothing does.
    pub hot: Option<Duration>,
    pub columns: Vec<Column>,
}

/// A column of a flow's table that is taken out of the body.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// JSON Pointer (RFC 6901).
    pub field: String,
    #[serde(rename = "type", default)]
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Text,
    Integer,
    Number,
    Boolean,
    Time,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read flow directory {}: {cause}; --flows names it", dir.display())]
    Directory { dir: PathBuf, cause: std::io::Error },
    #[error("read flow file {}: {what}; `floodgate flows check` says all that is wrong", file.display())]
    File { file: PathBuf, what: String },
}

#[derive(Deserialize)]
struct FlowFile {
    #[serde(default)]
    keep: KeepTable,
}

#[derive(Default, Deserialize)]
struct KeepTable {
    hot: Option<String>,
    #[serde(default)]
    columns: BTreeMap<String, ColumnTable>,
}

#[derive(Deserialize)]
struct ColumnTable {
    field: String,
    #[serde(rename = "type", default)]
    kind: Kind,
}

/// Reads every `*.toml` of a directory, in the order of their names.
///
/// # Errors
/// Where the directory or any file cannot be read or understood.
pub fn load(dir: &Path) -> Result<Vec<Flow>, Error> {
    let unreadable = |cause| Error::Directory {
        dir: dir.to_owned(),
        cause,
    };
    let entries = std::fs::read_dir(dir).map_err(unreadable)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Flow, Error> {
    let wrong = |what: String| Error::File {
        file: path.to_owned(),
        what,
    };
    let text = std::fs::read_to_string(path).map_err(|cause| wrong(cause.to_string()))?;
    let file: FlowFile = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let hot = file.keep.hot.map(|hot| humantime::parse_duration(&hot));
    let columns = file.keep.columns.into_iter();
    Ok(Flow {
        name: path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        hot: hot
            .transpose()
            .map_err(|error| wrong(format!("keep.hot: {error}")))?,
        columns: columns
            .map(|(name, column)| Column {
                name,
                field: column.field,
                kind: column.kind,
            })
            .collect(),
    })
}
