//! Who may call the admin API, asked before a call is looked at. A browser on
//! the same machine reaches a loopback address too, whatever page it shows.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tracing::warn;

use super::person::{NotAName, person};
use super::{Token, api};
use floodgate_http::origin::{NoHost, Origins, called_as, check_host};
use floodgate_process::metrics::table;
use floodgate_process::seldom::Seldom;

/// Characters of a refused call in the log, where whoever may not call could
/// write as much as they like.
const SHOWN: usize = 128;

/// Whether whoever reads a path learns nothing of this host: it is answered
/// without the token. The page asks for the token itself; below `/dashboard/`
/// are its files and nothing else.
fn is_open(path: &str) -> bool {
    let path = path.trim_matches('/');
    matches!(path, "" | "healthz" | "readyz") || path.starts_with("dashboard/")
}

pub(super) struct Guard {
    /// `None`: nobody but this machine reaches it.
    token: Option<Token>,
    refused: Seldom,
}

/// Who makes a call, for the audit log.
#[derive(Debug)]
pub(super) struct Caller {
    /// `token`, or `loopback` where none is asked for.
    pub who: &'static str,
    /// What they say they are called; nobody proves it.
    pub person: Option<String>,
    pub peer: IpAddr,
    pub request_id: Arc<str>,
}

/// Why a call was not let in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "call it as localhost or 127.0.0.1: without an admin token (--admin-token-file) no other \
         name is answered, lest a page of another site reaches it under a name of its own"
    )]
    ForeignHost,
    #[error("this admin API wants its token: --admin-token-file or FLOODGATE_ADMIN_TOKEN")]
    NoToken,
    #[error("this is not the token of this admin API")]
    WrongToken,
    #[error(transparent)]
    NoHost(#[from] NoHost),
    #[error("a page of another origin may change nothing")]
    ForeignOrigin,
    #[error("send a change as application/json, {{}} where there is nothing to say")]
    NotJson,
    #[error(transparent)]
    NotAName(#[from] NotAName),
}

impl Guard {
    /// `None` where others could reach the address, and there is no token.
    pub fn of(address: SocketAddr, token: Option<Token>) -> Option<Self> {
        // A counter is told from its first reading on, for what comes after.
        for refusal in Refusal::ALL {
            table::ADMIN_CALLS_REFUSED.of([refusal.code()]).increment(0);
        }
        let apart = address.ip().to_canonical().is_loopback();
        (apart || token.is_some()).then_some(Self {
            token,
            refused: Seldom::new(),
        })
    }

    /// Lets a call in, or says why not.
    pub fn let_in<B>(
        &self,
        request: &Request<B>,
        request_id: &Arc<str>,
        peer: IpAddr,
    ) -> Result<Caller, Refusal> {
        let checked = self
            .check(request)
            .and_then(|()| Ok(person(request.headers())?));
        let person = checked.inspect_err(|refusal| {
            table::ADMIN_CALLS_REFUSED.of([refusal.code()]).increment(1);
            // Whoever may not call could fill the disk: the others are counted.
            let Some(times) = self.refused.now() else { return };
            let cut = |text| format!("{text:.SHOWN$}");
            let (method, path) = (cut(request.method().as_str()), cut(request.uri().path()));
            warn!(target: "audit", %peer, method, path, %request_id, error = %refusal, times, "call refused");
        })?;
        Ok(Caller {
            who: self.token.as_ref().map_or("loopback", |_| "token"),
            person,
            peer: peer.to_canonical(),
            request_id: Arc::clone(request_id),
        })
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let headers = request.headers();
        check_host(request.version(), headers)?;
        let called_as = called_as(request.uri(), headers);
        // Only HTTP/1.0 may name nobody, and no browser speaks it.
        let is_nameless = called_as.is_none() && !headers.contains_key(HOST);
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        match &self.token {
            None if !is_nameless && !called_as.as_ref().is_some_and(is_loopback) => {
                return Err(Refusal::ForeignHost);
            }
            Some(token) if changes || !is_open(request.uri().path()) => {
                let shown = headers.get(AUTHORIZATION).ok_or(Refusal::NoToken)?;
                if !token.is(shown) {
                    return Err(Refusal::WrongToken);
                }
            }
            _ => {}
        }
        if changes && Origins::default().refuse(headers, request.uri()) {
            return Err(Refusal::ForeignOrigin);
        }
        if changes && !is_json(headers) {
            return Err(Refusal::NotJson);
        }
        Ok(())
    }
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::ForeignHost,
        Self::NoToken,
        Self::WrongToken,
        Self::NoHost(NoHost),
        Self::ForeignOrigin,
        Self::NotJson,
        Self::NotAName(NotAName),
    ];

    /// What it is counted as.
    fn code(&self) -> &'static str {
        match self {
            Self::ForeignHost => "foreign-host",
            Self::NoToken => "no-token",
            Self::WrongToken => "wrong-token",
            Self::NoHost(_) => "no-host",
            Self::ForeignOrigin => "foreign-origin",
            Self::NotJson => "not-json",
            Self::NotAName(_) => "not-a-name",
        }
    }

    pub fn response(&self) -> Response<Full<Bytes>> {
        let status = match self {
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::NoHost(NoHost) | Self::NotAName(NotAName) => StatusCode::BAD_REQUEST,
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        };
        let mut response = api::problem(status, &self.to_string());
        // RFC 6750, section 3
        let challenge = match self {
            Self::NoToken => "Bearer realm=\"floodgate admin\"",
            Self::WrongToken => "Bearer realm=\"floodgate admin\", error=\"invalid_token\"",
            _ => return response,
        };
        let challenge = HeaderValue::from_static(challenge);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        response
    }
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|a| a.to_canonical().is_loopback())
}

/// No form sends this, and no page of another origin without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = declared.and_then(|value| value.split(';').next());
    essence.is_some_and(|text| text.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
