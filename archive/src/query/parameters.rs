//! The values of a query's placeholders: `{"type":"date","value":"2026-01-01"}`.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{CastKind, DataType, ExactNumberInfo, Expr, TimezoneInfo};
use datafusion::sql::sqlparser::ast::{Value, ValueWithSpan};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::Wrong;

/// By their names, without the `$`.
pub type Parameters = BTreeMap<String, Parameter>;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    #[serde(rename = "type")]
    pub kind: Kind,
    pub value: Option<Box<RawValue>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Date,
    Time,
    Integer,
    Number,
    Text,
    Boolean,
}

impl Parameter {
    /// The literal that takes the placeholder's place in the syntax tree. Its
    /// text is never parsed again: whatever a value says, it is only a value.
    pub(super) fn literal(&self) -> Result<Expr, &'static str> {
        let value = match &self.value {
            Some(value) if value.get() != "null" => self.kind.text(value.get())?,
            _ => return Ok(self.kind.typed(Value::Null)),
        };
        Ok(match self.kind {
            // A LIMIT and a table function take nothing but a bare number.
            Kind::Integer if !value.starts_with('-') => bare(Value::Number(value, false)),
            kind => kind.typed(Value::SingleQuotedString(value)),
        })
    }
}

impl Kind {
    /// The value as SQL writes it.
    fn text(self, json: &str) -> Result<String, &'static str> {
        match self {
            Self::Date => text(json)
                .filter(|text| {
                    text.parse::<Date>()
                        .is_ok_and(|date| date.to_string() == *text)
                })
                .ok_or("is no date; write one as 2026-01-31"),
            Self::Time => text(json)
                .and_then(|text| text.parse::<Timestamp>().ok())
                .map(|time| time.to_string())
                .ok_or("is no time; write one as 2026-01-31T12:00:00Z"),
            Self::Integer => serde_json::from_str::<i64>(json)
                .map(|number| number.to_string())
                .map_err(|_| "is no integer of 64 bits"),
            Self::Number => serde_json::from_str::<f64>(json)
                .map(|number| number.to_string())
                .map_err(|_| "is no number"),
            Self::Text => text(json).ok_or("is no text"),
            Self::Boolean => serde_json::from_str::<bool>(json)
                .map(|truth| truth.to_string())
                .map_err(|_| "is neither true nor false"),
        }
    }

    fn typed(self, value: Value) -> Expr {
        Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(bare(value)),
            data_type: match self {
                Self::Date => DataType::Date,
                Self::Time => DataType::Timestamp(Some(6), TimezoneInfo::WithTimeZone),
                Self::Integer => DataType::BigInt(None),
                Self::Number => DataType::Double(ExactNumberInfo::None),
                Self::Text => DataType::Text,
                Self::Boolean => DataType::Boolean,
            },
            array: false,
            format: None,
        }
    }
}

fn text(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

fn bare(value: Value) -> Expr {
    Expr::Value(ValueWithSpan::from(value))
}

/// What the statement asks for and nobody gave.
pub(super) fn missing(name: &str) -> Wrong {
    Wrong {
        parameter: name.to_owned(),
        message: "the statement asks for it, and it has no value".to_owned(),
    }
}
