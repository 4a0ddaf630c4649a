//! What a command says: its answer on standard output, all else on standard
//! error. Whoever reads it may have enough before the end, as `head` has; that
//! is no failure of the command. Colours are for terminals only.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

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
            true => print(serde_json::to_string_pretty(answer)?),
            false => print(harmless(&in_words())),
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

/// Ids and errors come from anybody, and a terminal obeys control characters.
fn harmless(words: &str) -> String {
    let mut shown = String::with_capacity(words.len());
    for character in words.chars() {
        match character.is_control() && character != '\n' {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
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

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn words_of_others_do_not_steer_the_terminal() {
        assert_eq!(
            harmless("id \u{1b}[2J\u{7}\nnext"),
            "id \\u{1b}[2J\\u{7}\nnext"
        );
    }
}
