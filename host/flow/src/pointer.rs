use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON Pointer (RFC 6901), taken apart once so that following it allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: Box<str>,
    tokens: Box<[Box<str>]>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPointer {
    #[error("{0:?} does not start with /")]
    NoSlash(String),
    #[error("{0:?} has a ~ that is not ~0 or ~1")]
    BadEscape(String),
}

impl Pointer {
    pub fn parse(text: &str) -> Result<Self, NotAPointer> {
        let tokens = match text.strip_prefix('/') {
            Some(rest) => rest
                .split('/')
                .map(|token| unescape(token).ok_or_else(|| NotAPointer::BadEscape(text.to_owned())))
                .collect::<Result<_, _>>()?,
            None if text.is_empty() => Box::default(),
            None => return Err(NotAPointer::NoSlash(text.to_owned())),
        };
        Ok(Self {
            text: text.into(),
            tokens,
        })
    }

    /// A name as it stands between two slashes.
    pub fn escape(token: &str) -> String {
        token.replace('~', "~0").replace('/', "~1")
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it points at the whole document.
    pub fn is_root(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The names on the way, unescaped.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(|token| &**token)
    }

    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.tokens
            .iter()
            .try_fold(value, |value, token| match value {
                Value::Object(members) => members.get(&**token),
                Value::Array(items) => items.get(index(token)?),
                _ => None,
            })
    }

    pub fn find_mut<'v>(&self, value: &'v mut Value) -> Option<&'v mut Value> {
        self.tokens
            .iter()
            .try_fold(value, |value, token| match value {
                Value::Object(members) => members.get_mut(&**token),
                Value::Array(items) => items.get_mut(index(token)?),
                _ => None,
            })
    }

    /// Where in the bytes of a JSON document the value stands, without the
    /// white space around it; `None` where there is no such value.
    pub fn locate(&self, json: &[u8]) -> Option<Range<usize>> {
        let mut found: &RawValue = serde_json::from_slice(json).ok()?;
        for token in &self.tokens {
            found = Step(token)
                .deserialize(&mut serde_json::Deserializer::from_str(found.get()))
                .ok()??;
        }
        let start = found.get().as_ptr().addr() - json.as_ptr().addr();
        Some(start..start + found.get().len())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn unescape(token: &str) -> Option<Box<str>> {
    let mut parts = token.split('~');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (escaped, rest) = part.split_at_checked(1)?;
        out.push(match escaped {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        out.push_str(rest);
    }
    Some(out.into())
}

/// An array index as RFC 6901 writes it: digits without leading zeros.
fn index(token: &str) -> Option<usize> {
    if token.starts_with('+') || (token.starts_with('0') && token.len() > 1) {
        return None;
    }
    token.parse().ok()
}

/// One step down into an object or array, borrowing the bytes of what it finds.
struct Step<'t>(&'t str);

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(Is(self.0))? {
            if wanted {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Some(wanted) = index(self.0) else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        for _ in 0..wanted {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = seq.next_element()?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

/// Whether a key is the one that is looked for, without copying it.
struct Is<'t>(&'t str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_and_locates_the_same_value() {
        let json = r#" {"a/b" : [ 10, {"~" : "x" } ], "\u0061": null} "#;
        let value: Value = serde_json::from_str(json).unwrap();
        for pointer in ["", "/a~1b", "/a~1b/0", "/a~1b/1", "/a~1b/1/~0", "/a"] {
            let pointer = Pointer::parse(pointer).unwrap();
            let located = &json.as_bytes()[pointer.locate(json.as_bytes()).unwrap()];
            let located: Value = serde_json::from_slice(located).unwrap();
            assert_eq!(Some(&located), pointer.find(&value), "{pointer}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let json = r#"{"a":[1],"b":"x"}"#;
        let value: Value = serde_json::from_str(json).unwrap();
        for pointer in ["/c", "/a/1", "/a/00", "/a/-", "/a/x", "/b/0", "/a/0/z"] {
            let pointer = Pointer::parse(pointer).unwrap();
            assert_eq!(pointer.find(&value), None, "{pointer}");
            assert_eq!(pointer.locate(json.as_bytes()), None, "{pointer}");
        }
    }

    #[test]
    fn an_escaped_name_is_found_again() {
        for name in ["a/b", "~", "~1", "~0/", ""] {
            let pointer = Pointer::parse(&format!("/{}", Pointer::escape(name))).unwrap();
            assert_eq!(pointer.tokens().collect::<Vec<_>>(), [name]);
        }
    }

    #[test]
    fn text_that_is_no_pointer_is_refused() {
        for text in ["a", "#/a", "/~", "/~2", "/a~"] {
            assert!(Pointer::parse(text).is_err(), "{text}");
        }
    }
}
