//! What the archive needs of the flow files. The host checks them; here they
//! are taken as they are, and one that cannot be stops no other flow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::error;

/// The flow files of a directory.
#[derive(Debug, Default)]
pub struct Flows {
    /// In the order of their names.
    pub flows: Vec<Flow>,
    /// Files that cannot be read or understood, and why.
    pub broken: Vec<Error>,
}

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

/// Reads every `*.toml` of a directory. A broken one is left out, and logged.
///
/// # Errors
/// Where the directory cannot be read.
pub fn load(dir: &Path) -> Result<Flows, Error> {
    let mut flows = Flows::default();
    for path in files(dir)? {
        match read(&path) {
            Ok(flow) => flows.flows.push(flow),
            Err(broken) => {
                error!(error = %broken, "flow file left out");
                flows.broken.push(broken);
            }
        }
    }
    Ok(flows)
}

/// The flow of this name, where there is one; no other file is read.
///
/// # Errors
/// Where the directory or its file cannot be read or understood.
pub fn find(dir: &Path, name: &str) -> Result<Option<Flow>, Error> {
    let mut files = files(dir)?.into_iter();
    let file = files.find(|file| name_of(file) == name);
    file.map(|file| read(&file)).transpose()
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
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
    Ok(paths)
}

fn name_of(file: &Path) -> String {
    let name = file.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
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
        name: name_of(path),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_is_named_and_the_others_are_there() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("a.toml", "[keep]\nhot = \"1d\""),
            ("b.toml", "[keep"),
            ("c.toml", "[keep]\nhot = \"a while\""),
            ("d.toml", ""),
            ("e.sql", "SELECT"),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let Flows { flows, broken } = load(dir.path()).unwrap();
        let names: Vec<&str> = flows.iter().map(|flow| &*flow.name).collect();
        assert_eq!(names, ["a", "d"]);
        let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
        assert_eq!(broken.len(), 2);
        assert!(broken[0].contains("b.toml"), "{broken:?}");
        assert!(
            broken[1].contains("c.toml") && broken[1].contains("keep.hot"),
            "{broken:?}"
        );
        let found = find(dir.path(), "d").unwrap();
        assert_eq!(found.as_ref(), flows.last());
        assert_eq!(find(dir.path(), "nobody").unwrap(), None);
        let error = find(dir.path(), "b").unwrap_err().to_string();
        assert_eq!(error, broken[0]);
        let nowhere = dir.path().join("nowhere");
        assert!(matches!(load(&nowhere), Err(Error::Directory { .. })));
    }
}
