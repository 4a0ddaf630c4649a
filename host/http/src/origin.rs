//! Tells which requests a web page of another origin sent (Fetch Metadata,
//! `Origin`), and by which name a request calls this host.
//!
//! Every page that somebody on this network opens can post to this host, and
//! CORS keeps it only from reading the answer. What is no browser sends neither
//! header, and a page can set neither of them.

use std::time::Duration;

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Method, Uri, Version};
use tower_http::cors::{Any, CorsLayer};

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Request headers that pages of allowed origins may set.
const ALLOWED_HEADERS: [&str; 5] = [
    "content-type",
    "x-api-key",
    "idempotency-key",
    "x-request-id",
    "traceparent",
];

/// Response headers that pages of allowed origins may read.
const EXPOSED_HEADERS: [&str; 6] = [
    "floodgate-incomplete",
    "idempotent-replayed",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "x-request-id",
];

/// An HTTP/1.1 request does not say whom it calls, or says it twice
/// (RFC 9112, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an HTTP/1.1 request has one Host header; nothing was done")]
pub struct NoHost;

/// The origins whose pages may use an address: none by default.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    any: bool,
    named: Vec<HeaderValue>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "origin {0} of --cors-origin (FLOODGATE_CORS_ORIGIN) is none: write it as browsers send it, such \
     as https://example.com, null for pages that are opened from a file, or * for every page"
)]
pub struct NotAnOrigin(
    /// Counted from 1: it is not quoted, since it may be a password in the wrong
    /// variable.
    usize,
);

impl Origins {
    /// # Errors
    /// For the first text that no browser sends as an origin.
    pub fn parse(texts: &[String]) -> Result<Self, NotAnOrigin> {
        let mut origins = Self::default();
        for (index, text) in texts.iter().enumerate() {
            match text.as_str() {
                "*" => origins.any = true,
                text => {
                    let value = origin(text).ok_or(NotAnOrigin(index + 1))?;
                    origins.named.push(value);
                }
            }
        }
        Ok(origins)
    }

    /// Returns what answers preflights and marks answers for pages of these
    /// origins; `None` where no page of another origin is allowed.
    pub fn cors(&self) -> Option<CorsLayer> {
        let layer = CorsLayer::new()
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(ALLOWED_HEADERS.map(HeaderName::from_static))
            .expose_headers(EXPOSED_HEADERS.map(HeaderName::from_static))
            .max_age(Duration::from_secs(3600));
        match (self.any, self.named.is_empty()) {
            (true, _) => Some(layer.allow_origin(Any)),
            (false, false) => Some(layer.allow_origin(self.named.clone())),
            (false, true) => None,
        }
    }

    /// Whether a browser says that a page sent this request which is neither of
    /// the same origin nor of one of these. What is no browser is never refused.
    pub fn refuse(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let is_foreign = match headers.get(&SEC_FETCH_SITE) {
            Some(site) => !matches!(site.as_bytes(), b"same-origin" | b"none"),
            None if !headers.contains_key(ORIGIN) => false,
            None => {
                let called_as = called_as(uri, headers);
                let mut origins = headers.get_all(ORIGIN).iter();
                origins.any(|origin| !is_own(origin, called_as.as_ref()))
            }
        };
        is_foreign && !self.allow(headers)
    }

    fn allow(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = origins.next();
        self.any
            || origin.is_some_and(|origin| self.named.contains(origin)) && origins.next().is_none()
    }
}

/// Refuses a request that HTTP does not allow without a `Host`.
pub fn check_host(version: Version, headers: &HeaderMap) -> Result<(), NoHost> {
    if version != Version::HTTP_11 {
        return Ok(());
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => Ok(()),
        _ => Err(NoHost),
    }
}

/// Returns the name and the port by which a request calls this host: those of
/// its target (HTTP/2, or the absolute form of HTTP/1.1), else its `Host`.
pub fn called_as(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let of_host = || Authority::try_from(headers.get(HOST)?.as_bytes()).ok();
    uri.authority().cloned().or_else(of_host)
}

/// An origin as browsers write it (RFC 6454, section 6.2), or `null`.
fn origin(text: &str) -> Option<HeaderValue> {
    let is_origin = || {
        let uri: Uri = text.parse().ok()?;
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        Some(
            format!("{scheme}://{authority}") == text
                && text.to_lowercase() == text
                && !text.contains('@'),
        )
    };
    (text == "null" || is_origin() == Some(true))
        .then(|| HeaderValue::try_from(text).ok())
        .flatten()
}

/// Whether an origin has the host and the port by which this host is called.
/// Its scheme does not count: a proxy in front may have taken TLS off.
fn is_own(origin: &HeaderValue, called_as: Option<&Authority>) -> bool {
    let Some(own) = called_as else { return false };
    let origin = origin.to_str().ok().and_then(|text| text.split_once("://"));
    let Some((scheme, authority)) = origin else {
        return false;
    };
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let default_port = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let port = |authority: &Authority| authority.port_u16().or(default_port);
    authority.host().eq_ignore_ascii_case(own.host()) && port(&authority) == port(own)
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
