use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Authorities, Retry};

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
    /// Whom its certificate has to be of, in place of the usual authorities.
    pub ca: Option<Authorities>,
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

impl Downstream {
    /// Whether its URLs name the entry of this id and nothing else.
    ///
    /// # Errors
    /// Where something on the way would read another path out of one of them.
    pub fn takes(&self, id: &str) -> Result<(), NotASegment> {
        let mut urls = std::iter::once(&self.url).chain(&self.exists);
        match urls.all(|url| url.names(id)) {
            true => Ok(()),
            false => Err(NotASegment),
        }
    }
}

/// Why an id cannot stand in the path of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the id becomes a part of a URL that the entry is delivered to, and between its slashes \
     there may be neither nothing nor `.` nor `..`, however they are encoded: such a part means \
     another place"
)]
pub struct NotASegment;

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

    /// Whether no reader of the URL makes another path of it. Readers take out
    /// empty segments, `.` and `..`, and some decode `%2F` or read `\\` as a
    /// slash before they do; others leave out what stands behind a `;`.
    fn names(&self, id: &str) -> bool {
        let path = self.0.split(['?', '#']).next().unwrap_or_default();
        let segments = path.split('/').filter(|segment| segment.contains("{id}"));
        segments
            .map(|segment| decoded(segment.replace("{id}", id)))
            .all(|segment| segment.is_some_and(|segment| segment.split(['/', '\\']).all(stays)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Without any percent-encoding of its own. `None` where there is no end to it.
fn decoded(mut segment: String) -> Option<String> {
    const ROUNDS: usize = 8;
    for _ in 0..ROUNDS {
        let once = percent_decode_str(&segment).decode_utf8_lossy();
        if once == segment {
            return Some(segment);
        }
        segment = once.into_owned();
    }
    None
}

fn stays(segment: &str) -> bool {
    let named = segment.split(';').next().unwrap_or_default();
    let named = named.trim_matches(|letter: char| letter <= ' ');
    !["", ".", ".."].contains(&named)
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
    fn an_id_that_means_another_place_is_told_from_one_that_does_not() {
        let url = EntryUrl::parse("http://localhost/api/transactions/{id}").unwrap();
        for id in [
            ".",
            "..",
            "../x",
            "x/..",
            "x/./y",
            "x//y",
            "/x",
            "x/",
            "\\..\\x",
            "%2e",
            "%2E%2e",
            "x%2f..%2fy",
            "%252e%252e",
            "..;x",
            " ..",
            "..\t",
            "",
            ";",
        ] {
            assert!(!url.names(id), "{id:?}");
        }
        let endless = format!("%{}2e", "25".repeat(20));
        assert!(!url.names(&endless));
        for id in [
            "...", "a.b", ".a", "a/b", "100%", "é", "x;y", "a..b", "-", "%zz", "0x12",
        ] {
            assert!(url.names(id), "{id:?}");
        }
        let within = EntryUrl::parse("http://localhost/tx-{id}.json").unwrap();
        assert!(within.names("..") && !within.names("/../x"));
        let queried = EntryUrl::parse("http://localhost/find?id={id}").unwrap();
        assert!(queried.names(".."));
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
