use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::NotAPointer;
use super::placeholder::{Filled, Name, Place, Placeholder, Values};
use super::shape::{Part, Shape};

/// A reply as a flow file writes it, compiled: rendering copies bytes that
/// are JSON already and fills in what is between them.
#[derive(Debug)]
pub struct Template {
    shape: Shape,
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

#[derive(Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    #[error("{{{text}}} is not a placeholder here")]
    Unknown { text: String, known: String },
    #[error("{0}")]
    Pointer(#[from] NotAPointer),
    #[error("a {{ or }} stands alone")]
    Brace,
    #[error("{0} has no JSON form")]
    NotJson(&'static str),
}

impl TemplateError {
    pub fn remedy(&self) -> String {
        match self {
            Self::Unknown { known, .. } => known.clone(),
            Self::Pointer(_) => "write a JSON Pointer such as {/tx_hash}".to_owned(),
            Self::Brace => "write {{ and }} for braces that are meant as such".to_owned(),
            Self::NotJson(_) => {
                "write a string, a finite number, true or false, a table or an array".to_owned()
            }
        }
    }
}

impl Template {
    /// `{"status":"accepted","id":...}`, of a batch with `count` in place of `id`.
    pub fn accepted(place: Place) -> Self {
        let (key, name) = match place {
            Place::BatchReply => ("count", Name::Count),
            _ => ("id", Name::Id),
        };
        let value = Shape::Value(Placeholder::Named(name));
        let status = Shape::Constant(Value::from("accepted"));
        Self::of(Shape::Table(vec![
            ("status".to_owned(), status),
            (key.to_owned(), value),
        ]))
    }

    /// `{"rows":[...]}`
    pub fn rows() -> Self {
        let rows = Shape::Value(Placeholder::Named(Name::Rows));
        Self::of(Shape::Table(vec![("rows".to_owned(), rows)]))
    }

    /// # Errors
    /// All that is wrong in it, with the byte range in the flow file.
    pub fn compile(
        value: &Spanned<DeValue<'_>>,
        place: Place,
    ) -> Result<Self, Vec<(Range<usize>, TemplateError)>> {
        Shape::read(value, place).map(Self::of)
    }

    fn of(shape: Shape) -> Self {
        let segments = Layout::of(&shape);
        Self { shape, segments }
    }

    /// As the flow file writes it.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether it speaks of `name`.
    pub fn mentions(&self, name: Name) -> bool {
        self.placeholders()
            .any(|placeholder| *placeholder == Placeholder::Named(name))
    }

    fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Value(placeholder) | Segment::Text(placeholder) => Some(placeholder),
        })
    }

    /// Writes the reply; always one JSON document.
    pub fn render(&self, values: &impl Values, out: &mut Vec<u8>) {
        for segment in &self.segments {
            match segment {
                Segment::Literal(json) => out.extend_from_slice(json),
                Segment::Value(placeholder) => write_value(fill(values, placeholder), out),
                Segment::Text(placeholder) => write_characters(fill(values, placeholder), out),
            }
        }
    }
}

fn fill<'v>(values: &'v impl Values, placeholder: &Placeholder) -> Filled<'v> {
    match placeholder {
        Placeholder::Named(name) => values.value(*name),
        Placeholder::Parameter(name) => values.parameter(name),
        Placeholder::Body(pointer) => values
            .body()
            .and_then(|body| pointer.find(body))
            .map_or(Filled::Null, Filled::Json),
    }
}

fn write_value(value: Filled<'_>, out: &mut Vec<u8>) {
    match value {
        Filled::Null => out.extend_from_slice(b"null"),
        Filled::Text(text) => write_json(text, out),
        Filled::Integer(number) => write_json(number, out),
        Filled::Number(number) => write_json(number, out),
        Filled::Time(unix_ms) => write_json(rfc_3339(unix_ms), out),
        Filled::Json(value) => write_json(value, out),
        Filled::Made(value) => write_json(value, out),
        Filled::Written(json) => out.extend_from_slice(json.as_bytes()),
    }
}

fn write_characters(value: Filled<'_>, out: &mut Vec<u8>) {
    match value {
        Filled::Null | Filled::Json(Value::Null) | Filled::Made(Value::Null) => {}
        Filled::Text(text) => write_text(text, out),
        Filled::Integer(number) => write_text(&number.to_string(), out),
        Filled::Number(number) => write_text(&number.to_string(), out),
        Filled::Time(unix_ms) => write_text(&rfc_3339(unix_ms), out),
        Filled::Json(Value::String(text)) => write_text(text, out),
        Filled::Json(value) => write_text(&value.to_string(), out),
        Filled::Made(value) => write_text(&value.to_string(), out),
        Filled::Written(json) => write_text(json, out),
    }
}

/// With milliseconds, in UTC.
fn rfc_3339(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
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

/// Lays a shape out as it is written.
#[derive(Default)]
struct Layout {
    segments: Vec<Segment>,
    /// JSON that is not a segment yet.
    literal: Vec<u8>,
}

impl Layout {
    fn of(shape: &Shape) -> Vec<Segment> {
        let mut layout = Self::default();
        layout.shape(shape);
        layout.flush();
        layout.segments
    }

    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Constant(value) => write_json(value, &mut self.literal),
            Shape::Value(only) => self.segment(Segment::Value(only.clone())),
            Shape::Text(parts) => self.text(parts),
            Shape::List(items) => self.list(b"[]", items, Self::shape),
            Shape::Table(members) => self.list(b"{}", members, |this, (key, value)| {
                write_json(key, &mut this.literal);
                this.literal.push(b':');
                this.shape(value);
            }),
        }
    }

    fn list<T>(&mut self, brackets: &[u8; 2], items: &[T], write: impl Fn(&mut Self, &T)) {
        self.literal.push(brackets[0]);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.literal.push(b',');
            }
            write(self, item);
        }
        self.literal.push(brackets[1]);
    }

    fn text(&mut self, parts: &[Part]) {
        self.literal.push(b'"');
        for part in parts {
            match part {
                Part::Literal(text) => write_text(text, &mut self.literal),
                Part::Placeholder(placeholder) => self.segment(Segment::Text(placeholder.clone())),
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
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
