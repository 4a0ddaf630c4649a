//! What a command says: its answer on standard output, all else on standard
//! error. Whoever reads it may have enough before the end, as `head` has; that
//! is no failure of the command. Colours are for terminals only.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

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
            true => pour(&serde_json::to_string_pretty(answer)?, harmless_json),
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
pub(super) fn harmless(words: &str) -> String {
    without_controls(words, |character| character.escape_default().to_string())
}

/// The same JSON: what is left of control characters stands in strings.
fn harmless_json(json: &str) -> String {
    without_controls(json, |character| format!("\\u{:04x}", u32::from(character)))
}

fn without_controls(text: &str, escaped: impl Fn(char) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() && character != '\n' {
            true => shown.push_str(&escaped(character)),
            false => shown.push(character),
        }
    }
    shown
}

/// What programs read: byte for byte as it is, but on a terminal.
///
/// # Errors
/// See [`print`].
pub(super) fn pour(data: &str, on_a_terminal: fn(&str) -> String) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let data = match out.is_terminal() {
        true => Cow::Owned(on_a_terminal(data)),
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

#[cfg(test)]
mod tests {
    use super::{harmless, harmless_json};

    #[test]
    fn words_of_others_do_not_steer_the_terminal() {
        assert_eq!(
            harmless("id \u{1b}[2J\u{7}\nnext"),
            "id \\u{1b}[2J\\u{7}\nnext"
        );
    }

    #[test]
    fn json_that_does_not_steer_the_terminal_says_the_same() {
        let said = "del \u{7f}, C1 \u{9b}2J, escape \u{1b}[2J";
        let json = serde_json::to_string_pretty(&[said]).unwrap();
        let shown = harmless_json(&json);
        let obeyed = |character: char| character.is_control() && character != '\n';
        assert!(json.contains(obeyed) && !shown.contains(obeyed), "{shown}");
        let read: Vec<String> = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, [said]);
    }
}
