//! What a command says: its answer on standard output, all else on standard
//! error. Whoever reads it may have enough before the end, as `head` has; that
//! is no failure of the command. Colours are for terminals only.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use floodgate_process::harmless;

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct JsonOption {
    /// Print JSON, and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

impl JsonOption {
    /// # Errors
    /// See [`print`].
    pub fn say<T: Serialize + ?Sized>(
        self,
        answer: &T,
        in_words: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        match self.json {
            true => pour(&serde_json::to_string_pretty(answer)?, harmless::json),
            false => print(harmless::words(&in_words())),
        }
    }

    /// Nothing, where it was said in words as it came about.
    ///
    /// # Errors
    /// See [`print`].
    pub fn say_in_json<T: Serialize>(self, answer: &T) -> anyhow::Result<()> {
        match self.json {
            true => self.say(answer, String::new),
            false => Ok(()),
        }
    }
}

/// What programs read: byte for byte as it is, but on a terminal.
///
/// # Errors
/// See [`print`].
pub(super) fn pour(data: &str, on_a_terminal: fn(&str) -> Cow<'_, str>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let data = match out.is_terminal() {
        true => on_a_terminal(data),
        false => Cow::Borrowed(data),
    };
    let written = out.write_all(data.as_bytes());
    let written = written.and_then(|()| out.write_all(b"\n"));
    enough(written.and_then(|()| out.flush())).context("write to standard output")
}

/// # Errors
/// Where it cannot be written, as on a full disk.
pub(super) fn print(answer: impl Display) -> anyhow::Result<()> {
    let text = format!("{answer}\n");
    let mut out = anstream::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    enough(written).context("write to standard output")
}

/// Of what goes on. When nobody reads it, nobody misses it.
pub(super) fn note(text: impl Display) {
    let _gone = anstream::stderr().write_all(format!("{text}\n").as_bytes());
}

fn enough(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
