use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

/// Why a body is not admitted whatever the schema says. Never quotes the body.
#[derive(Debug, thiserror::Error)]
pub enum NotJson {
    #[error("not JSON: {0}")]
    Malformed(serde_json::Error),
    #[error("not JSON we can keep: {0}")]
    Unkeepable(serde_json::Error),
}

impl From<serde_json::Error> for NotJson {
    fn from(error: serde_json::Error) -> Self {
        match error.classify() {
            Category::Data => Self::Unkeepable(error),
            _ => Self::Malformed(error),
        }
    }
}

/// Parses a body, once. Stricter than JSON where readers disagree or a
/// database refuses: an object with the same key twice, and an escaped NUL
/// (in keys too). Depth is limited by serde_json, numbers to the range of f64.
pub fn parse(body: &[u8]) -> Result<Value, NotJson> {
    read(body, Strict)
}

/// Whether [`parse`] would take it; it costs a third, because nothing is built.
///
/// # Errors
/// The same as of [`parse`].
pub fn check(body: &[u8]) -> Result<(), NotJson> {
    read(body, Checked)
}

fn read<'de, S: DeserializeSeed<'de>>(body: &'de [u8], seed: S) -> Result<S::Value, NotJson> {
    // Looked at whole is cheaper than string by string, which tells where it is not UTF-8.
    match std::str::from_utf8(body) {
        Ok(text) => read_with(serde_json::Deserializer::from_str(text), seed),
        Err(_) => read_with(serde_json::Deserializer::from_slice(body), seed),
    }
}

fn read_with<'de, R: serde_json::de::Read<'de>, S: DeserializeSeed<'de>>(
    mut deserializer: serde_json::Deserializer<R>,
    seed: S,
) -> Result<S::Value, NotJson> {
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

const TWICE: &str = "an object has the same key twice";
const OUT_OF_RANGE: &str = "number out of range";
const NUL: &str = "a string holds an escaped NUL, which no database stores";

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom(OUT_OF_RANGE))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<Value, E> {
        Text.visit_borrowed_str(value).map(from_text)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Text.visit_str(value).map(from_text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key_seed(Text)? {
            let value = map.next_value_seed(Strict)?;
            if members.insert(key.into_owned(), value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(members))
    }
}

fn from_text(text: Cow<'_, str>) -> Value {
    Value::String(text.into_owned())
}

/// As [`Strict`], of what is not kept.
struct Checked;

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Strict.expecting(f)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let in_range = value.is_finite().then_some(());
        in_range.ok_or_else(|| E::custom(OUT_OF_RANGE))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<(), E> {
        Text.visit_borrowed_str(value).map(drop)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        without_nul(value).map(drop)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Checked)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key_seed(Text)? {
            map.next_value_seed(Checked)?;
            if !keys.insert(key) {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(())
    }
}

/// A string or key without NUL.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    /// Borrowed is what holds no escape, and an unescaped NUL is not JSON.
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
        without_nul(value).map(|value| Cow::Owned(value.to_owned()))
    }
}

fn without_nul<E: serde::de::Error>(value: &str) -> Result<&str, E> {
    match value.as_bytes().contains(&0) {
        true => Err(E::custom(NUL)),
        false => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What both say of it.
    fn refusal(body: &str) -> String {
        let refusal = parse(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(check(body.as_bytes()).unwrap_err().to_string(), refusal);
        refusal
    }

    fn nearly_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            "-?[0-9]{1,3}(\\.[0-9]{1,3})?(e[0-9]{1,3})?",
            r#""[ab]{0,2}(\\u000[01]|\\n|\\)?""#,
            "[\\[\\]{},:\"a\u{0}]{1,2}",
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let member = (r#""[ab]{1,2}(\\u0061)?""#, inner.clone());
            let member = member.prop_map(|(key, value)| format!("{key}:{value}"));
            let members = proptest::collection::vec(member, 0..4);
            prop_oneof![
                proptest::collection::vec(inner, 0..4)
                    .prop_map(|all| format!("[{}]", all.join(","))),
                members.prop_map(|all| format!("{{{}}}", all.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn checking_refuses_what_parsing_refuses_in_the_same_words(body in nearly_json()) {
            let parsed = parse(body.as_bytes()).map(drop).map_err(|error| error.to_string());
            let checked = check(body.as_bytes()).map_err(|error| error.to_string());
            prop_assert_eq!(checked, parsed);
        }
    }

    #[test]
    fn a_body_is_parsed_as_serde_json_does() {
        let body = r#" {"a":[1,-2,3.5,1e300,true,null,"\u00e9\n"],"b":{"c":{}},"n":18446744073709551615} "#;
        let expected: Value = serde_json::from_str(body).unwrap();
        assert_eq!(parse(body.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn the_same_key_twice_is_refused_at_any_depth() {
        assert!(refusal(r#"{"a":1,"a":1}"#).contains("same key twice at line 1 column"));
        assert!(refusal(r#"[{"b":{"a":1,"\u0061":2}}]"#).contains("same key twice"));
    }

    #[test]
    fn an_escaped_nul_is_refused_in_values_and_keys() {
        for body in [r#"{"a":"x\u0000"}"#, r#"["\u0000"]"#, r#"{"\u0000":1}"#] {
            assert!(
                refusal(body).starts_with("not JSON we can keep: a string holds an escaped NUL")
            );
        }
        assert!(
            parse(br#"{"a":"\\u0000"}"#).is_ok(),
            "an escaped backslash is no NUL"
        );
    }

    #[test]
    fn what_is_not_json_is_refused_without_quoting_it() {
        let deep = "[".repeat(200);
        for body in [
            "",
            "{",
            "secret",
            "{} x",
            "1e999",
            r#""\ud800""#,
            "\"\u{1}\"",
            &deep,
        ] {
            let refusal = refusal(body);
            assert!(refusal.starts_with("not JSON: "), "{refusal}");
            assert!(!refusal.contains("secret"));
        }
        assert!(parse(b"\"\xff\"").is_err(), "not UTF-8");
    }
}
