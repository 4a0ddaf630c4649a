//! `X-Request-Id`: what a request is called, by whoever sent it or by us. It is
//! on every answer of both addresses; an entry keeps that of the request it came
//! with, and a row of the audit log that of its call.

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Response};

pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest that is taken over.
const LONGEST: usize = 64;

/// What the request calls itself: 1 to 64 characters of `A-Za-z0-9._:-`. A
/// name of any other form is as if there were none, and it gets a new one: 16
/// hexadecimal digits.
pub fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers.get(&X_REQUEST_ID).and_then(|id| id.to_str().ok());
    match given.filter(|id| is_usable(id)) {
        Some(id) => Arc::from(id),
        None => new(),
    }
}

fn new() -> Arc<str> {
    let mut digits = [0; 16];
    // It fails only where there is no room for two digits of each byte.
    let _encoded = hex::encode_to_slice(rand::random::<[u8; 8]>(), &mut digits);
    Arc::from(String::from_utf8_lossy(&digits))
}

fn is_usable(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(is_plain)
}

pub fn tell_request_id<B>(response: &mut Response<B>, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(X_REQUEST_ID.clone(), id);
    }
}

/// For what was answered before anybody asked for its name, such as a CORS
/// preflight.
pub fn name_if_nameless<B>(mut response: Response<B>) -> Response<B> {
    if !response.headers().contains_key(&X_REQUEST_ID) {
        tell_request_id(&mut response, &request_id(&HeaderMap::new()));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_id_is_taken_and_whatever_else_came_is_replaced() {
        let of = |given: &str| {
            let given = HeaderValue::from_bytes(given.as_bytes()).unwrap();
            request_id(&[(X_REQUEST_ID.clone(), given)].into_iter().collect())
        };
        for taken in ["a", "01J.x_-:Z", &"x".repeat(64)] {
            assert_eq!(&*of(taken), taken);
        }
        for refused in ["", "a b", "a\"b", "ü", "a/b", &"x".repeat(65)] {
            let made = of(refused);
            assert_ne!(&*made, refused);
            assert!(made.len() == 16 && is_usable(&made), "{made}");
        }
    }

    #[test]
    fn no_two_requests_are_called_the_same() {
        let none = HeaderMap::new();
        assert_ne!(request_id(&none), request_id(&none));
    }
}
