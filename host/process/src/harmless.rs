//! Escapes what steers a terminal or turns a line around. Ids, errors and names
//! come from strangers, and stand in tables, logs and pages among our own words.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;

/// Whether a character does something other than to be seen: control characters
/// but the end of a line, those that change the direction of a text (UAX 9), and
/// those that end a line in some programs and not in others.
fn is_harmful(character: char) -> bool {
    let turns = matches!(character,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let ends_line = matches!(character, '\u{2028}' | '\u{2029}');
    turns || ends_line || (character.is_control() && character != '\n')
}

/// Returns words for a person, with what is harmful written as `\u{202e}`.
pub fn words(text: &str) -> Cow<'_, str> {
    escaped(text, |shown, character| {
        shown.extend(character.escape_unicode());
    })
}

/// Returns the same JSON: what is harmful can only stand in its strings, where
/// `\u202e` means the same.
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(text, |shown, character| {
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            // Writing to a string never fails.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    })
}

fn escaped(text: &str, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let Some(first) = text.find(is_harmful) else {
        return Cow::Borrowed(text);
    };
    let mut shown = String::with_capacity(text.len() + 8);
    shown.push_str(&text[..first]);
    for character in text[first..].chars() {
        match is_harmful(character) {
            true => escape(&mut shown, character),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Writes the lines of a log. In text for a terminal, the escape character stays:
/// the colours are made of it, and tracing escapes it in what it is told.
pub struct LogWriter<W> {
    to: W,
    coloured: bool,
}

impl<W: io::Write> LogWriter<W> {
    pub fn new(to: W, coloured: bool) -> Self {
        Self { to, coloured }
    }
}

impl<W: io::Write> io::Write for LogWriter<W> {
    /// tracing hands over one event at a time, whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let harmful = |c: char| is_harmful(c) && !(self.coloured && c == '\u{1b}');
        match text.contains(harmful) {
            false => self.to.write_all(line)?,
            true if self.coloured => {
                let pieces = text.split('\u{1b}').map(words);
                let shown = pieces.collect::<Vec<_>>().join("\u{1b}");
                self.to.write_all(shown.as_bytes())?;
            }
            true => self.to.write_all(json(&text).as_bytes())?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn words_of_others_neither_steer_a_terminal_nor_turn_a_table_around() {
        assert_eq!(
            words("id \u{1b}[2J\u{7}\u{202e}\u{2066}\nnext"),
            "id \\u{1b}[2J\\u{7}\\u{202e}\\u{2066}\nnext"
        );
        let plain = "Grüße, مرحبا, 日本, a\u{301}, 👩\u{200d}🚀";
        assert!(matches!(words(plain), Cow::Borrowed(same) if same == plain));
    }

    #[test]
    fn json_that_does_not_steer_the_terminal_says_the_same() {
        let said = "del \u{7f}, C1 \u{9b}2J, escape \u{1b}[2J, turned \u{202e}, line \u{2028}";
        let written = serde_json::to_string_pretty(&[said]).unwrap();
        let shown = json(&written);
        assert!(
            written.contains(is_harmful) && !shown.contains(is_harmful),
            "{shown}"
        );
        let read: Vec<String> = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, [said]);
    }

    #[test]
    fn a_log_keeps_its_colours_and_nothing_else_that_is_harmful() {
        let written = |coloured, line: &str| {
            let mut to = Vec::new();
            let mut writer = LogWriter::new(&mut to, coloured);
            writer.write_all(line.as_bytes()).unwrap();
            String::from_utf8(to).unwrap()
        };
        let line = "\u{1b}[32m INFO\u{1b}[0m id=a\u{202e}b\n";
        assert_eq!(
            written(true, line),
            "\u{1b}[32m INFO\u{1b}[0m id=a\\u{202e}b\n"
        );
        assert_eq!(
            written(false, "{\"id\":\"a\u{202e}\"}\n"),
            "{\"id\":\"a\\u202e\"}\n"
        );
    }
}
