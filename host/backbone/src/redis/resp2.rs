//! What Redis answers in, as far as it takes to find where a value ends:
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>

/// It is something else.
#[derive(Debug)]
pub(super) struct Strange;

/// Looks for the end of a value, going on where it was when more arrives.
pub(super) struct Scanner {
    at: usize,
    /// Values that it still lacks.
    open: u64,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { at: 0, open: 1 }
    }
}

impl Scanner {
    /// `None` where it has not arrived whole.
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Strange> {
        while self.open > 0 {
            let mut parts = Parts::at(bytes, self.at);
            match parts.next()? {
                None => return Ok(None),
                Some(Part::Array(length)) => {
                    let length = length.unwrap_or(0);
                    self.open = self.open.checked_add(length).ok_or(Strange)?;
                }
                Some(Part::String(_) | Part::Line) => {}
            }
            self.open -= 1;
            self.at = parts.at;
        }
        let Self { at, .. } = std::mem::take(self);
        Ok(Some(at))
    }
}

pub(super) enum Part<'b> {
    /// How many values follow; none where it is null.
    Array(Option<u64>),
    /// None where it is null.
    String(Option<&'b [u8]>),
    /// A simple string, an error or an integer.
    Line,
}

pub(super) struct Parts<'b> {
    bytes: &'b [u8],
    pub at: usize,
}

impl<'b> Parts<'b> {
    pub fn at(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// `None` where the next one has not arrived whole.
    pub fn next(&mut self) -> Result<Option<Part<'b>>, Strange> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let (&kind, line) = rest[..end].split_first().ok_or(Strange)?;
        let begins = self.at + end + 2;
        let (part, at) = match kind {
            b'+' | b'-' | b':' => (Part::Line, begins),
            b'*' => (Part::Array(length(line)?), begins),
            b'$' => match length(line)? {
                None => (Part::String(None), begins),
                Some(length) => {
                    let length = usize::try_from(length).map_err(|_| Strange)?;
                    let end = begins.checked_add(length).ok_or(Strange)?;
                    // The line break behind it belongs to it.
                    if self.bytes.len() < end.checked_add(2).ok_or(Strange)? {
                        return Ok(None);
                    }
                    (Part::String(Some(&self.bytes[begins..end])), end + 2)
                }
            },
            _ => return Err(Strange),
        };
        self.at = at;
        Ok(Some(part))
    }
}

fn length(line: &[u8]) -> Result<Option<u64>, Strange> {
    let text = std::str::from_utf8(line).map_err(|_| Strange)?;
    match text {
        "-1" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Strange),
    }
}
