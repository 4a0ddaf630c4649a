//! `floodgate oracle new`: a crate to start from.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::out::print;
use floodgate_oracle_build::template::{self, Name};

#[derive(Debug, Args)]
#[command(after_long_help = "\
The crate has a rule in src/lib.rs, its tests, a sample of transactions, and a copy of the SDK \
that this floodgate was made with: it needs no checkout of Floodgate.")]
pub(super) struct Arguments {
    /// Name of the crate and of the component, such as large-value; a flow file names it
    /// in [[oracle]] component
    name: Name,
    /// Directory of the new crate [default: ./<NAME>]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let name = &arguments.name;
    let dir = match &arguments.path {
        Some(path) => path.clone(),
        None => PathBuf::from(name.to_string()),
    };
    create(name, &dir)?;
    let dir = dir.to_string_lossy();
    // None can have a NUL; there is nothing else that cannot be quoted.
    let dir = shlex::try_quote(&dir).unwrap_or_default();
    print(format_args!(
        "\
{dir} has a rule (src/lib.rs), its tests, a sample and the SDK. What comes next:
  (cd {dir} && cargo test)         # the rule, natively
  floodgate oracle build {dir}     # makes plugins/dist/{name}.wasm
  floodgate oracle watch {dir}     # does so on every save, and shows what it changes"
    ))
}

/// All of it or nothing: it is written aside and gets its name at the end.
fn create(name: &Name, dir: &Path) -> anyhow::Result<()> {
    let elsewhere = "name another directory with --path";
    let Some(last) = dir.file_name() else {
        bail!("{} is no new directory; {elsewhere}", dir.display());
    };
    must_be_free(dir).with_context(|| format!("create {}; {elsewhere}", dir.display()))?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new()
        .prefix(".new-oracle-")
        // Temporary directories are private; this one is to stay.
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .with_context(|| format!("write to {}; {elsewhere}", parent.display()))?;
    for (path, text) in template::files(name, &last.to_string_lossy()) {
        write(&aside.path().join(path), &text)?;
    }
    // Fails where somebody else put something there meanwhile.
    std::fs::rename(aside.path(), dir)
        .with_context(|| format!("create {}; {elsewhere}", dir.display()))?;
    // It has another name now: nothing is left to remove.
    let _ = aside.keep();
    Ok(())
}

/// An empty directory is replaced, unless somebody stands in it.
fn must_be_free(dir: &Path) -> anyhow::Result<()> {
    let mut inside = match dir.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        inside => inside.context("something else has that name")?,
    };
    if inside.next().is_some() {
        bail!("that directory is there already, and not empty");
    }
    if dir.canonicalize()? == std::env::current_dir()? {
        bail!("that is the directory you are in");
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = match path.parent() {
        Some(parent) => std::fs::create_dir_all(parent),
        None => Ok(()),
    };
    let written = written.and_then(|()| std::fs::write(path, text));
    written.with_context(|| format!("write {}", path.display()))
}
