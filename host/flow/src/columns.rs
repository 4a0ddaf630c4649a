use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::Pointer;

/// `[keep]` besides `when`: the decisions of the flow as one table, of which
/// the ledger has the latest rows and the cold tier the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// How long a row stays in the ledger; `None`: for good.
    pub hot: Option<Duration>,
    /// Where a body says when it happened. Where it does not, that is when it
    /// was received.
    pub time: Option<Pointer>,
    /// Besides those that every flow has, in the order of the file.
    pub columns: Vec<Column>,
}

/// A column that is taken out of the body; NULL where the body has none, or
/// one that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: Arc<str>,
    pub field: Pointer,
    pub kind: ColumnKind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    #[default]
    Text,
    Integer,
    Number,
    Boolean,
    Time,
}
