use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::{Pointer, Violation};

/// The longest id, in bytes.
pub const MAX_ID: usize = 256;

/// How a string of the body is made equal to others that mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    Lower,
    Upper,
    Trim,
}

impl Normalise {
    /// The normal form; `None` where `text` has it already.
    pub(super) fn apply(self, text: &str) -> Option<String> {
        match self {
            Self::Lower if text.is_ascii() => text
                .bytes()
                .any(|byte| byte.is_ascii_uppercase())
                .then(|| text.to_ascii_lowercase()),
            Self::Upper if text.is_ascii() => text
                .bytes()
                .any(|byte| byte.is_ascii_lowercase())
                .then(|| text.to_ascii_uppercase()),
            Self::Lower => Some(text.to_lowercase()).filter(|lower| lower != text),
            Self::Upper => Some(text.to_uppercase()).filter(|upper| upper != text),
            Self::Trim => (text.trim() != text).then(|| text.trim().to_owned()),
        }
    }
}

/// Brings strings into their normal form, in the parsed body and in its bytes;
/// every other byte stays as the client wrote it. What is normal already is
/// not copied, and what is not a string is left for the schema to refuse.
pub fn normalise(mut body: Bytes, value: &mut Value, rules: &[(Pointer, Normalise)]) -> Bytes {
    for (pointer, rule) in rules {
        let Some(Value::String(text)) = pointer.find_mut(value) else {
            continue;
        };
        let Some(normal) = rule.apply(text) else {
            continue;
        };
        let Some(place) = pointer.locate(&body) else {
            continue;
        };
        let literal = Value::String(normal);
        let mut spliced = body[..place.start].to_vec();
        spliced.extend_from_slice(literal.to_string().as_bytes());
        spliced.extend_from_slice(&body[place.end..]);
        body = spliced.into();
        if let Value::String(normal) = literal {
            *text = normal;
        }
    }
    body
}

/// The id at `pointer`: a string, or an integer written in decimal.
pub fn identify(value: &Value, pointer: &Pointer) -> Result<Arc<str>, Violation> {
    let violation = |message: &str| Violation {
        index: None,
        pointer: pointer.to_string(),
        message: message.to_owned(),
    };
    match pointer.find(value) {
        Some(Value::String(id)) if (1..=MAX_ID).contains(&id.len()) => Ok(id.as_str().into()),
        Some(Value::String(_)) => Err(violation("the id must be 1 to 256 bytes long")),
        Some(Value::Number(id)) if !id.is_f64() => Ok(id.to_string().into()),
        Some(_) => Err(violation("the id must be a string or an integer")),
        None => Err(violation("the id is missing")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn normalised(body: &str, rules: &[(&str, Normalise)]) -> String {
        let rules: Vec<_> = rules.iter().map(|(p, rule)| (pointer(p), *rule)).collect();
        let mut value = serde_json::from_str(body).unwrap();
        let out = normalise(Bytes::copy_from_slice(body.as_bytes()), &mut value, &rules);
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), value);
        String::from_utf8(out.into()).unwrap()
    }

    #[test]
    fn only_the_place_that_is_named_changes() {
        let body = r#"{ "z":1.50, "h" : "0x\u0041B", "a":[ " x " ,1e3], "H":"KEEP" }"#;
        let rules = [("/h", Normalise::Lower), ("/a/0", Normalise::Trim)];
        assert_eq!(
            normalised(body, &rules),
            r#"{ "z":1.50, "h" : "0xab", "a":[ "x" ,1e3], "H":"KEEP" }"#
        );
    }

    #[test]
    fn what_is_normal_already_is_the_same_memory() {
        let body = Bytes::from_static(br#"{"h":"\u0061b","n":1}"#);
        let mut value = serde_json::from_slice(&body).unwrap();
        let rules = ["/h", "/n", "/missing"].map(|p| (pointer(p), Normalise::Lower));
        let out = normalise(body.clone(), &mut value, &rules);
        assert_eq!(out.as_ptr(), body.as_ptr());
    }

    #[test]
    fn an_id_is_a_string_or_an_integer_of_1_to_256_bytes() {
        let id = |value: Value| identify(&value, &pointer("/id")).map_err(|v| v.message);
        assert_eq!(id(serde_json::json!({"id": "x"})).as_deref(), Ok("x"));
        assert_eq!(id(serde_json::json!({"id": -7})).as_deref(), Ok("-7"));
        assert!(id(serde_json::json!({"id": "x".repeat(256)})).is_ok());
        assert!(id(serde_json::json!({"id": "x".repeat(257)})).is_err());
        for bad in [
            r#"{"id":""}"#,
            r#"{"id":1.5}"#,
            r#"{"id":null}"#,
            r#"{"id":[]}"#,
            "{}",
            "3",
        ] {
            assert!(id(serde_json::from_str(bad).unwrap()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn all_bytes_around_a_normalised_value_are_kept(
            before in r#"( ?"[a-gi-z]{1,4}[0-9]" ?: ?(1\.50|"A\\u0042"|\[ ?1E2 ?\]) ?,){0,1}"#,
            text in r#"([ A-Za-zß-ŝΑ-ω]|\\n|\\u00c4|\\\\|\\")*"#,
            after in r#"(, ?"H" ?: ?"ABC" ?){0,1}"#,
            rule in prop::sample::select(vec![Normalise::Lower, Normalise::Upper, Normalise::Trim]),
        ) {
            let body = format!("{{{before}\"h\":\"{text}\"{after}}}");
            let out = normalised(&body, &[("/h", rule)]);
            let (head, tail) = (format!("{{{before}\"h\":"), format!("{after}}}"));
            prop_assert!(out.starts_with(&head) && out.ends_with(&tail), "{out}");
            let literal = &out[head.len()..out.len() - tail.len()];
            let old: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            let new: String = serde_json::from_str(literal).unwrap();
            prop_assert_eq!(&new, &rule.apply(&old).unwrap_or(old));
            prop_assert_eq!(rule.apply(&new), None, "normal forms are normal");
        }
    }
}
