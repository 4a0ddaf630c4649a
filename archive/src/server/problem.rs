use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

pub(super) use super::body::Body;
use crate::query::{Error, Wrong};

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'p> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'p [Wrong]>,
}

pub(super) fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    with_errors(status, detail, None)
}

fn with_errors(status: StatusCode, detail: &str, errors: Option<&[Wrong]>) -> Response<Body> {
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
        errors,
    };
    // Text and numbers always make JSON.
    let json = serde_json::to_vec(&problem).unwrap_or_default();
    whole(status, "application/problem+json", json)
}

/// Why a query was not answered, as a response.
pub(super) fn refused(error: &Error) -> Response<Body> {
    let status = match error {
        Error::NoFlow(_) => StatusCode::NOT_FOUND,
        Error::Statement(_) => StatusCode::BAD_REQUEST,
        Error::Parameters(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::TooLong(_) => StatusCode::GATEWAY_TIMEOUT,
        Error::Memory(_) | Error::Disk(_) => StatusCode::INSUFFICIENT_STORAGE,
        Error::TooMuch(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Flows(_) | Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let errors = match error {
        Error::Parameters(wrong) => Some(wrong.as_slice()),
        _ => None,
    };
    with_errors(status, &error.to_string(), errors)
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(json) => whole(status, "application/json", json),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub(super) fn whole(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    in_parts(status, kind, [body.into()])
}

pub(super) fn in_parts(
    status: StatusCode,
    kind: &'static str,
    parts: impl IntoIterator<Item = Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::of(parts));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
