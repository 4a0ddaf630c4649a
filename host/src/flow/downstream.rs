use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Retry;

/// All that RFC 3986 does not call unreserved.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// `[[deliver]]`: another service that is handed the decision, once.
#[derive(Clone, Debug, PartialEq)]
pub struct Downstream {
    /// Unique within its flow.
    pub name: Arc<str>,
    pub when: DeliverWhen,
    /// Where the body is POSTed to.
    pub url: EntryUrl,
    /// Asked before a POST and after one of unknown outcome: 200 says that it
    /// is there, 404 that it is not. Without it only the `Idempotency-Key`
    /// keeps a second POST from making a second one.
    pub exists: Option<EntryUrl>,
    /// Of each request.
    pub timeout: Duration,
    /// How long nobody asks or posts after an outcome that is not known.
    pub quiet: Duration,
    /// Entries in flight at a time, of each worker.
    pub concurrency: u16,
    pub retry: Retry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliverWhen {
    Always,
    /// What the flow decided to be HIGH.
    High,
}

/// An absolute http or https URL; `{id}` in it stands for the entry's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryUrl(Arc<str>);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAUrl {
    #[error("it is no absolute http or https URL")]
    NotAbsolute,
    #[error("only {{id}} can stand between braces, and only behind the host")]
    Placeholder,
}

impl EntryUrl {
    /// # Errors
    /// Where it does not name a host: an id must not choose whom to speak to.
    pub fn parse(text: &str) -> Result<Self, NotAUrl> {
        let filled = text.replace("{id}", "id");
        if filled.contains(['{', '}']) {
            return Err(NotAUrl::Placeholder);
        }
        let uri: hyper::Uri = filled.parse().map_err(|_| NotAUrl::NotAbsolute)?;
        let scheme = uri
            .scheme_str()
            .filter(|scheme| matches!(*scheme, "http" | "https"));
        let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
            return Err(NotAUrl::NotAbsolute);
        };
        if text.starts_with(&format!("{scheme}://{authority}")) {
            Ok(Self(text.into()))
        } else {
            Err(NotAUrl::Placeholder)
        }
    }

    pub fn of(&self, id: &str) -> String {
        let id = utf8_percent_encode(id, NOT_UNRESERVED).to_string();
        self.0.replace("{id}", &id)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_whatever_it_holds() {
        let url = EntryUrl::parse("http://localhost:8080/transactions/{id}").unwrap();
        assert_eq!(
            url.of("../a b/?#é"),
            "http://localhost:8080/transactions/..%2Fa%20b%2F%3F%23%C3%A9"
        );
    }

    #[test]
    fn an_id_does_not_choose_the_host() {
        for (text, error) in [
            ("http://{id}/x", NotAUrl::Placeholder),
            ("http://a.{id}.b/x", NotAUrl::Placeholder),
            ("http://host/{name}", NotAUrl::Placeholder),
            ("/transactions", NotAUrl::NotAbsolute),
            ("ftp://host/x", NotAUrl::NotAbsolute),
            ("host:80/x", NotAUrl::NotAbsolute),
        ] {
            assert_eq!(EntryUrl::parse(text), Err(error), "{text}");
        }
    }
}
