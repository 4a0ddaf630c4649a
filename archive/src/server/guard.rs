//! Who may ask, looked at before a call is. A browser on the same machine
//! reaches a loopback address too, whatever page it shows.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode};

use super::Token;
use super::problem::{Body, problem};

pub(super) struct Guard {
    /// `None`: nobody but this machine reaches it.
    token: Option<Token>,
}

/// Why a call was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "call it as localhost or 127.0.0.1: without a token (--token-file) no other name is \
         answered, lest a page of another site reaches it under a name of its own"
    )]
    ForeignHost,
    #[error("it wants its token: Authorization: Bearer <token>")]
    NoToken,
    #[error("this is not its token")]
    WrongToken,
    #[error("no page asks here")]
    ForeignOrigin,
    #[error("send it as application/json")]
    NotJson,
}

impl Guard {
    /// `None` where others could reach the address, and there is no token.
    pub fn of(address: SocketAddr, token: Option<Token>) -> Option<Self> {
        let apart = address.ip().to_canonical().is_loopback();
        (apart || token.is_some()).then_some(Self { token })
    }

    /// Lets a call in, or says why not.
    pub fn let_in<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let headers = request.headers();
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        match &self.token {
            None if !is_for_this_machine(request) => return Err(Refusal::ForeignHost),
            // Whoever reads it learns nothing but that somebody is there.
            Some(token) if changes || request.uri().path() != "/healthz" => {
                let shown = headers.get(AUTHORIZATION).ok_or(Refusal::NoToken)?;
                if !token.is(shown) {
                    return Err(Refusal::WrongToken);
                }
            }
            _ => {}
        }
        if headers.contains_key(ORIGIN) {
            return Err(Refusal::ForeignOrigin);
        }
        if changes && !headers.get(CONTENT_TYPE).is_some_and(is_json) {
            return Err(Refusal::NotJson);
        }
        Ok(())
    }
}

impl Refusal {
    pub fn response(self) -> Response<Body> {
        let status = match self {
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        };
        let mut response = problem(status, &self.to_string());
        // RFC 6750, section 3
        let challenge = match self {
            Self::NoToken => "Bearer realm=\"floodgate-archive\"",
            Self::WrongToken => "Bearer realm=\"floodgate-archive\", error=\"invalid_token\"",
            _ => return response,
        };
        let challenge = HeaderValue::from_static(challenge);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        response
    }
}

fn is_for_this_machine<B>(request: &Request<B>) -> bool {
    let named = request.headers().get(HOST);
    let named = named.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    named.is_some_and(|authority| {
        let host = authority.host();
        let address = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.to_canonical().is_loopback())
    })
}

/// No form sends this, and no page of another origin without asking first.
fn is_json(declared: &HeaderValue) -> bool {
    let declared = declared.to_str().unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(
        guard: &Guard,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(), Refusal> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.let_in(&request.body(()).unwrap())
    }

    #[test]
    fn without_a_token_only_this_machine_is_let_in() {
        let loopback = "127.0.0.1:0".parse().unwrap();
        let guard = Guard::of(loopback, None).unwrap();
        let json = ("content-type", "application/json; charset=utf-8");
        let post = |headers: &[(&str, &str)]| asked(&guard, "POST", "/query", headers);
        assert_eq!(post(&[("host", "localhost:1"), json]), Ok(()));
        assert_eq!(post(&[("host", "[::1]:1"), json]), Ok(()));
        assert_eq!(
            post(&[("host", "example.org"), json]),
            Err(Refusal::ForeignHost)
        );
        assert_eq!(post(&[json]), Err(Refusal::ForeignHost));
        assert_eq!(post(&[("host", "localhost")]), Err(Refusal::NotJson));
        let page = ("origin", "http://example.org");
        assert_eq!(
            post(&[("host", "localhost"), json, page]),
            Err(Refusal::ForeignOrigin)
        );
        assert!(Guard::of("0.0.0.0:0".parse().unwrap(), None).is_none());
    }

    #[test]
    fn with_a_token_only_whoever_has_it_is_let_in() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef\n").unwrap();
        let token = Token::read(file.path()).unwrap();
        let guard = Guard::of("0.0.0.0:0".parse().unwrap(), Some(token)).unwrap();
        let get = |path: &str, headers: &[(&str, &str)]| asked(&guard, "GET", path, headers);
        let right = ("authorization", "Bearer 0123456789abcdef");
        assert_eq!(get("/metrics", &[right]), Ok(()));
        assert_eq!(get("/healthz", &[]), Ok(()));
        assert_eq!(get("/metrics", &[]), Err(Refusal::NoToken));
        assert_eq!(get("/readyz", &[]), Err(Refusal::NoToken));
        let wrong = ("authorization", "Bearer 0123456789abcdeg");
        assert_eq!(get("/metrics", &[wrong]), Err(Refusal::WrongToken));
    }

    #[test]
    fn a_short_token_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcde").unwrap();
        let error = Token::read(file.path()).unwrap_err().to_string();
        assert!(!error.contains("0123456789abcde"), "{error}");
    }
}
