//! What a component says, bounded, and made harmless for who reads it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// At most `max` bytes of a component's text. What a terminal or a page would
/// obey instead of showing it is escaped: control characters but line ends and
/// tabs, and those that turn the direction of writing.
pub(super) fn cut(text: impl AsRef<str>, max: usize) -> String {
    let mut shown = String::new();
    for character in text.as_ref().chars() {
        let steers = (character.is_control() && !matches!(character, '\n' | '\t'))
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let before = shown.len();
        match steers {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
        if shown.len() > max {
            shown.truncate(before);
            break;
        }
    }
    shown.shrink_to_fit();
    shown
}

/// Bytes of an instance's last words.
const LAST: usize = 2 << 10;

/// What an instance wrote to standard error, and how it explained a panic. An
/// instance that ends well is not asked for them. They may quote an entry's
/// body, so they are part of its fault and of no log.
#[derive(Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<Vec<u8>>>);

impl LastWords {
    pub fn add(&self, bytes: &[u8]) {
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(&bytes[bytes.len().saturating_sub(LAST)..]);
        let too_many = words.len().saturating_sub(LAST);
        words.drain(..too_many);
    }

    /// The end of them; `None` where nothing was said.
    pub fn said(&self) -> Option<String> {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = cut(String::from_utf8_lossy(&words).trim(), LAST);
        (!said.is_empty()).then_some(said)
    }
}

/// Standard error of an instance.
pub(super) struct StandardError(pub LastWords);

impl IsTerminal for StandardError {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for StandardError {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only for WASI 0.3, which no oracle gets.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self(self.0.clone()))
    }
}

impl OutputStream for StandardError {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.add(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LAST)
    }
}

#[async_trait]
impl Pollable for StandardError {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_shown_instead() {
        assert_eq!(
            cut("a\u{1b}[31mb\u{202e}c\n\td\0", 100),
            "a\\u{1b}[31mb\\u{202e}c\n\td\\u{0}"
        );
    }

    #[test]
    fn no_more_than_the_limit_is_kept_and_no_character_is_halved() {
        assert_eq!(cut("aé\u{1b}", 3), "aé");
        assert_eq!(cut("ééé", 3), "é");
        assert_eq!(cut("\u{1b}".repeat(1000), 100).len(), 96);
    }

    #[test]
    fn of_last_words_the_last_are_kept() {
        let words = LastWords::default();
        assert_eq!(words.said(), None);
        for n in 0..10_000 {
            words.add(format!("{n} ").as_bytes());
        }
        words.add(&[b'x'; 10 * LAST]);
        words.add(b" the end\n");
        let said = words.said().unwrap();
        assert!(said.len() <= LAST && said.ends_with("xx the end"), "{said}");
    }
}
