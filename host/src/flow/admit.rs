use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::body::{self, NotJson};
use super::identity::{self, Normalise};
use super::{Pointer, Schema, Template, Violation};

/// `[admit]`: which bodies become entries, and what is answered.
pub struct Admit {
    /// Begins with a slash and does not end with one.
    pub path: Arc<str>,
    pub schema: Schema,
    /// Where the body holds its id.
    pub id: Pointer,
    /// Bytes.
    pub max_body: usize,
    /// How long an id is known to the backbone after its entry is settled.
    pub remember: Duration,
    pub normalise: Vec<(Pointer, Normalise)>,
    pub reply: Reply,
}

/// `[admit.reply]`: the answer to an admitted entry.
pub struct Reply {
    /// 200 to 299.
    pub status: u16,
    pub body: Template,
}

/// A body that may become an entry.
#[derive(Debug)]
pub struct Admitted {
    /// 1 to 256 bytes.
    pub id: Arc<str>,
    /// As the client sent it, but for what was normalised.
    pub body: Bytes,
    /// `body`, parsed.
    pub value: Value,
}

#[derive(Debug, thiserror::Error)]
pub enum Inadmissible {
    #[error(transparent)]
    NotJson(#[from] NotJson),
    #[error("the body does not satisfy the flow's schema")]
    Invalid(Vec<Violation>),
}

impl Admit {
    /// Parses, normalises and checks a body, and finds its id.
    pub fn admit(&self, body: Bytes) -> Result<Admitted, Inadmissible> {
        let mut value = body::parse(&body)?;
        let body = identity::normalise(body, &mut value, &self.normalise);
        self.schema
            .check(&value, &body)
            .map_err(Inadmissible::Invalid)?;
        let id = identity::identify(&value, &self.id)
            .map_err(|violation| Inadmissible::Invalid(vec![violation]))?;
        Ok(Admitted { id, body, value })
    }
}
