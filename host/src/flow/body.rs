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
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

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
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Text.visit_str(value).map(Value::String)
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
            if members.insert(key, map.next_value_seed(Strict)?).is_some() {
                return Err(A::Error::custom("an object has the same key twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

/// A string or key without NUL.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<String, E> {
        if value.as_bytes().contains(&0) {
            return Err(E::custom(NUL));
        }
        Ok(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        parse(body.as_bytes()).unwrap_err().to_string()
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
