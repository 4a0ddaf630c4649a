use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::body::{self, NotJson};
use super::identity::{self, Normalise};
use super::{Downstream, Pointer, Rate, Schema, Template, Violation};

/// `[admit]`: which bodies become entries, and what is answered.
pub struct Admit {
    /// Begins with a slash and does not end with one.
    pub path: Arc<str>,
    pub schema: Schema,
    pub id: Identity,
    /// Whose URLs have to be able to name the entry.
    pub named_in: Vec<Arc<Downstream>>,
    /// The body is an array of entries.
    pub batch: bool,
    /// Bytes.
    pub max_body: usize,
    /// Whether an API key is required.
    pub keys: bool,
    /// Of each owner of API keys, else of each peer address.
    pub rate: Option<Rate>,
    /// How long an id is known to the backbone after its entry is settled.
    pub remember: Duration,
    /// Bytes of Redis that remembered ids may take up; `None`: a share of what
    /// there is.
    pub remember_memory: Option<u64>,
    pub remember_full: RememberFull,
    pub normalise: Vec<(Pointer, Normalise)>,
    /// Status codes other than 422 for faults at these places.
    pub errors: Vec<(Pointer, u16)>,
    pub reply: Reply,
}

/// What becomes of new entries while the ids that are remembered take up all the
/// memory that they may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RememberFull {
    /// They are refused with 503.
    #[default]
    Refuse,
    /// They are taken, and their ids are known for a shorter time.
    Shorter,
}

/// Where an entry's id comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The body holds it.
    Field(Pointer),
    /// A random UUID (version 4).
    Uuid,
    /// An integer that counts up from 1, with gaps.
    Sequence,
}

/// `[admit.reply]`: the answer to an admitted entry or batch.
pub struct Reply {
    /// 200 to 299.
    pub status: u16,
    pub body: Template,
}

/// A body that may become an entry.
#[derive(Debug)]
pub struct Admitted {
    /// 1 to 256 bytes; `None` where it is to be generated.
    pub id: Option<Arc<str>>,
    /// As the client sent it, but for what was normalised.
    pub body: Bytes,
    /// `body`, parsed.
    pub value: Value,
}

#[derive(Debug, thiserror::Error)]
pub enum Inadmissible {
    #[error(transparent)]
    NotJson(#[from] NotJson),
    #[error("item {index} is {error}")]
    ItemNotJson { index: usize, error: NotJson },
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
        let id = match &self.id {
            Identity::Field(pointer) => Some(
                identity::identify(&value, pointer)
                    .and_then(|id| self.nameable(id, pointer))
                    .map_err(|violation| Inadmissible::Invalid(vec![violation]))?,
            ),
            Identity::Uuid | Identity::Sequence => None,
        };
        Ok(Admitted { id, body, value })
    }

    /// Refuses an id with which a URL of a downstream would mean another place:
    /// that one would be asked for the entry, and posted to.
    fn nameable(&self, id: Arc<str>, pointer: &Pointer) -> Result<Arc<str>, Violation> {
        let mut refused = self.named_in.iter().filter_map(|to| to.takes(&id).err());
        match refused.next() {
            None => Ok(id),
            Some(error) => Err(Violation {
                index: None,
                pointer: pointer.to_string(),
                message: error.to_string(),
            }),
        }
    }

    /// An id as a client writes it in a path or a query, made equal to that of
    /// the body.
    pub fn normal_id<'i>(&self, id: &'i str) -> Cow<'i, str> {
        let Identity::Field(pointer) = &self.id else {
            return Cow::Borrowed(id);
        };
        let rules = self.normalise.iter().filter(|(place, _)| place == pointer);
        rules.fold(Cow::Borrowed(id), |id, (_, rule)| {
            rule.apply(&id).map_or(id, Cow::Owned)
        })
    }

    /// The status code for these violations: 422, or what the flow file says
    /// of the first place that it names.
    pub fn status_of(&self, violations: &[Violation]) -> u16 {
        let mut codes = violations.iter().filter_map(|violation| {
            let mut errors = self.errors.iter();
            errors.find(|(pointer, _)| pointer.as_str() == violation.pointer)
        });
        codes.next().map_or(422, |(_, status)| *status)
    }
}

#[cfg(test)]
#[path = "admit_tests.rs"]
mod tests;
