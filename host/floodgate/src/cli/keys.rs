use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::out::{JsonOption, note};
use floodgate_ingest::keys::{KeyRing, is_key_name, new_key};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an API key; it is printed once and kept nowhere
    New(New),
}

#[derive(Debug, Args)]
pub(super) struct New {
    /// Who will use it; it travels with each entry
    #[arg(value_parser = name)]
    name: String,
    /// Whose entries, rate and Idempotency-Keys it shares, such as the name of the key
    /// that it replaces [default: its own name]
    #[arg(long, value_parser = name)]
    owner: Option<String>,
    /// A flow that it is for; without any it is for all
    #[arg(long = "flow")]
    flows: Vec<String>,
    /// Key file to which its line is added; without one the line is printed
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    json: JsonOption,
}

/// What was made; the line has only the key's hash.
#[derive(Serialize)]
struct Made<'k> {
    name: &'k str,
    owner: &'k str,
    flows: &'k [String],
    key: &'k str,
    line: &'k str,
}

fn name(text: &str) -> Result<String, &'static str> {
    match is_key_name(text) {
        true => Ok(text.to_owned()),
        false => Err("use 1 to 64 of a to z, 0 to 9, - and _"),
    }
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::New(New {
        name,
        owner,
        flows,
        file,
        json,
    }) = command;
    let (key, line) = new_key(name, owner.as_deref(), flows);
    match file {
        Some(path) => add(path, &line)?,
        None => note(format_args!(
            "add this line to the key file of floodgate serve (--keys-file):\n{line}"
        )),
    }
    let made = Made {
        name,
        owner: owner.as_ref().unwrap_or(name),
        flows,
        key: &key,
        line: &line,
    };
    json.say(&made, || key.clone())
}

fn add(path: &PathBuf, line: &str) -> anyhow::Result<()> {
    let known = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        known => known.with_context(|| format!("read {}", path.display()))?,
    };
    let separator = match known.is_empty() || known.ends_with('\n') {
        true => "",
        false => "\n",
    };
    if let Err(problems) = KeyRing::parse(&format!("{known}{separator}{line}\n")) {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        bail!("{}: {}", path.display(), problems.join("; "));
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    writeln!(file, "{separator}{line}").with_context(|| format!("write {}", path.display()))
}
