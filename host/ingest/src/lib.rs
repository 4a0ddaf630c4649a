//! The way in: HTTP, admission, and the group commit to the backbone.
//!
//! 2xx is answered only when the backbone has said that the entry is durable;
//! every refusal says whether sending again is safe.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod admit;
mod batch;
mod batcher;
mod docs;
mod drain;
mod gate;
mod health;
mod idempotency;
mod ids;
pub mod keys;
mod meter;
mod openapi;
mod pages;
mod query;
mod receipt;
mod receive;
mod refusal;
mod router;
mod server;
#[cfg(test)]
mod tests;
mod track;
mod visitor;

pub use self::admit::Hindered;
pub use self::health::{Health, HealthReport, Part};
pub use self::refusal::Refusal;
pub use self::router::Ingest;
pub use self::server::{BindError, Options, Server};

/// Every answer of the front end.
type Response = hyper::Response<http_body_util::Full<bytes::Bytes>>;

/// JSON of the front end's own making.
fn respond(status: hyper::StatusCode, json: impl Into<bytes::Bytes>) -> Response {
    use hyper::header::{CONTENT_TYPE, HeaderValue};

    let mut response = Response::new(json.into().into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
