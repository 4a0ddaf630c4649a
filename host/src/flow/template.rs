use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::{NotAPointer, Pointer};

/// A reply as a flow file writes it, compiled: rendering copies bytes that
/// are JSON already and fills in what is between them.
#[derive(Debug)]
pub struct Template {
    segments: Vec<Segment>,
}

#[derive(Debug)]
enum Segment {
    /// JSON, ready to be copied.
    Literal(Box<[u8]>),
    /// A string that is one placeholder: the value with its own JSON type.
    Value(Placeholder),
    /// A placeholder among other text: its characters, within a JSON string.
    Text(Placeholder),
}

#[derive(Debug)]
enum Placeholder {
    Id,
    Body(Pointer),
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    #[error("{{{0}}} is not a placeholder (yet)")]
    Unknown(String),
    #[error("{0}")]
    Pointer(#[from] NotAPointer),
    #[error("a {{ or }} stands alone")]
    Brace,
    #[error("{0} has no JSON form")]
    NotJson(&'static str),
}

impl TemplateError {
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unknown(_) | Self::Pointer(_) => {
                "{id} and {/json/pointer} into the body are known"
            }
            Self::Brace => "write {{ and }} for braces that are meant as such",
            Self::NotJson(_) => {
                "write a string, a finite number, true or false, a table or an array"
            }
        }
    }
}

impl Default for Template {
    /// `{"status":"accepted","id":...}`
    fn default() -> Self {
        Self {
            segments: vec![
                Segment::Literal((*br#"{"status":"accepted","id":"#).into()),
                Segment::Value(Placeholder::Id),
                Segment::Literal((*b"}").into()),
            ],
        }
    }
}

impl Template {
    /// # Errors
    /// All that is wrong in it, with the byte range in the flow file.
    pub fn compile(
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Self, Vec<(Range<usize>, TemplateError)>> {
        let mut compiler = Compiler::default();
        compiler.value(value);
        compiler.flush();
        if compiler.errors.is_empty() {
            Ok(Self {
                segments: compiler.segments,
            })
        } else {
            Err(compiler.errors)
        }
    }

    /// Writes the reply for an entry; always one JSON document.
    pub fn render(&self, id: &str, body: &Value, out: &mut Vec<u8>) {
        for segment in &self.segments {
            match segment {
                Segment::Literal(json) => out.extend_from_slice(json),
                Segment::Value(Placeholder::Id) => write_json(id, out),
                Segment::Value(Placeholder::Body(pointer)) => match pointer.find(body) {
                    Some(value) => write_json(value, out),
                    None => out.extend_from_slice(b"null"),
                },
                Segment::Text(Placeholder::Id) => write_text(id, out),
                Segment::Text(Placeholder::Body(pointer)) => match pointer.find(body) {
                    Some(Value::String(text)) => write_text(text, out),
                    Some(Value::Null) | None => {}
                    Some(value) => write_text(&value.to_string(), out),
                },
            }
        }
    }
}

fn write_json(value: impl serde::Serialize, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, &value);
    debug_assert!(
        written.is_ok(),
        "a Vec takes everything and the keys are strings"
    );
}

/// The characters of a JSON string without the quotes around them.
fn write_text(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    write_json(text, out);
    out.remove(start);
    out.pop();
}

#[derive(Default)]
struct Compiler {
    segments: Vec<Segment>,
    /// JSON that is not a segment yet.
    literal: Vec<u8>,
    errors: Vec<(Range<usize>, TemplateError)>,
}

impl Compiler {
    fn value(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::String(text) => self.string(text, value.span()),
            DeValue::Boolean(value) => write_json(value, &mut self.literal),
            DeValue::Datetime(value) => write_json(value.to_string(), &mut self.literal),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => write_json(number, &mut self.literal),
                    Err(_) => self.error(value.span(), TemplateError::NotJson("such an integer")),
                }
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => write_json(number, &mut self.literal),
                _ => self.error(value.span(), TemplateError::NotJson("such a number")),
            },
            DeValue::Array(items) => self.list(b"[]", items.iter(), Self::value),
            DeValue::Table(members) => self.list(b"{}", members.iter(), |this, (key, value)| {
                write_json(key.get_ref(), &mut this.literal);
                this.literal.push(b':');
                this.value(value);
            }),
        }
    }

    fn list<T>(
        &mut self,
        brackets: &[u8; 2],
        items: impl Iterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) {
        self.literal.push(brackets[0]);
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.literal.push(b',');
            }
            write(self, item);
        }
        self.literal.push(brackets[1]);
    }

    fn string(&mut self, text: &str, span: Range<usize>) {
        match parts(text) {
            Ok(parts) => match <[Part; 1]>::try_from(parts) {
                Ok([Part::Placeholder(only)]) => self.segment(Segment::Value(only)),
                Ok(parts) => self.text(parts),
                Err(parts) => self.text(parts),
            },
            Err(error) => self.error(span, error),
        }
    }

    fn text(&mut self, parts: impl IntoIterator<Item = Part>) {
        self.literal.push(b'"');
        for part in parts {
            match part {
                Part::Literal(text) => write_text(&text, &mut self.literal),
                Part::Placeholder(placeholder) => self.segment(Segment::Text(placeholder)),
            }
        }
        self.literal.push(b'"');
    }

    fn segment(&mut self, segment: Segment) {
        self.flush();
        self.segments.push(segment);
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            let literal = std::mem::take(&mut self.literal);
            self.segments.push(Segment::Literal(literal.into()));
        }
    }

    fn error(&mut self, span: Range<usize>, error: TemplateError) {
        self.errors.push((span, error));
    }
}

enum Part {
    Literal(String),
    Placeholder(Placeholder),
}

/// Takes `text {placeholder} text` apart; `{{` and `}}` are braces.
fn parts(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
        } else if let ("{", Some((name, after))) = (brace, after.split_once('}')) {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Placeholder(placeholder(name)?));
            rest = after;
        } else {
            return Err(TemplateError::Brace);
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

fn placeholder(name: &str) -> Result<Placeholder, TemplateError> {
    match name {
        "id" => Ok(Placeholder::Id),
        _ if name.starts_with('/') => Ok(Placeholder::Body(Pointer::parse(name)?)),
        _ => Err(TemplateError::Unknown(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn compile(toml: &str) -> Result<Template, Vec<TemplateError>> {
        let value = DeValue::parse(toml).unwrap();
        Template::compile(&value).map_err(|errors| errors.into_iter().map(|(_, e)| e).collect())
    }

    fn render(toml: &str, id: &str, body: &Value) -> String {
        let mut out = Vec::new();
        compile(toml).unwrap().render(id, body, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_reply_keeps_the_order_of_the_flow_file() {
        let template =
            r#"{ z = "accepted", a = "{id}", m = [1, 2.5, true, 0xff], t = { x = "" } }"#;
        assert_eq!(
            render(template, "7", &json!({})),
            r#"{"z":"accepted","a":"7","m":[1,2.5,true,255],"t":{"x":""}}"#
        );
    }

    #[test]
    fn a_string_that_is_one_placeholder_takes_the_values_own_type() {
        let body = json!({"n": 1.5, "o": {"k": [null]}, "s": "q\"", "z": null});
        let template = r#"{ n = "{/n}", o = "{/o}", s = "{/s}", z = "{/z}", none = "{/none}" }"#;
        assert_eq!(
            render(template, "i", &body),
            r#"{"n":1.5,"o":{"k":[null]},"s":"q\"","z":null,"none":null}"#
        );
    }

    #[test]
    fn placeholders_among_text_are_characters() {
        let body = json!({"n": 1, "o": {"k": "v"}});
        let template = r#""{{{id}}}: {/n} {/o} [{/none}]""#;
        let text: String = serde_json::from_str(&render(template, "a\"\\\n", &body)).unwrap();
        assert_eq!(text, "{a\"\\\n}: 1 {\"k\":\"v\"} []");
    }

    #[test]
    fn every_mistake_of_a_template_is_named() {
        let errors = compile(r#"{ a = "{count}", b = "{id", c = "{/~9}", d = nan, e = "}" }"#);
        let errors: Vec<_> = errors
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            errors,
            [
                "{count} is not a placeholder (yet)",
                "a { or } stands alone",
                "\"/~9\" has a ~ that is not ~0 or ~1",
                "such a number has no JSON form",
                "a { or } stands alone",
            ]
        );
    }

    proptest! {
        #[test]
        fn a_rendered_reply_is_always_json(
            texts in prop::collection::vec(r#"(\PC|\{id\}|\{/k\}|\{/k/0\}|\{\{|\}\}|"|\\){0,8}"#, 0..4),
            id in any::<String>(),
            text in any::<String>(),
            nested in any::<bool>(),
        ) {
            let body = if nested { json!({"k": [text]}) } else { json!({"k": text}) };
            let template: toml::Table = texts.iter().enumerate()
                .map(|(index, text)| (index.to_string(), toml::Value::String(text.clone())))
                .collect();
            let toml = format!("body = {}", toml::Value::Table(template));
            let table = toml::de::DeTable::parse(&toml).unwrap();
            if let Ok(template) = Template::compile(&table.get_ref()["body"]) {
                let mut out = Vec::new();
                template.render(&id, &body, &mut out);
                let reply: Value = serde_json::from_slice(&out).unwrap();
                prop_assert_eq!(reply.as_object().map(serde_json::Map::len), Some(texts.len()));
            }
        }
    }
}
