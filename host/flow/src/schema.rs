use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::{Digest, Pointer};

/// Of a body with a thousand mistakes the first few tell enough.
pub(super) const MAX_VIOLATIONS: usize = 20;

/// What is wrong with a body, and where. Never quotes the body's values.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// The item of a batch, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// JSON Pointer into the body; of a missing member, its object.
    pub pointer: String,
    pub message: String,
}

impl Violation {
    #[must_use]
    pub fn of_item(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }
}

/// A compiled JSON Schema (2020-12 unless it names another draft).
pub struct Schema {
    validator: Validator,
    digest: Digest,
    source: Value,
}

#[derive(Debug, thiserror::Error)]
pub enum NotASchema {
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("not a JSON Schema: {message} at {pointer:?}")]
    Invalid { pointer: String, message: String },
}

impl Schema {
    /// Patterns run in linear time, because bodies come from strangers: a
    /// schema that needs look-around or back-references is refused.
    pub fn compile(text: &[u8]) -> Result<Self, NotASchema> {
        let schema: Value = serde_json::from_slice(text)?;
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|error| NotASchema::Invalid {
                pointer: error.instance_path().to_string(),
                message: error.to_string(),
            })?;
        let digest = Digest::of(text);
        Ok(Self {
            validator,
            digest,
            source: schema,
        })
    }

    /// SHA-256 of its text.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// As it was read.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// A body that the schema shows as an example.
    pub fn example(&self) -> Option<&Value> {
        self.source["examples"].get(0)
    }

    /// The types that the schema names for a member of the body, such as
    /// `integer`; none where it says nothing at that place.
    pub fn types_of(&self, member: &str) -> Vec<&str> {
        match &self.source["properties"][member]["type"] {
            Value::String(one) => vec![one],
            Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Checks a parsed body; `raw` is what it was parsed from.
    ///
    /// # Errors
    /// At most 20 violations, in the order of the document.
    pub fn check(&self, value: &Value, raw: &[u8]) -> Result<(), Vec<Violation>> {
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let mut found: Vec<_> = self
            .validator
            .iter_errors(value)
            .take(MAX_VIOLATIONS)
            .map(|error| Violation {
                index: None,
                pointer: error.instance_path().to_string(),
                message: error.masked().to_string(),
            })
            .collect();
        found.sort_by_cached_key(|violation| {
            let place = Pointer::parse(&violation.pointer).ok();
            place.and_then(|place| place.locate(raw)).map(|at| at.start)
        });
        Err(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, body: &str) -> Vec<Violation> {
        let schema = Schema::compile(schema.as_bytes()).unwrap();
        let value = serde_json::from_str(body).unwrap();
        schema
            .check(&value, body.as_bytes())
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn violations_come_in_the_order_of_the_document_and_do_not_quote_it() {
        let schema = r#"{"properties": {"a": {"type": "integer"}, "b": {"pattern": "^x$"}, "c": {"minimum": 1}},
                         "required": ["d"]}"#;
        let found = check(schema, r#"{"c": 0, "b": "secret", "a": "secret"}"#);
        let pointers: Vec<_> = found.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(pointers, ["", "/c", "/b", "/a"]);
        assert!(!format!("{found:?}").contains("secret"));
        assert_eq!(
            check(schema, r#"{"a": 1, "b": "x", "c": 1, "d": null}"#),
            []
        );
    }

    #[test]
    fn a_body_with_a_thousand_mistakes_names_twenty() {
        let body = format!("[{}0]", "\"x\",".repeat(1000));
        assert_eq!(check(r#"{"items": {"type": "integer"}}"#, &body).len(), 20);
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for bad in [
            "{",
            r#"{"type": "strin"}"#,
            r#"{"pattern": "("}"#,
            r#"{"pattern": "(a)\\1"}"#,
            r#"{"$ref": "https://example.com/other.json"}"#,
        ] {
            assert!(Schema::compile(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
