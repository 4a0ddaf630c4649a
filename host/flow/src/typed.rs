use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value that is bound to a parameter of SQL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Typed {
    #[serde(rename = "type")]
    pub kind: ValueType,
    /// A date is `YYYY-MM-DD`, a time RFC 3339; null is NULL of its type.
    pub value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    Date,
    Time,
    Integer,
    Number,
    Text,
    Boolean,
}
