//! What whoever calls the admin API says they are called: everybody who may call
//! shows the same token. The audit log takes their word for it.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// In UTF-8.
const PERSON: HeaderName = HeaderName::from_static("x-floodgate-as");

/// Characters of a name.
const LONGEST: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name (--as, X-Floodgate-As) has 1 to {LONGEST} characters and no control characters")]
pub struct NotAName;

/// The name of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person(String);

impl std::str::FromStr for Person {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let name = text.trim();
        let is_long = name.chars().nth(LONGEST).is_some();
        match name.is_empty() || is_long || name.contains(char::is_control) {
            true => Err(NotAName),
            false => Ok(Self(name.to_owned())),
        }
    }
}

impl Person {
    /// Returns the header that says it.
    pub fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let value = HeaderValue::from_bytes(self.0.as_bytes());
        Some((PERSON, value.ok()?))
    }
}

/// Returns the name that a call brings.
pub(super) fn person(headers: &HeaderMap) -> Result<Option<String>, NotAName> {
    let Some(named) = headers.get(PERSON) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(named.as_bytes()).map_err(|_| NotAName)?;
    let Person(name) = text.parse()?;
    Ok(Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(value: &[u8]) -> Result<Option<String>, NotAName> {
        let value = HeaderValue::from_bytes(value).unwrap();
        person(&HeaderMap::from_iter([(PERSON, value)]))
    }

    #[test]
    fn a_name_comes_over_as_it_was_said_and_is_bounded() {
        assert_eq!(person(&HeaderMap::new()), Ok(None));
        for name in ["anna", "Zoë Müller", &"é".repeat(LONGEST)] {
            let (header, value) = name.parse::<Person>().unwrap().header().unwrap();
            let brought = person(&HeaderMap::from_iter([(header, value)]));
            assert_eq!(brought, Ok(Some(name.to_owned())));
        }
        for wrong in ["", "  ", "a\tb", &"a".repeat(LONGEST + 1)] {
            assert_eq!(wrong.parse::<Person>(), Err(NotAName), "{wrong}");
            assert_eq!(named(wrong.as_bytes()), Err(NotAName), "{wrong}");
        }
        assert_eq!(named(b"\xff"), Err(NotAName));
    }
}
