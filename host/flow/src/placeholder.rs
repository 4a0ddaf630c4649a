//! What stands between braces in a reply template.

use std::sync::Arc;

use serde_json::Value;

use super::{Pointer, TemplateError};

/// Where a template is used: that decides what it can speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'p> {
    /// The answer to one admitted entry.
    Reply,
    /// The answer to an admitted batch: there is no single entry to speak of.
    BatchReply,
    /// The fate of an entry; `body` where the flow keeps every body.
    Track { body: bool },
    /// A health page.
    Health,
    /// The answer to a query with parameters of these names.
    Query { parameters: &'p [Arc<str>] },
}

/// A placeholder with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Id,
    ReceivedAt,
    Count,
    State,
    Label,
    Score,
    Reasons,
    Output,
    Oracles,
    Error,
    UpdatedAt,
    CompletedAt,
    Health,
    Open,
    ErrorRate,
    Uptime,
    Decided,
    Dead,
    Rows,
}

const OF_AN_ENTRY: [(&str, Name); 11] = [
    ("id", Name::Id),
    ("received_at", Name::ReceivedAt),
    ("state", Name::State),
    ("label", Name::Label),
    ("score", Name::Score),
    ("reasons", Name::Reasons),
    ("output", Name::Output),
    ("oracles", Name::Oracles),
    ("error", Name::Error),
    ("updated_at", Name::UpdatedAt),
    ("completed_at", Name::CompletedAt),
];

const OF_A_BATCH: [(&str, Name); 1] = [("count", Name::Count)];

const OF_A_FLOW: [(&str, Name); 6] = [
    ("health", Name::Health),
    ("open", Name::Open),
    ("error_rate", Name::ErrorRate),
    ("uptime", Name::Uptime),
    ("decided", Name::Decided),
    ("dead", Name::Dead),
];

const OF_A_QUERY: [(&str, Name); 1] = [("rows", Name::Rows)];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placeholder {
    Named(Name),
    /// The value of a query's parameter, or null.
    Parameter(Arc<str>),
    /// What stands there in the entry's body, or null.
    Body(Pointer),
}

impl Place<'_> {
    fn names(self) -> impl Iterator<Item = &'static (&'static str, Name)> {
        let of: &[&'static [(&str, Name)]] = match self {
            Self::Reply => &[&OF_AN_ENTRY, &OF_A_BATCH],
            Self::BatchReply => &[&OF_A_BATCH],
            Self::Track { .. } => &[&OF_AN_ENTRY],
            Self::Health => &[&OF_A_FLOW],
            Self::Query { .. } => &[&OF_A_QUERY],
        };
        of.iter().copied().flatten()
    }

    fn has_body(self) -> bool {
        matches!(self, Self::Reply | Self::Track { body: true })
    }

    /// What a template can say here, for a person.
    pub(super) fn known(self) -> String {
        let mut known: Vec<String> = self
            .names()
            .map(|(text, _)| format!("{{{text}}}"))
            .collect();
        match self {
            Self::Track { body: false } => {
                known.push("{/json/pointer} where the flow says keep.when = \"always\"".to_owned())
            }
            Self::Query { parameters } => {
                known.extend(parameters.iter().map(|name| format!("{{{name}}}")));
            }
            place if place.has_body() => known.push("{/json/pointer} into the body".to_owned()),
            _ => {}
        }
        format!("known here: {}", known.join(", "))
    }

    pub(super) fn placeholder(self, text: &str) -> Result<Placeholder, TemplateError> {
        if text.starts_with('/') && self.has_body() {
            return Ok(Placeholder::Body(Pointer::parse(text)?));
        }
        if let Self::Query { parameters } = self
            && let Some(name) = parameters.iter().find(|name| ***name == *text)
        {
            return Ok(Placeholder::Parameter(Arc::clone(name)));
        }
        let mut names = self.names();
        match names.find(|(name, _)| *name == text) {
            Some((_, name)) => Ok(Placeholder::Named(*name)),
            None => Err(TemplateError::Unknown {
                text: text.to_owned(),
                known: self.known(),
            }),
        }
    }
}

/// The value of a placeholder, with its own JSON type.
#[derive(Clone, Debug, PartialEq)]
pub enum Filled<'v> {
    Null,
    Text(&'v str),
    Integer(u64),
    Number(f64),
    /// Unix milliseconds, written as RFC 3339.
    Time(u64),
    Json(&'v Value),
    Made(Value),
    /// JSON, ready to be copied.
    Written(&'v str),
}

impl<'v> Filled<'v> {
    pub fn text(text: Option<&'v str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    pub fn number(number: Option<f64>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }

    pub fn time(unix_ms: Option<u64>) -> Self {
        unix_ms.map_or(Self::Null, Self::Time)
    }
}

/// What a template is filled with.
pub trait Values {
    fn value(&self, name: Name) -> Filled<'_>;

    /// Of a query, where the template may speak of its parameters.
    fn parameter(&self, _name: &str) -> Filled<'_> {
        Filled::Null
    }

    /// The entry's body, where the template may point into it.
    fn body(&self) -> Option<&Value> {
        None
    }
}
