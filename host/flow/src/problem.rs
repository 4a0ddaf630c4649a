use std::fmt;
use std::path::Path;

/// Something wrong with a flow file, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file, or the flow directory itself.
    pub file: String,
    pub line: Option<usize>,
    /// With its tables, such as `admit.reply.status`; empty where no key is to blame.
    pub key: String,
    pub what: String,
    pub remedy: String,
}

impl Problem {
    /// Of a whole file or directory rather than a line in it.
    pub(super) fn of_file(file: &Path, what: impl Into<String>, remedy: &str) -> Self {
        Self {
            file: file.display().to_string(),
            line: None,
            key: String::new(),
            what: what.into(),
            remedy: remedy.to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}
