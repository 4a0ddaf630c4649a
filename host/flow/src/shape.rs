use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::placeholder::{Name, Place, Placeholder};
use super::{Pointer, TemplateError};

/// A reply as a flow file writes it, with its placeholders found.
#[derive(Debug, PartialEq)]
pub enum Shape {
    /// The same in every reply; neither a list nor a table.
    Constant(Value),
    /// A string that is one placeholder: the value with its own JSON type.
    Value(Placeholder),
    /// A string with placeholders among other text.
    Text(Vec<Part>),
    List(Vec<Shape>),
    /// In the order of the flow file.
    Table(Vec<(String, Shape)>),
}

/// A piece of a string.
#[derive(Debug, PartialEq)]
pub enum Part {
    Literal(String),
    /// The characters of its value.
    Placeholder(Placeholder),
}

/// All that is wrong in a template, with the byte range in the flow file.
pub(super) type Errors = Vec<(Range<usize>, TemplateError)>;

impl Shape {
    pub(super) fn read(value: &Spanned<DeValue<'_>>, place: Place) -> Result<Self, Errors> {
        let mut reader = Reader {
            place,
            errors: Vec::new(),
        };
        let shape = reader.value(value);
        match reader.errors.is_empty() {
            true => Ok(shape),
            false => Err(reader.errors),
        }
    }

    /// Which of its members is this value and nothing else, as a JSON Pointer.
    pub fn says(&self, name: Name) -> Option<String> {
        let Self::Table(members) = self else {
            return None;
        };
        let wanted = Self::Value(Placeholder::Named(name));
        let (member, _) = members.iter().find(|(_, shape)| *shape == wanted)?;
        Some(format!("/{}", Pointer::escape(member)))
    }
}

struct Reader<'p> {
    place: Place<'p>,
    errors: Errors,
}

impl Reader<'_> {
    /// Something, where an error was noted.
    fn value(&mut self, value: &Spanned<DeValue<'_>>) -> Shape {
        match value.get_ref() {
            DeValue::String(text) => match parts(text, self.place) {
                Ok(parts) => string(parts),
                Err(error) => self.error(value.span(), error),
            },
            DeValue::Boolean(value) => Shape::Constant(Value::from(*value)),
            DeValue::Datetime(value) => Shape::Constant(Value::from(value.to_string())),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Shape::Constant(Value::from(number)),
                    Err(_) => self.error(value.span(), TemplateError::NotJson("such an integer")),
                }
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Shape::Constant(Value::from(number)),
                _ => self.error(value.span(), TemplateError::NotJson("such a number")),
            },
            DeValue::Array(items) => {
                Shape::List(items.iter().map(|item| self.value(item)).collect())
            }
            DeValue::Table(members) => {
                let members = members.iter();
                let shapes =
                    members.map(|(key, value)| (key.get_ref().to_string(), self.value(value)));
                Shape::Table(shapes.collect())
            }
        }
    }

    fn error(&mut self, span: Range<usize>, error: TemplateError) -> Shape {
        self.errors.push((span, error));
        Shape::Constant(Value::Null)
    }
}

fn string(mut parts: Vec<Part>) -> Shape {
    let only = match parts.len() {
        0 => Some(Part::Literal(String::new())),
        1 => parts.pop(),
        _ => None,
    };
    match only {
        Some(Part::Literal(text)) => Shape::Constant(Value::String(text)),
        Some(Part::Placeholder(only)) => Shape::Value(only),
        None => Shape::Text(parts),
    }
}

/// Takes `text {placeholder} text` apart; `{{` and `}}` are braces.
fn parts(text: &str, place: Place) -> Result<Vec<Part>, TemplateError> {
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
            parts.push(Part::Placeholder(place.placeholder(name)?));
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
