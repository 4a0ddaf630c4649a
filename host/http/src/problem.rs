//! Problem documents, RFC 9457: how every server here says why it did not do
//! what it was asked for.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What a client is told instead of an answer.
#[derive(Serialize)]
pub struct Problem<'p, E = ()> {
    /// `about:blank` where the status says all.
    #[serde(rename = "type")]
    kind: &'p str,
    title: &'p str,
    status: u16,
    detail: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<E>,
}

impl<'p> Problem<'p> {
    /// A problem that is no more than its status, with a detail for a person.
    pub fn of(status: StatusCode, detail: &'p str) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        Self::named("about:blank", title, status, detail)
    }
}

impl<'p, E: Serialize> Problem<'p, E> {
    /// A problem that clients tell from others by its type.
    pub fn named(kind: &'p str, title: &'p str, status: StatusCode, detail: &'p str) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail,
            errors: None,
        }
    }

    /// Says what is wrong, place by place.
    pub fn with_errors(self, errors: E) -> Self {
        Self {
            errors: Some(errors),
            ..self
        }
    }

    /// Returns the response, with nothing but its type in the headers.
    pub fn response<B: From<Bytes>>(&self) -> Response<B> {
        // Our own types, without maps of other keys than strings: it cannot fail.
        let document = serde_json::to_vec(self).unwrap_or_default();
        let mut response = Response::new(Bytes::from(document).into());
        if let Ok(status) = StatusCode::from_u16(self.status) {
            *response.status_mut() = status;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn a_problem_has_its_members_and_its_type() {
        let plain = Problem::of(StatusCode::NOT_FOUND, "nobody");
        let named = Problem::named("urn:x", "X", StatusCode::CONFLICT, "twice");
        let cases = [
            (
                plain.response(),
                json!({ "type": "about:blank", "title": "Not Found", "status": 404, "detail": "nobody" }),
            ),
            (
                named.with_errors(["a"]).response(),
                json!({ "type": "urn:x", "title": "X", "status": 409, "detail": "twice", "errors": ["a"] }),
            ),
        ];
        for (response, expected) in cases {
            let response: Response<Full<Bytes>> = response;
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
            assert_eq!(u64::from(response.status().as_u16()), expected["status"]);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let document: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(document, expected);
        }
    }
}
