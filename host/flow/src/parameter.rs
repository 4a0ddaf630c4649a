//! The parameters of a `[[query]]`: what a client may write, and what of it is
//! bound to the SQL.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{Typed, ValueType};

/// Characters of what a segment is compared with, and of its field.
pub const MAX_SEGMENT: usize = 256;

pub struct Parameter {
    pub name: Arc<str>,
    pub kind: ParameterKind,
    pub absent: Absent,
    /// Another one that this one must not be before.
    pub not_before: Option<Arc<str>>,
}

/// What it means that a request does not name the parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Absent {
    Refused,
    Null,
    Is(Given),
}

#[derive(Clone, Debug, PartialEq)]
pub enum ParameterKind {
    /// A day.
    Date,
    /// RFC 3339; without a zone in UTC.
    Time,
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Text {
        /// In characters.
        max_length: usize,
    },
    Choice {
        of: Vec<Arc<str>>,
    },
    Boolean,
    /// `field:value`: those entries whose field is that.
    Segment {
        /// `properties.*` is any field of `properties`.
        fields: Vec<Arc<str>>,
    },
}

/// A parameter's value, checked.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Given {
    Date(Date),
    Time(Timestamp),
    Integer(i64),
    Number(f64),
    Text(String),
    Boolean(bool),
    Segment { field: String, value: String },
}

impl Parameter {
    /// The parameters of the SQL that it binds, without the `$`.
    pub fn binds(&self) -> Vec<String> {
        match self.kind {
            ParameterKind::Segment { .. } => {
                vec![
                    format!("{}_field", self.name),
                    format!("{}_value", self.name),
                ]
            }
            _ => vec![self.name.to_string()],
        }
    }

    /// NULL of its type where there is nothing.
    pub(super) fn bind(&self, given: Option<&Given>, bound: &mut BTreeMap<String, Typed>) {
        let kind = self.kind.bound_as();
        let values = match given {
            Some(Given::Segment { field, value }) => {
                vec![Value::from(field.as_str()), Value::from(value.as_str())]
            }
            Some(given) => vec![given.shown()],
            None => vec![Value::Null; 2],
        };
        let names = self.binds().into_iter().zip(values);
        bound.extend(names.map(|(name, value)| (name, Typed { kind, value })));
    }
}

impl ParameterKind {
    fn bound_as(&self) -> ValueType {
        match self {
            Self::Date => ValueType::Date,
            Self::Time => ValueType::Time,
            Self::Integer { .. } => ValueType::Integer,
            Self::Number { .. } => ValueType::Number,
            Self::Text { .. } | Self::Choice { .. } | Self::Segment { .. } => ValueType::Text,
            Self::Boolean => ValueType::Boolean,
        }
    }

    /// The value of a parameter that has only one.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn typed(&self, text: &str) -> Result<Typed, String> {
        let value = self.parse(text)?.shown();
        let kind = self.bound_as();
        Ok(Typed { kind, value })
    }

    /// # Errors
    /// What has to be written instead; never quotes what was.
    pub fn parse(&self, text: &str) -> Result<Given, String> {
        self.read(text).ok_or_else(|| self.remedy())
    }

    fn read(&self, text: &str) -> Option<Given> {
        match self {
            Self::Date => day(text).map(Given::Date),
            Self::Time => time(text).map(Given::Time),
            Self::Integer { min, max } => {
                let number = text.parse::<i64>().ok()?;
                within(&number, min.as_ref(), max.as_ref()).then_some(Given::Integer(number))
            }
            Self::Number { min, max } => {
                let number = text
                    .parse::<f64>()
                    .ok()
                    .filter(|number| number.is_finite())?;
                within(&number, min.as_ref(), max.as_ref()).then_some(Given::Number(number))
            }
            Self::Text { max_length } => {
                is_storable(text, *max_length).then(|| Given::Text(text.to_owned()))
            }
            Self::Choice { of } => {
                let known = of.iter().any(|known| **known == *text);
                known.then(|| Given::Text(text.to_owned()))
            }
            Self::Boolean => text.parse().ok().map(Given::Boolean),
            Self::Segment { fields } => {
                let (field, value) = text.split_once(':')?;
                let known = fields.iter().any(|known| is_field(known, field));
                let sound = !value.is_empty() && is_storable(value, MAX_SEGMENT);
                (known && sound).then(|| Given::Segment {
                    field: field.to_owned(),
                    value: value.to_owned(),
                })
            }
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Date => "write a day of the calendar, such as 2026-01-31".to_owned(),
            Self::Time => {
                "write a time such as 2026-01-31T12:00:00Z; in a URL + is written %2B".to_owned()
            }
            Self::Integer { min, max } => format!("write an integer{}", bounds(min, max)),
            Self::Number { min, max } => format!("write a number{}", bounds(min, max)),
            Self::Text { max_length } => {
                format!("write at most {max_length} characters, and no NUL")
            }
            Self::Choice { of } => format!("write one of {}", of.join(", ")),
            Self::Boolean => "write true or false".to_owned(),
            Self::Segment { fields } => format!(
                "write field:value, with one of these fields: {}",
                fields.join(", ")
            ),
        }
    }
}

impl Given {
    /// With its own JSON type; a segment as it was written.
    pub fn shown(&self) -> Value {
        match self {
            Self::Date(day) => day.to_string().into(),
            Self::Time(time) => time.to_string().into(),
            Self::Integer(number) => (*number).into(),
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Boolean(is) => (*is).into(),
            Self::Segment { field, value } => format!("{field}:{value}").into(),
        }
    }
}

/// `YYYY-MM-DD` and nothing else.
fn day(text: &str) -> Option<Date> {
    let day: Date = text.parse().ok()?;
    (day.to_string() == text).then_some(day)
}

fn time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let civil: DateTime = text.parse().ok()?;
    let time = civil.to_zoned(TimeZone::UTC).ok()?;
    // What looks like an offset and is none must not be passed over.
    let plain = |byte: u8| byte.is_ascii_digit() || b"-:.T ".contains(&byte);
    text.bytes().all(plain).then(|| time.timestamp())
}

fn within<T: PartialOrd>(value: &T, min: Option<&T>, max: Option<&T>) -> bool {
    min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
}

/// Databases store no text with a NUL.
fn is_storable(text: &str, max_length: usize) -> bool {
    text.chars().count() <= max_length && !text.contains('\0')
}

fn is_field(known: &str, field: &str) -> bool {
    match known.strip_suffix('*') {
        None => known == field,
        Some(of) => field
            .strip_prefix(of)
            .is_some_and(|name| !name.is_empty() && is_storable(field, MAX_SEGMENT)),
    }
}

fn bounds<T: std::fmt::Display>(min: &Option<T>, max: &Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) => format!(" of {min} or more"),
        (None, Some(max)) => format!(" of {max} or less"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: &ParameterKind, texts: &[&str]) {
        for text in texts {
            let parsed = kind.parse(text);
            assert!(parsed.is_err(), "{text:?}: {parsed:?}");
        }
    }

    fn shown(kind: &ParameterKind, text: &str) -> Value {
        kind.parse(text).unwrap().shown()
    }

    #[test]
    fn a_day_is_one_of_the_calendar_written_in_one_way() {
        let date = ParameterKind::Date;
        assert_eq!(shown(&date, "2028-02-29"), "2028-02-29");
        refused(
            &date,
            &[
                "",
                "2026-02-30",
                "2026-02-29",
                "2026-13-01",
                "2026-1-1",
                "20260101",
                "2026-01-01T00:00:00",
                " 2026-01-01",
                "+002026-01-01",
                "yesterday",
                "2026-01-01'--",
            ],
        );
    }

    #[test]
    fn a_time_without_a_zone_is_utc() {
        let time = ParameterKind::Time;
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31T14:00:00+02:00",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00",
        ] {
            assert_eq!(shown(&time, text), "2026-01-31T12:00:00Z", "{text}");
        }
        // In a query string a + is a space.
        refused(
            &time,
            &[
                "",
                "12:00",
                "2026-02-30T00:00:00Z",
                "2026-01-31T14:00:00 02:00",
            ],
        );
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        let (min, max) = (Some(1), Some(1000));
        let integer = ParameterKind::Integer { min, max };
        assert_eq!(shown(&integer, "1000"), 1000);
        refused(
            &integer,
            &[
                "",
                "0",
                "1001",
                "1000000",
                "1.0",
                "ten",
                "99999999999999999999",
            ],
        );
        let error = integer.parse("0").unwrap_err();
        assert_eq!(error, "write an integer from 1 to 1000");
        let (min, max) = (Some(0.5), None);
        let number = ParameterKind::Number { min, max };
        assert_eq!(shown(&number, "1e3"), 1000.0);
        refused(&number, &["0.4", "NaN", "inf", "-inf", "0x1"]);
    }

    #[test]
    fn text_is_bounded_and_whatever_is_in_it_is_only_text() {
        let text = ParameterKind::Text { max_length: 3 };
        assert_eq!(shown(&text, "';-"), "';-");
        assert_eq!(shown(&text, "äöü"), "äöü");
        refused(&text, &["abcd", "a\0"]);
        let of = vec!["daily".into(), "cohort".into()];
        let choice = ParameterKind::Choice { of };
        assert_eq!(shown(&choice, "cohort"), "cohort");
        refused(&choice, &["", "Daily", "daily "]);
        refused(&ParameterKind::Boolean, &["", "1", "yes", "True"]);
    }

    #[test]
    fn a_segment_names_a_field_that_the_flow_file_names() {
        let fields = vec!["event_type".into(), "properties.*".into()];
        let segment = ParameterKind::Segment { fields };
        let given = segment.parse("properties.country:UA:Kyiv").unwrap();
        assert_eq!(given.shown(), "properties.country:UA:Kyiv");
        let (field, value) = ("properties.country".to_owned(), "UA:Kyiv".to_owned());
        assert_eq!(given, Given::Segment { field, value });
        refused(
            &segment,
            &[
                "",
                "event_type",
                "event_type:",
                "user_id:1",
                "properties.:1",
                "properties:1",
                ":x",
                "event_type2:x",
            ],
        );
        let parameter = Parameter {
            name: "segment".into(),
            kind: segment,
            absent: Absent::Null,
            not_before: None,
        };
        let mut bound = BTreeMap::new();
        parameter.bind(Some(&given), &mut bound);
        assert_eq!(bound["segment_field"].value, "properties.country");
        assert_eq!(bound["segment_value"].value, "UA:Kyiv");
        parameter.bind(None, &mut bound);
        let (kind, value) = (ValueType::Text, Value::Null);
        assert_eq!(bound["segment_value"], Typed { kind, value });
        assert_eq!(bound.len(), 2);
    }
}
