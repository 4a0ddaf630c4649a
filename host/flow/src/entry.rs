use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// The name of a flow: that of its file without `.toml`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowName(Arc<str>);

impl FlowName {
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// SHA-256 of a body as admitted, cut to 16 bytes: tells the same entry sent
/// again from another one under the same id. Clients choose bodies, so it has
/// to resist collisions made on purpose; 128 bits of SHA-256 do.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyHash(pub [u8; 16]);

impl BodyHash {
    pub fn of(body: &[u8]) -> Self {
        Self(sha256_16(body))
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The first 16 bytes of SHA-256.
pub fn sha256_16(bytes: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&Sha256::digest(bytes)[..16]);
    out
}

/// Names and values of what is known of an entry besides its body.
pub type Attributes = Arc<[(String, String)]>;

/// The attribute that says by which API key an entry came.
pub const KEY: &str = "key";
/// The attribute that says whose an entry is.
pub const OWNER: &str = "owner";

/// The attribute that says what the request was called that an entry came with.
pub const REQUEST_ID: &str = "request-id";
/// The attribute that says which span of which trace an entry came from (W3C
/// Trace Context); only of sampled traces.
pub const TRACEPARENT: &str = "traceparent";

/// The value of the first attribute with this name.
pub fn attribute<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut named = attributes.iter().filter(|(known, _)| known == name);
    named.next().map(|(_, value)| &**value)
}

/// Returns whose an entry is; `None` where it came without an API key. Before
/// there were owners, entries had the name of their key alone.
pub fn owner_of(attributes: &[(String, String)]) -> Option<&str> {
    let owner = attribute(attributes, OWNER).or_else(|| attribute(attributes, KEY));
    owner.filter(|owner| !owner.is_empty())
}

/// One admitted entry, as the worker and the oracles see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 1 to 256 bytes.
    pub id: Arc<str>,
    /// UTF-8 JSON that satisfied the flow's schema when it was admitted.
    pub body: Bytes,
    /// Unix milliseconds, by the backbone's clock.
    pub received_at: u64,
    pub attributes: Attributes,
}

impl Entry {
    /// The body as text; `None` where somebody else wrote the stream entry.
    pub fn body_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }

    /// The attributes that oracles are shown. What only traces a request is
    /// not among them: an entry gets the same verdict however it is sent.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .filter(|(name, _)| *name != REQUEST_ID && *name != TRACEPARENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oracles_are_not_shown_what_only_traces_a_request() {
        let known = [("request-id", "r"), ("key", "shop"), ("traceparent", "t")];
        let entry = Entry {
            id: "a".into(),
            body: Bytes::new(),
            received_at: 0,
            attributes: known
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        assert_eq!(entry.shown().collect::<Vec<_>>(), [("key", "shop")]);
        assert_eq!(attribute(&entry.attributes, REQUEST_ID), Some("r"));
    }

    #[test]
    fn an_entry_of_before_owners_belongs_to_its_key() {
        let owner = |known: &[(&str, &str)]| {
            let known = known
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()));
            owner_of(&known.collect::<Vec<_>>()).map(str::to_owned)
        };
        assert_eq!(
            owner(&[("key", "shop-2"), ("owner", "shop")]),
            Some("shop".into())
        );
        assert_eq!(
            owner(&[("request-id", "r"), ("key", "shop")]),
            Some("shop".into())
        );
        assert_eq!(owner(&[("request-id", "r"), ("owner", "")]), None);
        assert_eq!(owner(&[]), None);
    }
}
